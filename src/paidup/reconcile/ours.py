"""Our side of a day: streamed out of PostgreSQL as it stands, and looked up where the bill names what is not of it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from paidup.db.transaction import Database, Tx
from paidup.reconcile.breaks import OurSide

COPY_TIMEOUT_S = 600.0
CHUNK = 10_000
MAX_SUGGESTIONS = 1000
MAX_NAMESAKES = 20
LOOK_UP_S = 120.0

# The numbers of a payment or refund, as in table.OUR_TABLES. Our own number is most often the id itself, and then not
# sent.
PAYMENTS_OF_DAY = """
SELECT id, channel_txn_id, nullif(merchant_ref, id), currency, amount_minor FROM payments
WHERE channel = $1 AND account = $2 AND paid_at >= $3 AND paid_at < $4
  AND state IN ('paid', 'disputed', 'charged_back')"""

REFUNDS_OF_DAY = """
SELECT r.id, r.channel_refund_id, nullif(r.merchant_ref, r.id), r.currency, r.amount_minor, p.channel_txn_id,
  p.merchant_ref
FROM refunds r JOIN payments p ON p.id = r.payment_id
WHERE r.channel = $1 AND r.account = $2 AND r.settled_at >= $3 AND r.settled_at < $4 AND r.state = 'succeeded'"""

_PAYMENT = """p.id AS payment_id, p.order_id, p.shop, p.state, p.currency, p.amount_minor, p.paid_at AS at,
NULL AS refund_id, p.channel_txn_id, p.merchant_ref, NULL AS channel_refund_id, NULL AS merchant_refund_ref,
o.shop_order_no, p.updated_at AS changed_at"""

_REFUND = """r.payment_id, r.order_id, r.shop, r.state, r.currency, r.amount_minor, r.settled_at AS at,
r.id AS refund_id, p.channel_txn_id, p.merchant_ref, r.channel_refund_id, r.merchant_ref AS merchant_refund_ref,
o.shop_order_no, r.updated_at AS changed_at"""

PAYMENTS_BY_ID = f"""
SELECT {_PAYMENT} FROM payments p JOIN orders o ON o.id = p.order_id WHERE p.id = ANY($1::text[])"""

REFUNDS_BY_ID = f"""
SELECT {_REFUND} FROM refunds r JOIN payments p ON p.id = r.payment_id JOIN orders o ON o.id = r.order_id
WHERE r.id = ANY($1::text[])"""

ACCOUNT_OF = "SELECT channel, account FROM payments WHERE id = $1"

PAYMENTS_BY_NUMBER = f"""
SELECT {_PAYMENT} FROM payments p JOIN orders o ON o.id = p.order_id WHERE p.id IN (
  SELECT id FROM payments WHERE channel = $1 AND account = $2 AND merchant_ref = ANY($3::text[])
  UNION SELECT id FROM payments WHERE channel = $1 AND account = $2 AND channel_txn_id = ANY($3::text[]))"""

# Those of the payment that a line names ($4, $5), and of others with the same number only some: there may be very many.
REFUNDS_BY_NUMBER = f"""
WITH named AS MATERIALIZED (
  SELECT number, txn, ref FROM unnest($3::text[], $4::text[], $5::text[]) AS n (number, txn, ref))
SELECT {_REFUND} FROM refunds r JOIN payments p ON p.id = r.payment_id JOIN orders o ON o.id = r.order_id
WHERE r.id IN (
  SELECT b.id FROM named n JOIN refunds b ON b.channel_refund_id = n.number AND b.account = $2 AND b.channel = $1
  UNION SELECT b.id FROM named n
    JOIN payments q ON q.channel_txn_id = n.txn AND q.account = $2 AND q.channel = $1
    JOIN refunds b ON b.merchant_ref = n.number AND b.account = $2 AND b.channel = $1 AND b.payment_id = q.id
  UNION SELECT b.id FROM named n
    JOIN payments q ON q.merchant_ref = n.ref AND q.account = $2 AND q.channel = $1
    JOIN refunds b ON b.merchant_ref = n.number AND b.account = $2 AND b.channel = $1 AND b.payment_id = q.id
  UNION SELECT b.id FROM (SELECT DISTINCT number FROM named) n CROSS JOIN LATERAL (
    SELECT id FROM refunds WHERE merchant_ref = n.number AND account = $2 AND channel = $1
    ORDER BY payment_id DESC LIMIT {MAX_NAMESAKES}) b)
ORDER BY r.id"""

DISPUTES = """
SELECT id, dispute_says || ARRAY(SELECT value FROM jsonb_each_text(disputes)) AS says FROM payments
WHERE id = ANY($1::text[]) AND dispute_says IS NOT NULL"""

# What a person may find to belong to a line that nobody knows: unpaid, the same money, begun up to two hours before.
SUGGESTED = f"""
SELECT DISTINCT ON (s.n) s.n, {_PAYMENT} FROM unnest($3::int[], $4::text[], $5::bigint[], $6::timestamptz[])
  AS s (n, currency, amount, at)
JOIN payments p ON p.amount_minor = s.amount AND p.currency = s.currency AND p.created_at <= s.at
  AND p.created_at > s.at - interval '2 hours'
JOIN orders o ON o.id = p.order_id
WHERE p.channel = $1 AND p.account = $2 AND p.state IN ('created', 'open', 'closing', 'closed')
  AND p.created_at > $7::timestamptz - interval '2 hours' AND p.created_at <= $8
ORDER BY s.n, p.created_at DESC, p.id"""


async def copy_day(
    db: Database, channel: str, account: str, begins_at: datetime, ends_at: datetime, folder: Path
) -> Mapping[str, Path]:
    """Write the account's payments and refunds of a day to CSV files; gives their paths by the table's name."""
    written = {}
    for table, query in (("payments", PAYMENTS_OF_DAY), ("refunds", REFUNDS_OF_DAY)):
        path = folder / f"{table}.csv"
        await db.copy_csv(query, channel, account, begins_at, ends_at, into=path, timeout=COPY_TIMEOUT_S)
        written[table] = path
    return written


async def by_id(tx: Tx, payment_ids: Sequence[str], refund_ids: Sequence[str]) -> dict[str, OurSide]:
    """Our rows by their ids."""
    found: dict[str, OurSide] = {}
    for query, wanted in ((PAYMENTS_BY_ID, payment_ids), (REFUNDS_BY_ID, refund_ids)):
        for chunk in _chunks(wanted):
            sides = [msgspec.convert(dict(row), OurSide) for row in await tx.fetch(query, chunk)]
            found |= {side.subject_id: side for side in sides}
    return found


async def account_of(tx: Tx, payment_id: str) -> tuple[str, str]:
    """Channel and account that a payment went through."""
    row = await tx.fetchrow(ACCOUNT_OF, payment_id)
    return (row["channel"], row["account"]) if row else ("", "")


async def by_number(tx: Tx, channel: str, account: str, numbers: Iterable[str]) -> dict[str, OurSide]:
    """Our payments by any number of theirs, in any state and of any day."""
    found: dict[str, OurSide] = {}
    for chunk in _chunks(sorted(set(numbers))):
        for row in await tx.fetch(PAYMENTS_BY_NUMBER, channel, account, chunk):
            side = msgspec.convert(dict(row), OurSide)
            found |= {number: side for number in (side.merchant_ref, side.channel_txn_id) if number is not None}
    return found


async def refunds_named(
    tx: Tx, channel: str, account: str, names: Iterable[tuple[str, str | None, str | None]]
) -> list[OurSide]:
    """Our refunds by (any number of theirs, the channel's number of their payment, ours of it), in any state and of any
    day; and some of other payments that bear the same number."""
    found: dict[str, OurSide] = {}
    for chunk in _chunks(sorted(set(names), key=str)):
        rows = await tx.fetch(REFUNDS_BY_NUMBER, channel, account, *map(list, zip(*chunk, strict=True)))
        sides = [msgspec.convert(dict(row), OurSide) for row in rows]
        found |= {side.subject_id: side for side in sides}
    return [found[one] for one in sorted(found)]


async def disputes(tx: Tx, payment_ids: Iterable[str]) -> dict[str, frozenset[str]]:
    """What was said last of each dispute of these payments; those that never had one are left out."""
    wanted = sorted(set(payment_ids))
    rows = [row for chunk in _chunks(wanted) for row in await tx.fetch(DISPUTES, chunk)]
    return {row["id"]: frozenset(row["says"]) for row in rows}


async def suggestions(
    tx: Tx, channel: str, account: str, lines: Sequence[tuple[int, str, int, datetime]]
) -> dict[int, OurSide]:
    """For lines (number, currency, amount, time) that nobody knows: a payment that may be meant, by line number."""
    if not lines:
        return {}
    columns = list(zip(*lines[:MAX_SUGGESTIONS], strict=True))
    times = columns[-1]
    found = await tx.fetch(SUGGESTED, channel, account, *map(list, columns), min(times), max(times), timeout=LOOK_UP_S)
    rows = [dict(row) for row in found]
    return {row.pop("n"): msgspec.convert(row, OurSide) for row in rows}


T = TypeVar("T")


def _chunks(wanted: Sequence[T]) -> Iterable[list[T]]:
    return (list(wanted[at : at + CHUNK]) for at in range(0, len(wanted), CHUNK))
