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
LONGEST_IDLE_S = 30.0
FAILED_S = 1.0

# By the same looks that workers rest by. Taken apart from the run: they are no part of it.
NEXT = f"""
SELECT ({NEXT_INTAKE}) AS intake, ({NEXT_REPAIR}) AS repair, ({NEXT_EXPIRY}) AS expiry, ({NEXT_DELIVERY}) AS delivery,
  ({NEXT_TRANSACTION}) AS checkout, ({NEXT_BILL}) AS reconcile"""


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
        self._idle_s[job] = IDLE_S[job] if done else min(max(LONGEST_IDLE_S, IDLE_S[job]), self._idle_s[job] * 2)
        rests_s = self._idle_s[job] if job == "sweep" or not done else 0.0
        self._rests_until[job] = now + timedelta(seconds=rests_s)

    def failed(self, job: str, now: datetime) -> None:
        """The supervisor tries again after a second."""
        self._running.discard(job)
        self._rests_until[job] = now + timedelta(seconds=FAILED_S)


async def next_due(admin: "Connection[Record]") -> dict[str, datetime | None]:
    """When each job has something to do."""
    row = await admin.fetchrow(NEXT)
    return dict(row) if row else {}
