"""The comparisons of a run: in the evening, when all must hold without any bill, and after the bills."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from paidup.handlers import Handlers
from paidup.reconcile.breaks import Break
from paidup.reconcile.worker import WHO, work_day
from paidup.sandbox.world import World
from paidup.simulator import agree, check, check_bills, check_office
from paidup.simulator.bill_books import ACCOUNT, Billed, read_billed
from paidup.simulator.bill_fates import FatedBills
from paidup.simulator.books import Books, Sides, read_books
from paidup.simulator.check_bills import still_untold
from paidup.simulator.database import StagedDatabase
from paidup.simulator.fates import BILLS_JOB
from paidup.simulator.ground import Ground
from paidup.simulator.process import Process
from paidup.simulator.script import Office
from paidup.simulator.stage import Stage
from paidup.simulator.staged_services import StagedServices
from paidup.simulator.witness import Breach, Witness
from paidup.transactions.ask import Requester
from paidup.transactions.check import Checked, together
from paidup.transactions.check import run as check_transactions
from paidup.verify import verify

PEOPLE_TAKE = timedelta(hours=4)
"""What waits for people is agreed to within this: one of them alone may have, the hours before."""


class Times(msgspec.Struct, frozen=True):
    """calm_at: since when nothing but bills went wrong. opened_at, bills_calm_at: since when bills were fetched, and
    since when nothing went wrong with them."""

    calm_at: datetime
    opened_at: datetime
    bills_calm_at: datetime


class Comparisons:
    """Compares a run's two sides, and tells the witness what is broken."""

    def __init__(
        self,
        ground: Ground,
        world: World,
        stage: Stage,
        witness: Witness,
        bills: FatedBills,
        office: Office | None,
    ) -> None:
        self._office = office
        self._ground = ground
        self._stage = stage
        self._world = world
        self._witness = witness
        self._bills = bills

    async def in_the_evening(self, calm_at: datetime, services: StagedServices, shelves: Mapping[str, int]) -> None:
        """Our books with the channels' ledger, with themselves, and with the services that took part, if any did."""
        await self._compare(await self._sides(calm_at, frozenset(self._witness.untold)))
        if shelves:
            checked = await self._check_transactions(services)
            both = await agree.read_agreement(self._ground.admin, shelves, self._witness, checked.differences)
            self._witness.breaches += agree.examine(both)

    async def billed(self, process: Process, times: Times) -> Billed:
        """Both sides, with the bills."""
        untold = still_untold(self._world, self._witness, self._bills.planted(ACCOUNT))
        return await read_billed(
            self._ground,
            await self._sides(times.calm_at, untold),
            self._bills,
            process.parties(),
            opened_at=times.opened_at,
            calm_at=times.bills_calm_at,
            people_take=PEOPLE_TAKE if self._office else timedelta(0),
        )

    async def after_the_bills(self, before: Billed, after: Billed) -> None:
        """Our books with the bills, and once more with all else; before: as they were before a second run."""
        self._witness.breaches += what_changed(before, after)
        await self._compare(after.sides)
        self._witness.breaches += check_bills.examine(after)

    async def _compare(self, sides: Sides) -> None:
        self._witness.breaches += check.examine(sides)
        if self._office is not None:
            files = await check_office.read_files(self._ground.admin, self._office, sides.books, self._witness)
            self._witness.breaches += check_office.examine(files)
        for claim in (await verify(self._ground.plain)).checks:
            if not claim.holds:
                self._witness.breach(f"verify: {claim.name}", f"{claim.claim}: {', '.join(claim.breaches)}")

    async def _sides(self, calm_at: datetime, untold: frozenset[str]) -> Sides:
        books = await read_books(self._ground.admin)
        return Sides(books, self._world, self._witness, calm_at, self._stage.clock.now(), untold)

    async def _check_transactions(self, services: StagedServices) -> Checked:
        """What `paidup tx check` would find, and do."""
        clock = self._stage.clock
        requester = Requester(services, now_of=clock.now, seconds=lambda: clock.now().timestamp())
        db = StagedDatabase(self._ground, self._stage)

        async def work() -> Checked:
            parts = check_transactions(db, requester, Handlers(), shop=None, since=None, mend=True)
            return together([part async for part in parts])

        task = self._stage.spawn("tx check", work())
        await self._stage.play()
        return await task


async def run_again(stage: Stage, process: Process, billed: Billed) -> None:
    """Reconcile every day that had anything once more, mending included."""
    parties = {party.account.channel: party for party in process.parties()}
    for (channel, day), run in sorted(billed.runs.items(), key=lambda item: item[0]):
        if run.lines or any((one.channel, one.day) == (channel, day) for one in billed.breaks):
            work = work_day(process.db, parties[channel], day, tools=process.tools(), who=WHO)
            stage.spawn(f"again {BILLS_JOB} {channel} {day}", work)
    await stage.play()


def what_changed(before: Billed, after: Billed) -> list[Breach]:
    """A second run of a day changes nothing."""
    wrong = [
        f"{name} {subject}: {old.get(subject)} → {new.get(subject)}"
        for name, old, new in zip(("break", "payment", "refund", "order"), _state(before), _state(after), strict=True)
        for subject in sorted({*old, *new})
        if old.get(subject) != new.get(subject)
    ]
    return [Breach("a second run of a day changes nothing", what) for what in wrong]


def _state(billed: Billed) -> Sequence[dict[str, Any]]:
    """What a second run may not touch; how often a channel was asked is no part of it."""
    books: Books = billed.sides.books
    return (
        {one.id: _of_break(one) for one in billed.breaks},
        dict(books.payments),
        dict(books.refunds),
        {order.id: (order.state, order.paid_by, order.event_seq) for order in books.orders.values()},
    )


def _of_break(one: Break) -> tuple[date, str, str, int, str | None]:
    return one.day, one.kind, one.state, one.differs_minor, one.cleared_by
