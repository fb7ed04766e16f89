"""Channels, audit, settings, users."""

from starlette.responses import Response

from paidup.channels.registry import CHANNELS
from paidup.console.deed import actor, after
from paidup.console.gate import Visit
from paidup.console.pages import page
from paidup.errors import Conflict, InvalidRequest
from paidup.hand import golive
from paidup.people import audit, sessions, store
from paidup.people.user import Role
from paidup.schedule import store as schedule
from paidup.settings import effective

PAGE = 100

BUDGETS = "SELECT channel, account, tokens, at FROM query_budgets"

SILENT = "SELECT subject_id FROM cases WHERE kind = 'silent_channel' AND resolved_at IS NULL"


async def channels(visit: Visit) -> Response:
    """Health, budget, breaker, alarm, keys."""
    return await _channels_page(visit, None)


async def check_channel(visit: Visit) -> Response:
    """Is this account ready to go live?"""
    channel, name = visit.request.path_params["channel"], visit.request.path_params["account"]
    findings = await golive.check(visit.context.desk, actor(visit), channel, name)
    return await _channels_page(visit, (f"{channel}/{name}", findings))


async def _channels_page(visit: Visit, checked: tuple[str, list[golive.Finding]] | None) -> Response:
    context, now = visit.context, visit.context.clock.now()
    async with context.db.session() as tx:
        due = {(row["channel"], row["account"], row["kind"]): row for row in await schedule.summary(tx, now)}
        budgets = {(row["channel"], row["account"]): row["tokens"] for row in await tx.fetch(BUDGETS)}
        silent = {row["subject_id"] for row in await tx.fetch(SILENT)}
        last = {
            key: await tx.fetchval(golive.LAST_CALLBACK, *key) for key in context.accounts.current.by_name
        }  # fmt: skip
    accounts = [
        {
            "account": account,
            "keys": CHANNELS[account.channel].keys(account),
            "open": context.asker.is_open(account),
            "silent": f"{key[0]}/{key[1]}" in silent,
            "due": due.get((*key, "payment")),
            "budget": int(budgets.get(key, context.settings.query_budget_per_s)),
            "last": last[key],
        }
        for key, account in sorted(context.accounts.current.by_name.items())
    ]
    values = {
        "accounts": accounts, "checked": checked, "rate": context.settings.query_budget_per_s,
        "error": context.accounts.error or "",
    }  # fmt: skip
    return page(visit.visitor, now, "channels.html", values)


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
    if name == visit.who and deed in ("disable", "role"):
        raise Conflict("somebody else must do this to your own user, so that an admin is always left")
    link = ""
    async with context.db.transaction() as tx:
        if deed == "add":
            await store.add(tx, name, _role(form.text("role")), now)
        elif deed == "role":
            await store.set_role(tx, name, _role(form.text("role")))
            await sessions.end_all(tx, name)
        elif deed == "disable":
            await store.disable(tx, name, now)
            await sessions.end_all(tx, name)
        elif deed == "reset":
            await store.reset(tx, name)
            await sessions.end_all(tx, name)
        else:
            raise InvalidRequest("no such deed")
        if deed in ("add", "reset"):
            token = await sessions.make_link(tx, name, now, rate=context.clock.rate)
            link = f"{context.settings.public_url}{visit.visitor.base}/link?token={token}"
        past = {"add": "added", "role": "role_changed", "disable": "disabled", "reset": "reset"}[deed]
        await audit.write(tx, actor(visit), f"user.{past}", now, subject_id=name, after=form.text("role"))
    return await _users_page(visit, link) if link else after(visit, "/users", "done")


def _role(text: str) -> Role:
    if text not in set(Role):
        raise InvalidRequest(f"roles are {', '.join(Role)}")
    return Role(text)


async def _users_page(visit: Visit, link: str) -> Response:
    async with visit.context.db.session() as tx:
        found = await store.users(tx)
    values = {"users": found, "roles": list(Role), "link": link, "done": visit.query("done")}
    return page(visit.visitor, visit.context.clock.now(), "users.html", values)
