"""The claims about stock: the counters follow from the journal, and the journal from the orders."""

from datetime import datetime

from paidup.db.transaction import Database
from paidup.verify.check import Check
from paidup.verify.whole import Claim, check

_SUMS = """
  coalesce(sum(CASE kind WHEN 'reserve' THEN -quantity WHEN 'confirm' THEN 0 ELSE quantity END), 0) AS available,
  coalesce(sum(CASE kind WHEN 'reserve' THEN quantity WHEN 'confirm' THEN -quantity WHEN 'release' THEN -quantity
    ELSE 0 END), 0) AS reserved,
  coalesce(sum(CASE kind WHEN 'confirm' THEN quantity WHEN 'return' THEN -quantity ELSE 0 END), 0) AS sold"""

# Articles are few, and one hot one may have most of the movements: whoever verifies a part looks at all counters, too.
COUNTERS = Claim(
    "stock",
    "available, reserved and sold of each SKU are the sums of its journal; no unit was sold that was not there",
    """
    SELECT count(*) AS skus, coalesce(sum(available + reserved + sold), 0) AS units,
      coalesce(sum(available), 0) AS available, coalesce(sum(reserved), 0) AS reserved, coalesce(sum(sold), 0) AS sold,
      coalesce(sum(greatest(-(available + preorder_limit), 0)) FILTER (WHERE NOT unlimited), 0) AS oversold
    FROM skus WHERE $1::timestamptz IS NOT NULL""",
    f"""
    SELECT s.shop || '/' || s.sku FROM skus s
    LEFT JOIN (SELECT shop, sku, {_SUMS} FROM stock_movements GROUP BY shop, sku) j ON j.shop = s.shop AND j.sku = s.sku
    WHERE $1::timestamptz IS NOT NULL AND (
      (s.available, s.reserved, s.sold)
        IS DISTINCT FROM (coalesce(j.available, 0), coalesce(j.reserved, 0), coalesce(j.sold, 0))
      OR s.reserved < 0 OR s.sold < 0 OR NOT s.unlimited AND s.available + s.preorder_limit < 0)
    UNION ALL SELECT DISTINCT m.shop || '/' || m.sku FROM stock_movements m
      WHERE NOT EXISTS (SELECT FROM skus s WHERE s.shop = m.shop AND s.sku = m.sku)""",
)

# What each state of an order allows. A paid order without its units is a case of its own, of which a person was told.
_AGREES = """
  CASE o.state WHEN 'unpaid' THEN r.state = 'held' WHEN 'closing' THEN r.state = 'held'
    WHEN 'closed' THEN r.state = 'released' WHEN 'refunded' THEN r.state IN ('sold', 'returned')
    WHEN 'paid' THEN r.state = 'sold' OR r.state = 'returned'
      AND EXISTS (SELECT FROM cases c WHERE c.kind = 'stock_gone' AND c.subject_id = o.id)
  END"""

ORDERS = Claim(
    "stock of orders",
    "an order's units are held while it may be paid, sold when it is, on sale again when it is closed: by its row, its "
    "reservation and its journal alike",
    """
    SELECT count(DISTINCT order_id) AS orders, coalesce(sum(quantity) FILTER (WHERE state = 'held'), 0) AS held,
      coalesce(sum(quantity) FILTER (WHERE state = 'sold'), 0) AS sold,
      coalesce(sum(quantity) FILTER (WHERE state = 'released'), 0) AS released,
      coalesce(sum(quantity) FILTER (WHERE state = 'returned'), 0) AS returned
    FROM reservations WHERE updated_at >= $1""",
    f"""
    SELECT r.order_id FROM reservations r LEFT JOIN orders o ON o.id = r.order_id
    WHERE (r.updated_at >= $1 OR o.updated_at >= $1) AND (o.id IS NULL OR o.shop <> r.shop OR NOT {_AGREES})
    UNION ALL
    SELECT coalesce(r.order_id, j.order_id) FROM (SELECT * FROM reservations WHERE updated_at >= $1) r
    FULL JOIN (
      SELECT order_id, shop, sku, {_SUMS} FROM stock_movements WHERE order_id IN (
        SELECT order_id FROM stock_movements WHERE at >= $1 AND order_id IS NOT NULL
        UNION SELECT order_id FROM reservations WHERE updated_at >= $1)
      GROUP BY order_id, shop, sku) j
      ON j.order_id = r.order_id AND j.sku = r.sku AND j.shop = r.shop
    WHERE (coalesce(j.available, 0), coalesce(j.reserved, 0), coalesce(j.sold, 0)) IS DISTINCT FROM (
      CASE WHEN r.state IN ('held', 'sold') THEN -r.quantity ELSE 0 END,
      CASE WHEN r.state = 'held' THEN r.quantity ELSE 0 END,
      CASE WHEN r.state = 'sold' THEN r.quantity ELSE 0 END) OR r.order_id IS NULL""",
)


async def check_stock(db: Database, since: datetime | None = None) -> list[Check]:
    """Both claims."""
    return [await check(db, claim, since) for claim in (COUNTERS, ORDERS)]
