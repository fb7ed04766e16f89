"""What is watched now: every unfinished payment and refund, soonest question first."""

from datetime import timedelta

from starlette.responses import Response

from paidup.console.gate import Visit
from paidup.console.pages import page
from paidup.hand import watched

PAGE = 50
OVERDUE = timedelta(minutes=2)
"""A question that waits for so long after its time is late: workers ask within seconds."""


async def show(visit: Visit) -> Response:
    """All, those of one account, or those whose question is late."""
    now = visit.context.clock.now()
    late = visit.query("late") == "yes"
    asked = {name: visit.query(name) for name in ("channel", "account")}
    where = {name: value for name, value in asked.items() if value}
    async with visit.context.db.session() as tx:
        rows = await watched.page(
            tx, PAGE, after=visit.query("after") or None, before=now - OVERDUE if late else None, **where
        )  # fmt: skip
    more = rows[-1].mark if len(rows) == PAGE else ""
    values = {"rows": rows, "late": late, "where": where, "named": asked, "more": more}
    return page(visit.visitor, now, "watched.html", values)
