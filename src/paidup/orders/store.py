"""The table `orders`: its only reader and writer of SQL."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from paidup.db.transaction import Tx
from paidup.errors import BrokenPromise
from paidup.orders.order import Order
from paidup.seal import seal

COLUMNS = """id, shop, shop_order_no, amount_minor, currency, description, state, late_payment, paid_by, event_seq,
chain, created_at, expires_at, updated_at, buyer_ref"""

_ROW = (*Order.__struct_fields__, "seal")

# Taken in id order by everybody, so that two batches never wait for each other in a circle.
LOCK = f"SELECT {COLUMNS} FROM orders WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"

GET = f"SELECT {COLUMNS} FROM orders WHERE id = $1"

MANY = f"SELECT {COLUMNS} FROM orders WHERE id = ANY($1::text[])"

BY_NUMBER = f"SELECT {COLUMNS} FROM orders WHERE shop = $1 AND shop_order_no = $2"

BY_NUMBERS = f"""
SELECT {", ".join("o." + name.strip() for name in COLUMNS.split(","))}
FROM unnest($1::text[], $2::text[]) AS w (shop, shop_order_no)
JOIN orders o ON o.shop_order_no = w.shop_order_no AND o.shop = w.shop"""

LIST = f"SELECT {COLUMNS} FROM orders WHERE shop = $1 AND id < $2 ORDER BY id DESC LIMIT $3"

INSERT = f"""
INSERT INTO orders ({COLUMNS}, seal) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT DO NOTHING RETURNING id"""

UPDATE = """
UPDATE orders o SET state = c.state, paid_by = c.paid_by, event_seq = c.event_seq, chain = c.chain,
  updated_at = c.updated_at, seal = c.seal
FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::int[], $7::bytea[], $8::timestamptz[],
  $9::bytea[]) AS c (id, old_state, old_seq, state, paid_by, event_seq, chain, updated_at, seal)
WHERE o.id = c.id AND o.state = c.old_state AND o.event_seq = c.old_seq"""


def _order(row: Any) -> Order:
    return msgspec.convert(dict(row), Order)


async def lock(tx: Tx, order_ids: Sequence[str]) -> list[Order]:
    """Lock these orders until the transaction ends; whoever holds an order's lock may change all that belongs to it."""
    return [_order(row) for row in await tx.fetch(LOCK, sorted(set(order_ids)))]


async def get(tx: Tx, order_id: str) -> Order | None:
    """One order by its id."""
    row = await tx.fetchrow(GET, order_id)
    return _order(row) if row else None


async def get_many(tx: Tx, order_ids: Sequence[str]) -> list[Order]:
    """Orders by their ids, in no particular order; unknown ids are left out."""
    return [_order(row) for row in await tx.fetch(MANY, order_ids)]


async def by_number(tx: Tx, shop: str, shop_order_no: str) -> Order | None:
    """One order by the shop's own number."""
    row = await tx.fetchrow(BY_NUMBER, shop, shop_order_no)
    return _order(row) if row else None


async def by_numbers(tx: Tx, numbers: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Order]:
    """Those of these (shop, number of the shop) that are there."""
    wanted = sorted(set(numbers))
    rows = await tx.fetch(BY_NUMBERS, [shop for shop, _ in wanted], [number for _, number in wanted])
    return {(row["shop"], row["shop_order_no"]): _order(row) for row in rows}


async def page(tx: Tx, shop: str, before: str, limit: int) -> list[Order]:
    """Orders of a shop, newest first, with ids smaller than `before` (ids sort by time)."""
    return [_order(row) for row in await tx.fetch(LIST, shop, before, limit)]


async def insert(tx: Tx, order: Order) -> bool:
    """Write a new order; False when the shop's number (or the id) is already taken."""
    return await tx.fetchval(INSERT, *msgspec.structs.astuple(order), seal(order)) is not None


async def insert_many(tx: Tx, some: Sequence[Order]) -> None:
    """Write new orders. Raises asyncpg's UniqueViolationError when a number was taken meanwhile."""
    rows = [(*msgspec.structs.astuple(order), seal(order)) for order in some]
    await tx.copy_records_to_table("orders", records=rows, columns=_ROW)


async def update(tx: Tx, changes: Sequence[tuple[Order, Order]]) -> None:
    """Write (before, after) pairs. Raises BrokenPromise when a row is not as it was locked."""
    if not changes:
        return
    rows = [
        (b.id, b.state, b.event_seq, a.state, a.paid_by, a.event_seq, a.chain, a.updated_at, seal(a))
        for b, a in changes
    ]
    tag = await tx.execute(UPDATE, *map(list, zip(*rows, strict=True)))
    written = int(tag.removeprefix("UPDATE "))
    if written != len(rows):
        raise BrokenPromise(f"{len(rows) - written} of {len(rows)} orders changed under their lock")
