"""A clock that stands still until a test moves it."""

import asyncio
import heapq
from datetime import datetime, timedelta
from itertools import count


class ManualClock:
    """Time passes when the test says so; whoever sleeps on it wakes when their time has come, in order.

    ::

        clock = ManualClock(datetime(2026, 11, 23, 8, tzinfo=UTC))
        task = asyncio.create_task(worker(clock))
        assert 15 == await clock.until_somebody_sleeps()   # seconds until the first one wakes
        await clock.advance(15)
    """

    def __init__(self, start: datetime) -> None:
        """start: an aware time."""
        self._now = start
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._turn = count()
        self._somebody_sleeps = asyncio.Event()

    @property
    def rate(self) -> float:
        """It keeps no pace of its own; leases and deadlines of the network are as in real time."""
        return 1.0

    def now(self) -> datetime:
        """The time it was moved to."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was moved on by so many seconds."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + timedelta(seconds=seconds), next(self._turn), woken))
        self._somebody_sleeps.set()
        await woken

    async def until_somebody_sleeps(self) -> float:
        """Wait until anybody sleeps; the seconds until the first of them wakes."""
        while not self._awake_at():
            self._somebody_sleeps.clear()
            await self._somebody_sleeps.wait()
        return (self._sleepers[0][0] - self._now).total_seconds()

    async def advance(self, seconds: float) -> None:
        """Let so many seconds pass. Each sleeper wakes at its own time, and has run until its next wait (for anything
        but the network) before the next one wakes."""
        end = self._now + timedelta(seconds=seconds)
        while (at := self._awake_at()) is not None and at <= end:
            self._now = max(self._now, at)
            _, _, woken = heapq.heappop(self._sleepers)
            woken.set_result(None)
            await self._let_others_run()
        self._now = end
        await self._let_others_run()

    def _awake_at(self) -> datetime | None:
        """When the first of those who still sleep wakes; cancelled ones are forgotten."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    @staticmethod
    async def _let_others_run() -> None:
        for _ in range(10):
            await asyncio.sleep(0)
