"""The tables `skus`, `reservations`, `stock_movements` and `stock_policies`: their only reader and writer of SQL."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from paidup.db.transaction import Tx
from paidup.errors import BrokenPromise
from paidup.inventory.sku import Item, Movement, Place, Policy, Reservation, Sku
from paidup.inventory.states import EFFECTS, Kind, State

SKU_COLUMNS = ", ".join(Sku.__struct_fields__)
MOVEMENT_COLUMNS = ", ".join(Movement.__struct_fields__)

_THESE = "FROM unnest($1::text[], $2::text[]) AS w (shop, sku) JOIN skus s ON s.sku = w.sku AND s.shop = w.shop"
_OF_S = ", ".join(f"s.{name}" for name in Sku.__struct_fields__)

THESE = f"SELECT {_OF_S} {_THESE}"

# Taken in this order by everybody, so that two batches never wait for each other in a circle.
LOCK = f"SELECT {_OF_S} {_THESE} ORDER BY s.id FOR UPDATE OF s"

GET = f"SELECT {SKU_COLUMNS} FROM skus WHERE shop = $1 AND sku = $2"

PAGE = f"SELECT {SKU_COLUMNS} FROM skus WHERE ($1::text IS NULL OR shop = $1) AND id > $2 ORDER BY id LIMIT $3"

IN_TROUBLE = f"""
SELECT {SKU_COLUMNS} FROM skus
WHERE ($1::text IS NULL OR shop = $1) AND id > $2 AND (is_low OR NOT unlimited AND available + preorder_limit <= 0)
ORDER BY id LIMIT $3"""

INSERT = f"""
INSERT INTO skus ({SKU_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
ON CONFLICT DO NOTHING RETURNING id"""

DESCRIBE = """
UPDATE skus SET name = $2, unlimited = $3, preorder_limit = $4, ships_at = $5, low_at = $6, updated_at = $7
WHERE id = $1"""

COUNT = """
UPDATE skus s SET available = c.available, reserved = c.reserved, sold = c.sold, is_low = c.is_low,
  event_seq = c.event_seq, updated_at = c.updated_at
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::boolean[], $6::int[], $7::timestamptz[])
  AS c (id, available, reserved, sold, is_low, event_seq, updated_at)
WHERE s.id = c.id"""

RESERVATIONS = """
SELECT order_id, sku, shop, quantity, state, restock_refunded, created_at, updated_at FROM reservations
WHERE order_id = ANY($1::text[]) ORDER BY order_id, sku"""

MOVE_RESERVATIONS = """
UPDATE reservations r SET state = c.state, updated_at = c.updated_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) AS c (order_id, old_state, state, updated_at)
WHERE r.order_id = c.order_id AND r.state = c.old_state RETURNING r.order_id"""

OF_ORDER = f"SELECT {MOVEMENT_COLUMNS} FROM stock_movements WHERE order_id = $1 ORDER BY at, id"

JOURNAL = f"""
SELECT id, {MOVEMENT_COLUMNS} FROM stock_movements WHERE shop = $1 AND sku = $2 AND id < $3 ORDER BY id DESC LIMIT $4"""

DONE_BEFORE = f"SELECT {MOVEMENT_COLUMNS} FROM stock_movements WHERE shop = $1 AND sku = $2 AND key = $3"

SUMS = """
SELECT kind, sum(quantity)::bigint AS quantity FROM stock_movements WHERE shop = $1 AND sku = $2 GROUP BY kind"""

POLICIES = "SELECT shop, hold_s, restock_refunded FROM stock_policies WHERE shop = ANY($1::text[])"

PUT_POLICY = """
INSERT INTO stock_policies (shop, hold_s, restock_refunded) VALUES ($1, $2, $3)
ON CONFLICT (shop) DO UPDATE SET hold_s = excluded.hold_s, restock_refunded = excluded.restock_refunded"""

_RESERVED = ("order_id", "sku", "shop", "quantity", "state", "restock_refunded", "created_at", "updated_at")


class Numbered(msgspec.Struct, frozen=True):
    """A movement with its number: of one article, a higher number moved later."""

    id: int
    movement: Movement


def _sku(row: Any) -> Sku:
    return Sku(**row)


async def shelf(tx: Tx, places: Iterable[Place]) -> dict[Place, Sku]:
    """These articles as they stand, without a lock; unknown ones are left out."""
    return {(sku.shop, sku.sku): sku for sku in await _these(tx, THESE, places)}


async def lock(tx: Tx, places: Iterable[Place]) -> dict[Place, Sku]:
    """Lock these articles until the transaction ends; unknown ones are left out."""
    return {(sku.shop, sku.sku): sku for sku in await _these(tx, LOCK, places)}


async def _these(tx: Tx, query: str, places: Iterable[Place]) -> list[Sku]:
    wanted = sorted(set(places))
    if not wanted:
        return []
    return [_sku(row) for row in await tx.fetch(query, [shop for shop, _ in wanted], [sku for _, sku in wanted])]


async def get(tx: Tx, shop: str, sku: str) -> Sku | None:
    """One article."""
    row = await tx.fetchrow(GET, shop, sku)
    return _sku(row) if row else None


async def page(tx: Tx, shop: str | None, after: str, limit: int) -> list[Sku]:
    """Articles of a shop (None: of all), in the order they were made, with ids greater than `after`."""
    return [_sku(row) for row in await tx.fetch(PAGE, shop, after, limit)]


async def in_trouble(tx: Tx, shop: str | None, after: str, limit: int) -> list[Sku]:
    """The same, of articles that are sold out or running low."""
    return [_sku(row) for row in await tx.fetch(IN_TROUBLE, shop, after, limit)]


async def insert(tx: Tx, sku: Sku) -> bool:
    """Write a new article; False when it is there already."""
    return await tx.fetchval(INSERT, *msgspec.structs.astuple(sku)) is not None


async def describe(tx: Tx, sku: Sku) -> None:
    """Write what people decide about an article; its counters stay."""
    await tx.execute(
        DESCRIBE, sku.id, sku.name, sku.unlimited, sku.preorder_limit, sku.ships_at, sku.low_at, sku.updated_at
    )


async def count(tx: Tx, skus: Sequence[Sku]) -> None:
    """Write the counters of articles that are locked, and what their shop was told."""
    rows = [(s.id, s.available, s.reserved, s.sold, s.is_low, s.event_seq, s.updated_at) for s in skus]
    if rows:
        await tx.execute(COUNT, *map(list, zip(*rows, strict=True)))


async def record(tx: Tx, movements: Sequence[Movement]) -> None:
    """Append movements to the journal."""
    if movements:
        rows = [msgspec.structs.astuple(movement) for movement in movements]
        await tx.copy_records_to_table("stock_movements", records=rows, columns=Movement.__struct_fields__)


async def reserve(tx: Tx, reservations: Sequence[Reservation]) -> None:
    """Write the reservations of new orders."""
    rows = [
        (r.order_id, item.sku, r.shop, item.quantity, r.state, r.restock_refunded, r.created_at, r.updated_at)
        for r in reservations
        for item in r.items
    ]
    if rows:
        await tx.copy_records_to_table("reservations", records=rows, columns=_RESERVED)


async def of_orders(tx: Tx, order_ids: Sequence[str]) -> dict[str, Reservation]:
    """The reservations of these orders, by order; orders without items are left out."""
    lines: dict[str, list[Any]] = {}
    for row in await tx.fetch(RESERVATIONS, order_ids):
        lines.setdefault(row["order_id"], []).append(row)
    return {order_id: _reservation(rows) for order_id, rows in lines.items()}


def _reservation(rows: Sequence[Any]) -> Reservation:
    first = rows[0]
    return Reservation(
        order_id=first["order_id"],
        shop=first["shop"],
        state=State(first["state"]),
        items=tuple(Item(row["sku"], row["quantity"]) for row in rows),
        restock_refunded=first["restock_refunded"],
        created_at=first["created_at"],
        updated_at=first["updated_at"],
    )


async def update(tx: Tx, changes: Sequence[tuple[Reservation, Reservation]]) -> None:
    """Write (before, after) pairs. Raises BrokenPromise when a row is not as it was read under the order's lock."""
    if not changes:
        return
    rows = [(b.order_id, b.state, a.state, a.updated_at) for b, a in changes]
    written = await tx.fetch(MOVE_RESERVATIONS, *map(list, zip(*rows, strict=True)))
    expected = sum(len(before.items) for before, _ in changes)
    if len(written) != expected:
        raise BrokenPromise(f"{expected - len(written)} of {expected} reservations changed under their order's lock")


async def of_order(tx: Tx, order_id: str) -> list[Movement]:
    """All movements of an order, oldest first."""
    return [_movement(row) for row in await tx.fetch(OF_ORDER, order_id)]


async def journal(tx: Tx, shop: str, sku: str, before: int, limit: int) -> list[Numbered]:
    """The movements of an article with numbers below `before`, newest first."""
    return [Numbered(row["id"], _movement(row)) for row in await tx.fetch(JOURNAL, shop, sku, before, limit)]


async def done_before(tx: Tx, shop: str, sku: str, key: str) -> Movement | None:
    """What an operator did to this article under this key; None when nothing was done yet."""
    row = await tx.fetchrow(DONE_BEFORE, shop, sku, key)
    return _movement(row) if row else None


def _movement(row: Any) -> Movement:
    fields = {name: row[name] for name in Movement.__struct_fields__}
    return Movement(**fields | {"kind": Kind(fields["kind"])})


async def sums(tx: Tx, sku: Sku, now: datetime) -> Sku:
    """The article with the counters that its journal adds up to."""
    totals = [0, 0, 0]
    for row in await tx.fetch(SUMS, sku.shop, sku.sku):
        for n, sign in enumerate(EFFECTS[Kind(row["kind"])]):
            totals[n] += sign * row["quantity"]
    available, reserved, sold = totals
    return msgspec.structs.replace(
        sku, available=available, reserved=reserved, sold=sold, updated_at=max(now, sku.updated_at)
    )


async def policies(tx: Tx, shops: Iterable[str]) -> Mapping[str, Policy]:
    """How these shops sell from stock."""
    wanted = sorted(set(shops))
    found = {row["shop"]: Policy(**row) for row in await tx.fetch(POLICIES, wanted)}
    return {shop: found.get(shop, Policy(shop=shop)) for shop in wanted}


async def put_policy(tx: Tx, policy: Policy) -> None:
    """Change how a shop sells from stock; what is reserved already keeps the terms it was reserved under."""
    await tx.execute(PUT_POLICY, policy.shop, policy.hold_s, policy.restock_refunded)
