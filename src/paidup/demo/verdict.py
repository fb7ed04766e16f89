"""The verdict: the sandbox's ledger of truth, our database and what the shop heard, compared order by order."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from paidup.db.transaction import Database
from paidup.demo.shop import HOT_ITEM, Shop

# The decision that made each payment paid: by which road it came, and when.
HEALED = """
SELECT DISTINCT ON (d.payment_id) d.payment_id, d.road, p.merchant_ref, d.decided_at FROM decisions d
JOIN payments p ON p.id = d.payment_id
WHERE d.outcome = 'applied' AND d.after LIKE '%payment paid%' AND d.before NOT LIKE '%payment paid%'
ORDER BY d.payment_id, d.decided_at"""

PAID = "SELECT merchant_ref FROM payments WHERE state IN ('paid', 'disputed', 'charged_back')"

ORDERS = "SELECT id FROM orders WHERE state = 'paid'"


UNITS = """
SELECT available, reserved, sold,
  (SELECT coalesce(sum(quantity), 0)::bigint FROM stock_movements WHERE kind = 'restock') AS units,
  (SELECT coalesce(sum(r.quantity), 0)::bigint FROM reservations r JOIN orders o ON o.id = r.order_id
    WHERE o.state = 'paid') AS paid_for
FROM skus WHERE sku = $1"""


class HotItem(msgspec.Struct, frozen=True, kw_only=True):
    """Where the units of the hot item are. paid_for: those of paid orders."""

    buyers: int
    turned_away: int
    units: int
    available: int
    reserved: int
    sold: int
    paid_for: int

    @property
    def oversold(self) -> int:
        """Units that were promised and are not there."""
        return max(0, self.reserved + self.sold - self.units)

    @property
    def adds_up(self) -> bool:
        """No unit is lost or sold twice, and each one that is sold is paid for."""
        sums = self.available + self.reserved + self.sold == self.units
        return sums and self.oversold == 0 and self.available >= 0 and self.sold == self.paid_for


class Road(msgspec.Struct, frozen=True):
    """How many payments one road brought, and how many seconds after the money moved."""

    road: str
    payments: int
    p50_s: float
    p95_s: float
    worst_s: float


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of the whole run; `lost` and `doubled` name up to ten payments or orders."""

    paid_at_channel: int
    paid_here: int
    orders_paid: int
    told_to_shop: int
    lost: list[str]
    untold: list[str]
    doubled: int
    invented: list[str]
    roads: list[Road]
    healed_example: str | None
    hot_item: HotItem

    @property
    def holds(self) -> bool:
        """Paid at the channel = paid here = told to the shop, nothing lost, doubled, invented or oversold."""
        return self.hot_item.adds_up and not (self.lost or self.untold or self.invented or self.doubled)


async def compare(db: Database, truth: Iterable[Mapping[str, Any]], shop: Shop) -> Verdict:
    """truth: the sandbox's trades, each with merchant_ref and paid_at (None while unpaid)."""
    moved_at = {
        str(trade["merchant_ref"]): datetime.fromisoformat(trade["paid_at"])
        for trade in truth
        if trade["paid_at"] is not None
    }
    async with db.session() as tx:
        paid_here = {row["merchant_ref"] for row in await tx.fetch(PAID)}
        orders = {row["id"] for row in await tx.fetch(ORDERS)}
        healed = await tx.fetch(HEALED)
        units = await tx.fetchrow(UNITS, HOT_ITEM)
    by_query = [row for row in healed if row["road"] == "query"]
    return Verdict(
        paid_at_channel=len(moved_at),
        paid_here=len(paid_here),
        orders_paid=len(orders),
        told_to_shop=len(shop.told),
        lost=sorted(moved_at.keys() - paid_here)[:10],
        untold=sorted(orders - shop.told.keys())[:10],
        doubled=shop.doubled(),
        invented=sorted(paid_here - moved_at.keys())[:10],
        roads=_roads(
            (row["road"], (row["decided_at"] - moved_at[row["merchant_ref"]]).total_seconds())
            for row in healed
            if row["merchant_ref"] in moved_at
        ),
        healed_example=by_query[len(by_query) // 2]["payment_id"] if by_query else None,
        hot_item=HotItem(buyers=shop.hot_buyers, turned_away=shop.turned_away, **dict(units or {})),
    )


def _roads(rows: Iterable[tuple[str, float]]) -> list[Road]:
    delays: dict[str, list[float]] = {}
    for road, seconds in rows:
        delays.setdefault(road, []).append(seconds)
    return [_road(road, sorted(seconds)) for road, seconds in sorted(delays.items())]


def _road(road: str, seconds: list[float]) -> Road:
    count = len(seconds)
    return Road(road, count, seconds[count // 2], seconds[min(count - 1, count * 95 // 100)], seconds[-1])
