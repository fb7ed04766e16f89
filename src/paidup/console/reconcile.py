"""对账: the days that were laid beside the channels' bills, what differs, and what people do about it."""

from starlette.responses import Response

from paidup.console.deed import actor, after
from paidup.console.gate import Visit
from paidup.console.pages import page
from paidup.db.transaction import Tx
from paidup.errors import NotFound
from paidup.people import audit
from paidup.people.user import Right, must_may
from paidup.reconcile import people, runs, store
from paidup.reconcile.breaks import Break
from paidup.reconcile.rules import Rules, read_rules
from paidup.reconcile.states import UNSETTLED

DAYS, PAGE = 30, 50


async def days(visit: Visit) -> Response:
    """The latest days, and the breaks that are not settled."""
    with_settled = visit.query("all") == "yes"
    wanted = store.Filter(
        states=None if with_settled else tuple(UNSETTLED),
        kinds=(visit.query("kind"),) if visit.query("kind") else None,
        after=visit.query("after") or None,
    )
    async with visit.context.db.session() as tx:
        found = await runs.page(tx, None, DAYS)
        breaks = await store.page(tx, wanted, PAGE)
    more = f"{breaks[-1].day.isoformat()}_{breaks[-1].id}" if len(breaks) == PAGE else ""
    values = {"runs": found, "breaks": breaks, "all": with_settled, "more": more}
    return page(visit.visitor, visit.context.clock.now(), "reconcile.html", values)


async def one(visit: Visit) -> Response:
    """One break: both sides, why, what to do, and what happened to it."""
    async with visit.context.db.session() as tx:
        broken = await _break(visit, tx)
        steps = await store.steps_of(tx, broken.id)
        agreed = await store.approvals(tx, broken)
    values = {
        "broken": broken, "steps": steps, "agreed": agreed, "needed": _rules(visit, broken).approvers,
        "done": visit.query("done"), "settled": broken.state not in UNSETTLED,
    }  # fmt: skip
    return page(visit.visitor, visit.context.clock.now(), "break.html", values)


async def decide(visit: Visit) -> Response:
    """Agree to the repair, or say how it was settled."""
    assert visit.visitor.user is not None  # noqa: S101  the gate let nobody else in
    why, now = visit.form.needed("why", "why"), visit.context.clock.now()
    agrees = visit.form.text("deed") == "agree"
    must_may(visit.visitor.user, Right.APPROVE if agrees else Right.MONEY)
    async with visit.context.db.transaction() as tx:
        broken = await _break(visit, tx)
        if agrees:
            agreement = await people.approve(
                tx, broken.id, shop=None, who=visit.who, why=why, rules=_rules(visit, broken), now=now,
                payment_id=visit.form.text("payment_id") or None,
            )  # fmt: skip
            after_state = f"{len(agreement.approved_by)} of {agreement.needed} agreed"
        else:
            after_state = (await people.resolve(tx, broken.id, shop=None, who=visit.who, why=why, now=now)).state
        await audit.write(
            tx, actor(visit), "break.agreed" if agrees else "break.resolved", now, shop=broken.shop,
            subject_id=broken.id, order_id=broken.order_id, why=why, before=broken.state, after=after_state,
        )  # fmt: skip
    visit.context.wake()
    return after(visit, f"/reconcile/{broken.id}", "done")


async def _break(visit: Visit, tx: Tx) -> Break:
    found = await store.get(tx, [visit.request.path_params["break_id"]])
    if not found:
        raise NotFound("there is no such break; the list shows those that are not settled")
    return found[0]


def _rules(visit: Visit, broken: Break) -> Rules:
    settings = visit.context.settings
    return read_rules(settings.reconcile_rules or settings.data / "reconcile.toml").of(broken.channel, broken.account)
