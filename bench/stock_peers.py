"""What one writes by hand to sell the last units once: one transaction, or one statement, per buyer.

Three ways, each better than the one before: look first and lock the row meanwhile; take the row last; one statement.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from paidup import ids
from paidup.db.transaction import Database

ORDER = """
INSERT INTO orders (id, shop, shop_order_no, amount_minor, currency, state, late_payment, created_at, expires_at,
  updated_at) VALUES ($1, $2, $3, 1250, 'CNY', 'unpaid', 'reopen', $4, $5, $4)"""

LOOK = "SELECT available FROM skus WHERE shop = $1 AND sku = $2 FOR UPDATE"

TAKE = """
UPDATE skus SET available = available - 1, reserved = reserved + 1, updated_at = $3
WHERE shop = $1 AND sku = $2 AND available >= 1"""

RESERVATION = """
INSERT INTO reservations (order_id, sku, shop, quantity, state, restock_refunded, created_at, updated_at)
VALUES ($1, $2, $3, 1, 'held', false, $4, $4)"""

MOVEMENT = """
INSERT INTO stock_movements (at, shop, sku, kind, quantity, order_id) VALUES ($1, $2, $3, 'reserve', 1, $4)"""

AT_ONCE = """
WITH taken AS (
  UPDATE skus SET available = available - 1, reserved = reserved + 1, updated_at = $4
  WHERE shop = $2 AND sku = $6 AND available >= 1 RETURNING id),
placed AS (
  INSERT INTO orders (id, shop, shop_order_no, amount_minor, currency, state, late_payment, created_at, expires_at,
    updated_at) SELECT $1, $2, $3, 1250, 'CNY', 'unpaid', 'reopen', $4, $5, $4 FROM taken),
held AS (
  INSERT INTO reservations (order_id, sku, shop, quantity, state, restock_refunded, created_at, updated_at)
  SELECT $1, $6, $2, 1, 'held', false, $4, $4 FROM taken)
INSERT INTO stock_movements (at, shop, sku, kind, quantity, order_id) SELECT $4, $2, $6, 'reserve', 1, $1 FROM taken"""

Buy = Callable[[int], Awaitable[object]]


def look_first(db: Database, shop: str, sku: str, now: datetime) -> Buy:
    """Lock the row, look whether there is enough, then write all of it: as most shops do."""

    async def buy(n: int) -> object:
        order_id = ids.new_id(ids.ORDER, now)
        async with db.transaction() as tx:
            if await tx.fetchval(LOOK, shop, sku) < 1:
                return None
            await tx.execute(TAKE, shop, sku, now)
            await tx.execute(ORDER, order_id, shop, f"{sku}-{n}", now, now + timedelta(hours=2))
            await tx.execute(RESERVATION, order_id, sku, shop, now)
            return await tx.execute(MOVEMENT, now, shop, sku, order_id)

    return buy


def take_last(db: Database, shop: str, sku: str, now: datetime) -> Buy:
    """The order, then the row if there is enough, then what was moved. The row is locked as late as may be."""

    async def buy(n: int) -> object:
        order_id = ids.new_id(ids.ORDER, now)
        async with db.transaction() as tx:
            await tx.execute(ORDER, order_id, shop, f"{sku}-{n}", now, now + timedelta(hours=2))
            await tx.execute(RESERVATION, order_id, sku, shop, now)
            await tx.execute(MOVEMENT, now, shop, sku, order_id)
            return await tx.execute(TAKE, shop, sku, now)

    return buy


def in_one_statement(db: Database, shop: str, sku: str, now: datetime) -> Buy:
    """All of it in one round trip that commits by itself."""

    async def buy(n: int) -> object:
        order_id = ids.new_id(ids.ORDER, now)
        return await db.write(AT_ONCE, order_id, shop, f"{sku}-{n}", now, now + timedelta(hours=2), sku)

    return buy
