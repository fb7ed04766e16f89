"""The time of a run: it stands still while anybody runs, and is moved to the next thing that happens."""

from collections.abc import Awaitable, Callable
from datetime import datetime


def _said(moment: datetime) -> str:
    return f"{moment:%d %H:%M:%S.%f}"


class Clock:
    """In place of the system's clock."""

    rate = 1.0

    def __init__(self, start: datetime) -> None:
        self._now = start
        self.text = _said(start)
        """The time, for people."""
        self.pause: Callable[[float], Awaitable[None]] | None = None

    def now(self) -> datetime:
        """The time it was moved to."""
        return self._now

    def move(self, to: datetime) -> None:
        """Time passes; it never goes back."""
        self._now = max(self._now, to)
        self.text = _said(self._now)

    async def sleep(self, seconds: float) -> None:
        """Wait for so many simulated seconds."""
        if self.pause:
            await self.pause(seconds)
