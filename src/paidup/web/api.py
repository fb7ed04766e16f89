"""The HTTP API, made from its table of routes."""

from collections.abc import Awaitable, Callable

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route as StarletteRoute

from paidup.db.migrate import pending
from paidup.errors import InvalidRequest
from paidup.shops.store import ApiKey
from paidup.web import orders, payments, told
from paidup.web.auth import Doorman
from paidup.web.context import Context
from paidup.web.idempotency import Answer, once
from paidup.web.openapi import document, page
from paidup.web.problem import CAUGHT, handle
from paidup.web.route import Route

ROUTES: tuple[Route, ...] = (*orders.ROUTES, *payments.ROUTES, *told.ROUTES)

MAX_BODY_BYTES = 64 << 10
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def build_app(context: Context) -> Starlette:
    """The API as an ASGI application."""
    doorman = Doorman(context)
    return Starlette(
        routes=[
            *(StarletteRoute(r.path, _endpoint(context, doorman, r), methods=[r.method]) for r in ROUTES),
            StarletteRoute("/healthz", _alive),
            StarletteRoute("/readyz", _ready(context)),
            StarletteRoute("/openapi.json", lambda _: JSONResponse(document(ROUTES), headers=_HEADERS)),
            StarletteRoute("/docs", lambda _: HTMLResponse(page(ROUTES), headers=_HEADERS)),
        ],
        exception_handlers=dict.fromkeys(CAUGHT, handle),
    )


def _endpoint(context: Context, doorman: Doorman, route: Route) -> Callable[[Request], Awaitable[Response]]:
    """One operation: admit, read the body, do the work once, answer."""

    async def respond(request: Request) -> Response:
        key = await doorman.admit(request, route.scope)
        raw = await _body(request)
        arguments = (msgspec.json.decode(raw or b"{}", type=route.body),) if route.body else ()

        async def work() -> Answer:
            given = await route.handler(context, key, request, *arguments)
            return Answer(route.status, msgspec.json.encode(given))

        answer = await _once(context, key, route, request, raw, work)
        return Response(answer.body, answer.status, _HEADERS, "application/json")

    return respond


async def _once(
    context: Context, key: ApiKey, route: Route, request: Request, raw: bytes, work: Callable[[], Awaitable[Answer]]
) -> Answer:
    given = request.headers.get("idempotency-key")
    if route.method != "POST" or (given is None and not route.keyed):
        return await work()
    if given is None:
        raise InvalidRequest(
            "send an Idempotency-Key header (any text of yours, up to 255 characters): the same key makes a repeat "
            "of this request harmless"
        )
    stands_for = f"{route.method} {request.url.path}\n".encode() + raw
    return await once(context.db, shop=key.shop, key=given, request=stands_for, now=context.clock.now(), work=work)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise InvalidRequest(f"a body has at most {MAX_BODY_BYTES} bytes")
    return bytes(body)


async def _alive(_request: Request) -> Response:
    return JSONResponse({"alive": True}, headers=_HEADERS)


def _ready(context: Context) -> Callable[[Request], Awaitable[Response]]:
    async def ready(_request: Request) -> Response:
        missing = await pending(context.db)
        return JSONResponse({"ready": not missing}, 503 if missing else 200, headers=_HEADERS)

    return ready
