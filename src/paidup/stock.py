"""Units move: counters, journal and the events that a shop is told, written as one in the caller's transaction."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from paidup import ids
from paidup.db.transaction import Tx
from paidup.events import EventType, Scalar
from paidup.inventory import store
from paidup.inventory.decide import Alarm, moved, watch
from paidup.inventory.sku import Movement, Place, Sku
from paidup.outbox import store as outbox

_EVENTS = {
    Alarm.LOW: EventType.STOCK_LOW,
    Alarm.SOLD_OUT: EventType.STOCK_SOLD_OUT,
    Alarm.AVAILABLE: EventType.STOCK_AVAILABLE,
}


async def move(tx: Tx, movements: Sequence[Movement], now: datetime) -> list[outbox.Written]:
    """Lock the articles, move the units, and return what the shop is told of it."""
    if not movements:
        return []
    return await write(tx, await store.lock(tx, places_of(movements)), movements, now)


async def write(
    tx: Tx, shelf: Mapping[Place, Sku], movements: Sequence[Movement], now: datetime
) -> list[outbox.Written]:
    """The same, where the caller holds the lock and has decided by this shelf."""
    counted, told = [], []
    after = moved(shelf, movements, now)
    for place in sorted(places_of(movements)):
        sku, events = announce(shelf[place], after[place], now)
        counted.append(sku)
        told += events
    await store.count(tx, counted)
    await store.record(tx, movements)
    await outbox.write(tx, told)
    return told


def places_of(movements: Iterable[Movement]) -> set[Place]:
    """The articles that these move."""
    return {(movement.shop, movement.sku) for movement in movements}


def announce(before: Sku, after: Sku, now: datetime) -> tuple[Sku, list[outbox.Written]]:
    """The article with what its shop was told of a change, and the events: a lane of their own for each article."""
    after, alarms = watch(before, after)
    told = [_event(after, _EVENTS[alarm], after.event_seq + n, now) for n, alarm in enumerate(alarms, start=1)]
    return msgspec.structs.replace(after, event_seq=after.event_seq + len(told)), told


def _event(sku: Sku, kind: EventType, seq: int, now: datetime) -> outbox.Written:
    data: dict[str, Scalar] = {
        "sku": sku.sku,
        "name": sku.name,
        "left": sku.left,
        "available": sku.available,
        "reserved": sku.reserved,
        "sold": sku.sold,
        "low_at": sku.low_at,
    }
    return outbox.Written(
        id=ids.new_id(ids.EVENT, now, ids.shard_of(sku.id)),
        created_at=now,
        shop=sku.shop,
        type=kind,
        order_id=sku.id,
        seq=seq,
        subject_id=sku.id,
        data=data,
    )
