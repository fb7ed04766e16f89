"""What is looked at all along: nothing takes longer than it may, counted from the last fault that excuses it."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from paidup.simulator import agree, check
from paidup.simulator.fates import Fates
from paidup.simulator.witness import Breach

if TYPE_CHECKING:
    from asyncpg import Connection, Record

SINCE_TROUBLE = timedelta(minutes=10)
HARMLESS = ("bill", "overlap", "second worker", "channel.slow", "customer", "callback", "shop", "service")
"""Faults that put off no question to a channel."""


class Watch:
    """Looks through this connection. sells: whether the run has transactions across services."""

    def __init__(self, fates: Fates, start: datetime, admin: "Connection[Record]", *, sells: bool) -> None:
        self._fates, self._admin, self._sells = fates, admin, sells
        self._seen = 0
        self._trouble_at = self.calm_at = start
        """calm_at: since when nothing goes wrong but bills."""

    def excuse(self, at: datetime) -> None:
        """Something stood in the way of a question to a channel until now."""
        self._trouble_at = max(self._trouble_at, at)

    async def look(self, now: datetime) -> list[Breach]:
        """What takes too long."""
        for hit in self._fates.hit[self._seen :]:
            if not hit.kind.startswith(HARMLESS):
                self.excuse(hit.at)
        self._seen = len(self._fates.hit)
        found: list[Breach] = []
        if self._fates.over:
            found += await check.too_late(self._admin, self.calm_at, now)
            found += await agree.too_late(self._admin, self.calm_at, now) if self._sells else []
        since = self._trouble_at + SINCE_TROUBLE
        return found + (await check.slow_to_close(self._admin, since, now) if now > since else [])
