"""Signing in and out; one's own password and second factor; language, theme and zone."""

from starlette.responses import Response

from paidup.clock import SystemClock
from paidup.console.gate import Visit, end_session, keep_session
from paidup.console.pages import go, page
from paidup.console.visitor import LANGUAGES, THEMES, is_loopback
from paidup.errors import InvalidRequest, NotAllowed, TooSoon
from paidup.people import audit, proof, sessions, sign_in, store
from paidup.people.audit import Actor

_YEAR_S = 365 * 86400


async def show(visit: Visit) -> Response:
    """The page with name, password and code."""
    return door(visit, "")


async def do(visit: Visit) -> Response:
    """Sign in."""
    context, form = visit.context, visit.form
    try:
        token = await sign_in.by_password(
            context.db,
            form.text("name").lower(),
            form.text("password"),
            form.text("code"),
            source=visit.visitor.source,
            now=context.clock.now(),
            wall=SystemClock().now(),
            rate=context.clock.rate,
        )
    except NotAllowed as error:
        return door(visit, str(error), 403)
    except TooSoon as error:
        return door(visit, str(error), 429)
    return keep_session(go(visit.visitor, local_path(form.text("next"))), visit.request, token)


async def link(visit: Visit) -> Response:
    """A sign-in link was opened: a button, so that a mail scanner that follows links does not use it up."""
    return await _link_page(visit, visit.query("token"))


async def use_link(visit: Visit) -> Response:
    """Sign in by the link, and by a code where there is a second factor; a wrong one can be written again."""
    context, link_token = visit.context, visit.form.text("token")
    try:
        token = await sign_in.by_link(
            context.db,
            link_token,
            visit.form.text("code"),
            source=visit.visitor.source,
            now=context.clock.now(),
            wall=SystemClock().now(),
            rate=context.clock.rate,
        )
    except (NotAllowed, TooSoon) as error:
        return await _link_page(visit, link_token, str(error), 429 if isinstance(error, TooSoon) else 403)
    return keep_session(go(visit.visitor, "/"), visit.request, token)


async def out(visit: Visit) -> Response:
    """Sign out."""
    async with visit.context.db.transaction() as tx:
        await sessions.end(tx, visit.visitor.token)
    return end_session(go(visit.visitor, "/sign-in"), visit.request)


async def prefer(visit: Visit) -> Response:
    """Another language or theme, for this browser."""
    response = go(visit.visitor, local_path(visit.form.text("next")))
    for name, allowed in (("language", LANGUAGES), ("theme", THEMES)):
        value = visit.form.text(name)
        if value in allowed:
            response.set_cookie(
                f"paidup_{name}", value, max_age=_YEAR_S, samesite="lax", secure=not is_loopback(visit.request)
            )
    return response


async def account(visit: Visit) -> Response:
    """One's own page."""
    secret = proof.new_totp_secret()
    async with visit.context.db.transaction() as tx:
        secret = await sessions.offer_totp(tx, visit.visitor.token, secret)
    values = {"done": visit.query("done"), "secret": secret, "uri": proof.totp_uri(secret, visit.who)}
    return page(visit.visitor, visit.context.clock.now(), "account.html", values)


async def set_password(visit: Visit) -> Response:
    """A new password; other sessions of this user end."""
    context, form, now = visit.context, visit.form, visit.context.clock.now()
    new = form.text("password")
    if new != form.text("again"):
        raise InvalidRequest("the two passwords differ; write the same one twice")
    await sign_in.change_password(
        context.db, visit.who, form.text("old"), new,
        token=visit.visitor.token, source=visit.visitor.source, now=now, rate=context.clock.rate,
    )  # fmt: skip
    return go(visit.visitor, "/account?done=password")


async def set_totp(visit: Visit) -> Response:
    """Turn the second factor on, once a code shows that the app has the secret that this session was shown."""
    context, form, now = visit.context, visit.form, visit.context.clock.now()
    async with context.db.transaction() as tx:
        mine = await store.lock(tx, visit.who)
        secret = await sessions.offered_totp(tx, visit.visitor.token)
        step = proof.totp_step(form.text("code"), secret, SystemClock().now()) if secret else None
        if secret is None or step is None:
            raise InvalidRequest("this code does not fit the secret; look at the clock of your phone, and try again")
        if mine.totp_secret:
            raise NotAllowed("there is a second factor already; an admin can reset it: paidup users reset")
        await store.set_totp(tx, visit.who, secret)
        await store.use_step(tx, visit.who, step)
        await audit.write(tx, Actor(visit.who, "console"), "user.totp_set", now, subject_id=visit.who)
    return go(visit.visitor, "/account?done=totp")


def local_path(text: str) -> str:
    """A path of the console to go on to; anything else is its home."""
    fine = text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()
    return text[:2000] if fine else "/"


def door(visit: Visit, wrong: str, status: int = 200) -> Response:
    """The sign-in page; wrong: what went wrong the last time."""
    onward = visit.query("next") or visit.form.text("next")
    provider = visit.context.provider
    values = {
        "wrong": wrong, "onward": onward, "name": visit.form.text("name"), "provider": provider,
        "label": visit.context.settings.oidc_label,
    }  # fmt: skip
    return page(visit.visitor, visit.context.clock.now(), "sign_in.html", values, status)


async def _link_page(visit: Visit, token: str, wrong: str = "", status: int = 200) -> Response:
    """The link's button, and a field for the code; that a link is gone is said on the sign-in page."""
    now = visit.context.clock.now()
    async with visit.context.db.session() as tx:
        asks_code = await sign_in.asks_code(tx, token, now)
    if wrong and not asks_code:
        return door(visit, wrong, status)
    values = {"token": token, "asks_code": asks_code, "wrong": wrong}
    return page(visit.visitor, now, "link.html", values, status)
