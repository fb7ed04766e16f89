"""Stock: describe articles, put units in, correct them, look them up."""

from collections.abc import Mapping

from starlette.requests import Request

from paidup.checkout.warehouse import Change, Described, change, put_sku
from paidup.errors import InvalidRequest, NotFound
from paidup.inventory import store as inventory
from paidup.inventory.sku import Sku
from paidup.inventory.states import Kind
from paidup.shops.store import ApiKey, Scope
from paidup.web import stock_shapes
from paidup.web.context import Context
from paidup.web.route import BEFORE, LIMIT, Query, Route, limit_of, whole_number

AFTER = Query("after", "the `next` of the page before")
NEWEST = 2**63 - 1


async def put(context: Context, key: ApiKey, request: Request, body: stock_shapes.PutSku) -> stock_shapes.SkuOut:
    """Make an article, or change what was decided about it; its units stay as they are."""
    described = Described(
        shop=key.shop,
        sku=request.path_params["sku"],
        name=body.name,
        unlimited=body.unlimited,
        preorder_limit=body.preorder_limit,
        ships_at=body.ships_at,
        low_at=body.low_at,
    )
    async with context.db.transaction() as tx:
        return sku_out(await put_sku(tx, described, context.clock.now()))


async def show(context: Context, key: ApiKey, request: Request) -> stock_shapes.SkuOut:
    """How many units of an article are left, reserved and sold."""
    return sku_out(await _the_sku(context, key, request))


async def list_(context: Context, key: ApiKey, request: Request) -> stock_shapes.Skus:
    """List articles in the order they were made; `after` and `limit` page."""
    limit = limit_of(request)
    async with context.db.session() as tx:
        page = await inventory.page(tx, key.shop, request.query_params.get("after", ""), limit)
    return stock_shapes.Skus(items=[sku_out(sku) for sku in page], next=page[-1].id if len(page) == limit else None)


async def restock(context: Context, key: ApiKey, request: Request, body: stock_shapes.Restock) -> stock_shapes.SkuOut:
    """Put units in; the same Idempotency-Key puts them in once."""
    return await _change(context, key, request, Kind.RESTOCK, body.quantity, body.reason)


async def adjust(context: Context, key: ApiKey, request: Request, body: stock_shapes.Adjust) -> stock_shapes.SkuOut:
    """Correct the number of units after a count, with the reason; the same Idempotency-Key does it once."""
    return await _change(context, key, request, Kind.ADJUST, body.by, body.reason)


async def movements(context: Context, key: ApiKey, request: Request) -> stock_shapes.Movements:
    """The journal of an article, newest first: the counters are its sums."""
    sku, limit = await _the_sku(context, key, request), limit_of(request)
    async with context.db.session() as tx:
        page = await inventory.journal(tx, key.shop, sku.sku, _before(request.query_params), limit)
    items = [
        stock_shapes.MovementOut(
            id=row.id,
            at=row.movement.at,
            kind=row.movement.kind,
            quantity=row.movement.quantity,
            order_id=row.movement.order_id,
            reason=row.movement.reason,
            operator=row.movement.operator,
        )
        for row in page
    ]
    return stock_shapes.Movements(items=items, next=str(page[-1].id) if len(page) == limit else None)


def _before(given: Mapping[str, str]) -> int:
    text = given.get("before")
    before = NEWEST if text is None else whole_number(text)
    if before is None:
        raise InvalidRequest("before must be the `next` of an earlier page")
    return before


async def _change(
    context: Context, key: ApiKey, request: Request, kind: Kind, quantity: int, reason: str
) -> stock_shapes.SkuOut:
    wanted = Change(
        shop=key.shop,
        sku=request.path_params["sku"],
        kind=kind,
        quantity=quantity,
        reason=reason,
        operator=f"API key {key.id}",
        key=f"api/{kind}/{request.headers['idempotency-key']}",
    )
    async with context.db.transaction() as tx:
        return sku_out(await change(tx, wanted, context.clock.now()))


async def _the_sku(context: Context, key: ApiKey, request: Request) -> Sku:
    name = request.path_params["sku"]
    async with context.db.session() as tx:
        found = await inventory.get(tx, key.shop, name)
    if found is None:
        raise NotFound(f"there is no SKU {name}; PUT /v1/skus/{name} makes one")
    return found


def sku_out(sku: Sku) -> stock_shapes.SkuOut:
    """An article as the API shows it."""
    return stock_shapes.SkuOut(
        sku=sku.sku,
        name=sku.name,
        unlimited=sku.unlimited,
        preorder_limit=sku.preorder_limit,
        ships_at=sku.ships_at,
        low_at=sku.low_at,
        left=sku.left,
        available=sku.available,
        reserved=sku.reserved,
        sold=sku.sold,
        updated_at=sku.updated_at,
    )


ROUTES = (
    Route("PUT", "/v1/skus/{sku}", put, Scope.WRITE, body=stock_shapes.PutSku, gives=stock_shapes.SkuOut),
    Route("GET", "/v1/skus/{sku}", show, Scope.READ, gives=stock_shapes.SkuOut),
    Route("GET", "/v1/skus", list_, Scope.READ, gives=stock_shapes.Skus, query=(AFTER, LIMIT)),
    Route(
        "POST", "/v1/skus/{sku}/restock", restock, Scope.WRITE,
        body=stock_shapes.Restock, gives=stock_shapes.SkuOut, keyed=True,
    ),
    Route(
        "POST", "/v1/skus/{sku}/adjust", adjust, Scope.WRITE,
        body=stock_shapes.Adjust, gives=stock_shapes.SkuOut, keyed=True,
    ),
    Route(
        "GET", "/v1/skus/{sku}/movements", movements, Scope.READ, gives=stock_shapes.Movements, query=(BEFORE, LIMIT),
    ),
)  # fmt: skip
