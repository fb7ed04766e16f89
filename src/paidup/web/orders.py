"""Orders: place, look up, list, close."""

from starlette.requests import Request

from paidup import ids
from paidup.apply import Item, apply
from paidup.checkout.place import place_order
from paidup.checkout.sell import Wanted
from paidup.db.transaction import Tx
from paidup.errors import Conflict, NotFound
from paidup.hand import deeds
from paidup.inventory import store as inventory
from paidup.inventory.sku import Item as Units
from paidup.inventory.sku import Reservation
from paidup.money import Money
from paidup.orders import store as orders
from paidup.orders.order import Order
from paidup.people.audit import Actor
from paidup.settle.book import CloseOrder as GiveUp
from paidup.settle.book import Weighed
from paidup.shops.store import ApiKey, Scope
from paidup.web import shapes
from paidup.web.context import Context
from paidup.web.route import BEFORE, LIMIT, Query, Route, limit_of

NEWEST = ids.last_of(ids.ORDER)
BY_NUMBER = Query("shop_order_no", "the shop's own number: the list holds this order, or nothing")


async def place(context: Context, key: ApiKey, _request: Request, body: shapes.PlaceOrder) -> shapes.OrderOut:
    """Place an order; one that has this number already is given back as it is. With items, their units are set aside
    until it is paid or closed: all of them, or the answer is 409 out-of-stock and nothing is placed."""
    if body.items:
        return await _sell(context, key, body)
    async with context.db.transaction() as tx:
        return order_out(await place_in(tx, context, key, body))


async def _sell(context: Context, key: ApiKey, body: shapes.PlaceOrder) -> shapes.OrderOut:
    wanted = Wanted(
        shop=key.shop,
        shop_order_no=body.shop_order_no,
        money=Money(body.amount_minor, body.currency),
        items=tuple(Units(item.sku, item.quantity) for item in body.items),
        description=body.description,
        ttl_s=body.expires_in_s,
        shard=context.settings.shard,
        buyer_ref=body.buyer_ref,
    )
    order = await context.counter.place(wanted)
    return await _shown(context, order)


async def place_in(
    tx: Tx, context: Context, key: ApiKey, body: shapes.PlaceOrder | shapes.RegisterOrderPayment
) -> Order:
    """The order that the body names, placed now unless it is there. Raises Conflict when it is over other money."""
    return await place_order(
        tx,
        shop=key.shop,
        shop_order_no=body.shop_order_no,
        money=Money(body.amount_minor, body.currency),
        description=body.description,
        ttl_s=body.expires_in_s or context.settings.payment_ttl_s,
        now=context.clock.now(),
        shard=context.settings.shard,
        buyer_ref=body.buyer_ref,
    )


async def show(context: Context, key: ApiKey, request: Request) -> shapes.OrderOut:
    """Look up an order by its id."""
    return await _shown(context, await the_order(context, key, request.path_params["id"]))


async def list_(context: Context, key: ApiKey, request: Request) -> shapes.Orders:
    """List orders, newest first; `shop_order_no` finds one, `before` and `limit` page."""
    number = request.query_params.get("shop_order_no")
    async with context.db.session() as tx:
        if number is not None:
            found = await orders.by_number(tx, key.shop, number)
            page, limit = [found] if found else [], 2
        else:
            limit = limit_of(request)
            page = await orders.page(tx, key.shop, request.query_params.get("before", NEWEST), limit)
        units = await inventory.of_orders(tx, [order.id for order in page])
    following = page[-1].id if len(page) == limit else None
    return shapes.Orders(items=[order_out(order, units.get(order.id)) for order in page], next=following)


async def close(context: Context, key: ApiKey, request: Request, body: shapes.CloseOrder) -> shapes.OrderOut:
    """Give an order up: its payments are closed at the channel, then it is closed."""
    order = await the_order(context, key, request.path_params["id"])
    give_up = Item(what=GiveUp(order.id, body.reason), shop=key.shop, road="shop")
    async with context.db.transaction() as tx:
        (result,) = await apply(tx, [give_up], context.clock.now(), context.handlers)
    if result.outcome is Weighed.REJECTED or result.book is None:
        raise Conflict(result.why)
    return order_out(result.book.order, result.book.stock)


async def buyer(context: Context, key: ApiKey, request: Request) -> shapes.BuyerOut:
    """Whose order it is, nothing masked. That somebody looked stands in the audit."""
    actor = Actor(f"key:{key.id}", "api")
    order = await deeds.reveal_buyer(context.desk, actor, request.path_params["id"], shop=key.shop)
    return shapes.BuyerOut(order_id=order.id, buyer_ref=order.buyer_ref)


async def the_order(context: Context, key: ApiKey, order_id: str) -> Order:
    """The shop's own order. Raises NotFound, also for an order of another shop."""
    async with context.db.session() as tx:
        order = await orders.get(tx, order_id)
    if order is None or order.shop != key.shop:
        raise NotFound(f"there is no order {order_id}; ?shop_order_no= finds one by your own number")
    return order


async def _shown(context: Context, order: Order) -> shapes.OrderOut:
    async with context.db.session() as tx:
        units = await inventory.of_orders(tx, [order.id])
    return order_out(order, units.get(order.id))


def order_out(order: Order, units: Reservation | None = None) -> shapes.OrderOut:
    """An order as the API shows it, with what is set aside for it."""
    return shapes.OrderOut(
        id=order.id,
        shop_order_no=order.shop_order_no,
        amount_minor=order.amount_minor,
        currency=order.currency,
        description=order.description,
        state=order.state,
        paid_by=order.paid_by,
        created_at=order.created_at,
        expires_at=order.expires_at,
        items=[shapes.ItemOut(sku=i.sku, quantity=i.quantity, state=units.state) for i in units.items] if units else [],
        buyer_ref=order.buyer_masked,
    )


ROUTES = (
    Route("POST", "/v1/orders", place, Scope.WRITE, body=shapes.PlaceOrder, gives=shapes.OrderOut, status=201),
    Route("GET", "/v1/orders", list_, Scope.READ, gives=shapes.Orders, query=(BY_NUMBER, BEFORE, LIMIT)),
    Route("GET", "/v1/orders/{id}", show, Scope.READ, gives=shapes.OrderOut),
    Route("GET", "/v1/orders/{id}/buyer", buyer, Scope.ADMIN, gives=shapes.BuyerOut),
    Route(
        "POST", "/v1/orders/{id}/close", close, Scope.WRITE,
        body=shapes.CloseOrder, gives=shapes.OrderOut, keyed=True,
    ),
)  # fmt: skip
