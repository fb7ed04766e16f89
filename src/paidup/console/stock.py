"""Stock and transactions: what can be sold and what is set aside; transactions across services that have not ended."""

from starlette.responses import Response

from paidup.console.gate import Visit
from paidup.console.pages import page
from paidup.inventory import store as inventory
from paidup.transactions import store as transactions
from paidup.transactions.show import summary

PAGE = 50


async def show(visit: Visit) -> Response:
    """Articles in the order they were made, and unfinished transactions, the oldest first."""
    now = visit.context.clock.now()
    async with visit.context.db.session() as tx:
        in_trouble = visit.query("trouble") == "yes"
        shown = inventory.in_trouble if in_trouble else inventory.page
        skus = await shown(tx, None, visit.query("after"), PAGE)
        unfinished = await transactions.unfinished(tx, None, None, visit.query("xafter") or None, PAGE)
    values = {
        "skus": skus,
        "in_trouble": in_trouble,
        "transactions": [summary(one, now) for one in unfinished],
        "more": skus[-1].id if len(skus) == PAGE else "",
        "xmore": unfinished[-1].id if len(unfinished) == PAGE else "",
    }
    return page(visit.visitor, now, "stock.html", values)
