"""What the shop is told, and what people decide: events, endpoints, dead letters, cases, the trace."""

from datetime import UTC, datetime

import msgspec
from starlette.requests import Request

from paidup.cases import store as cases
from paidup.delivery import endpoints
from paidup.delivery import store as deliveries
from paidup.errors import InvalidRequest, NotFound
from paidup.outbox import store as outbox
from paidup.shops.store import ApiKey, Scope
from paidup.trace import Life, trace
from paidup.web import shapes
from paidup.web.context import Context
from paidup.web.route import Route, limit_of

_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


async def events(context: Context, key: ApiKey, request: Request) -> shapes.Events:
    """Events, oldest first; `after` takes the `next` of the last page."""
    limit = limit_of(request)
    after = _cursor(request.query_params.get("after", ""))
    async with context.db.session() as tx:
        found = await outbox.of_shop(tx, key.shop, after, limit)
    items = [msgspec.convert(msgspec.structs.asdict(event), shapes.EventOut) for event in found]
    following = f"{found[-1].created_at.isoformat()}_{found[-1].id}" if found else request.query_params.get("after")
    return shapes.Events(items=items, next=following)


async def list_cases(context: Context, key: ApiKey, request: Request) -> shapes.Cases:
    """Open cases, newest first; ?all=true shows the resolved ones, too."""
    async with context.db.session() as tx:
        found = await cases.page(
            tx, key.shop, limit_of(request), with_resolved=request.query_params.get("all") == "true"
        )
    return shapes.Cases(items=[_case_out(case) for case in found])


async def resolve(context: Context, key: ApiKey, request: Request, body: shapes.Resolve) -> shapes.CaseOut:
    """Close a case with what was decided."""
    case_id = request.path_params["id"]
    async with context.db.transaction() as tx:
        mine = {case.id for case in await cases.page(tx, key.shop, 10_000, with_resolved=False)}
        resolved = await cases.resolve(tx, case_id, body.resolution, context.clock.now()) if case_id in mine else None
    if resolved is None:
        raise NotFound(f"there is no open case {case_id[:40]}")
    return _case_out(resolved)


async def add_endpoint(
    context: Context, key: ApiKey, _request: Request, body: shapes.AddEndpoint
) -> shapes.EndpointOut:
    """Tell the shop at this URL; the signing secret is shown only now."""
    async with context.db.transaction() as tx:
        made = await endpoints.create_endpoint(
            tx,
            key.shop,
            body.url,
            body.types,
            context.clock.now(),
            allow_loopback=context.settings.allow_loopback_endpoints,
        )
    return _endpoint_out(made)


async def list_endpoints(context: Context, key: ApiKey, _request: Request) -> shapes.Endpoints:
    """Where the shop listens."""
    async with context.db.session() as tx:
        return shapes.Endpoints(items=[_endpoint_out(e) for e in await endpoints.list_endpoints(tx, key.shop)])


async def enable(context: Context, key: ApiKey, request: Request) -> shapes.EndpointOut:
    """Use a disabled endpoint again; what it missed is sent by a redrive."""
    async with context.db.transaction() as tx:
        return _endpoint_out(await endpoints.enable(tx, key.shop, request.path_params["id"]))


async def disable(context: Context, key: ApiKey, request: Request) -> shapes.EndpointOut:
    """Send nothing more to this endpoint."""
    async with context.db.transaction() as tx:
        return _endpoint_out(await endpoints.disable(tx, key.shop, request.path_params["id"], "by the shop"))


async def rotate(context: Context, key: ApiKey, request: Request) -> shapes.EndpointOut:
    """A new signing secret; messages are signed with the old one, too, until it is retired."""
    async with context.db.transaction() as tx:
        return _endpoint_out(await endpoints.rotate_secret(tx, key.shop, request.path_params["id"]))


async def retire(context: Context, key: ApiKey, request: Request) -> shapes.EndpointOut:
    """Sign with the newest secret only."""
    async with context.db.transaction() as tx:
        return _endpoint_out(await endpoints.retire_secrets(tx, key.shop, request.path_params["id"]))


async def redrive(context: Context, key: ApiKey, _request: Request, body: shapes.Redrive) -> shapes.Redriven:
    """Send dead letters again."""
    now = context.clock.now()
    async with context.db.transaction() as tx:
        if body.endpoint_id is not None:
            count = await deliveries.redrive_endpoint(tx, body.endpoint_id, now, shop=key.shop)
        else:
            count = await deliveries.redrive(tx, body.delivery_ids, now, shop=key.shop)
    return shapes.Redriven(deliveries=count)


async def life(context: Context, key: ApiKey, request: Request) -> Life:
    """Any id → the whole life of its payment, in time order."""
    any_id = request.path_params["id"]
    if len(any_id) > 100:
        raise InvalidRequest("no id is that long")
    async with context.db.session() as tx:
        found = await trace(tx, any_id, key.shop)
    if found is None:
        raise NotFound(f"nothing is known by {any_id}")
    return found


def _cursor(text: str) -> tuple[datetime, str]:
    """``<time>_<event id>``; empty is the beginning. Raises InvalidRequest."""
    moment, _, event_id = text.rpartition("_")
    if not text:
        return _BEGINNING, ""
    try:
        at = datetime.fromisoformat(moment.replace(" ", "+"))
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise InvalidRequest("after must be the `next` of an earlier page")
    return at, event_id


def _case_out(case: cases.Case) -> shapes.CaseOut:
    return msgspec.convert({name: getattr(case, name) for name in shapes.CaseOut.__struct_fields__}, shapes.CaseOut)


def _endpoint_out(endpoint: endpoints.Endpoint) -> shapes.EndpointOut:
    return shapes.EndpointOut(
        id=endpoint.id,
        url=endpoint.url,
        types=list(endpoint.types),
        enabled=endpoint.enabled,
        disabled_why=endpoint.disabled_why,
        secret=endpoint.secret,
    )


ROUTES = (
    Route("GET", "/v1/events", events, Scope.READ, gives=shapes.Events, query=("after", "limit")),
    Route("GET", "/v1/cases", list_cases, Scope.READ, gives=shapes.Cases, query=("all", "limit")),
    Route("POST", "/v1/cases/{id}/resolve", resolve, Scope.ADMIN, body=shapes.Resolve, gives=shapes.CaseOut),
    Route(
        "POST", "/v1/endpoints", add_endpoint, Scope.ADMIN,
        body=shapes.AddEndpoint, gives=shapes.EndpointOut, status=201,
    ),
    Route("GET", "/v1/endpoints", list_endpoints, Scope.ADMIN, gives=shapes.Endpoints),
    Route("POST", "/v1/endpoints/{id}/enable", enable, Scope.ADMIN, gives=shapes.EndpointOut),
    Route("POST", "/v1/endpoints/{id}/disable", disable, Scope.ADMIN, gives=shapes.EndpointOut),
    Route("POST", "/v1/endpoints/{id}/rotate", rotate, Scope.ADMIN, gives=shapes.EndpointOut),
    Route("POST", "/v1/endpoints/{id}/retire", retire, Scope.ADMIN, gives=shapes.EndpointOut),
    Route("POST", "/v1/deliveries/redrive", redrive, Scope.ADMIN, body=shapes.Redrive, gives=shapes.Redriven),
    Route("GET", "/v1/trace/{id}", life, Scope.READ, gives=Life),
)  # fmt: skip
