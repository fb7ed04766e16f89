"""The tables `events` and `outbox_queue`: an event is written in the transaction of the change it announces."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from paidup.db.transaction import Tx
from paidup.events import EventType, Scalar
from paidup.outbox.floor import BEGINNING


class Written(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An event with its number in its order: 1, 2, 3 … without gaps."""

    id: str
    created_at: datetime
    shop: str
    type: EventType
    order_id: str
    seq: int
    subject_id: str
    data: dict[str, Scalar]


class Queued(msgspec.Struct, frozen=True, gc=False):
    """An event that has not been given to the endpoints yet."""

    event_id: str
    shop: str
    order_id: str
    seq: int
    type: str
    created_at: datetime


COLUMNS = "id, created_at, shop, type, order_id, seq, subject_id, data"
_COLUMNS = COLUMNS.split(", ")
_QUEUED = ("event_id", *_COLUMNS[1:6])

# Oldest first; an order's events are written in order, and a row skipped because another worker holds it is that
# worker's to give out. Claim first, act on arrays afterwards: one statement that did both would be planned badly.
# By place: a queue that was vacuumed while it was empty is thought to hold one row, and a join is then quadratic.
TAKE = """
DELETE FROM outbox_queue WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM outbox_queue WHERE created_at >= $2 ORDER BY created_at, event_id LIMIT $1 FOR UPDATE SKIP LOCKED))
RETURNING event_id, shop, order_id, seq, type, created_at"""

OF_ORDER = f"SELECT {COLUMNS} FROM events WHERE order_id = $1 AND created_at >= $2 ORDER BY seq"

OF_SHOP = f"""
SELECT {COLUMNS} FROM events WHERE shop = $1 AND (created_at, id) > ($2, $3) AND created_at >= $2 AND created_at < $4
ORDER BY created_at, id LIMIT $5"""

WAITING = "SELECT count(*) FROM outbox_queue"


def _written(row: Any) -> Written:
    return msgspec.convert(dict(row) | {"data": msgspec.json.decode(row["data"])}, Written)


async def write(tx: Tx, events: Sequence[Written]) -> None:
    """Append events, and queue them for the shop's endpoints."""
    if not events:
        return
    rows = [
        (e.id, e.created_at, e.shop, e.type, e.order_id, e.seq, e.subject_id, msgspec.json.encode(e.data).decode())
        for e in events
    ]
    await tx.copy_records_to_table("events", records=rows, columns=_COLUMNS)
    await tx.copy_records_to_table("outbox_queue", records=[row[:6] for row in rows], columns=_QUEUED)


async def take(tx: Tx, limit: int, *, since: datetime = BEGINNING) -> list[Queued]:
    """Take up to `limit` events off the queue, in the order they were written; gone when the transaction commits.

    since: older ones are not looked for.
    """
    rows = [Queued(*row) for row in await tx.fetch(TAKE, limit, since)]
    return sorted(rows, key=lambda q: (q.created_at, q.order_id, q.seq))


async def of_order(tx: Tx, order_id: str, *, since: datetime) -> list[Written]:
    """All events of an order, in order. since: a moment before which there was none; it leaves partitions out."""
    return [_written(row) for row in await tx.fetch(OF_ORDER, order_id, since)]


async def of_shop(tx: Tx, shop: str, after: tuple[datetime, str], limit: int, *, until: datetime) -> list[Written]:
    """Events of a shop after (created_at, id), oldest first, and made before `until`.

    until: a moment before which no event can still be committed. Whoever reads further than that loses events: they
    are dated when their work began, and become visible when it is committed.
    """
    return [_written(row) for row in await tx.fetch(OF_SHOP, shop, *after, until, limit)]


async def waiting(tx: Tx) -> int:
    """How many events have not been given to the endpoints yet."""
    return int(await tx.fetchval(WAITING))
