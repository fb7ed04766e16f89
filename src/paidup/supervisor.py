"""The only endless loop. A worker is one round; the supervisor repeats it, backs off when it fails, and stops it.

This is also the only place that catches everything: a failing round is told and tried again, and never takes its
neighbours down.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import msgspec

from paidup import log
from paidup.clock import Clock, monotonic_s
from paidup.db.away import is_away
from paidup.metrics.process import AWAY, Beat
from paidup.resilience.backoff import Backoff

Round = Callable[[datetime], Awaitable[int]]
Next = Callable[[], Awaitable[datetime | None]]

_BACKOFF = Backoff(steps_s=(0.1, 0.2, 0.5, 1, 2, 5, 10))
AWAY_AGAIN_S = 60.0
"""How often it is told that the database is still away."""
HELD_S = 0.2
"""How long to rest when work is due that a round could not take, because another worker holds it."""


class Job(msgspec.Struct, frozen=True):
    """A round to repeat. `run(now)` says how much it did; after nothing it rests `idle_s` real seconds at most.

    next_at: asked after a round that did nothing, when the next work is due by the clock; it rests exactly so long.
    """

    name: str
    run: Round
    idle_s: float
    next_at: Next | None = None


def _is_told_to_end() -> bool:
    """Whether we were cancelled ourselves, and not merely something that a round waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:500]


class _Absence:
    """While the database is away every round fails, and fails again. It is told once, each minute, and when it is over:
    what else went wrong meanwhile must not be lost among hundreds of lines."""

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._told_s = 0.0

    def noticed(self, job: str, error: BaseException) -> None:
        """A round found it away."""
        at_s = monotonic_s()
        if self._since_s is None:
            self._since_s = at_s
        elif at_s - self._told_s < AWAY_AGAIN_S:
            return
        self._told_s = at_s
        why = f"the database cannot be reached; does PostgreSQL run? ({_said(error)})"
        log.error("database.away", why=why, job=job, away_s=round(at_s - self._since_s), where=log.where(error))

    def over(self) -> None:
        """A round that had found it away came to its end."""
        if self._since_s is not None:
            log.info("database.back", away_s=round(monotonic_s() - self._since_s, 1))
        self._since_s = None


class Supervisor:
    """Runs jobs until told to stop; a round that has begun is finished first."""

    def __init__(self, jobs: Sequence[Job], clock: Clock) -> None:
        self._jobs = jobs
        self._clock = clock
        self._wakers = {job.name: asyncio.Event() for job in jobs}
        self.beats = {job.name: Beat(job.name, job.idle_s, monotonic_s()) for job in jobs}
        """How the rounds of each job go, for probes and metrics."""
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._absence = _Absence()

    def start(self) -> None:
        """Begin all jobs."""
        self._tasks = [asyncio.create_task(self._repeat(job), name=job.name) for job in self._jobs]

    def wake(self, name: str) -> None:
        """There is work: end the job's rest now."""
        if name in self._wakers:
            self._wakers[name].set()

    async def stop(self) -> None:
        """Let every running round finish, then return."""
        self._stopping.set()
        for waker in self._wakers.values():
            waker.set()
        await asyncio.gather(*self._tasks)

    async def _repeat(self, job: Job) -> None:
        failures, was_away = 0, False
        while not self._stopping.is_set():
            now = self._clock.now()
            try:
                pause_s = 0.0 if await job.run(now) else await self._pause_s(job, now)
            except (Exception, asyncio.CancelledError) as error:  # whatever it raises is told, and tried again
                if isinstance(error, asyncio.CancelledError) and _is_told_to_end():
                    raise
                failures += 1
                was_away = self._tell(job, failures, error) or was_away
                await self._rest(job.name, _BACKOFF.wait_s(failures))
                continue
            if was_away:
                self._absence.over()
            failures, was_away = 0, False
            self.beats[job.name].ended(monotonic_s())
            if pause_s > 0:
                await self._rest(job.name, pause_s)

    def _tell(self, job: Job, failures: int, error: BaseException) -> bool:
        """Of a round that failed; whether it was the database that is away."""
        if is_away(error):
            self.beats[job.name].broke(AWAY)
            self._absence.noticed(job.name, error)
            return True
        self.beats[job.name].broke(type(error).__name__)
        log.error("round.failed", job=job.name, failures=failures, why=_said(error), where=log.where(error))
        return False

    async def _pause_s(self, job: Job, looked_at: datetime) -> float:
        """Real seconds until the job looks again, after a round at `looked_at` that found nothing to do."""
        at = await job.next_at() if job.next_at else None
        if at is None:
            return job.idle_s
        if at <= looked_at:
            return min(job.idle_s, HELD_S)
        return min(job.idle_s, (at - self._clock.now()).total_seconds() / self._clock.rate)

    async def _rest(self, name: str, seconds: float) -> None:
        waker = self._wakers[name]
        if self._stopping.is_set():
            return
        try:
            async with asyncio.timeout(seconds):
                await waker.wait()
        except TimeoutError:
            pass
        waker.clear()
