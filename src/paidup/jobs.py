"""What the roles of a process do, round by round: their jobs, how often each is looked at, and whom it wakes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from paidup import housekeeping, log
from paidup.ask import Asker
from paidup.channels.accounts import AccountsFolder
from paidup.clock import Clock, monotonic_s
from paidup.db import statistics
from paidup.db.embedded import Embedded
from paidup.db.transaction import Database
from paidup.delivery import worker as delivery
from paidup.delivery.courier import Courier
from paidup.handlers import Handlers
from paidup.intake import worker as intake
from paidup.outbox.floor import Floor
from paidup.reconcile import worker as reconcile
from paidup.reconcile.party import Party
from paidup.repair import expire, silence, sweep
from paidup.repair import worker as repair
from paidup.settings import Settings
from paidup.spans.tell import Spans
from paidup.supervisor import Job
from paidup.tally import worker as tally
from paidup.transactions import worker as transactions
from paidup.wakeups import (
    BEAT_S,
    NEXT_BILL,
    NEXT_DELIVERY,
    NEXT_EXPIRY,
    NEXT_INTAKE,
    NEXT_REPAIR,
    NEXT_TRANSACTION,
    Wakeups,
    next_of,
)

INTAKE_BATCH = 500
DELIVERY_BATCH = 200
BILLS_AT_ONCE = 8
LOOK_AGAIN_S = 5.0
"""A worker without work looks again after so long, whether or not it heard of any; what is due is never waited for."""
PULSE_S = 1.0
"""How often it is looked at how late the event loop wakes us, while somebody may ask."""
SERVER_S = 1.0
"""How often it is looked at whether the embedded server is still there: without it nothing goes on."""
STATISTICS_S = 5.0
"""How often it is looked at which tables have grown several times: until then plans may be those of small ones."""


@dataclass(kw_only=True)
class Jobs:
    """The jobs of parts that have been put together. Each method is a round: it returns how much it did.

    server: the embedded server, if it is that. wake: tells these roles that there is committed work for them.
    parties, tools: what is reconciled, and with what.
    """

    db: Database
    server: Embedded | None
    settings: Settings
    clock: Clock
    handlers: Handlers
    accounts: AccountsFolder
    asker: Asker
    courier: Courier
    coordinator: transactions.Coordinator
    wakeups: Wakeups
    spans: Spans | None
    wake: Callable[..., None]
    woken_late: Callable[[float], None]
    parties: Callable[[], list[Party]]
    tools: Callable[[], reconcile.Tools]
    _inbox_floor: Floor = field(default_factory=Floor)
    _pulse_s: float = 0.0

    def of_roles(self) -> list[Job]:
        """The rounds of the roles that this process plays."""
        jobs = [
            Job("accounts", self._refresh_accounts, idle_s=5),
            Job("housekeeping", self._housekeeping, idle_s=600),
            Job("wakeups", self.wakeups.run_once, idle_s=BEAT_S),
        ]
        if self.server:
            jobs.append(Job("server", self._server_is_up, idle_s=SERVER_S))
        if self.settings.metrics_token:
            jobs.append(Job("pulse", self._pulse, idle_s=PULSE_S))
        by_role = {
            "intake": [Job("intake", self._intake, LOOK_AGAIN_S, next_of(self.db, NEXT_INTAKE))],
            "repair": [
                Job("repair", self._repair, LOOK_AGAIN_S, next_of(self.db, NEXT_REPAIR)),
                Job("expiry", self._expire, LOOK_AGAIN_S, next_of(self.db, NEXT_EXPIRY)),
                Job("sweep", self._sweep, idle_s=60),
                Job("silence", self._silence, idle_s=30),
                Job("statistics", self._statistics, idle_s=STATISTICS_S),
            ],
            "reconcile": [Job("reconcile", self._reconcile, LOOK_AGAIN_S * 6, next_of(self.db, NEXT_BILL))],
            "web": [Job("tally", self._tally, idle_s=5)],
            "delivery": [Job("delivery", self._deliver, LOOK_AGAIN_S, self._next_delivery)],
            "checkout": [Job("checkout", self._transact, LOOK_AGAIN_S, self._next_transaction)],
        }
        return jobs + [job for role in self.settings.roles for job in by_role.get(role, [])]

    async def _server_is_up(self, _now: datetime) -> int:
        if self.server and await self.server.revive():
            log.warning(
                "database.restarted", why="the embedded PostgreSQL had ended", pid=(await self.server.status()).pid
            )
            self.wake(*self.settings.roles)
        return 0

    async def _intake(self, now: datetime) -> int:
        done = await intake.run_many(
            self.db,
            now=now,
            limit=INTAKE_BATCH,
            handlers=self.handlers,
            spans=self.spans,
            floor=self._inbox_floor,
        )
        if done:
            self.wake("delivery", "repair", "checkout")
        return done

    async def _repair(self, now: datetime) -> int:
        done = await repair.run_once(
            self.db,
            now=now,
            limit=repair.BATCH,
            asker=self.asker,
            handlers=self.handlers,
            budget_per_s=self.settings.query_budget_per_s,
            lease=timedelta(seconds=repair.lease_s(self.settings.call_deadline_s) * self.clock.rate),
            spans=self.spans,
        )
        if done:
            self.wake("delivery", "checkout")
        return done

    async def _expire(self, now: datetime) -> int:
        done = await expire.run_once(self.db, now=now, limit=INTAKE_BATCH, handlers=self.handlers)
        if done:
            self.wake("delivery", "repair", "checkout")
        return done

    async def _sweep(self, now: datetime) -> int:
        return await sweep.run_once(self.db, now=now - timedelta(minutes=1), limit=INTAKE_BATCH)

    async def _statistics(self, _now: datetime) -> int:
        for name in await statistics.refresh(self.db):
            log.info("table.analyzed", table=name)
        return 0

    async def _silence(self, now: datetime) -> int:
        accounts = [(a.channel, a.name, a.shop) for a in self.accounts.current.by_name.values()]
        await silence.run_once(self.db, now=now, accounts=accounts, silent_minutes=self.settings.silent_channel_minutes)
        return 0

    async def _reconcile(self, now: datetime) -> int:
        done = await reconcile.run_once(
            self.db,
            now=now,
            limit=BILLS_AT_ONCE,
            parties=self.parties(),
            tools=self.tools(),
        )
        if done:
            self.wake("delivery", "repair")
        return done

    async def _deliver(self, now: datetime) -> int:
        return await delivery.run_once(self.db, now=now, limit=DELIVERY_BATCH, courier=self.courier)

    async def _next_delivery(self) -> datetime | None:
        if self.courier.busy:
            return self.clock.now()  # a round waits for answers by itself
        return await next_of(self.db, NEXT_DELIVERY)()

    async def _transact(self, now: datetime) -> int:
        done = await transactions.run_once(self.db, now=now, limit=transactions.BATCH, coordinator=self.coordinator)
        if done:
            self.wake("delivery", "repair")
        return done

    async def _next_transaction(self) -> datetime | None:
        if self.coordinator.busy:
            return self.clock.now()  # a round waits for answers by itself
        return await next_of(self.db, NEXT_TRANSACTION)()

    async def _refresh_accounts(self, _now: datetime) -> int:
        before = self.accounts.error
        if self.accounts.refresh():
            log.info("accounts.changed", accounts=len(self.accounts.current.by_name))
        if self.accounts.error and self.accounts.error != before:
            log.error("accounts.unreadable", why=self.accounts.error, kept="the accounts as they were")
        return 0

    async def _pulse(self, _now: datetime) -> int:
        before_s, self._pulse_s = self._pulse_s, monotonic_s()
        if before_s:
            self.woken_late(self._pulse_s - before_s - PULSE_S)
        return 0

    async def _tally(self, now: datetime) -> int:
        return await tally.run_once(self.db, now=now)

    async def _housekeeping(self, now: datetime) -> int:
        await housekeeping.run_once(self.db, now=now)
        return 0
