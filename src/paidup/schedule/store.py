"""The tables `due` and `query_budgets`.

`due` has one row per payment or refund that is not settled, with the time it is asked about next. The row is the job: a
payment that may still change always has one, written in the transaction that made it so.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from paidup.db.transaction import Tx
from paidup.resilience.budget import Budget


class Due(msgspec.Struct, frozen=True):
    """A claimed row. While due_at lies in the future nobody else touches it; `lease` proves that it is still ours."""

    subject_id: str
    kind: str  # "payment" or "refund"
    channel: str
    account: str
    due_at: datetime
    asked: int
    lease: int


COLUMNS = "subject_id, kind, channel, account, due_at, asked, lease"

PUT = """
INSERT INTO due (subject_id, kind, channel, account, due_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
ON CONFLICT (subject_id) DO UPDATE SET due_at = LEAST(due.due_at, excluded.due_at), lease = due.lease + 1"""

# By the place of the row, which we have locked, rather than by its key: that saves a look-up for each (8 to 45 % more
# rows a second), and leaves the planner no choice to read the whole table, as it did at 20,000 rows before the first
# ANALYZE. A row that somebody changed in the same moment has moved: it is not claimed in this round, and stays due.
CLAIM = f"""
UPDATE due SET due_at = $2, asked_at = $1, lease = lease + 1
WHERE ctid = ANY(ARRAY(SELECT ctid FROM due WHERE due_at <= $1 ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED))
RETURNING {COLUMNS}"""

CLAIM_ONE = f"""
UPDATE due SET due_at = $3, asked_at = $2, lease = lease + 1
WHERE subject_id = (
  SELECT subject_id FROM due WHERE subject_id = $1 AND (asked_at IS NULL OR asked_at < $4) FOR UPDATE SKIP LOCKED)
RETURNING {COLUMNS}"""

POSTPONE = """
UPDATE due d SET due_at = c.due_at, asked = c.asked
FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::int[]) AS c (subject_id, lease, due_at, asked)
WHERE d.subject_id = c.subject_id AND d.lease = c.lease"""

OPEN_BUDGET = """
INSERT INTO query_budgets (channel, account, tokens, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"""

LOCK_BUDGET = "SELECT tokens, at FROM query_budgets WHERE channel = $1 AND account = $2 FOR UPDATE"

SPEND = "UPDATE query_budgets SET tokens = $3, at = $4 WHERE channel = $1 AND account = $2"

LINE_ENDS_AT = "SELECT line_ends_at FROM query_budgets WHERE channel = $1 AND account = $2 FOR UPDATE"

LENGTHEN = "UPDATE query_budgets SET line_ends_at = $3 WHERE channel = $1 AND account = $2"

LONGEST_LINE = timedelta(seconds=60)
"""Whoever stands in line is looked at again after this at the latest: others may have left it."""

DROP = "DELETE FROM due WHERE subject_id = ANY($1::text[])"

GET = f"SELECT {COLUMNS} FROM due WHERE subject_id = ANY($1::text[])"

SUMMARY = """
SELECT channel, account, kind, count(*) AS waiting, count(*) FILTER (WHERE due_at <= $1) AS overdue, min(due_at) AS next
FROM due GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""


async def put(tx: Tx, rows: Sequence[tuple[str, str, str, str, datetime]]) -> None:
    """Make (subject_id, kind, channel, account, due_at) due; a row that is due earlier stays so.

    A worker that holds the row loses its lease: what it brings is weighed, but it does not postpone the row.
    """
    if rows:
        await tx.execute(PUT, *map(list, zip(*sorted(rows), strict=True)))


async def claim(tx: Tx, now: datetime, until: datetime, limit: int) -> list[Due]:
    """Take up to `limit` rows that are due, oldest first; they are ours until `until`."""
    return [Due(*row) for row in await tx.fetch(CLAIM, now, until, limit)]


async def claim_one(tx: Tx, subject_id: str, now: datetime, until: datetime, not_since: datetime) -> Due | None:
    """Take the row of one payment before it is due, because somebody is looking at it; None if it was asked about
    after `not_since`, or if nothing is left to ask."""
    row = await tx.fetchrow(CLAIM_ONE, subject_id, now, until, not_since)
    return Due(*row) if row else None


async def postpone(tx: Tx, rows: Sequence[tuple[Due, datetime, int]]) -> None:
    """Give rows back with (row, next time, how often asked); rows whose lease was lost are left alone."""
    if rows:
        columns = zip(*sorted((d.subject_id, d.lease, at, asked) for d, at, asked in rows), strict=True)
        await tx.execute(POSTPONE, *map(list, columns))


async def spend(
    tx: Tx, channel: str, account: str, wanted: int, *, rate_per_s: float, now: datetime
) -> tuple[int, float]:
    """Take up to `wanted` questions off the account's budget, which all workers share.

    Returns how many were granted, and in how many seconds the next one will be. Callers with several accounts go
    through them in sorted order.
    """
    burst = max(1, int(rate_per_s))
    await tx.execute(OPEN_BUDGET, channel, account, float(burst), now)
    row = await tx.fetchrow(LOCK_BUDGET, channel, account)
    tokens, at = (row["tokens"], row["at"]) if row else (float(burst), now)
    granted, left = Budget(rate_per_s=rate_per_s, burst=burst, tokens=tokens, at=at).take(now, wanted)
    await tx.execute(SPEND, channel, account, left.tokens, left.at)
    return granted, left.wait_s(now)


async def stand_in_line(
    tx: Tx, channel: str, account: str, count: int, *, rate_per_s: float, now: datetime
) -> list[datetime]:
    """When `count` questions for which the budget has no room are looked at again: behind those that already wait.

    Were all of a long backlog due again with the next token, the questions about other accounts would stand behind
    them each time.
    """
    latest = now + LONGEST_LINE
    ends_at = min(max(await tx.fetchval(LINE_ENDS_AT, channel, account) or now, now), latest)
    turns = [min(ends_at + timedelta(seconds=min(n / rate_per_s, 3600)), latest) for n in range(1, count + 1)]
    await tx.execute(LENGTHEN, channel, account, turns[-1])
    return turns


async def drop(tx: Tx, subject_ids: Sequence[str]) -> None:
    """Nothing is left to ask or to send about these."""
    if subject_ids:
        await tx.execute(DROP, sorted(subject_ids))


async def get(tx: Tx, subject_ids: Sequence[str]) -> dict[str, Due]:
    """The rows of these payments and refunds, for people who want to see when the next question is asked."""
    return {row["subject_id"]: Due(*row) for row in await tx.fetch(GET, subject_ids)}


async def summary(tx: Tx, now: datetime) -> list[dict[str, object]]:
    """How much is waiting and overdue, per account."""
    return [dict(row) for row in await tx.fetch(SUMMARY, now)]
