"""What is looked at all along: nothing takes longer than it may, counted from the last fault that excuses it."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from paidup.simulator import agree, late
from paidup.simulator.fates import Fates
from paidup.simulator.witness import Breach
from paidup.transactions.states import MANUAL

if TYPE_CHECKING:
    from asyncpg import Connection, Record

SINCE_TROUBLE = timedelta(minutes=10)
HARMLESS = ("bill", "overlap", "second worker", "channel.slow", "customer", "callback", "shop", "service")
"""Faults that put off no question to a channel, but for slow ones: those hold up whoever is asked about next."""

NEVER = datetime.max.replace(tzinfo=UTC)

# The first moment at which something is late as it stands now, or perhaps a little earlier.
FIRST_LATE = f"""
SELECT least(
    (SELECT min(greatest(expires_at, $1)) + $2 FROM payments WHERE state IN ('created', 'open', 'closing')),
    (SELECT min(greatest(created_at, $1)) + $3 FROM refunds WHERE state IN ('requested', 'pending')),
    (SELECT min(greatest(expires_at, $1)) + $2 FROM orders WHERE state IN ('unpaid', 'closing')),
    (SELECT min(greatest(began_at, $1)) FROM transactions WHERE ended_at IS NULL AND state <> '{MANUAL}')) AS late,
  (SELECT min(updated_at) + $4 FROM payments WHERE state = 'closing') AS slow,
  (SELECT min(due_at) + $5 FROM due) AS unasked"""


class Watch:
    """Looks through this connection. sells: whether the run has transactions across services."""

    def __init__(self, fates: Fates, start: datetime, admin: "Connection[Record]", *, sells: bool) -> None:
        self._fates, self._admin, self._sells = fates, admin, sells
        self._seen = 0
        self._trouble_at = self._held_up_at = self.calm_at = start
        """calm_at: since when nothing goes wrong but bills."""
        self._asked_at: tuple[int, datetime] | None = None
        self._late_from = self._slow_from = self._unasked_from = NEVER

    def excuse(self, at: datetime) -> None:
        """Something stood in the way of a question to a channel until now."""
        self._trouble_at = max(self._trouble_at, at)

    async def look(self, now: datetime, commits: int) -> list[Breach]:
        """What takes too long. commits: so many transactions were committed so far: without a new one, time alone makes
        anything late."""
        self._take_notice()
        await self._foresee(commits)
        found: list[Breach] = []
        if self._fates.over and now > self._late_from:
            found += await late.too_late(self._admin, self.calm_at, now)
            found += await agree.too_late(self._admin, self.calm_at, now) if self._sells else []
        since = self._trouble_at + SINCE_TROUBLE
        if now > max(since, self._slow_from):
            found += await late.slow_to_close(self._admin, since, now)
        since = max(self._trouble_at, self._held_up_at) + SINCE_TROUBLE
        if now > max(since, self._unasked_from):
            found += await late.unasked(self._admin, since, now)
        return found

    def _take_notice(self) -> None:
        for hit in self._fates.hit[self._seen :]:
            if not hit.kind.startswith(HARMLESS):
                self.excuse(hit.at)
            elif hit.kind == "channel.slow":
                self._held_up_at = hit.at
        self._seen = len(self._fates.hit)

    async def _foresee(self, commits: int) -> None:
        if self._asked_at == (commits, self.calm_at):
            return
        bounds = (late.PAYMENT_BOUND, late.REFUND_BOUND, late.CLOSING_BOUND, late.ASKING_BOUND)
        row = await self._admin.fetchrow(FIRST_LATE, self.calm_at, *bounds)
        self._asked_at = commits, self.calm_at
        moments = [at or NEVER for at in row] if row else [NEVER] * 3
        self._late_from, self._slow_from, self._unasked_from = moments
