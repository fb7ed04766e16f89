"""One seed from beginning to end: trouble, calm, and the comparison."""

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from paidup import ids
from paidup.channels.accounts import AccountsFolder
from paidup.delivery.endpoints import create_endpoint
from paidup.sandbox.faults import Dice, Faults
from paidup.sandbox.keys import Keys
from paidup.sandbox.ledger import Ledger
from paidup.sandbox.world import Manners, World
from paidup.settings import Settings
from paidup.shops import store as shops
from paidup.shops.store import Scope
from paidup.simulator.actors import Life
from paidup.simulator.bill_books import AccountSum
from paidup.simulator.bill_fates import FatedBills
from paidup.simulator.chance import SeededChance
from paidup.simulator.channels import StagedChannels
from paidup.simulator.clock import Clock
from paidup.simulator.compare import Comparisons, Times, run_again
from paidup.simulator.database import StagedDatabase
from paidup.simulator.diary import Diary
from paidup.simulator.fates import Fates, weather_of
from paidup.simulator.fleet import Fleet
from paidup.simulator.ground import Ground
from paidup.simulator.nights import SETTLES_IN, WRONG_FOR, Nights, rule_book
from paidup.simulator.office import settings_of
from paidup.simulator.outages import Outages
from paidup.simulator.outcome import Outcome
from paidup.simulator.outsiders import Outsiders
from paidup.simulator.process import Process
from paidup.simulator.rounds import Agenda
from paidup.simulator.sale import fill_the_shelf
from paidup.simulator.script import Plan, Script, write_days
from paidup.simulator.stage import Stage, Stuck
from paidup.simulator.story import story_of
from paidup.simulator.undertakings import introduce
from paidup.simulator.watch import Watch
from paidup.simulator.witness import Witness

START = datetime(2026, 11, 24, tzinfo=UTC)
NOBODY = "http://127.0.0.1:9"
SHOP = "teahouse"
PROCESSES = 2
CALM_AT_MOST = timedelta(days=4)
NIGHTS_AT_MOST = timedelta(days=9)
OPERATOR_S = 7200.0
"""So long after the trouble somebody looks after the transactions that wait for a person."""


class Run:
    """One seed. only: when given, nothing goes wrong but what has one of these keys. days: so many days of trade, with
    bills all along; None: a short run whose bills come after the trouble."""

    def __init__(
        self,
        ground: Ground,
        seed: int,
        keys: Keys,
        accounts: AccountsFolder,
        *,
        only: frozenset[str] | None,
        tell: bool,
        days: int | None = None,
    ) -> None:
        self.seed = seed
        self._ground, self._accounts, self._days = ground, accounts, days
        self._script: Script = write_days(seed, days) if days else story_of(seed)
        self._settings: Settings = settings_of(self._script.office)
        self._clock = Clock(START)
        self._fates = Fates(seed, weather_of(seed), only)
        self._stage = Stage(self._clock, self._fates, ground.backends)
        self._stage.told = [] if tell else None
        self._witness = Witness()
        faults = Faults(forge=self._script.forge, refund_fail=self._script.refund_fail)
        self._world = World({"main": keys}, Dice(seed), Manners(faults=faults), NOBODY, self._make_bills)
        played = (self._world, self._stage, self._witness, self._bills, self._script.office)
        self._comparisons = Comparisons(ground, *played)
        self._work, self._diary = Agenda(ground.admin), Diary(self._clock)
        self._nights = Nights(START, self._bills.last_moved_at)
        self._opened_at = self._bills_calm_at = START
        sells = bool(self._script.shelves)
        self._watch = Watch(self._fates, START, ground.admin, sells=sells)
        self._outages = Outages(self._script.outages, START, self._stage, self._watch)
        self._fleet = Fleet(self._stage, self._nights, self._witness, self._make_process, sells=sells)
        self._outsiders = Outsiders(
            ground, *played, pick=self._fleet.pick, is_away=self._outages.trouble_of, later=self._diary.later
        )
        self._sums: Sequence[AccountSum] = ()

    async def play(self) -> Outcome:
        """The whole run."""
        before = ids.take_chance_from(SeededChance(self.seed, lambda: self._stage.who))
        try:
            await self._prepare()
            try:
                await (self._month() if self._days else self._day_and_night())
            except Stuck as stuck:
                self._witness.breach("nothing gets stuck", str(stuck))
        finally:
            await self._stage.close()
            ids.take_chance_from(before)
        return self._outcome()

    # The run ---------------------------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        shop, services = self._outsiders.shop, self._outsiders.services
        await self._ground.clear()
        async with self._ground.plain.transaction() as tx:
            await shops.put_shop(tx, SHOP, self._script.late_payment, START)
            shop.api_key = await shops.create_key(tx, SHOP, list(Scope), START)
            endpoint = await create_endpoint(tx, SHOP, f"{NOBODY}/hook", ["*"], START, allow_loopback=True)
            await fill_the_shelf(tx, SHOP, self._script, START)
            await introduce(tx, SHOP, NOBODY, self._script, services, START)
        shop.secret = endpoint.secret or ""
        for n in range(PROCESSES):
            self._fleet.start(f"p{n}")
        for plan in self._script.plans:
            self._diary.later(plan.at_s, partial(self._begin_life, plan))
        self._diary.later(self._script.trouble_s, self._end_trouble)
        for n, (at_s, by_s) in enumerate(self._script.jumps):
            self._diary.later(at_s, partial(self._jump, n, by_s))

    async def _day_and_night(self) -> None:
        """The days until nothing is left to do and everything must hold without any bill; then the nights in which the
        bills come, and everything must hold again."""
        await self._live(timedelta(seconds=self._script.trouble_s) + CALM_AT_MOST)
        if not self._witness.breaches:
            await self._compare()
        if self._witness.breaches:
            return
        self._nights.is_open, self._opened_at = True, self._clock.now()
        self._plan_well_bills()
        if self._script.office:
            self._outsiders.desks.look()
        await self._live(NIGHTS_AT_MOST)
        if not self._witness.breaches:
            await self._compare_bills()

    async def _month(self) -> None:
        """Days of trade and trouble, each with its bills."""
        self._nights.is_open = True
        await self._live(timedelta(seconds=self._script.trouble_s) + NIGHTS_AT_MOST)
        if not self._witness.breaches:
            await self._compare_bills()

    def _plan_well_bills(self) -> None:
        midnight = self._clock.now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        wrong_for_s = (midnight + WRONG_FOR - self._clock.now()).total_seconds()
        self._diary.later(wrong_for_s - 1, self._outsiders.finance.look)
        self._diary.later(wrong_for_s, self._end_wrong_bills)

    async def _live(self, at_most: timedelta) -> None:
        """Moment by moment until nothing is left to do."""
        limit, due = self._clock.now() + at_most, await self._due()
        while self._clock.now() <= limit and not (self._fates.over and self._nights.are_over(self._clock.now())):
            self._begin_moment()
            self._fleet.begin_rounds(due)
            await self._stage.play()
            self._outsiders.postman.collect()
            self._fleet.bury()
            self._witness.breaches += await self._watch.look(self._clock.now(), self._stage.commits)
            if self._witness.breaches:
                return
            due = await self._due()
            at = self._next_moment(due)
            if at is None:
                return
            self._clock.move(at)

    async def _due(self) -> dict[str, datetime | None]:
        due = await self._work.due(self._stage.commits)
        look = self._nights.next_look(due["reconcile"], self._work.waits_until, self._clock.now())
        return due | {"reconcile": look}

    def _begin_moment(self) -> None:
        now = self._clock.now()
        self._world.advance(now)
        self._diary.happen(now)
        self._outsiders.postman.collect()
        self._fleet.restart(now)

    def _next_moment(self, due: dict[str, datetime | None]) -> datetime | None:
        """The next full second at which something happens; None when nothing will any more."""
        known = (self._diary.next_at, self._world.next_at, self._stage.wakes_at, *self._fleet.next_times(due))
        soon = min((at for at in known if at is not None), default=None)
        if soon is None:
            return None
        elapsed_s = (soon - START).total_seconds()
        return max(self._clock.now(), START + timedelta(seconds=math.ceil(elapsed_s)))

    def _begin_life(self, plan: Plan) -> None:
        self._stage.spawn(f"shop {plan.name}", self._outsiders.shop.live(plan))

    # What happens ----------------------------------------------------------------------------------------------------

    def _make_process(self, life: Life) -> Process:
        """A process of this life, with nothing in its memory."""
        shop, is_away, later = self._outsiders.shop, self._outages.trouble_of, self._diary.later
        channels = StagedChannels(
            self._world, self._stage, self._witness, is_away=is_away, later=later, cancels=shop.cancels
        )
        return Process(
            life,
            self._stage,
            self._clock,
            db=StagedDatabase(self._ground, self._stage),
            channels=channels,
            accounts=self._accounts,
            settings=self._settings,
            limits=self._script.limits,
            rules=rule_book(wait_days=1, office=self._script.office),
            send=shop.hear,
            ask=self._outsiders.services,
        )

    def _end_trouble(self) -> None:
        self._watch.calm_at = self._clock.now()
        self._fates.over = True
        self._stage.note("the trouble is over")
        if self._script.shelves:
            self._diary.later(OPERATOR_S, self._outsiders.undertakings.call_operator)
        if self._days:
            self._plan_well_bills()

    def _end_wrong_bills(self) -> None:
        self._bills_calm_at = self._clock.now()
        self._fates.bills_are_well = True
        self._stage.note("the bills are well")

    def _make_bills(self, ledger: Ledger) -> FatedBills:
        self._bills = FatedBills(ledger, self.seed, fates=self._fates, now_of=self._clock.now, witness=self._witness)
        return self._bills

    def _jump(self, n: int, by_s: float) -> None:
        if self._fates.hits("clock.jumps", f"{n}", self._clock.now()):
            self._stage.note(f"the clock jumps by {by_s:.0f} s")
            self._clock.move(self._clock.now() + timedelta(seconds=by_s))
            self._watch.excuse(self._clock.now())  # whatever came due in between could not be asked about

    # The end ---------------------------------------------------------------------------------------------------------

    async def _compare(self) -> None:
        await self._comparisons.in_the_evening(self._watch.calm_at, self._outsiders.services, self._script.shelves)

    async def _compare_bills(self) -> None:
        if not self._fates.bills_are_well:
            self._end_wrong_bills()
        if not self._fleet.processes:
            self._fleet.start("p0")
        process = self._fleet.processes[0]
        times = Times(self._watch.calm_at, self._opened_at, self._bills_calm_at)
        before = await self._comparisons.billed(process, times)
        await run_again(self._stage, process, before)
        self._fleet.bury()
        self._nights.begin_again()
        await self._live(SETTLES_IN)
        after = await self._comparisons.billed(process, times)
        await self._comparisons.after_the_bills(before, after)
        self._sums = after.sums()

    def _outcome(self) -> Outcome:
        trades = self._world.ledger.page(0, len(self._world.ledger))
        return Outcome(
            seed=self.seed,
            breaches=tuple(self._witness.breaches),
            hits=tuple(self._fates.hit),
            trace=self._stage.trace,
            simulated_s=(self._clock.now() - START).total_seconds(),
            steps=self._stage.steps,
            callbacks=self._outsiders.postman.sent,
            payments=sum(trade.paid_at is not None for trade in trades),
            counts=Counter(hit.kind for hit in self._fates.hit),
            told=tuple(self._stage.told or ()),
            sums=tuple(self._sums),
        )
