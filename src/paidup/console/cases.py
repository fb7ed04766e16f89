"""Cases and approvals: what a person must decide, and what a second one must agree to."""

from starlette.responses import Response

from paidup.cases import store as cases
from paidup.console.deed import actor, after
from paidup.console.gate import Visit
from paidup.console.pages import page
from paidup.errors import NotFound
from paidup.hand import approve as approving
from paidup.hand import deeds
from paidup.people import approvals

PAGE = 50
_PLACES = {
    "reconcile_breaks": ("/reconcile", "Reconcile"),
    "no_bill": ("/reconcile/bills", "Bills"),
    "bill_refused": ("/reconcile/bills", "Bills"),
    "bill_too_different": ("/reconcile", "Reconcile"),
    "bill_no_room": ("/reconcile", "Reconcile"),
    "silent_channel": ("/channels", "Channels"),
    "poisoned_callback": ("/callbacks?state=poisoned", "Callbacks"),
    "transaction_stuck": ("/stock", "Stock"),
    "transaction_differs": ("/stock", "Stock"),
    "stock_differs": ("/stock", "Stock"),
}
"""Where the work of a case is done that is not about one order: kind → page and its name in the menu."""


async def worklist(visit: Visit) -> Response:
    """Open cases, newest first."""
    kind, with_resolved = visit.query("kind") or None, visit.query("all") == "yes"
    async with visit.context.db.session() as tx:
        found = await cases.page(
            tx, None, PAGE, with_resolved=with_resolved, before=visit.query("before") or None, kind=kind
        )
    values = {"cases": found, "kind": kind, "all": with_resolved, "more": found[-1].id if len(found) == PAGE else ""}
    return page(visit.visitor, visit.context.clock.now(), "cases.html", values)


async def case(visit: Visit) -> Response:
    """One case, and what was written beside it."""
    case_id = visit.request.path_params["case_id"]
    async with visit.context.db.session() as tx:
        found = await cases.get(tx, case_id)
        comments = await cases.comments(tx, case_id)
    if found is None:
        raise NotFound(f"there is no case {case_id[:60]}")
    values = {"case": found, "comments": comments, "done": visit.query("done"), "place": _PLACES.get(found.kind)}
    return page(visit.visitor, visit.context.clock.now(), "case.html", values)


async def work(visit: Visit) -> Response:
    """Claim, comment or resolve."""
    case_id, deed = visit.request.path_params["case_id"], visit.form.text("deed")
    desk, who = visit.context.desk, actor(visit)
    if deed == "claim":
        await deeds.claim(desk, who, case_id)
    elif deed == "resolve":
        await deeds.resolve(desk, who, case_id, visit.form.needed("said", "what was decided"))
    else:
        await deeds.comment(desk, who, case_id, visit.form.needed("said", "a comment"))
    return after(visit, f"/cases/{case_id}", "done")


async def waiting(visit: Visit) -> Response:
    """What waits for a second person."""
    with_decided = visit.query("all") == "yes"
    async with visit.context.db.session() as tx:
        found = await approvals.page(
            tx, None, PAGE, with_decided=with_decided, before=visit.query("before") or None
        )  # fmt: skip
    values = {"approvals": found, "all": with_decided, "more": found[-1].id if len(found) == PAGE else ""}
    return page(visit.visitor, visit.context.clock.now(), "approvals.html", values)


async def approval(visit: Visit) -> Response:
    """One request: what will happen when somebody agrees."""
    async with visit.context.db.session() as tx:
        found = await approvals.lock(tx, visit.request.path_params["approval_id"])
    values = {"asked": found, "done": visit.query("done"), "own": found.asked_by == visit.who}
    return page(visit.visitor, visit.context.clock.now(), "approval.html", values)


async def decide(visit: Visit) -> Response:
    """Agree or refuse. Who asked may only take it back."""
    approval_id, why = visit.request.path_params["approval_id"], visit.form.needed("why", "why")
    if visit.form.text("deed") == "approve":
        done = await approving.approve(visit.context.desk, actor(visit), approval_id, why)
        return after(visit, f"/approvals/{approval_id}", done)
    await approving.refuse(visit.context.desk, actor(visit), approval_id, why)
    return after(visit, f"/approvals/{approval_id}", "refused")
