"""Records from the database, some thousand orders at a time: memory stays bounded however large the tables are."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from paidup.db.partitions import PARTITIONED
from paidup.db.transaction import Database, Tx
from paidup.journal.store import Entry
from paidup.orders.order import Order
from paidup.orders.store import COLUMNS as ORDER_COLUMNS
from paidup.outbox.store import COLUMNS as EVENT_COLUMNS
from paidup.outbox.store import Written
from paidup.payments.store import COLUMNS as PAYMENT_COLUMNS
from paidup.payments.store import payment_of
from paidup.refunds.refund import Refund
from paidup.refunds.store import COLUMNS as REFUND_COLUMNS
from paidup.verify.record import Record

CHUNK = 2000
WINDOW = timedelta(minutes=10)
KEPT = {entry.table: timedelta(days=entry.keep_days - 1) for entry in PARTITIONED}
"""What is younger has certainly not left by age."""
_SLACK = timedelta(seconds=1)  # what a batch writes is dated some microseconds after its beginning

ALL = f"SELECT {ORDER_COLUMNS}, seal FROM orders WHERE id > $1 ORDER BY id LIMIT $2"

# First what changed, then in order: in one step, the planner may walk the whole table by id instead.
CHANGED = f"""
WITH changed AS MATERIALIZED (SELECT {ORDER_COLUMNS}, seal FROM orders WHERE updated_at >= $1 AND updated_at < $2)
SELECT * FROM changed WHERE id > $3 ORDER BY id LIMIT $4"""

# For who gives no `now`.
LAST_CHANGE = "SELECT max(updated_at) FROM orders"

PAYMENTS = f"SELECT {PAYMENT_COLUMNS}, seal FROM payments WHERE order_id = ANY($1::text[])"

REFUNDS = f"SELECT {REFUND_COLUMNS}, seal FROM refunds WHERE order_id = ANY($1::text[])"

# An order's row is touched last by whatever changes it, so its history lies between its first moment, as clocks go that
# differ (Order.since), and its last: only the partitions of those days are opened.
EVENTS = f"""
SELECT {EVENT_COLUMNS} FROM events WHERE order_id = ANY($1::text[]) AND created_at >= $2 AND created_at <= $3
ORDER BY order_id, seq"""

DECISIONS = f"""
SELECT {", ".join(Entry.__struct_fields__)} FROM decisions
WHERE order_id = ANY($1::text[]) AND decided_at >= $2 AND decided_at <= $3 AND outcome IN ('applied', 'rejected')
ORDER BY decided_at, id"""

JOBS = "SELECT subject_id FROM due WHERE subject_id = ANY($1::text[])"

CASES = "SELECT order_id, kind, subject_id FROM cases WHERE order_id = ANY($1::text[])"

SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"

Row = TypeVar("Row")


async def records(db: Database, *, since: datetime | None, now: datetime | None) -> AsyncIterator[list[Record]]:
    """All orders, or those that changed since then, in chunks; each chunk is one snapshot.

    now: what is so old that it may have left by age is not missed; None: nothing has left yet.
    """
    if since is None:
        async for chunk in _all(db, now):
            yield chunk
        return
    last = now or await _last_change(db)
    start = since
    while last is not None and start <= last:
        async for chunk in _changed(db, start, start + WINDOW, now):
            yield chunk
        start += WINDOW


async def _last_change(db: Database) -> datetime | None:
    async with db.session() as tx:
        moment: datetime | None = await tx.fetchval(LAST_CHANGE)
    return moment


async def _all(db: Database, now: datetime | None) -> AsyncIterator[list[Record]]:
    after = ""
    while True:
        async with db.transaction() as tx:
            await tx.execute(SNAPSHOT)
            rows = await tx.fetch(ALL, after, CHUNK)
            chunk = await _read(tx, rows, now) if rows else []
        if not chunk:
            return
        yield chunk
        after = chunk[-1].order.id


async def _changed(db: Database, start: datetime, end: datetime, now: datetime | None) -> AsyncIterator[list[Record]]:
    after = ""
    while True:
        async with db.transaction() as tx:
            await tx.execute(SNAPSHOT)
            rows = await tx.fetch(CHANGED, start, end, after, CHUNK)
            chunk = await _read(tx, rows, now) if rows else []
        if not chunk:
            return
        yield chunk
        after = chunk[-1].order.id


async def _read(tx: Tx, rows: Sequence[Any], now: datetime | None) -> list[Record]:
    """The records of these orders."""
    seals = {row["id"]: row["seal"] for row in rows}
    orders = [_row(row, Order) for row in rows]
    names = [order.id for order in orders]
    span = min(order.since for order in orders), max(order.updated_at for order in orders) + _SLACK
    payments, refunds = await tx.fetch(PAYMENTS, names), await tx.fetch(REFUNDS, names)
    seals |= {row["id"]: row["seal"] for row in (*payments, *refunds)}
    its_payments = _by_order([payment_of(row) for row in payments])
    its_refunds = _by_order([_row(row, Refund) for row in refunds])
    events = _by_order([_event(row) for row in await tx.fetch(EVENTS, names, *span)])
    decisions = _by_order([_row(row, Entry) for row in await tx.fetch(DECISIONS, names, *span)])
    jobs = {row["subject_id"] for row in await tx.fetch(JOBS, [row["id"] for row in (*payments, *refunds)])}
    asked: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for row in await tx.fetch(CASES, names):
        asked[row["order_id"]].add((row["kind"], row["subject_id"]))
    return [
        Record(
            order=order,
            payments=its_payments[order.id],
            refunds=its_refunds[order.id],
            seals=seals,
            jobs=frozenset(row.id for row in (*its_payments[order.id], *its_refunds[order.id]) if row.id in jobs),
            asked_people=frozenset(asked[order.id]),
            events=events[order.id] if _kept("events", order, now) else None,
            decisions=decisions[order.id] if _kept("decisions", order, now) else None,
        )
        for order in orders
    ]


def _kept(table: str, order: Order, now: datetime | None) -> bool:
    return now is None or order.created_at >= now - KEPT[table]


def _row(row: Any, kind: type[Row]) -> Row:
    return msgspec.convert(dict(row), kind)  # fields that the class does not have (the seal) are passed over


def _event(row: Any) -> Written:
    return msgspec.convert(dict(row) | {"data": msgspec.json.decode(row["data"])}, Written)


def _by_order(rows: Sequence[Any]) -> defaultdict[str, list[Any]]:
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.order_id].append(row)
    return found
