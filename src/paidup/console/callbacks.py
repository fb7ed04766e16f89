"""Callbacks and quarantine, with replay; deliveries and dead letters, with re-drive."""

from datetime import timedelta

from starlette.responses import Response

from paidup.console.deed import Deed, actor, after, reason
from paidup.console.deed import show as show_deed
from paidup.console.gate import Visit
from paidup.console.pages import page
from paidup.delivery import endpoints, shown
from paidup.diagnosis.verdict import Said
from paidup.errors import InvalidRequest, NotFound, Verdict
from paidup.hand import deeds
from paidup.hand.detail import Block, Detail, callback_detail, headers_text, raw_text
from paidup.intake import inbox, quarantine
from paidup.journal import store as journal

PAGE = 50
STATES = ("waiting", "parked", "poisoned")


async def received(visit: Visit) -> Response:
    """The newest callbacks."""
    state = visit.query("state") if visit.query("state") in STATES else None
    channel = visit.query("channel") or None
    known = visit.context.accounts.current.by_name if channel else None
    async with visit.context.db.session() as tx:
        rows = await inbox.page(
            tx, channel, state, PAGE, before=visit.query("before") or None, accounts=known
        )  # fmt: skip
    more = rows[-1]["id"] if len(rows) == PAGE else ""
    values = {"rows": rows, "state": state, "states": STATES, "more": more}
    return page(visit.visitor, visit.context.clock.now(), "callbacks.html", values)


async def callback(visit: Visit) -> Response:
    """One callback: raw, and what was decided on it."""
    callback_id = visit.request.path_params["callback_id"]
    async with visit.context.db.session() as tx:
        row = await inbox.get(tx, callback_id)
        if row is None:
            raise NotFound(f"there is no callback {callback_id[:60]}; raw texts are kept for 90 days")
        decisions = await journal.of_callback(tx, callback_id, since=row["received_at"] - timedelta(days=1))
    values = {"detail": callback_detail(row).masked(), "decisions": decisions, "callback_id": callback_id,
              "done": visit.query("done")}  # fmt: skip
    return page(visit.visitor, visit.context.clock.now(), "callback.html", values)


async def replay_page(visit: Visit) -> Response:
    """Before a callback goes to the door again."""
    callback_id = visit.request.path_params["callback_id"]
    will = [Said("The callback goes to the door again; if it was applied already, nothing changes.")]
    path = f"/callbacks/{callback_id}"
    return show_deed(visit, Deed(
        title="Replay a callback", path=f"{path}/replay", back=path, about=callback_id, will=will, fields=[reason()],
        button="Replay",
    ))  # fmt: skip


async def replay(visit: Visit) -> Response:
    """Send it to the door again."""
    callback_id, why = visit.request.path_params["callback_id"], visit.form.needed("why", "why")
    waits = await deeds.replay_callback(visit.context.desk, actor(visit), callback_id, why)
    return after(visit, f"/callbacks/{callback_id}", "done" if waits else "already")


async def quarantined(visit: Visit) -> Response:
    """What could not be verified."""
    with_replayed = visit.query("all") == "yes"
    async with visit.context.db.session() as tx:
        rows = await quarantine.page(
            tx, None, PAGE, with_replayed=with_replayed, before=visit.query("before") or None
        )  # fmt: skip
    values = {"rows": rows, "all": with_replayed, "more": rows[-1]["id"] if len(rows) == PAGE else ""}
    return page(visit.visitor, visit.context.clock.now(), "quarantine.html", values)


async def refused(visit: Visit) -> Response:
    """One of them, word for word."""
    quarantine_id = visit.request.path_params["quarantine_id"]
    async with visit.context.db.session() as tx:
        kept = await quarantine.get(tx, quarantine_id)
    if kept is None:
        raise NotFound(f"{quarantine_id[:60]} is not in quarantine; it is kept for {quarantine.KEEP_DAYS} days")
    names = ("id", "channel", "account", "source", "verdict", "why", "target")
    facts = [(name, str(getattr(kept, name))) for name in names]
    blocks = [Block("Headers", headers_text(kept.headers)), Block("Body", raw_text(kept.body))]
    detail = Detail("Callback", "", facts, blocks)
    values = {"detail": detail.masked(), "quarantine_id": quarantine_id, "done": visit.query("done")}
    return page(visit.visitor, visit.context.clock.now(), "refused.html", values)


async def replay_refused_page(visit: Visit) -> Response:
    """Before it is verified again."""
    quarantine_id = visit.request.path_params["quarantine_id"]
    will = [
        Said("It is verified again, with today's keys, as of the time it came."),
        Said("If it is valid now, it goes to the door like any other callback; if not, it stays here."),
    ]
    path = f"/callbacks/quarantine/{quarantine_id}"
    return show_deed(visit, Deed(
        title="Replay from quarantine", path=f"{path}/replay", back=path, about=quarantine_id, will=will,
        fields=[reason()], button="Verify again",
    ))  # fmt: skip


async def replay_refused(visit: Visit) -> Response:
    """Verify it again."""
    quarantine_id, why = visit.request.path_params["quarantine_id"], visit.form.needed("why", "why")
    verdict = await deeds.replay_quarantined(visit.context.desk, actor(visit), quarantine_id, why)
    code = "accepted" if verdict is Verdict.VALID else "still_refused"
    return after(visit, f"/callbacks/quarantine/{quarantine_id}", code)


async def told(visit: Visit) -> Response:
    """Endpoints, and what was given up for one of them."""
    wanted, after_id = visit.query("endpoint"), visit.query("after")
    async with visit.context.db.session() as tx:
        known = await endpoints.list_endpoints(tx)
        start = int(after_id) if after_id.isascii() and after_id.isdigit() and len(after_id) < 18 else 0
        rows = await shown.list_given_up(tx, wanted, after_id=start, limit=PAGE) if wanted else []
    values = {
        "endpoints": known, "wanted": wanted, "rows": rows, "done": visit.query("done"),
        "more": str(rows[-1].id) if len(rows) == PAGE else "",
    }  # fmt: skip
    return page(visit.visitor, visit.context.clock.now(), "deliveries.html", values)


async def redrive(visit: Visit) -> Response:
    """Send the ticked ones again, or all of an endpoint."""
    why, wanted = visit.form.needed("why", "why"), visit.form.text("endpoint")
    desk, who = visit.context.desk, actor(visit)
    if visit.form.text("deed") == "all":
        await deeds.resend_endpoint(desk, who, wanted, why)
    else:
        ticked = [int(text) for text in visit.form.texts("id") if text.isascii() and text.isdigit() and len(text) < 18]
        if not ticked:
            raise InvalidRequest("tick the deliveries to send again")
        await deeds.resend(desk, who, ticked, why)
    visit.context.wake()
    return after(visit, "/deliveries", "done")
