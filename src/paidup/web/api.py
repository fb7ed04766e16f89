"""The HTTP API, made from its table of routes."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.routing import Route as StarletteRoute

from paidup.errors import Conflict, InvalidRequest
from paidup.shops.store import ApiKey
from paidup.web import (
    bills,
    body,
    books,
    hand,
    health,
    look,
    orders,
    payments,
    reconcile,
    reports,
    respond,
    stock,
    told,
    transactions,
    users,
)
from paidup.web.auth import Doorman
from paidup.web.context import Context
from paidup.web.docs_page import page
from paidup.web.idempotency import WITHHELD, Answer, once
from paidup.web.openapi import document
from paidup.web.problem import HANDLERS
from paidup.web.route import Route

ROUTES: tuple[Route, ...] = (
    *orders.ROUTES,
    *stock.ROUTES,
    *payments.ROUTES,
    *told.ROUTES,
    *transactions.ROUTES,
    *reconcile.ROUTES,
    *bills.ROUTES,
    *books.ROUTES,
    *reports.ROUTES,
    *hand.ROUTES,
    *look.ROUTES,
    *users.ROUTES,
)

Endpoint = Callable[[Request], Awaitable[Response]]


def build_app(context: Context, also: Sequence[BaseRoute] = ()) -> Starlette:
    """The API as an ASGI application; `also` is served beside it."""
    doorman = Doorman(context)
    return Starlette(
        routes=[
            *(StarletteRoute(r.path, _way_of(r)(context, doorman, r), methods=[r.method]) for r in ROUTES),
            *health.routes(context),
            StarletteRoute("/openapi.json", _openapi),
            StarletteRoute("/docs", _docs),
            *also,
        ],
        exception_handlers=HANDLERS,
    )


def _way_of(route: Route) -> Callable[[Context, Doorman, Route], Endpoint]:
    if route.form:
        return _taking_file
    return _endpoint if route.gives else _giving_file


def _endpoint(context: Context, doorman: Doorman, route: Route) -> Endpoint:
    """One operation: admit, read the request, do the work once, answer."""

    async def respond_to(request: Request) -> Response:
        key = await doorman.admit(request, route.scope)
        body.check_address(request, route)
        raw = await body.read(request)
        arguments = _arguments(route, raw)

        async def work() -> Answer:
            given = await route.handler(context, key, request, *arguments)
            return Answer(route.status, msgspec.json.encode(given), withheld=_withheld(route, given))

        answer = await _once(context, key, route, request, raw, work)
        extra = {"idempotent-replayed": "true"} if answer.replayed else {}
        return respond.json(answer.body, answer.status, extra=extra)

    return respond_to


def _taking_file(context: Context, doorman: Doorman, route: Route) -> Endpoint:
    """One operation that takes a file. The same file again changes nothing, so no key guards it."""

    async def respond_to(request: Request) -> Response:
        key = await doorman.admit(request, route.scope)
        body.check_address(request, route)
        async with context.uploads.received(request) as sent:
            given = await route.handler(context, key, sent)
        return respond.json(msgspec.json.encode(given), route.status)

    return respond_to


def _giving_file(context: Context, doorman: Doorman, route: Route) -> Endpoint:
    """One operation that answers with a file."""

    async def respond_to(request: Request) -> Response:
        key = await doorman.admit(request, route.scope)
        body.check_address(request, route)
        body.must_be_empty(await body.read(request))
        answer: Response = await route.handler(context, key, request)
        return answer

    return respond_to


def _arguments(route: Route, raw: bytes) -> tuple[msgspec.Struct, ...]:
    if route.body:
        return (body.decode(raw, route.body),)
    body.must_be_empty(raw)
    return ()


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
    stands_for = f"{route.method} {request.scope['path']}\n".encode() + raw
    answer = await once(context.db, shop=key.shop, key=given, request=stands_for, now=context.clock.now(), work=work)
    if answer.replayed and answer.status == WITHHELD:
        raise Conflict(msgspec.json.decode(answer.body, type=str))
    return answer


def _withheld(route: Route, given: Any) -> bytes | None:
    """What a repeat is told when the first answer held a secret."""
    if not route.secret or not (getattr(given, "secret", None) or getattr(given, "link", None)):
        return None
    made, again = getattr(given, "id", None) or given.name, "link" if hasattr(given, "link") else "rotate"
    told = (
        f"this was done already under this Idempotency-Key, for {made}, and its secret is kept nowhere; "
        f"if it got lost, POST {'/'.join(route.path.split('/')[:3])}/{made}/{again} gives a new one"
    )
    return msgspec.json.encode(told)


async def _openapi(request: Request) -> Response:
    return respond.json(msgspec.json.encode(document(ROUTES, request.scope.get("root_path", ""))))


async def _docs(_request: Request) -> Response:
    return respond.page(page(ROUTES))
