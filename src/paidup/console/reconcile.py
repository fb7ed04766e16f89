"""对账: the days that were laid beside the channels' bills, what differs, and what people do about it."""

from starlette.responses import Response

from paidup.console.deed import actor, after
from paidup.console.gate import Visit
from paidup.console.pages import page
from paidup.db.transaction import Tx
from paidup.errors import NotFound
from paidup.finance.words import Language, next_step
from paidup.hand import breaks as hand
from paidup.reconcile import break_repairs, break_steps, runs, store
from paidup.reconcile.breaks import Break, Kind
from paidup.reconcile.propose import testimony
from paidup.reconcile.states import UNSETTLED, State
from paidup.web.reconcile import cursor

DAYS, PAGE = 30, 50


async def days(visit: Visit) -> Response:
    """The latest days, and the breaks that are not settled."""
    with_settled = visit.query("all") == "yes"
    wanted = store.Filter(
        states=None if with_settled else tuple(UNSETTLED),
        kinds=(visit.query("kind"),) if visit.query("kind") else None,
        after=cursor(visit.query("after") or None),
    )
    async with visit.context.db.session() as tx:
        found = await runs.page(tx, None, DAYS)
        breaks = await store.page(tx, wanted, PAGE)
    more = f"{breaks[-1].day.isoformat()}_{breaks[-1].id}" if len(breaks) == PAGE else ""
    latest = found[0].day if found else visit.context.clock.now().astimezone(visit.visitor.zone).date()
    values = {"runs": found, "breaks": breaks, "all": with_settled, "more": more, "month": f"{latest:%Y-%m}"}
    return page(visit.visitor, visit.context.clock.now(), "reconcile.html", values)


async def one(visit: Visit) -> Response:
    """One break: both sides, why, what to do, and what happened to it."""
    async with visit.context.db.session() as tx:
        broken = await _break(visit, tx)
        steps = await break_steps.of_break(tx, broken.id)
        agreed = await break_repairs.approvals(tx, broken)
    needed = hand.rules_of(visit.context.desk, broken).approvers
    values = {
        "broken": broken, "steps": steps, "agreed": agreed, "needed": needed, "done": visit.query("done"),
        "settled": broken.state not in UNSETTLED, "next_step": _next_step(visit, broken),
        "is_provable": _is_provable(visit, broken), "may_agree": hand.may_agree(actor(visit), agreed, needed),
    }  # fmt: skip
    return page(visit.visitor, visit.context.clock.now(), "break.html", values)


async def decide(visit: Visit) -> Response:
    """Agree to the repair, or say how it was settled."""
    why, break_id = visit.form.needed("why", "why"), visit.request.path_params["break_id"]
    if visit.form.text("deed") == "agree":
        payment_id = visit.form.text("payment_id") or None
        agreed = await hand.agree(visit.context.desk, actor(visit), break_id, why, payment_id=payment_id)
        done = _became_of(agreed)
    else:
        await hand.resolve(visit.context.desk, actor(visit), break_id, why)
        done = "done"
    visit.context.wake()
    return after(visit, f"/reconcile/{break_id}", done)


def _became_of(agreed: hand.Agreed) -> str:
    if not agreed.is_new:
        return "agreed_before" if agreed.agreement.broken.state in (State.WAITING, State.OPEN) else "already"
    return "agreed_all" if agreed.agreement.is_enough else "agreed_some"


def _is_provable(visit: Visit, broken: Break) -> bool:
    """Whether the bill's word can be booked: it says what was paid, and of which payment is known or can be said."""
    if testimony(broken, visit.context.clock.now()) is not None:
        return True
    return broken.kind is Kind.LONG and broken.what == "payment" and broken.payment_id is None


def _next_step(visit: Visit, broken: Break) -> str:
    """What to do, in the reader's language; empty where nothing is left to do, or the page itself says it."""
    is_done = broken.state not in UNSETTLED or broken.state is State.APPROVED
    return "" if is_done else next_step(Language(visit.visitor.language), broken.kind)


async def _break(visit: Visit, tx: Tx) -> Break:
    found = await store.get(tx, [visit.request.path_params["break_id"]])
    if not found:
        raise NotFound("there is no such break; the list shows those that are not settled")
    return found[0]
