"""Runs in which people do by hand what takes a second person: refunds and confirmations above a limit, and repairs of
differences. They ask, agree and refuse at bad moments: twice, to their own requests, long after the world has changed.

Seeds from OFFICE_FROM up to SERVICES_FROM have them, and are sales as well. The stories of all others are as they were.
"""

import os
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import msgspec

from paidup.errors import SenderError
from paidup.hand import approve, breaks, confirm, refund
from paidup.hand.confirm import Confirm
from paidup.hand.desk import Desk
from paidup.hand.done import Done
from paidup.hand.refund import GiveBack
from paidup.people.audit import Actor
from paidup.people.user import RIGHTS, Role
from paidup.reconcile import store
from paidup.reconcile.breaks import Break
from paidup.reconcile.propose import testimony
from paidup.reconcile.states import State
from paidup.sandbox.ledger import RefundState, Trade
from paidup.sandbox.world import World
from paidup.settings import Settings, load
from paidup.simulator.actors import Died
from paidup.simulator.channels import Later
from paidup.simulator.clock import Clock
from paidup.simulator.database import AWAY
from paidup.simulator.process import Process
from paidup.simulator.script import Errand, Office, Plan, Script, Way
from paidup.simulator.stage import Stage
from paidup.simulator.undertakings import SERVICES_FROM
from paidup.simulator.witness import Deed, Witness

T = TypeVar("T")
OFFICE_FROM = 200_000
CURRENCY = "CNY"
MAX_TRIES = 12
LOOK_S = 3600.0
"""So often somebody looks after the differences that wait for people."""
MANY = 1000

PEOPLE = {
    name: Actor(name, "console", RIGHTS[role])
    for name, role in (("anna", Role.FINANCE), ("bo", Role.APPROVER), ("cy", Role.ADMIN))
}
LIMITS = (0, 0, 20_000)
REPAIRS: tuple[tuple[int, tuple[str, ...]], ...] = ((0, ()), (30_000, ()), (10_000_000, ("refund_unknown", "long")))
"""How much a day may be repaired without anybody, and which kinds of differences never are."""


def with_office(seed: int, script: Script) -> Script:
    """The script of this seed with what its people do by hand, and above which limits it takes two of them."""
    if not OFFICE_FROM <= seed < SERVICES_FROM:
        return script
    dice = random.Random(f"office/{seed}")  # noqa: S311 - a story, not a secret
    repair_minor, kinds = dice.choice(REPAIRS)
    office = Office(limit_minor=dice.choice(LIMITS), repair_minor=repair_minor, kinds=kinds)
    plans = tuple(msgspec.structs.replace(plan, errands=tuple(_errands(dice, plan))) for plan in script.plans)
    return msgspec.structs.replace(script, plans=plans, office=office)


def settings_of(office: Office | None) -> Settings:
    """What every process is told. None of this machine's rules has a part in it."""
    given = {"PAIDUP_ALLOW_LOOPBACK_ENDPOINTS": "true", "PAIDUP_RECONCILE_RULES": os.devnull}
    if office is not None:
        given["PAIDUP_SECOND_PERSON_ABOVE"] = f"{CURRENCY}={office.limit_minor // 100}"
    return load(given)


def _errands(dice: random.Random, plan: Plan) -> list[Errand]:
    offers = [n for n, offer in enumerate(plan.offers) if offer.pays_s is not None and offer.registered_s is None]
    return [
        _errand(dice, plan, offer, f"h{n}")
        for n, offer in enumerate(dice.choices(offers, k=dice.choice((1, 2, 2))) if offers else ())
    ]


def _errand(dice: random.Random, plan: Plan, offer: int, key: str) -> Errand:
    """Mostly just after the customer has paid, or just before: then the others answer in the very moment, too."""
    pays_s, way = plan.offers[offer].pays_s or 0.0, dice.choice(tuple(Way))
    after_s = dice.choice((-1.0, 2.0, dice.uniform(5, 900)))
    return Errand(
        offer=offer,
        key=key,
        action=dice.choice(("refund", "refund", "confirm")),
        after_s=max(0.0, pays_s + after_s),
        minor=dice.choice((None, dice.randint(1, plan.amount_minor // 2))),
        asker="cy" if way is Way.OWN else dice.choice(("anna", "cy")),
        way=way,
        second_after_s=2.0 if after_s < 0 else dice.choice((0.0, dice.uniform(0, 60), dice.uniform(0, 3 * 3600))),
    )


class Desks:
    """The people in the office. office: above which limits it takes two. pick: a process whose console they use, or
    None when none is up."""

    def __init__(
        self,
        world: World,
        stage: Stage,
        clock: Clock,
        witness: Witness,
        office: Office | None,
        *,
        pick: Callable[[str], Process | None],
        later: Later,
    ) -> None:
        self._limit_minor = office.limit_minor if office else 0
        self._world = world
        self._stage = stage
        self._clock = clock
        self._witness = witness
        self._pick = pick
        self._later = later

    # Errands ---------------------------------------------------------------------------------------------------------

    def opened(self, plan: Plan, n: int, trade: Trade, payment_id: str) -> None:
        """A payment is there: what people do about it begins in time."""
        for errand in plan.errands:
            if errand.offer == n:
                work = partial(self._run, f"{plan.name} {errand.key}", errand, trade, payment_id)
                self._later(errand.after_s, partial(self._spawn, f"{plan.name} {errand.key}", work))

    async def _run(self, name: str, errand: Errand, trade: Trade, payment_id: str) -> None:
        """One asks, and others say something to it."""
        minor = trade.amount_minor if errand.minor is None or errand.action == "confirm" else errand.minor
        if errand.action == "confirm" and not _may_be_confirmed(trade) and minor <= self._limit_minor:
            return  # one alone would be believed, so it is only said of what the channel's console shows
        deed = Deed(errand.action, payment_id, errand.key, minor)
        self._witness.deeds.append(deed)
        if errand.action == "refund":
            self._witness.tried.setdefault(payment_id, set()).add(f"hand/{errand.key}")
        asked = await self._says(f"{name} asks", errand.asker, deed.name, self._asking(deed, errand.asker, trade))
        if not isinstance(asked, Done) or asked.approval_id is None:
            return
        self._witness.asked[asked.approval_id] = deed.name
        await self._stage.pause(errand.second_after_s)
        for who, agrees in _answers(errand):
            work = partial(self._answer, name, who, deed, trade, asked.approval_id, agrees)
            self._spawn(f"{name} {who}", work)

    def _asking(self, deed: Deed, asker: str, trade: Trade) -> Callable[[Desk], Awaitable[Done]]:
        why, who = "the customer called", PEOPLE[asker]
        if deed.action == "refund":
            give = GiveBack(payment_id=deed.payment_id, amount_minor=deed.minor, currency=CURRENCY, why=why)
            return lambda desk: refund.refund(desk, who, give, key=deed.key)
        wanted = Confirm(
            payment_id=deed.payment_id, channel_txn_id=trade.number, amount_minor=deed.minor, currency=CURRENCY, why=why
        )
        return lambda desk: confirm.confirm(desk, who, wanted, key=deed.key)

    async def _answer(self, name: str, who: str, deed: Deed, trade: Trade, approval_id: str, agrees: str) -> None:
        """A second person looks into the channel's console before he agrees that something was paid."""
        is_true = deed.action == "refund" or _may_be_confirmed(trade)
        if agrees == "yes" and is_true:
            work = lambda desk: approve.approve(desk, PEOPLE[who], approval_id, "I looked")  # noqa: E731 - one line
            await self._says(f"{name} {who} agrees", who, deed.name, work)
        else:
            await self._tries(
                f"{name} {who} refuses", lambda desk: approve.refuse(desk, PEOPLE[who], approval_id, "I looked")
            )

    # Differences -----------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Somebody looks after what waits for people, now and every hour."""
        self._spawn("differences", self._agree_to_all)
        self._later(LOOK_S, self.look)

    async def _agree_to_all(self) -> None:
        found = await self._tries("differences", _open_breaks, tries=1)
        for one in found if isinstance(found, list) else ():
            if testimony(one, self._clock.now()) is not None and self._is_true(one):
                await self._agree(one)

    async def _agree(self, one: Break) -> None:
        """Who agrees, in which order: one after the other, the same one twice, two in one moment, one of them alone."""
        name = f"difference {one.channel} {one.kind} {one.day}"
        order = (("anna", "bo"), ("anna", "anna", "bo"), ("bo", "bo", "cy"), ("cy",), ("anna",))
        at_once, people = self._stage.fates.roll(f"at once {name}") < 0.3, order[self._stage.fates.pick(5, name)]
        for n, who in enumerate(people):
            say = partial(self._agrees, f"{name} {n}", who, one.id)
            if at_once:
                self._spawn(f"{name} {n} {who}", say)
            else:
                await say()

    async def _agrees(self, name: str, who: str, break_id: str) -> None:
        await self._says(
            f"{name} {who}",
            who,
            f"break {break_id}",
            lambda desk: breaks.agree(desk, PEOPLE[who], break_id, "I looked"),
        )

    def _is_true(self, one: Break) -> bool:
        """What the channel's console says of a bill's line: not all that is printed happened."""
        line = one.line
        trades = [t for t in self._world.ledger.page(0, len(self._world.ledger)) if t.channel == one.channel]
        trade = next((t for t in trades if line and line.channel_txn_id == t.number), None)
        if line is None or trade is None or trade.paid_at is None:
            return False
        if one.what == "payment":
            return trade.amount_minor == line.amount_minor
        wanted = {RefundState.FAILED}  # what came back had left: the repair asks what became of it
        if one.what != "refund_failed":
            wanted.add(RefundState.SUCCEEDED)
        names = {line.merchant_refund_ref, line.channel_refund_id}
        return any(
            {back.merchant_ref, back.number} & names
            and back.amount_minor == abs(line.amount_minor)
            and back.state in wanted
            for back in trade.refunds
        )

    # Saying ----------------------------------------------------------------------------------------------------------

    def _spawn(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        async def begin() -> None:
            await work()

        self._stage.spawn(f"office {name}", begin())

    async def _says(self, name: str, who: str, about: str, deed: Callable[[Desk], Awaitable[T]]) -> T | str | None:
        """Somebody says yes. From now on it may count, whatever is answered."""
        self._witness.agreed.setdefault(about, set()).add(who)
        return await self._tries(name, deed)

    async def _tries(
        self, name: str, deed: Callable[[Desk], Awaitable[T]], tries: int = MAX_TRIES
    ) -> T | str | None:  # fmt: skip
        """Until there is an answer, in words where it is a no; None when there never was any."""
        for attempt in range(tries):
            process = self._pick(name)
            found = await self._once(name, process, deed) if process is not None else None
            if found is not None:
                return found
            await self._stage.pause(min(300.0, 5.0 * 1.5**attempt))
        return None

    async def _once(self, name: str, process: Process, deed: Callable[[Desk], Awaitable[T]]) -> T | str | None:
        async def work() -> T | str | None:
            try:
                return await deed(process.desk)
            except SenderError as error:
                return f"{type(error).__name__}: {error}"
            except AWAY:
                return None

        try:
            found = await self._stage.spawn(f"desk {name}", work(), process.life)
        except Died:
            return None
        self._stage.note(f"desk {name}: {found if isinstance(found, str) else type(found).__name__}")
        return found if process.life.alive else None


async def _open_breaks(desk: Desk) -> list[Break]:
    async with desk.db.session() as tx:
        return await store.page(tx, store.Filter(states=(State.OPEN.value,)), MANY)


def _may_be_confirmed(trade: Trade) -> bool:
    return trade.paid_at is not None and not trade.refunds


def _answers(errand: Errand) -> tuple[tuple[str, str], ...]:
    """Who says what to a request, in one moment."""
    match errand.way:
        case Way.AGREED:
            return (("bo", "yes"),)
        case Way.REFUSED:
            return (("bo", "no"),)
        case Way.OWN:
            return ((errand.asker, "yes"),)
        case Way.TWICE:
            return (("bo", "yes"), ("bo", "yes"), ("cy", "yes"))
        case Way.BOTH:
            return (("bo", "yes"), ("cy", "no"))
        case Way.NOBODY:
            return ()
