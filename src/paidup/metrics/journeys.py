"""Gauges of what comes after the payment: bills and breaks, stock, transactions across services.

Like the other gauges: found by an index, and counted up to a bound. Articles are read whole, for they do not grow with
the trade; an index of what is left would cost each sale a second write.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from paidup.db.transaction import Tx
from paidup.metrics import families as f
from paidup.metrics.readings import Readings, age_s
from paidup.metrics.tallies import Account

OVERDUE_AFTER = timedelta(hours=1)
"""So long after it was due a bill that nobody fetched is overdue, too: no process may have the role reconcile."""

BILLS = """
SELECT channel, account, count(*) AS rows
FROM (SELECT channel, account FROM bill_fetches
  WHERE state = 'waiting' AND (alarmed OR due_at < $1) LIMIT $2) q GROUP BY 1, 2"""

BREAKS = """
SELECT kind, state, count(*) AS rows, min(first_seen_at) AS oldest
FROM (SELECT kind, state, first_seen_at FROM breaks WHERE state IN ('waiting', 'open', 'approved') LIMIT $1) q
GROUP BY 1, 2"""

ARTICLES = """
SELECT count(*) FILTER (WHERE available + preorder_limit <= 0) AS sold_out,
  count(*) FILTER (WHERE available + preorder_limit < 0) AS oversold
FROM skus WHERE NOT unlimited AND available + preorder_limit <= 0"""

UNFINISHED = """
SELECT state, count(*) AS rows, min(began_at) AS oldest
FROM (SELECT state, began_at FROM transactions WHERE ended_at IS NULL ORDER BY began_at LIMIT $1) q GROUP BY 1"""

STEPS_DUE = "SELECT min(due_at) FROM transactions WHERE due_at IS NOT NULL"


async def read(tx: Tx, now: datetime, accounts: Sequence[Account], limit: int) -> Readings:
    """Every gauge of these as of now; rows of one kind are counted up to `limit`."""
    found = Readings()
    await _reconciliation(tx, now, accounts, limit, found)
    await _stock(tx, found)
    await _transactions(tx, now, limit, found)
    return found


async def _reconciliation(tx: Tx, now: datetime, accounts: Sequence[Account], limit: int, found: Readings) -> None:
    for account in accounts:
        found.count(f.BILLS_OVERDUE, 0, *account)
    for row in await tx.fetch(BILLS, now - OVERDUE_AFTER, limit):
        found.count(f.BILLS_OVERDUE, row["rows"], row["channel"], row["account"])
    rows = await tx.fetch(BREAKS, limit)
    for row in rows:
        found.count(f.BREAKS, row["rows"], row["kind"], row["state"])
    for_people = [age_s(row["oldest"], now) for row in rows if row["state"] == "open"]
    found.count(f.BREAKS_LATE, max(for_people, default=0.0))


async def _stock(tx: Tx, found: Readings) -> None:
    row = (await tx.fetch(ARTICLES))[0]
    found.count(f.SOLD_OUT, row["sold_out"])
    found.count(f.OVERSOLD, row["oversold"])


async def _transactions(tx: Tx, now: datetime, limit: int, found: Readings) -> None:
    found.count(f.TRANSACTIONS, 0, "MANUAL")
    rows = await tx.fetch(UNFINISHED, limit)
    for row in rows:
        found.count(f.TRANSACTIONS, row["rows"], row["state"])
    found.count(f.TRANSACTIONS_OLDEST, max((age_s(row["oldest"], now) for row in rows), default=0.0))
    found.count(f.TRANSACTIONS_LATE, age_s(await tx.fetchval(STEPS_DUE), now))
