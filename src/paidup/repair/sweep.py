"""The sweep: proves that no unfinished payment or refund lacks its row in the schedule, and mends it if one does.

Nothing in the code leaves such a row behind; a restored backup or a hand in the database can.
"""

from datetime import datetime

from paidup import log
from paidup.db.transaction import Database
from paidup.schedule import store as schedule

# Those that a person was already told about (their questions are exhausted) are left to the person and the bill.
LACKING = """
SELECT p.id, 'payment' AS kind, p.channel, p.account FROM payments p
WHERE p.state IN ('created', 'open', 'closing') AND p.updated_at < $1
  AND NOT EXISTS (SELECT FROM due d WHERE d.subject_id = p.id)
  AND NOT EXISTS (SELECT FROM cases c WHERE c.subject_id = p.id AND c.kind = 'unanswered' AND c.resolved_at IS NULL)
UNION ALL
SELECT r.id, 'refund', r.channel, r.account FROM refunds r
WHERE r.state IN ('requested', 'pending') AND r.updated_at < $1
  AND NOT EXISTS (SELECT FROM due d WHERE d.subject_id = r.id)
  AND NOT EXISTS (SELECT FROM cases c WHERE c.subject_id = r.id AND c.kind = 'unanswered' AND c.resolved_at IS NULL)
LIMIT $2"""


async def run_once(db: Database, *, now: datetime, limit: int) -> int:
    """Give a job to every unfinished row that lacks one; returns how many there were (0 in a healthy database)."""
    async with db.transaction() as tx:
        rows = await tx.fetch(LACKING, now, limit)
        await schedule.put(tx, [(row["id"], row["kind"], row["channel"], row["account"], now) for row in rows])
    for row in rows:
        log.error("job.missing", subject=row["id"], mended="asked about at once")
    return len(rows)
