"""Runs in which the shop's coupons, points and parcels live elsewhere: orders come with transactions across services,
and somebody changes his mind at bad moments.

Seeds from SERVICES_FROM up to PAGES_FROM have them, and are sales as well. The stories of all others are as they were.
"""

import random
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from paidup.db.transaction import Tx
from paidup.participant import Call, Operation
from paidup.simulator.channels import Later
from paidup.simulator.clock import Clock
from paidup.simulator.database import AWAY
from paidup.simulator.pages import PAGES_FROM
from paidup.simulator.process import Process
from paidup.simulator.script import Away, Plan, Script, Undertaking
from paidup.simulator.shop import Shop
from paidup.simulator.stage import Stage
from paidup.simulator.staged_services import NAMES, StagedServices
from paidup.simulator.witness import Witness
from paidup.transactions import participants, person, store
from paidup.transactions.states import MANUAL
from paidup.transactions.table import Step, Table

SERVICES_FROM = 300_000
PAYMENT = Step(name="payment", waits_for="order.paid")


def _asked(name: str, **fields: object) -> Step:
    return msgspec.convert({"name": name, "participant": name} | fields, Step)


TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(name="gift", within_s=900, step=(_asked("coupon"), _asked("points", parallel=True), _asked("parcel"))),
        Table(name="checkout", within_s=5400, step=(_asked("coupon"), PAYMENT, _asked("parcel"))),
        Table(name="both", kind="tcc", within_s=900, step=(_asked("coupon"), _asked("points", parallel=True))),
        Table(name="paid", kind="tcc", within_s=5400, step=(_asked("points"), _asked("coupon"), PAYMENT)),
        Table(
            name="points-first",
            within_s=900,
            step=(_asked("points", pivot=True), _asked("coupon"), _asked("parcel", parallel=True)),
        ),
        Table(
            name="message",
            within_s=3600,
            step=(_asked("points", check_back=True, after_s=60.0), _asked("coupon")),
        ),
    )
}


def with_services(seed: int, script: Script) -> Script:
    """The script of this seed with what each order undertakes and how much the services have."""
    if not SERVICES_FROM <= seed < PAGES_FROM:
        return script
    dice = random.Random(f"services/{seed}")  # noqa: S311 - a story, not a secret
    plans = tuple(msgspec.structs.replace(plan, undertakings=_undertakings(dice, plan)) for plan in script.plans)
    units = {name: max(1, dice.choice((len(plans) // 2, len(plans) * 2))) for name in NAMES}
    trouble_s = script.trouble_s
    outages = tuple(away for name in NAMES for away in _outages(dice, name, trouble_s))
    limits = msgspec.structs.replace(script.limits, checkout=dice.choice((1, 3, 50)))
    return msgspec.structs.replace(
        script, plans=plans, shelves=units, limits=limits, outages=(*script.outages, *outages)
    )


def _outages(dice: random.Random, name: str, trouble_s: float) -> Iterator[Away]:
    for _ in range(dice.randint(0, 2)):
        start = dice.uniform(0, dice.choice((300.0, trouble_s)))
        yield Away(name, start, start + dice.choice((30.0, 300.0, 3600.0, 3 * 3600.0)), dice.random() < 0.5)


def _undertakings(dice: random.Random, plan: Plan) -> tuple[Undertaking, ...]:
    names = dice.sample(sorted(TABLES), dice.choice((1, 1, 2, 3)))
    return tuple(
        Undertaking(
            table=name,
            after_s=dice.choice((0.0, dice.uniform(0, 30), dice.uniform(0, plan.ttl_s))),
            undo_s=dice.choice((dice.uniform(0, 20), dice.uniform(0, plan.ttl_s))) if dice.random() < 0.3 else None,
            acts_s=dice.choice((0.0, dice.uniform(0, 120))) if dice.random() < 0.8 else None,
        )
        for name in names
    )


async def introduce(tx: Tx, shop: str, url: str, script: Script, services: StagedServices, now: datetime) -> None:
    """The services, with what they have, and the shop's tables of steps; none in a story without them."""
    for name, units in script.shelves.items():
        await tx.execute("INSERT INTO services.shelves VALUES ($1, $2, 0, 0)", name, units)
        made = await participants.put_participant(tx, shop, name, f"{url}/{name}", now, allow_loopback=True)
        services.services[name].secrets = (made.secret or "",)
    for table in TABLES.values() if script.shelves else ():
        await participants.define(tx, shop, table, now)


class Undertakings:
    """What the shop and its operator do with transactions. pick: a process to ask, or None when none is up."""

    def __init__(
        self,
        shop: Shop,
        services: StagedServices,
        stage: Stage,
        clock: Clock,
        witness: Witness,
        *,
        pick: Callable[[str], Process | None],
        later: Later,
    ) -> None:
        self._shop = shop
        self._services = services
        self._stage = stage
        self._clock = clock
        self._witness = witness
        self._pick = pick
        self._later = later

    def placed(self, plan: Plan, order_id: str) -> None:
        """An order is there: what it undertakes begins in time."""
        self._services.named[order_id] = plan.name
        for one in plan.undertakings:
            work = partial(self._begin, plan, order_id, one)
            self._spawn_at(one.after_s, f"{plan.name} {one.table}", work)

    def call_operator(self) -> None:
        """Somebody looks after what waits for a person."""
        self._stage.spawn("operator", self._retry_all())

    def _spawn_at(self, seconds: float, name: str, work: Callable[[], Any]) -> None:
        self._later(seconds, lambda: self._stage.spawn(f"shop {name}", work()))

    async def _begin(self, plan: Plan, order_id: str, one: Undertaking) -> None:
        key = f"{plan.name}/{one.table}"
        body = {"table": one.table, "data": {"coupon": {"code": plan.name}}}
        replied = await self._shop.ask(
            f"{plan.name} begins {one.table}", f"/v1/orders/{order_id}/transactions", body, key
        )
        if replied.status != 201:
            return
        xid = str(msgspec.json.decode(replied.body)["id"])
        self._witness.begun.setdefault(key, set()).add(xid)
        if one.undo_s is not None:
            self._spawn_at(one.undo_s, f"{key} undo", partial(self._undo, key, xid))
        if one.table == "message" and one.acts_s is not None:
            self._spawn_at(one.acts_s, f"{key} acts", partial(self._acts, xid, order_id))

    async def _undo(self, key: str, xid: str) -> None:
        """Somebody wants it undone; what has ended, or passed its pivot, says no."""
        said = {"reason": "the customer changed his mind", "who": "lin"}
        await self._shop.ask(f"{key} undo", f"/v1/transactions/{xid}/compensate", said, f"{key}/undo")

    async def _acts(self, xid: str, order_id: str) -> None:
        """The sender of a reliable message does its business by itself, in its own transaction."""
        service = self._services.services["points"]
        call = Call(xid=xid, step="points", operation=Operation.ACTION, shop="", order_id=order_id)

        async def act() -> None:
            try:
                await service.act(call)
            except AWAY:
                return  # its customer is told so; whether it counted, the check back will say

        if service.is_up(self._clock.now()):
            self._stage.spawn(f"service {self._services.named[order_id]} acts", act(), service.life)

    async def _retry_all(self) -> None:
        process = self._pick("operator")
        if process is None:
            return
        async with process.db.transaction() as tx:
            for t in await store.unfinished(tx, None, MANUAL, None, 1000):
                await person.retry(
                    tx, t.id, shop=None, who="anna", why="the services are well again", now=self._clock.now()
                )
