"""How full the queues are, and how old: gauges, each by one look into an index or over a bounded number of rows.

What waits is counted up to COUNTED_UP_TO and no further: a queue of millions must not be read every few seconds, least
of all while the database is busy emptying it. How late it is tells more than how long it is.
"""

from collections.abc import Sequence
from datetime import date, datetime

from paidup.db.partitions import PARTITIONED
from paidup.db.transaction import Tx
from paidup.metrics import families as f
from paidup.metrics import journeys
from paidup.metrics.readings import Readings, age_s
from paidup.metrics.tallies import Account

COUNTED_UP_TO = 20_000
"""A gauge of queued rows that shows this means that many or more."""

INBOX = """
SELECT state, count(*) AS rows FROM (SELECT state FROM inbox_queue LIMIT $1) q GROUP BY state"""

INBOX_DUE = "SELECT min(available_at) FROM inbox_queue WHERE state <> 'poisoned'"

QUESTIONS = "SELECT kind, count(*) AS rows FROM (SELECT kind FROM due LIMIT $1) q GROUP BY kind"

OVERDUE = """
SELECT channel, kind, count(*) AS rows, min(due_at) AS oldest
FROM (SELECT channel, kind, due_at FROM due WHERE due_at <= $1 ORDER BY due_at LIMIT $2) q GROUP BY 1, 2"""

OUTBOX = """
SELECT (SELECT count(*) FROM (SELECT FROM outbox_queue LIMIT $1) q) AS rows,
  (SELECT min(created_at) FROM outbox_queue) AS oldest"""

LANES = """
SELECT count(*) AS rows, min(created_at) AS oldest
FROM (SELECT created_at FROM deliveries WHERE head LIMIT $1) q"""

GIVEN_UP = """
SELECT state, count(*) AS rows
FROM (SELECT state FROM deliveries WHERE state IN ('dead', 'skipped') LIMIT $1) q GROUP BY state"""

ENDPOINTS_OFF = "SELECT count(*) FROM endpoints WHERE NOT enabled"

CASES = """
SELECT kind, count(*) AS rows, min(opened_at) AS oldest
FROM (SELECT kind, opened_at FROM cases WHERE resolved_at IS NULL LIMIT $1) q GROUP BY kind"""

# Two days of partitions at most, whatever is kept.
LAST_CALLBACKS = """
SELECT a.channel, a.account,
  (SELECT max(received_at) FROM inbox i
   WHERE i.channel = a.channel AND i.account = a.account AND i.received_at > $1::timestamptz - interval '1 day') AS last
FROM unnest($2::text[], $3::text[]) AS a (channel, account)"""

BUDGETS = "SELECT channel, account, tokens FROM query_budgets"

LAST_VERIFY = "SELECT began_at, holds FROM verifications ORDER BY began_at DESC LIMIT 1"

DATABASE_BYTES = "SELECT pg_database_size(current_database())"

PARTITIONS = """
SELECT parent.relname AS table, max(substring(child.relname FROM '_p([0-9]{8})$')) AS last
FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid JOIN pg_class parent ON parent.oid = inhparent
WHERE parent.relname = ANY($1::text[]) AND parent.relnamespace = current_schema()::regnamespace
GROUP BY 1"""

_DAY_S = 86400.0


async def read(tx: Tx, now: datetime, accounts: Sequence[Account]) -> Readings:
    """Every gauge of the database as of now."""
    found = Readings()
    await _inbox(tx, now, found)
    await _questions(tx, now, found)
    await _deliveries(tx, now, found)
    await _cases(tx, now, found)
    await _accounts(tx, now, accounts, found)
    await _proof(tx, now, found)
    await _storage(tx, now, found)
    return found.plus(await journeys.read(tx, now, accounts, COUNTED_UP_TO))


async def _inbox(tx: Tx, now: datetime, found: Readings) -> None:
    for state in ("waiting", "parked", "poisoned"):
        found.count(f.QUEUED, 0, state)
    for row in await tx.fetch(INBOX, COUNTED_UP_TO):
        found.count(f.QUEUED, row["rows"], row["state"])
    found.count(f.QUEUE_LATE, age_s(await tx.fetchval(INBOX_DUE), now))


async def _questions(tx: Tx, now: datetime, found: Readings) -> None:
    for kind in ("payment", "refund"):
        found.count(f.QUESTIONS, 0, kind)
    for row in await tx.fetch(QUESTIONS, COUNTED_UP_TO):
        found.count(f.QUESTIONS, row["rows"], row["kind"])
    overdue = await tx.fetch(OVERDUE, now, COUNTED_UP_TO)
    for row in overdue:
        found.count(f.QUESTIONS_OVERDUE, row["rows"], row["channel"], row["kind"])
    found.count(f.QUESTIONS_LATE, max((age_s(row["oldest"], now) for row in overdue), default=0.0))


async def _deliveries(tx: Tx, now: datetime, found: Readings) -> None:
    for query, depth, late in ((OUTBOX, f.OUTBOX, f.OUTBOX_LATE), (LANES, f.LANES, f.LANES_LATE)):
        row = (await tx.fetch(query, COUNTED_UP_TO))[0]
        found.count(depth, row["rows"])
        found.count(late, age_s(row["oldest"], now))
    for state in ("dead", "skipped"):
        found.count(f.GIVEN_UP, 0, state)
    for row in await tx.fetch(GIVEN_UP, COUNTED_UP_TO):
        found.count(f.GIVEN_UP, row["rows"], row["state"])
    found.count(f.ENDPOINTS_OFF, await tx.fetchval(ENDPOINTS_OFF))


async def _cases(tx: Tx, now: datetime, found: Readings) -> None:
    rows = await tx.fetch(CASES, COUNTED_UP_TO)
    for row in rows:
        found.count(f.CASES, row["rows"], row["kind"])
    found.count(f.CASES_LATE, max((age_s(row["oldest"], now) for row in rows), default=0.0))


async def _accounts(tx: Tx, now: datetime, accounts: Sequence[Account], found: Readings) -> None:
    names = [channel for channel, _ in accounts], [name for _, name in accounts]
    for row in await tx.fetch(LAST_CALLBACKS, now, *names):
        since_s = age_s(row["last"], now) if row["last"] else _DAY_S
        found.count(f.LAST_CALLBACK, since_s, row["channel"], row["account"])
    for row in await tx.fetch(BUDGETS):
        found.count(f.BUDGET, row["tokens"], row["channel"], row["account"])


async def _proof(tx: Tx, now: datetime, found: Readings) -> None:
    last = await tx.fetchrow(LAST_VERIFY)
    if last:
        found.count(f.VERIFY_HOLDS, int(last["holds"]))
        found.count(f.VERIFY_AGE, age_s(last["began_at"], now))


async def _storage(tx: Tx, now: datetime, found: Readings) -> None:
    found.count(f.DATABASE_BYTES, await tx.fetchval(DATABASE_BYTES))
    for row in await tx.fetch(PARTITIONS, [entry.table for entry in PARTITIONED]):
        ahead = (date.fromisoformat(row["last"]) - now.date()).days if row["last"] else -1
        found.count(f.PARTITIONS_AHEAD, ahead, row["table"])
