"""What the shop is told, and what people decide: events, endpoints, dead letters, cases, the trace."""

from datetime import UTC, datetime, timedelta

import msgspec
from starlette.requests import Request

from paidup.cases import store as cases
from paidup.db.transaction import Tx
from paidup.delivery import endpoints, shown
from paidup.errors import InvalidRequest, NotFound
from paidup.hand import deeds, listeners
from paidup.outbox import store as outbox
from paidup.people.audit import Actor
from paidup.shops.store import ApiKey, Scope
from paidup.trace.life import Life, trace
from paidup.web import told_shapes
from paidup.web.context import Context
from paidup.web.route import BEFORE, LIMIT, Query, Route, limit_of, whole_number

_BEGINNING, _END = datetime(2000, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)
SETTLED_AFTER = timedelta(seconds=30)
"""How long an event may take from its date to its commit: a statement is given up after that (db/transaction.py).

A reader that goes by dates and reads closer to now than this would pass by events that are committed later. What took
longer still shows as a gap in the order's `seq`.
"""

AFTER = Query("after", "the `next` of the page before")
ALL = Query("all", "true shows the resolved ones, too", "boolean")


async def events(context: Context, key: ApiKey, request: Request) -> told_shapes.Events:
    """Events, oldest first, for whoever catches up: each once, and none is missed. An event appears here half a minute
    after it happened; endpoints are told at once."""
    limit = limit_of(request)
    given = request.query_params.get("after", "")
    until = context.clock.now() - SETTLED_AFTER * context.clock.rate
    async with context.db.session() as tx:
        found = await outbox.of_shop(tx, key.shop, _cursor(given), limit, until=until)
    items = [msgspec.convert(msgspec.structs.asdict(event), told_shapes.EventOut) for event in found]
    return told_shapes.Events(items=items, next=_cursor_of(found[-1]) if found else given or None)


async def list_cases(context: Context, key: ApiKey, request: Request) -> told_shapes.Cases:
    """Open cases, newest first; ?all=true shows the resolved ones, too."""
    limit, given = limit_of(request), request.query_params
    if given.get("all", "true") not in ("true", "false"):
        raise InvalidRequest("?all= is true or false")
    async with context.db.session() as tx:
        found = await cases.page(
            tx, key.shop, limit, with_resolved=given.get("all") == "true", before=given.get("before")
        )
    following = found[-1].id if len(found) == limit else None
    return told_shapes.Cases(items=[_case_out(case) for case in found], next=following)


async def resolve(context: Context, key: ApiKey, request: Request, body: told_shapes.Resolve) -> told_shapes.CaseOut:
    """Close a case with what was decided."""
    resolved = await deeds.resolve(
        context.desk, Actor(f"key:{key.id}", "api"), request.path_params["id"], body.resolution, shop=key.shop
    )
    return _case_out(resolved)


async def add_endpoint(
    context: Context, key: ApiKey, _request: Request, body: told_shapes.AddEndpoint
) -> told_shapes.EndpointOut:
    """Tell the shop at this URL. The signing secret is shown only now: a repeat under its Idempotency-Key gets 409."""
    async with context.db.transaction() as tx:
        made = await listeners.add_endpoint(
            tx,
            Actor(f"key:{key.id}", "api"),
            key.shop,
            body.url,
            body.types,
            context.clock.now(),
            allow_loopback=context.settings.allow_loopback_endpoints,
        )
    return _endpoint_out(made)


async def list_endpoints(context: Context, key: ApiKey, _request: Request) -> told_shapes.Endpoints:
    """Where the shop listens."""
    async with context.db.session() as tx:
        return told_shapes.Endpoints(items=[_endpoint_out(e) for e in await endpoints.list_endpoints(tx, key.shop)])


async def enable(context: Context, key: ApiKey, request: Request) -> told_shapes.EndpointOut:
    """Use a disabled endpoint again; what it missed is sent by a redrive."""
    async with context.db.transaction() as tx:
        changed = await endpoints.enable(tx, key.shop, request.path_params["id"])
        return await _changed(tx, context, key, "endpoint.enabled", changed)


async def disable(context: Context, key: ApiKey, request: Request) -> told_shapes.EndpointOut:
    """Send nothing more to this endpoint."""
    async with context.db.transaction() as tx:
        changed = await endpoints.disable(tx, key.shop, request.path_params["id"], "by the shop")
        return await _changed(tx, context, key, "endpoint.disabled", changed)


async def rotate(context: Context, key: ApiKey, request: Request) -> told_shapes.EndpointOut:
    """A new signing secret; messages are signed with the old one, too, until it is retired."""
    async with context.db.transaction() as tx:
        changed = await endpoints.rotate_secret(tx, key.shop, request.path_params["id"])
        return await _changed(tx, context, key, "endpoint.rotated", changed)


async def retire(context: Context, key: ApiKey, request: Request) -> told_shapes.EndpointOut:
    """Sign with the newest secret only."""
    async with context.db.transaction() as tx:
        changed = await endpoints.retire_secrets(tx, key.shop, request.path_params["id"])
        return await _changed(tx, context, key, "endpoint.retired", changed)


async def _changed(
    tx: Tx, context: Context, key: ApiKey, action: str, endpoint: endpoints.Endpoint
) -> told_shapes.EndpointOut:  # fmt: skip
    actor = Actor(f"key:{key.id}", "api")
    return _endpoint_out(await listeners.endpoint_changed(tx, actor, action, endpoint, context.clock.now()))


async def given_up(context: Context, key: ApiKey, request: Request) -> told_shapes.Deliveries:
    """Dead letters of an endpoint, and what was skipped while it was disabled, oldest first; a redrive sends them."""
    endpoint_id, limit = request.path_params["id"], limit_of(request)
    after = whole_number(request.query_params.get("after", "0"))
    if after is None:
        raise InvalidRequest("after must be the `next` of an earlier page")
    async with context.db.session() as tx:
        await endpoints.secrets_of(tx, key.shop, endpoint_id)
        found = await shown.list_given_up(tx, endpoint_id, after_id=after, limit=limit)
    items = [
        msgspec.convert(_some_of(delivery, told_shapes.DeliveryOut), told_shapes.DeliveryOut) for delivery in found
    ]
    return told_shapes.Deliveries(items=items, next=str(found[-1].id) if len(found) == limit else None)


async def redrive(context: Context, key: ApiKey, _request: Request, body: told_shapes.Redrive) -> told_shapes.Redriven:
    """Send again: dead letters of an endpoint (up to 5000 at a time, ask again until 0), or these, or an order's."""
    if (body.endpoint_id is not None) + bool(body.delivery_ids) + (body.order_id is not None) != 1:
        raise InvalidRequest("name one of endpoint_id, delivery_ids and order_id")
    actor, desk, why = Actor(f"key:{key.id}", "api"), context.desk, body.reason
    if body.order_id is not None:
        return told_shapes.Redriven(deliveries=await deeds.resend_order(desk, actor, body.order_id, why, shop=key.shop))
    if body.endpoint_id is None:
        return told_shapes.Redriven(deliveries=await deeds.resend(desk, actor, body.delivery_ids, why, shop=key.shop))
    async with context.db.session() as tx:
        await endpoints.secrets_of(tx, key.shop, body.endpoint_id)
    return told_shapes.Redriven(
        deliveries=await deeds.resend_endpoint(desk, actor, body.endpoint_id, why, shop=key.shop)
    )


async def life(context: Context, key: ApiKey, request: Request) -> Life:
    """Any id, ours, yours or the channel's → the whole life of its order, in time order."""
    any_id = request.path_params["id"]
    async with context.db.session() as tx:
        found = await trace(tx, any_id, key.shop)
    if found is None:
        raise NotFound(f"nothing is known by {any_id}")
    return found


def _cursor_of(event: outbox.Written) -> str:
    """Without a + sign: cursors are pasted into URLs as they are."""
    return f"{event.created_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}_{event.id}"


def _cursor(text: str) -> tuple[datetime, str]:
    """``<time>_<event id>``; empty is the beginning. Raises InvalidRequest."""
    moment, _, event_id = text.rpartition("_")
    if not text:
        return _BEGINNING, ""
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or not _BEGINNING <= at <= _END:
        raise InvalidRequest("after must be the `next` of an earlier page")
    return at, event_id


def _case_out(case: cases.Case) -> told_shapes.CaseOut:
    return msgspec.convert(_some_of(case, told_shapes.CaseOut), told_shapes.CaseOut)


def _some_of(row: msgspec.Struct, shape: type[msgspec.Struct]) -> dict[str, object]:
    return {name: getattr(row, name) for name in shape.__struct_fields__}


def _endpoint_out(endpoint: endpoints.Endpoint) -> told_shapes.EndpointOut:
    return told_shapes.EndpointOut(
        id=endpoint.id,
        url=endpoint.url,
        types=list(endpoint.types),
        enabled=endpoint.enabled,
        disabled_why=endpoint.disabled_why,
        secret=endpoint.secret,
    )


ROUTES = (
    Route("GET", "/v1/events", events, Scope.READ, gives=told_shapes.Events, query=(AFTER, LIMIT)),
    Route("GET", "/v1/cases", list_cases, Scope.READ, gives=told_shapes.Cases, query=(ALL, BEFORE, LIMIT)),
    Route("POST", "/v1/cases/{id}/resolve", resolve, Scope.ADMIN, body=told_shapes.Resolve, gives=told_shapes.CaseOut),
    Route(
        "POST", "/v1/endpoints", add_endpoint, Scope.ADMIN,
        body=told_shapes.AddEndpoint, gives=told_shapes.EndpointOut, status=201, secret=True,
    ),
    Route("GET", "/v1/endpoints", list_endpoints, Scope.ADMIN, gives=told_shapes.Endpoints),
    Route("POST", "/v1/endpoints/{id}/enable", enable, Scope.ADMIN, gives=told_shapes.EndpointOut, secret=True),
    Route("POST", "/v1/endpoints/{id}/disable", disable, Scope.ADMIN, gives=told_shapes.EndpointOut, secret=True),
    Route("POST", "/v1/endpoints/{id}/rotate", rotate, Scope.ADMIN, gives=told_shapes.EndpointOut, secret=True),
    Route("POST", "/v1/endpoints/{id}/retire", retire, Scope.ADMIN, gives=told_shapes.EndpointOut, secret=True),
    Route(
        "GET", "/v1/endpoints/{id}/dead-letters", given_up, Scope.ADMIN,
        gives=told_shapes.Deliveries, query=(AFTER, LIMIT),
    ),
    Route("POST", "/v1/deliveries/redrive", redrive, Scope.ADMIN, body=told_shapes.Redrive, gives=told_shapes.Redriven),
    Route("GET", "/v1/trace/{id:path}", life, Scope.READ, gives=Life),
)  # fmt: skip
