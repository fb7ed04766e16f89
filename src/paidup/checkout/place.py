"""Place an order. The shop's own number names it: placing it twice gives the same order."""

from datetime import datetime, timedelta

from paidup import ids, numbers
from paidup.db.transaction import Tx
from paidup.errors import Conflict, InvalidRequest
from paidup.money import Money, must_be_current
from paidup.orders import store as orders
from paidup.orders.order import Order
from paidup.orders.states import State
from paidup.shops import store as shops

MAX_NUMBER_CHARS = 64
ANOTHER = "another order needs another number"
MAX_DESCRIPTION_CHARS = 127
"""WeChat Pay takes no longer description; the other channels take more."""


async def place_order(
    tx: Tx, *, shop: str, shop_order_no: str, money: Money, description: str, ttl_s: int, now: datetime, shard: int,
    buyer_ref: str = "",
) -> Order:  # fmt: skip
    """Write a new order, or return the one that has this number already.

    ttl_s: seconds until it expires unpaid. buyer_ref: the shop's own number of its customer. Raises Conflict when the
    number was used for another amount.
    """
    must_make_sense(shop_order_no, money, ttl_s)
    must_be_a_buyer(buyer_ref)
    order = Order(
        id=ids.new_id(ids.ORDER, now, shard),
        shop=shop,
        shop_order_no=shop_order_no,
        amount_minor=money.amount_minor,
        currency=money.currency,
        description=description[:MAX_DESCRIPTION_CHARS],
        state=State.UNPAID,
        late_payment=await shops.late_payment_of(tx, shop),
        created_at=now,
        expires_at=now + timedelta(seconds=ttl_s),
        updated_at=now,
        buyer_ref=buyer_ref,
    )
    if await orders.insert(tx, order):
        await numbers.write(tx, numbers.of_order(order))
        return order
    existing = await orders.by_number(tx, shop, shop_order_no)
    if existing is None or existing.money != money:
        known = existing.money if existing else "another id"
        raise Conflict(f"order {shop_order_no} already exists with {known}; {ANOTHER}")
    return existing


def must_be_a_buyer(buyer_ref: str) -> None:
    """Raises InvalidRequest for what is no number of a customer."""
    if len(buyer_ref) > MAX_NUMBER_CHARS or not buyer_ref.isprintable():
        raise InvalidRequest(f"buyer_ref has at most {MAX_NUMBER_CHARS} printable characters")


def must_make_sense(shop_order_no: str, money: Money, ttl_s: int) -> None:
    """Raises InvalidRequest when no order can be like this."""
    if not 1 <= len(shop_order_no) <= MAX_NUMBER_CHARS or not shop_order_no.isprintable():
        raise InvalidRequest(f"shop_order_no must have 1 to {MAX_NUMBER_CHARS} printable characters")
    must_be_current(money.currency)
    if money.amount_minor <= 0:
        raise InvalidRequest("amount_minor must be at least 1")
    if not 60 <= ttl_s <= 30 * 86400:
        raise InvalidRequest("expires_in_s must lie between 60 (a minute) and 2592000 (30 days)")
