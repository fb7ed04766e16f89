"""One seed from beginning to end: trouble, calm, and the comparison."""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count

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
from paidup.simulator.channels import StagedChannels, Trouble
from paidup.simulator.clock import Clock
from paidup.simulator.compare import Comparisons, Times, run_again
from paidup.simulator.database import AWAY, StagedDatabase
from paidup.simulator.fates import Fates, Weather, weather_of
from paidup.simulator.finance import Finance
from paidup.simulator.ground import Ground
from paidup.simulator.nights import SETTLES_IN, WRONG_FOR, Nights, rule_book
from paidup.simulator.office import Desks, settings_of
from paidup.simulator.outcome import Outcome
from paidup.simulator.postman import Postman
from paidup.simulator.process import Process
from paidup.simulator.rounds import Agenda, Rounds
from paidup.simulator.sale import fill_the_shelf
from paidup.simulator.script import Plan, Script, write_days
from paidup.simulator.shop import Shop
from paidup.simulator.stage import Stage, Stuck
from paidup.simulator.staged_services import StagedServices
from paidup.simulator.story import story_of
from paidup.simulator.undertakings import Undertakings, introduce
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
        self._ground = ground
        self._days = days
        self._script: Script = write_days(seed, days) if days else story_of(seed)
        weather: Weather = weather_of(seed)
        self._fates = Fates(seed, weather, only)
        self._clock = Clock(START)
        self._stage = Stage(self._clock, self._fates, ground.who_waits)
        self._stage.told = [] if tell else None
        self._witness = Witness()
        faults = Faults(forge=self._script.forge, refund_fail=self._script.refund_fail)
        self._world = World({"main": keys}, Dice(seed), Manners(faults=faults), NOBODY, self._make_bills)
        self._work = Agenda(ground.admin)
        self._nights = Nights(START, self._bills.last_moved_at)
        self._comparisons = Comparisons(
            ground, self._stage, self._world, self._witness, self._bills, self._script.office
        )
        self._accounts = accounts
        self._settings: Settings = settings_of(self._script.office)
        self._agenda: list[tuple[datetime, int, Callable[[], object]]] = []
        self._turn = count()
        self._rounds: dict[str, Rounds] = {}
        self._restarts: dict[str, datetime] = {}
        self._opened_at = self._bills_calm_at = START
        self._watch = Watch(self._fates, START, ground.admin, sells=bool(self._script.shelves))
        self._sums: Sequence[AccountSum] = ()
        self._outages = {
            f"{away.whom} {n}": away for n, away in enumerate(self._script.outages)
        }  # each is a fault of its own
        parts = {"pick": self._pick, "later": self._later}
        played = (self._world, self._stage, self._clock, self._witness)
        self._postman = Postman(*played, **parts)  # type: ignore[arg-type]
        self._shop = Shop(*played, is_away=self._is_away, **parts)  # type: ignore[arg-type]
        self._services = StagedServices(
            StagedDatabase(ground, self._stage), self._stage, self._clock, is_away=self._is_away, later=self._later
        )
        self._undertakings = Undertakings(self._shop, self._services, *played[1:], **parts)  # type: ignore[arg-type]
        self._shop.placed = self._undertakings.placed
        self._desks = Desks(*played, self._script.office, **parts)  # type: ignore[arg-type]
        self._shop.opened = self._desks.opened
        self._finance = Finance(self._shop, self._bills, self._stage, self._witness, **parts)  # type: ignore[arg-type]

    async def play(self) -> Outcome:
        """The whole run."""
        before = ids.take_chance_from(SeededChance(self.seed, self._who))
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
        await self._ground.clear()
        async with self._ground.plain.transaction() as tx:
            await shops.put_shop(tx, SHOP, self._script.late_payment, START)
            self._shop.api_key = await shops.create_key(tx, SHOP, list(Scope), START)
            endpoint = await create_endpoint(tx, SHOP, f"{NOBODY}/hook", ["*"], START, allow_loopback=True)
            await fill_the_shelf(tx, SHOP, self._script, START)
            await introduce(tx, SHOP, NOBODY, self._script, self._services, START)
        self._shop.secret = endpoint.secret or ""
        for n in range(PROCESSES):
            self._start(f"p{n}")
        for plan in self._script.plans:
            self._later(plan.at_s, partial(self._begin_life, plan))
        self._later(self._script.trouble_s, self._end_trouble)
        for n, (at_s, by_s) in enumerate(self._script.jumps):
            self._later(at_s, partial(self._jump, n, by_s))

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
            self._desks.look()
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
        self._later(wrong_for_s - 1, self._finance.look)
        self._later(wrong_for_s, self._end_wrong_bills)

    async def _live(self, at_most: timedelta) -> None:
        """Moment by moment until nothing is left to do."""
        limit, due = self._clock.now() + at_most, await self._due()
        while self._clock.now() <= limit and not (self._fates.over and self._nights.are_over(self._clock.now())):
            self._begin_moment()
            self._start_rounds(due)
            await self._stage.play()
            self._postman.collect()
            self._bury()
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
        while self._agenda and self._agenda[0][0] <= now:
            heapq.heappop(self._agenda)[2]()
        self._postman.collect()
        for name, at in [*self._restarts.items()]:
            if at <= now:
                del self._restarts[name]
                self._start(name)

    def _start_rounds(self, due: dict[str, datetime | None]) -> None:
        now = self._clock.now()
        alive = [self._rounds[name] for name in sorted(self._rounds)]
        wanted = {rounds.process.life.name: rounds.due(due, now) for rounds in alive}
        for job in dict.fromkeys(job for jobs in wanted.values() for job in jobs):
            ready = [rounds for rounds in alive if job in wanted[rounds.process.life.name]]
            first = ready.pop(self._fates.pick(len(ready), f"who {job}"))
            self._begin(first, job)
            for other in ready:
                landed = job == "delivery" and other.process.landed
                if landed or self._fates.hits("second worker", job, now):
                    self._begin(other, job)

    def _begin(self, rounds: Rounds, job: str) -> None:
        rounds.began(job)
        name = f"{rounds.process.life.name} {job}"
        self._stage.spawn(name, self._round(rounds, job), rounds.process.life)

    async def _round(self, rounds: Rounds, job: str) -> None:
        """As the supervisor runs it: what fails because the database is away is tried again."""
        began_at = self._clock.now()
        try:
            done = await rounds.process.round(job, began_at)
        except AWAY as error:
            self._stage.note(f"{job} failed: {type(error).__name__}")
            rounds.failed(job, self._clock.now())
            return
        self._stage.note(f"{job} did {done}")
        if job == "reconcile":
            self._nights.looked(began_at)
        rounds.ended(job, done, self._clock.now())
        if done and job in ("intake", "repair", "expiry") and self._script.shelves:
            for other in self._rounds.values():
                other.call_checkout()
        if job == "sweep" and done:
            self._witness.breach("no unfinished row lacks its job", f"the sweep found {done}")

    def _bury(self) -> None:
        """What died is replaced after a while; what failed otherwise is a breach."""
        for name, rounds in [*self._rounds.items()]:
            if not rounds.process.life.alive:
                del self._rounds[name]
                wait_s = self._fates.between(1, 20, f"restart {name}")
                self._restarts[name] = self._clock.now() + timedelta(seconds=wait_s)
        for name, error in self._stage.failures:
            self._witness.breach("nothing fails by itself", f"{name}: {type(error).__name__}: {error}")

    def _next_moment(self, due: dict[str, datetime | None]) -> datetime | None:
        """The next full second at which something happens; None when nothing will any more."""
        soon = [self._agenda[0][0]] if self._agenda else []
        soon += [at for at in (self._world.next_at, self._stage.wakes_at, *self._restarts.values()) if at is not None]
        for rounds in self._rounds.values():
            jobs = (rounds.next_at(job, due) for job in due)
            soon += [at for at in jobs if at is not None]
        if not soon:
            return None
        elapsed_s = (min(soon) - START).total_seconds()
        return max(self._clock.now(), START + timedelta(seconds=math.ceil(elapsed_s)))

    def _begin_life(self, plan: Plan) -> None:
        self._stage.spawn(f"shop {plan.name}", self._shop.live(plan))

    # What happens ----------------------------------------------------------------------------------------------------

    def _start(self, name: str) -> None:
        """A process begins, with nothing in its memory."""
        self._stage.note(f"{name} starts")
        life = Life(name)
        process = Process(
            life,
            self._stage,
            self._clock,
            db=StagedDatabase(self._ground, self._stage),
            channels=StagedChannels(
                self._world,
                self._stage,
                self._witness,
                is_away=self._is_away,
                later=self._later,
                cancels=self._shop.cancels,
            ),
            accounts=self._accounts,
            settings=self._settings,
            limits=self._script.limits,
            rules=rule_book(wait_days=1, office=self._script.office),
            send=self._shop.hear,
            ask=self._services,
        )
        self._rounds[name] = Rounds(process, self._clock.now())

    def _end_trouble(self) -> None:
        self._watch.calm_at = self._clock.now()
        self._fates.over = True
        self._stage.note("the trouble is over")
        if self._script.shelves:
            self._later(OPERATOR_S, self._undertakings.call_operator)
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

    def _is_away(self, whom: str) -> Trouble | None:
        """Whether somebody is out of reach now, or in a storm."""
        now = self._clock.now()
        elapsed_s = (now - START).total_seconds()
        for name, away in self._outages.items():
            if away.whom == whom and away.from_s <= elapsed_s < away.to_s and not self._fates.over:
                kind = "shop.outage" if whom == "shop" else "channel.outage"
                kind = "service.outage" if whom in self._services.services else kind
                if self._fates.once(kind, name, now):
                    if whom != "shop":
                        self._watch.excuse(now)
                    return Trouble.STORM if away.storm else Trouble.AWAY
        return None

    def _later(self, seconds: float, happens: Callable[[], object]) -> None:
        at = self._clock.now() + timedelta(seconds=max(0.0, seconds))
        heapq.heappush(self._agenda, (at, next(self._turn), happens))

    def _pick(self, whom: str) -> Process | None:
        """A process that lives, as a balancer would choose it."""
        alive = [self._rounds[name].process for name in sorted(self._rounds)]
        alive = [process for process in alive if process.life.alive]
        return alive[self._fates.pick(len(alive), f"balancer {whom}")] if alive else None

    def _who(self) -> str:
        return self._stage.who

    # The end ---------------------------------------------------------------------------------------------------------

    async def _compare(self) -> None:
        await self._comparisons.in_the_evening(self._watch.calm_at, self._services, self._script.shelves)

    async def _compare_bills(self) -> None:
        if not self._fates.bills_are_well:
            self._end_wrong_bills()
        if not self._rounds:
            self._start("p0")
        process = next(self._rounds[name].process for name in sorted(self._rounds))
        times = Times(self._watch.calm_at, self._opened_at, self._bills_calm_at)
        before = await self._comparisons.billed(process, times)
        await run_again(self._stage, process, before)
        self._bury()
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
            callbacks=self._postman.sent,
            payments=sum(trade.paid_at is not None for trade in trades),
            counts=Counter(hit.kind for hit in self._fates.hit),
            told=tuple(self._stage.told or ()),
            sums=tuple(self._sums),
        )
