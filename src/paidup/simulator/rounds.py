"""Which rounds are due, so that the clock can jump to the next one instead of ticking."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from paidup.simulator.process import JOBS, Process
from paidup.wakeups import NEXT_BILL, NEXT_DELIVERY, NEXT_EXPIRY, NEXT_INTAKE, NEXT_REPAIR, NEXT_TRANSACTION

if TYPE_CHECKING:
    from asyncpg import Connection, Record

IDLE_S: Mapping[str, float] = {
    "intake": 0.2, "repair": 0.25, "expiry": 5.0, "delivery": 0.2, "sweep": 1200.0, "checkout": 0.2, "reconcile": 30.0,
}  # fmt: skip
"""How long a job rests when a round found nothing to do, as in app.py; the sweep, which finds nothing, longer."""
LONGEST_IDLE_S: Mapping[str, float] = {"delivery": 120.0}
"""At most so long; others half a minute. An endpoint that is left alone is due all the time, for hours."""
FAILED_S = 1.0

# By the same looks that workers rest by. Taken apart from the run: they are no part of it.
NEXT = f"""
SELECT ({NEXT_INTAKE}) AS intake, ({NEXT_REPAIR}) AS repair, ({NEXT_EXPIRY}) AS expiry, ({NEXT_DELIVERY}) AS delivery,
  ({NEXT_TRANSACTION}) AS checkout, least(({NEXT_BILL}),
    (SELECT min(changed_at) FROM breaks WHERE state = 'approved')) AS reconcile,
  (SELECT max(wait_until) FROM breaks WHERE state = 'waiting') AS waits_until"""


class Rounds:
    """The jobs of one process: when each may run next."""

    def __init__(self, process: Process, now: datetime) -> None:
        self.process = process
        self._rests_until = dict.fromkeys(JOBS, now)
        self._idle_s = dict(IDLE_S)
        self._running: set[str] = set()
        self._is_called = False
        """An order has moved, and some transaction may wait for it."""

    def due(self, next_at: Mapping[str, datetime | None], now: datetime) -> list[str]:
        """The jobs that should run now."""
        return [job for job in JOBS if (at := self.next_at(job, next_at)) is not None and at <= now]

    def next_at(self, job: str, next_at: Mapping[str, datetime | None]) -> datetime | None:
        """When this job should run next; None: not before something happens."""
        if job in self._running:
            return None
        at = self._rests_until[job] if job == "sweep" else next_at[job]
        has_more = {"delivery": self.process.landed, "checkout": self.process.coordinator.busy or self._is_called}
        if has_more.get(job):
            at = self._rests_until[job]
        return None if at is None else max(at, self._rests_until[job])

    def call_checkout(self) -> None:
        """As app.py wakes it: somebody else has committed what it may wait for."""
        self._is_called = True

    def began(self, job: str) -> None:
        """A round of it runs."""
        self._running.add(job)
        if job == "checkout":
            self._is_called = False

    def ended(self, job: str, done: int, now: datetime) -> None:
        """After a round that did nothing a job rests, each time longer: what is due is held by somebody else."""
        self._running.discard(job)
        longest_s = max(LONGEST_IDLE_S.get(job, 30.0), IDLE_S[job])
        self._idle_s[job] = IDLE_S[job] if done else min(longest_s, self._idle_s[job] * 2)
        rests_s = self._idle_s[job] if job == "sweep" or not done else 0.0
        self._rests_until[job] = now + timedelta(seconds=rests_s)

    def failed(self, job: str, now: datetime) -> None:
        """The supervisor tries again after a second."""
        self._running.discard(job)
        self._rests_until[job] = now + timedelta(seconds=FAILED_S)


class Agenda:
    """When each job has something to do. The tables are asked again when something was committed since."""

    def __init__(self, admin: "Connection[Record]") -> None:
        self._admin = admin
        self._asked_at = -1
        self._due: dict[str, datetime | None] = {}
        self.waits_until: datetime | None = None
        """So long some difference waits for another bill."""

    async def due(self, commits: int) -> dict[str, datetime | None]:
        """By job. commits: so many transactions were committed so far."""
        if commits != self._asked_at and (row := await self._admin.fetchrow(NEXT)):
            self._due, self._asked_at = dict(row), commits
            self.waits_until = self._due.pop("waits_until")
        return self._due
