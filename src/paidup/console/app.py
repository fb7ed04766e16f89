"""The console, made from its table of pages."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from paidup.console import home, life, search, sign_in
from paidup.console.gate import Handler, behind
from paidup.console.pages import HEADERS, STATIC
from paidup.console.trouble import handlers
from paidup.people.user import Right
from paidup.web.context import Context


class Page(NamedTuple):
    """One page, or one thing that a form does. right None: open to everybody."""

    method: str
    path: str
    handler: Handler
    right: Right | None


PAGES: tuple[Page, ...] = (
    Page("GET", "/", home.show, Right.LOOK),
    Page("GET", "/sign-in", sign_in.show, None),
    Page("POST", "/sign-in", sign_in.do, None),
    Page("GET", "/link", sign_in.link, None),
    Page("POST", "/link", sign_in.use_link, None),
    Page("POST", "/prefer", sign_in.prefer, None),
    Page("POST", "/sign-out", sign_in.out, Right.LOOK),
    Page("GET", "/account", sign_in.account, Right.LOOK),
    Page("POST", "/account/password", sign_in.set_password, Right.LOOK),
    Page("POST", "/account/totp", sign_in.set_totp, Right.LOOK),
    Page("GET", "/search", search.show, Right.LOOK),
    Page("GET", "/orders/{order_id}", life.show, Right.LOOK),
    Page("GET", "/orders/{order_id}/{kind}/{id}", life.detail, Right.LOOK),
    Page("POST", "/orders/{order_id}/{kind}/{id}", life.reveal, Right.REVEAL),
)


class _Files(StaticFiles):
    """Files whose address changes with their content: browsers keep them for good."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """As Starlette does it, with our headers."""
        response = super().file_response(*args, **kwargs)
        response.headers.update({**HEADERS, "cache-control": "public, max-age=31536000, immutable"})
        return response


def build_console(context: Context) -> Starlette:
    """The console as an ASGI application, to be mounted at /console."""
    found: Mapping[Any, Any] = handlers(context.clock)
    routes = [Route(p.path, behind(context, p.right, p.handler), methods=[p.method]) for p in PAGES]
    return Starlette(routes=[*routes, Mount("/static", _Files(directory=STATIC))], exception_handlers=dict(found))
