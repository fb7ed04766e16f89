"""Time is an argument. This module is the only one that reads the machine's clock, and the only one that waits."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from paidup.errors import ConfigError

MAX_RATE = 100_000
"""A day in a second; a clock that runs faster leaves the calendar while somebody looks at it."""


class Clock(Protocol):
    """What the edges (supervisor, server, sandbox) hold; everything below gets `now` as an argument."""

    @property
    def rate(self) -> float:
        """How many of its seconds pass in a real one. Networks keep to real time, so leases are stretched by it."""
        ...

    def now(self) -> datetime:
        """The current time, always aware, in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds of this clock."""
        ...


class SystemClock:
    """The machine's own clock."""

    @property
    def rate(self) -> float:
        return 1.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class FastClock:
    """A clock that runs `rate` times as fast since `start`: the sandbox's and the demo's hours pass in minutes.

    Processes that are given the same start and rate agree on the time.
    """

    def __init__(self, start: datetime, rate: float) -> None:
        self._start = start
        self._rate = rate

    @property
    def rate(self) -> float:
        return self._rate

    def now(self) -> datetime:
        return self._start + (datetime.now(UTC) - self._start) * self._rate

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._rate)


def parse_clock(text: str) -> Clock:
    """``"system"``, or ``"2026-11-23T08:00:00+00:00*20"``: twenty times as fast since that moment."""
    if text == "system":
        return SystemClock()
    start, _, rate = text.partition("*")
    try:
        clock = FastClock(datetime.fromisoformat(start).astimezone(UTC), float(rate))
        if not 0 < clock.rate <= MAX_RATE:
            raise ValueError(rate)
        clock.now()  # OverflowError for one that has run out of the calendar
    except (ValueError, OverflowError):
        hint = f"write 'system' or '<ISO time>*<rate>', with a rate above 0 and at most {MAX_RATE}"
        raise ConfigError(f"clock {text[:60]!r}: {hint}") from None
    return clock


def monotonic_s() -> float:
    """Seconds of a clock that never jumps, for measuring how long something took."""
    return time.monotonic()


def days_after(moment: datetime, days: int) -> datetime:
    """The start of the UTC day that lies `days` after the day of `moment`."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days)
