"""The claims about whole tables: each callback became something, and each event was given to whoever wants it."""

from datetime import UTC, datetime, timedelta

import msgspec

from paidup.db.transaction import READ_WHOLE, Database
from paidup.verify.check import Check
from paidup.verify.read import KEPT, SNAPSHOT


class Claim(msgspec.Struct, frozen=True):
    """What must be so for whole tables. Two queries, both given the moment from which on to look: sums and breaches.

    kept: what is older may have left by age, one table before the other, and is not looked at.
    """

    name: str
    claim: str
    sums: str
    breaches: str
    kept: timedelta | None = None


# Each callback counts once, as the strongest thing that became of its evidence. What had to wait must wait still, or
# have been weighed since, piece by piece: that it waited once is nothing that became of it.
CALLBACKS = Claim(
    "callbacks",
    "received = applied + repeated + ignored + rejected + parked + waiting + poisoned",
    """
    WITH settled AS (
      SELECT callback_id, bool_or(outcome = 'applied') AS applied, bool_or(outcome = 'rejected') AS rejected,
        bool_or(outcome = 'repeated') AS repeated, bool_or(outcome = 'ignored') AS ignored
      FROM decisions WHERE callback_id IS NOT NULL AND decided_at >= $1 GROUP BY callback_id)
    SELECT count(*) AS received,
      count(*) FILTER (WHERE q.state IS NULL AND s.applied) AS applied,
      count(*) FILTER (WHERE q.state IS NULL AND s.rejected AND NOT s.applied) AS rejected,
      count(*) FILTER (WHERE q.state IS NULL AND s.repeated AND NOT s.applied AND NOT s.rejected) AS repeated,
      count(*) FILTER (WHERE q.state IS NULL AND s.ignored AND NOT (s.applied OR s.rejected OR s.repeated)) AS ignored,
      count(*) FILTER (WHERE q.state = 'parked') AS parked,
      count(*) FILTER (WHERE q.state = 'waiting') AS waiting,
      count(*) FILTER (WHERE q.state = 'poisoned') AS poisoned
    FROM inbox i LEFT JOIN inbox_queue q ON q.callback_id = i.id LEFT JOIN settled s ON s.callback_id = i.id
    WHERE i.received_at >= $1""",
    """
    SELECT i.id FROM inbox i WHERE i.received_at >= $1
      AND NOT EXISTS (SELECT FROM inbox_queue q WHERE q.callback_id = i.id)
      AND NOT EXISTS (SELECT FROM decisions d WHERE d.callback_id = i.id AND d.decided_at >= $1)
    UNION ALL SELECT p.callback_id FROM decisions p WHERE p.outcome = 'parked' AND p.decided_at >= $1
      AND p.callback_id IS NOT NULL AND NOT EXISTS (SELECT FROM inbox_queue q WHERE q.callback_id = p.callback_id)
      AND NOT EXISTS (SELECT FROM decisions d WHERE d.callback_id = p.callback_id AND d.decided_at >= $1
        AND d.outcome <> 'parked' AND d.evidence = p.evidence)
    UNION ALL SELECT q.callback_id FROM inbox_queue q
      WHERE q.received_at >= $1 AND NOT EXISTS (SELECT FROM inbox i WHERE i.id = q.callback_id)""",
    kept=KEPT["inbox"],  # what waits for a payment that never comes stays in the queue for longer than its bytes
)

# An endpoint is registered in one transaction and events are given out in another: what was written within a minute of
# its beginning may have missed it.
TOLD = Claim(
    "told",
    "every event is queued, or was given to each endpoint that wants it",
    """
    SELECT (SELECT count(*) FROM events WHERE created_at >= $1) AS events,
      (SELECT count(*) FROM outbox_queue WHERE created_at >= $1) AS queued,
      count(*) FILTER (WHERE state = 'delivered') AS delivered,
      count(*) FILTER (WHERE state = 'waiting') AS under_way,
      count(*) FILTER (WHERE state = 'dead') AS dead_letters
    FROM deliveries WHERE event_created_at >= $1""",
    """
    SELECT q.event_id FROM outbox_queue q WHERE q.created_at >= $1
      AND NOT EXISTS (SELECT FROM events e WHERE e.id = q.event_id AND e.created_at = q.created_at)
    UNION ALL SELECT e.id FROM events e
      JOIN endpoints w ON w.shop = e.shop AND (e.type = ANY(w.types) OR w.types = '{*}')
        AND e.created_at >= w.created_at + interval '1 minute'
      WHERE e.created_at >= $1
        AND NOT EXISTS (SELECT FROM outbox_queue q WHERE q.order_id = e.order_id AND q.seq = e.seq)
        AND NOT EXISTS (SELECT FROM deliveries d WHERE d.order_id = e.order_id AND d.endpoint_id = w.id
          AND d.seq = e.seq AND d.event_created_at >= $1)""",
    kept=KEPT["events"],
)

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
PATIENCE_S = 3600.0
"""for one query over a whole table: ten million rows take minutes, and more than a statement is given elsewhere."""


async def check(db: Database, claim: Claim, since: datetime | None, now: datetime | None = None) -> Check:
    """One claim, on one snapshot; the database sorts what does not fit into its memory on disk.

    now: what may have left by age is not missed (None: nothing has yet).
    """
    start = max(since or BEGINNING, now - claim.kept if now and claim.kept else BEGINNING)
    async with db.transaction() as tx:
        await tx.execute(SNAPSHOT)
        await tx.execute(READ_WHOLE)
        [sums] = await tx.fetch(claim.sums, start, timeout=PATIENCE_S)
        breaches = await tx.fetch(_few_of(claim.breaches), start, timeout=PATIENCE_S)
    named = [str(row[0]) for row in breaches]
    return Check(claim.name, claim.claim, {name: int(value) for name, value in sums.items()}, named)


def _few_of(breaches: str) -> str:
    """Some of them. A plain LIMIT lets the planner count on finding a few soon. There are none, and plans that begin
    cheaply, such as nested loops, then never end: 160,000 orders took longer than half a minute, and take 0.6 s.
    """
    return f"WITH breaches AS MATERIALIZED ({breaches}) SELECT * FROM breaches LIMIT 10"
