"""The same day in plain SQL, as somebody writes it who knows PostgreSQL: the bill copied in, one query of typed breaks.

It has memory for its joins and a table that may be read by parallel workers, and finds what we find, kind by kind.
"""

from datetime import datetime
from pathlib import Path

import asyncpg

COLUMNS = "n, kind, txn, ref, rref, currency, amount, fee"
_TIMEOUT_S = 600.0

_TABLE = """
DROP TABLE IF EXISTS bench_lines;
CREATE UNLOGGED TABLE bench_lines (n bigint, kind text, txn text, ref text, rref text, currency text, amount bigint,
  fee bigint);
SET work_mem = '256MB'"""

_TYPED = """
WITH b AS (
  SELECT *, row_number() OVER (PARTITION BY txn ORDER BY n) AS nth FROM bench_lines WHERE kind = 'payment'),
o AS (
  SELECT id, channel_txn_id, merchant_ref, currency, amount_minor, paid_at FROM payments
  WHERE channel = 'wechat' AND account = 'main' AND paid_at >= $1 AND paid_at < $2
    AND state IN ('paid', 'disputed', 'charged_back')),
by_theirs AS MATERIALIZED (
  SELECT b.n, b.ref, b.nth, b.currency, b.amount, b.fee, o.id, o.merchant_ref, o.paid_at,
    o.currency AS our_currency, o.amount_minor AS our_amount
  FROM b FULL JOIN o ON b.txn = o.channel_txn_id
  WHERE b.n IS NULL OR o.id IS NULL OR b.nth > 1 OR b.amount <> o.amount_minor OR b.currency <> o.currency
    OR b.fee <> (b.amount * 6000 + 500000) / 1000000),
by_ours AS (
  SELECT x.n, x.nth, x.currency, x.amount, x.fee, y.id, y.paid_at, y.our_currency, y.our_amount
  FROM (SELECT * FROM by_theirs WHERE id IS NULL) x
  FULL JOIN (SELECT * FROM by_theirs WHERE n IS NULL) y ON x.ref = y.merchant_ref
  UNION ALL SELECT n, nth, currency, amount, fee, id, paid_at, our_currency, our_amount
  FROM by_theirs WHERE n IS NOT NULL AND id IS NOT NULL)
SELECT n, id, CASE
    WHEN n IS NULL AND (paid_at >= $2 - interval '30 minutes' OR paid_at < $1 + interval '30 minutes') THEN 'wrong_day'
    WHEN n IS NULL THEN 'short' WHEN id IS NULL THEN 'long' WHEN nth > 1 THEN 'duplicate'
    WHEN currency <> our_currency THEN 'currency' WHEN amount <> our_amount THEN 'amount' ELSE 'fee' END AS kind,
  CASE WHEN n IS NULL THEN -our_amount WHEN id IS NULL OR nth > 1 OR currency <> our_currency THEN amount
    WHEN amount <> our_amount THEN amount - our_amount ELSE fee - (amount * 6000 + 500000) / 1000000 END AS differs
FROM by_ours
UNION ALL
SELECT b.n, r.id, CASE WHEN p.id IS NULL THEN 'refund_without_payment' WHEN r.id IS NULL THEN 'refund_unknown'
    WHEN r.state <> 'succeeded' THEN 'status' ELSE 'amount' END, b.amount + CASE r.state WHEN 'succeeded'
    THEN r.amount_minor ELSE 0 END
FROM bench_lines b
LEFT JOIN payments p ON p.channel = 'wechat' AND p.account = 'main' AND p.merchant_ref = b.ref
LEFT JOIN refunds r ON r.channel = 'wechat' AND r.account = 'main' AND r.merchant_ref = b.rref
WHERE b.kind = 'refund' AND (r.id IS NULL OR r.state <> 'succeeded' OR b.amount <> -r.amount_minor)
UNION ALL SELECT n, NULL, 'unknown_line', amount FROM bench_lines WHERE kind = 'unknown'"""


async def found_by_sql(dsn: str, lines: Path, day: tuple[datetime, datetime]) -> dict[str, tuple[int, int]]:
    """(breaks, the bill's money less ours) of each kind. lines: a CSV file of COLUMNS."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(_TABLE)
        await connection.copy_to_table("bench_lines", source=lines, format="csv", timeout=_TIMEOUT_S)
        await connection.execute("ANALYZE bench_lines", timeout=_TIMEOUT_S)
        rows = await connection.fetch(_TYPED, *day, timeout=_TIMEOUT_S)
        await connection.execute("DROP TABLE bench_lines")
    finally:
        await connection.close()
    found: dict[str, tuple[int, int]] = {}
    for row in rows:
        breaks, minor = found.get(row["kind"], (0, 0))
        found[row["kind"]] = (breaks + 1, minor + row["differs"])
    return dict(sorted(found.items()))
