"""对账: the channels' bills as they are kept, and the form by which finance brings one that could not be fetched."""

from datetime import timedelta

from starlette.responses import Response

from paidup.channels.bill import BillKind
from paidup.console.deed import actor
from paidup.console.gate import Visit
from paidup.console.pages import go, page
from paidup.errors import InvalidRequest
from paidup.reconcile import bills
from paidup.reconcile.upload import Claims, FileRefused
from paidup.web.bills import handed_out, parties, receive

PAGE = 30
_FIELDS = ("account", "day", "kind", "mapping", "sha1")


async def show(visit: Visit) -> Response:
    """The form, and the latest bills with what reading them said."""
    async with visit.context.db.session() as tx:
        found = await bills.page(tx, None, PAGE)
    yesterday = visit.context.clock.now().astimezone(visit.visitor.zone).date() - timedelta(days=1)
    values = {
        "bills": found,
        "accounts": [party.name for party in parties(visit.context)],
        "kinds": list(BillKind),
        "done": visit.query("done"),
        "yesterday": yesterday,
        "max_mb": visit.context.uploads.max_bytes >> 20,
    }
    return page(visit.visitor, visit.context.clock.now(), "bills.html", values)


async def file(visit: Visit) -> Response:
    """The file of a bill as it came; who took it stands in the audit."""
    return await handed_out(visit.context, visit.request.path_params["bill_id"], actor(visit), None)


async def take(visit: Visit) -> Response:
    """Keep and read the file; the list then shows what reading it said."""
    sent = visit.form.sent
    if sent is None or not sent.file_name:
        raise InvalidRequest("choose a file first")
    claims = Claims(file_name=sent.file_name, **{name: sent.fields.get(name, "").strip() for name in _FIELDS})
    try:
        await receive(visit.context, claims, sent, actor(visit), None)
    except FileRefused:
        return go(visit.visitor, "/reconcile/bills?done=refused_file")
    return go(visit.visitor, "/reconcile/bills?done=uploaded")
