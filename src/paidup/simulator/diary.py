"""What happens at a moment of its own, whoever has asked for it."""

import heapq
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

from paidup.simulator.clock import Clock


class Diary:
    """Everything that is to happen. Of what falls on one moment, what was written down first happens first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pages: list[tuple[datetime, int, Callable[[], object]]] = []
        self._turn = count()

    def later(self, seconds: float, happens: Callable[[], object]) -> None:
        """It happens after so many seconds."""
        at = self._clock.now() + timedelta(seconds=max(0.0, seconds))
        heapq.heappush(self._pages, (at, next(self._turn), happens))

    def happen(self, until: datetime) -> None:
        """All that was to happen up to this moment does."""
        while self._pages and self._pages[0][0] <= until:
            heapq.heappop(self._pages)[2]()

    @property
    def next_at(self) -> datetime | None:
        """When something happens next."""
        return self._pages[0][0] if self._pages else None
