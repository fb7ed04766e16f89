"""Channels, audit, settings, users."""

from starlette.responses import Response

from paidup.console.deed import actor, after
from paidup.console.gate import Visit
from paidup.console.pages import page
from paidup.errors import InvalidRequest
from paidup.hand import golive
from paidup.hand.accounts import standings
from paidup.people import admin, audit, store
from paidup.people.user import Role
from paidup.settings import effective

PAGE = 100


async def channels(visit: Visit) -> Response:
    """Health, budget, breaker, alarm, keys."""
    return await _channels_page(visit, None)


async def check_channel(visit: Visit) -> Response:
    """Is this account ready to go live?"""
    channel, name = visit.request.path_params["channel"], visit.request.path_params["account"]
    findings = await golive.check(visit.context.desk, actor(visit), channel, name)
    return await _channels_page(visit, (f"{channel}/{name}", findings))


async def _channels_page(visit: Visit, checked: tuple[str, list[golive.Finding]] | None) -> Response:
    context = visit.context
    values = {
        "accounts": await standings(context.desk), "checked": checked, "rate": context.settings.query_budget_per_s,
        "error": context.accounts.error or "",
    }  # fmt: skip
    return page(visit.visitor, context.clock.now(), "channels.html", values)


async def journal(visit: Visit) -> Response:
    """Who did what by hand."""
    who, action = visit.query("who") or None, visit.query("action") or None
    async with visit.context.db.session() as tx:
        rows = await audit.page(tx, who=who, action=action, before=visit.query("before") or None, limit=PAGE)
    values = {"rows": rows, "who": who or "", "action": action or "", "more": rows[-1].id if len(rows) == PAGE else ""}
    return page(visit.visitor, visit.context.clock.now(), "audit.html", values)


async def settings(visit: Visit) -> Response:
    """What is effective, and from where."""
    values = {"rows": effective(visit.context.settings)}
    return page(visit.visitor, visit.context.clock.now(), "settings.html", values)


async def users(visit: Visit) -> Response:
    """Who may sign in."""
    return await _users_page(visit, "")


async def change_user(visit: Visit) -> Response:
    """Add, give another role, disable, reset; a link is shown once."""
    context, form, now = visit.context, visit.form, visit.context.clock.now()
    name, deed = form.needed("name", "a name").lower(), form.text("deed")
    who, token = actor(visit), ""
    async with context.db.transaction() as tx:
        if deed == "add":
            token = await admin.add(tx, who, name, _role(form.text("role")), now, rate=context.clock.rate)
        elif deed == "role":
            await admin.give_role(tx, who, name, _role(form.text("role")), now)
        elif deed == "disable":
            await admin.disable(tx, who, name, now)
        elif deed == "reset":
            token = await admin.reset(tx, who, name, now, rate=context.clock.rate)
        elif deed == "link":
            token = await admin.make_link(tx, who, name, now, rate=context.clock.rate)
        else:
            raise InvalidRequest("no such deed")
    if not token:
        return after(visit, "/users", "done")
    return await _users_page(visit, admin.link_of(context.settings.public_url, token, visit.visitor.base))


def _role(text: str) -> Role:
    if text not in set(Role):
        raise InvalidRequest(f"roles are {', '.join(Role)}")
    return Role(text)


async def _users_page(visit: Visit, link: str) -> Response:
    async with visit.context.db.session() as tx:
        found = await store.users(tx)
    values = {"users": found, "roles": list(Role), "link": link, "done": visit.query("done")}
    return page(visit.visitor, visit.context.clock.now(), "users.html", values)
