"""Who may see what: every page of the console passes here. Sessions, rights, and forms that only our own pages send."""

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from paidup.console.pages import go
from paidup.console.visitor import Visitor, is_loopback, visitor_of
from paidup.errors import InvalidRequest, NotAllowed
from paidup.people import sessions
from paidup.people.user import Right, must_may
from paidup.web import body
from paidup.web.context import Context
from paidup.web.upload import Sent

COOKIE = "paidup_session"
MAX_FORM_FIELDS = 200
MAX_FIELD_CHARS = 4000
_SENT_BY_US = frozenset({"same-origin", "none"})


class Form:
    """The fields of a form. Raises InvalidRequest for what is none. sent: the file that came with it."""

    def __init__(self, raw: bytes = b"", sent: Sent | None = None) -> None:
        self.sent = sent
        if sent is not None:
            self._pairs = list(sent.fields.items())
            return
        try:
            self._pairs = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS)
        except ValueError:  # not UTF-8, or too many fields
            raise InvalidRequest("this is no form of the console; go back, reload the page and try again") from None

    def text(self, name: str, default: str = "") -> str:
        """A field without blanks around it. Raises InvalidRequest for one that is too long or unprintable."""
        value = next((value for key, value in self._pairs if key == name), default)
        if len(value) > MAX_FIELD_CHARS or "\x00" in value:
            raise InvalidRequest(f"{name}: at most {MAX_FIELD_CHARS} characters of text")
        return value.strip()

    def needed(self, name: str, what: str) -> str:
        """A field that may not be empty. Raises InvalidRequest saying what to write."""
        value = self.text(name)
        if not value:
            raise InvalidRequest(f"write {what}")
        return value

    def texts(self, name: str) -> list[str]:
        """A field that may come several times."""
        return [value.strip()[:MAX_FIELD_CHARS] for key, value in self._pairs if key == name]


@dataclass(frozen=True)
class Visit:
    """One request of somebody who may make it. form: empty for a GET."""

    context: Context
    request: Request
    visitor: Visitor
    form: Form

    @property
    def who(self) -> str:
        """The signed-in user's name."""
        return self.visitor.user.name if self.visitor.user else ""

    def query(self, name: str) -> str:
        """A parameter of the address, bounded."""
        value = self.request.query_params.get(name, "").strip()
        return value[:MAX_FIELD_CHARS] if value.isprintable() else ""


Handler = Callable[[Visit], Awaitable[Response]]
Reading = Callable[[Context, Request, Visitor], AbstractAsyncContextManager[Form]]


@asynccontextmanager
async def plain(_context: Context, request: Request, visitor: Visitor) -> AsyncIterator[Form]:
    """A form without a file."""
    form = Form(await body.read(request))
    _must_carry_token(form.text("csrf"), visitor)
    yield form


@asynccontextmanager
async def with_file(context: Context, request: Request, visitor: Visitor) -> AsyncIterator[Form]:
    """A form with a file, of which nothing is received before the form is known as ours."""

    def admit(fields: Mapping[str, str]) -> None:
        _must_carry_token(fields.get("csrf", ""), visitor)

    async with context.uploads.received(request, admit) as sent:
        yield Form(sent=sent)


def behind(
    context: Context, right: Right | None, handler: Handler, reading: Reading = plain
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of a page that needs this right; right None: open to everybody (signing in)."""

    async def endpoint(request: Request) -> Response:
        _must_be_ours(request)
        visitor = await _visitor(context, request)
        if right is not None and visitor.user is None:
            return _to_sign_in(request, visitor)
        if right is not None and visitor.user is not None:
            must_may(visitor.user, right)
        body.check_path(request)
        if request.method != "POST":
            return await handler(Visit(context, request, visitor, Form()))
        async with reading(context, request, visitor) as form:
            return await handler(Visit(context, request, visitor, form))

    return endpoint


async def _visitor(context: Context, request: Request) -> Visitor:
    token = request.cookies.get(COOKIE, "")[:100]
    if not token:
        return visitor_of(request)
    async with context.db.session() as tx:
        session = await sessions.find(tx, token, context.clock.now(), rate=context.clock.rate)
    if session is None:
        return visitor_of(request)
    return visitor_of(request, token, session.user, session.let_in_by)


def _to_sign_in(request: Request, visitor: Visitor) -> Response:
    """Back here after signing in; a part that htmx fetches would show the sign-in page inside the page."""
    if request.headers.get("hx-request"):
        return Response(status_code=204, headers={"hx-refresh": "true"})
    path = request.scope["path"].removeprefix(visitor.base)
    return go(visitor, f"/sign-in?next={path}" if request.method == "GET" and path not in ("", "/") else "/sign-in")


def _must_be_ours(request: Request) -> None:
    """A browser says where a request was made; another site's page may not make one that changes anything."""
    if request.method != "POST":
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    foreign = origin is not None and origin != "null" and not _is_of(origin, request.headers.get("host", ""))
    if foreign or (site is not None and site not in _SENT_BY_US):
        raise NotAllowed("this form was sent from another site; open the console and try again")


def _is_of(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc == host
    except ValueError:  # it is no address: a browser of ours never sends it
        return False


def _must_carry_token(token: str, visitor: Visitor) -> None:
    if visitor.user is None:
        return
    if not hmac.compare_digest(token.strip().encode(), sessions.csrf_of(visitor.token).encode()):
        raise NotAllowed("this form belongs to another session; go back, reload the page and try again")


def keep_session(response: Response, request: Request, token: str) -> Response:
    """Give the browser its session: not readable by scripts, not sent by other sites' forms, only over TLS."""
    base = request.scope.get("root_path", "") or "/"
    response.set_cookie(COOKIE, token, path=base, httponly=True, samesite="lax", secure=not is_loopback(request))
    return response


def end_session(response: Response, request: Request) -> Response:
    """Take the session out of the browser."""
    response.delete_cookie(COOKIE, path=request.scope.get("root_path", "") or "/")
    return response
