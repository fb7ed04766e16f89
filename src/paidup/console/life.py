"""The life of a payment: one sentence, what comes next, what may be done by hand, and everything that happened."""

from starlette.responses import Response

from paidup.console.deed import actor
from paidup.console.gate import Visit
from paidup.console.pages import page
from paidup.console.scenes import scenes
from paidup.db.transaction import Tx
from paidup.delivery import attempts
from paidup.diagnosis.verdict import Diagnosis, Said
from paidup.errors import NotFound
from paidup.hand import deeds
from paidup.hand.detail import Detail, detail_of
from paidup.intake import inbox
from paidup.outbox import store as outbox
from paidup.people import audit
from paidup.trace.bills import beside_bills
from paidup.trace.standing import stand

_NOBODY_PAID = frozenset(
    {Diagnosis.NOT_STARTED, Diagnosis.NOT_OPENED, Diagnosis.DECLINED, Diagnosis.NOT_PAID_YET, Diagnosis.CLOSED}
)
_SAYS_PAID = Said(
    "If the customer's app shows it as paid, ask for the number there and search for it: it may be another order's."
)
TONES = {
    Diagnosis.PAID: "good",
    Diagnosis.REFUNDED: "plain",
    Diagnosis.CLOSED: "plain",
    Diagnosis.HELD: "bad",
    Diagnosis.CALLBACK_STUCK: "bad",
    Diagnosis.UNANSWERED: "bad",
    Diagnosis.CHANNEL_AWAY: "bad",
}


async def show(visit: Visit) -> Response:
    """The page of an order."""
    order_id = visit.request.path_params["order_id"]
    async with visit.context.db.session() as tx:
        story = await stand(tx, order_id)
        if story is None:
            raise NotFound(f"there is no order {order_id[:60]}; search for any other number of it")
        callback_ids = list({d.callback_id for d in story.facts.decisions if d.callback_id})
        folds = scenes(
            story.facts,
            await inbox.get_many(tx, callback_ids),
            await outbox.of_order(tx, order_id, since=story.facts.order.since),
            await attempts.attempts_of(tx, order_id, since=story.facts.order.since),
            await audit.of_order(tx, order_id),
            await beside_bills(tx, story.facts),
        )
    values = {
        "facts": story.facts,
        "order": story.facts.order,
        "verdict": story.verdict,
        "tone": TONES.get(story.verdict.diagnosis, "warn"),
        "folds": folds,
        "advice": _SAYS_PAID if story.verdict.diagnosis in _NOBODY_PAID else None,
        "began": folds[0].scenes[0].at,
        "done": visit.query("done"),
        "can_resend": any(
            d.state in ("dead", "skipped") or (d.state == "delivered" and not d.applied_at)
            for d in story.facts.deliveries
        ),
    }
    return page(visit.visitor, visit.context.clock.now(), "life.html", values)


async def detail(visit: Visit) -> Response:
    """What stands behind one scene, personal data masked."""
    async with visit.context.db.session() as tx:
        found = await _detail(visit, tx)
    return _detail_page(visit, found, masked=True)


async def reveal(visit: Visit) -> Response:
    """The same with nothing masked; that somebody looked stands in the audit."""
    params = visit.request.path_params
    found = await deeds.reveal_detail(
        visit.context.desk, actor(visit), params["order_id"], params["kind"], params["id"], why=visit.form.text("why")
    )
    return _detail_page(visit, found, masked=False)


async def _detail(visit: Visit, tx: Tx) -> Detail:
    params = visit.request.path_params
    return await detail_of(tx, params["order_id"], params["kind"], params["id"])


def _detail_page(visit: Visit, found: Detail, *, masked: bool) -> Response:
    template = "detail_part.html" if visit.request.headers.get("hx-request") else "detail.html"
    params = visit.request.path_params
    values = {
        "detail": found.masked() if masked else found,
        "is_masked": masked and found.masked() != found,
        "order_id": params["order_id"],
        "path": f"/orders/{params['order_id']}/{params['kind']}/{params['id']}",
    }
    return page(visit.visitor, visit.context.clock.now(), template, values)
