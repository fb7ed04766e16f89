"""Mend what `verify` finds wrong with the stock: counters follow the journal again; for the rest a person is called."""

from collections.abc import Sequence
from datetime import datetime

from paidup import ids, log
from paidup.cases import store as cases
from paidup.db.transaction import Tx
from paidup.inventory import store as inventory
from paidup.inventory.sku import Sku
from paidup.orders import store as orders

CASE = "stock_differs"


async def recount(tx: Tx, shop: str, sku: str, now: datetime) -> bool:
    """Set the counters of an article to the sums of its journal, which is the truth; False if they are already."""
    before = (await inventory.lock(tx, [(shop, sku)])).get((shop, sku))
    if before is None:
        return False
    after = await inventory.sums(tx, before, now)
    if (after.available, after.reserved, after.sold) == (before.available, before.reserved, before.sold):
        return False
    await inventory.count(tx, [after])
    log.warning("stock.recounted", shop=shop, sku=sku, before=_said(before), after=_said(after))
    return True


def _said(sku: Sku) -> str:
    return f"available {sku.available}, reserved {sku.reserved}, sold {sku.sold}"


async def call_person(tx: Tx, order_ids: Sequence[str], now: datetime) -> list[str]:
    """Open a case for each order whose units are not where its state says, unless one is open; gives the new ones."""
    known = {order.id: order for order in await orders.get_many(tx, order_ids)}
    why = "its row, its reservation and its movements disagree about its units: see the trace, then stock adjust"
    rows = [
        cases.Case(
            id=ids.new_id(ids.CASE, now), shop=known[name].shop, kind=CASE, subject_id=name, order_id=name, why=why,
            opened_at=now,
        )
        for name in order_ids if name in known
    ]  # fmt: skip
    opened = await cases.open_many(tx, rows)
    return [row.subject_id for row in rows if row.id in opened]
