"""One search: any number, the end of one, or an amount with the time at which the customer says they paid."""

from urllib.parse import quote

from starlette.responses import Response

from paidup.console.gate import Visit
from paidup.console.pages import go, page
from paidup.db.transaction import Tx
from paidup.intake import inbox, quarantine
from paidup.orders import store as orders
from paidup.trace.find import find, search

MAX_CHARS = 255


async def show(visit: Visit) -> Response:
    """Straight to the one that fits; a list of several; or what to do when nothing does."""
    sought = visit.query("q")[:MAX_CHARS]
    now = visit.context.clock.now()
    if not sought:
        return go(visit.visitor, "/")
    async with visit.context.db.session() as tx:
        elsewhere = await _elsewhere(tx, sought)
        if elsewhere:
            return go(visit.visitor, elsewhere)
        found = await search(tx, sought, now, visit.visitor.zone)
        rows = sorted(await orders.get_many(tx, found.order_ids), key=lambda order: order.created_at, reverse=True)
    if len(rows) == 1:
        return go(visit.visitor, f"/orders/{rows[0].id}")
    return page(visit.visitor, now, "search.html", {"sought": sought, "orders": rows, "amount": found.amount})


async def _elsewhere(tx: Tx, sought: str) -> str:
    """The page of what belongs to no order yet: a callback that waits, or one in quarantine."""
    if sought.startswith("qua") and await quarantine.get(tx, sought):
        return f"/callbacks/quarantine/{quote(sought)}"
    if sought.startswith("cbk") and not await find(tx, sought) and await inbox.get(tx, sought):
        return f"/callbacks/{quote(sought)}"
    return ""
