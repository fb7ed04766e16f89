"""Place orders with items: the order and its units are written as one, in batches, all of an order's items or none.

A number that is known is answered first and from what is there, whatever is left now: the retry of the order that took
the last unit is no refusal. When nothing of a batch can be had, nothing is locked and nothing is written.

Which numbers are known is asked after the articles are locked. Whoever placed the same order elsewhere held them until
it was committed, so it is seen. Asked before, it would be written once more, and the writing would wait for whoever
changes that order now: for the door, which waits for the articles.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from paidup import ids, numbers, stock
from paidup.checkout.place import ANOTHER, MAX_DESCRIPTION_CHARS, must_make_sense
from paidup.db.transaction import Tx
from paidup.errors import Conflict, InvalidRequest, OutOfStock, SenderError
from paidup.inventory import store as inventory
from paidup.inventory.decide import Short, allocate, alone, movements, whole
from paidup.inventory.sku import Item, Place, Policy, Reservation, Shelf
from paidup.inventory.states import Kind
from paidup.inventory.states import State as StockState
from paidup.money import Money
from paidup.orders import store as orders
from paidup.orders.order import LatePayment, Order
from paidup.orders.states import State
from paidup.shops import store as shops

MAX_ITEMS = 100
MAX_QUANTITY = 1_000_000


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """An order that a shop wants to place. ttl_s: seconds until it expires unpaid; None: as long as the shop holds."""

    shop: str
    shop_order_no: str
    money: Money
    items: tuple[Item, ...]
    description: str = ""
    ttl_s: int | None = None
    shard: int = 0
    buyer_ref: str = ""

    @property
    def name(self) -> tuple[str, str]:
        """What names the order: the shop and its own number."""
        return self.shop, self.shop_order_no


Answer = Order | SenderError


def checked(wanted: Wanted) -> Wanted:
    """The same with each article named once. Raises InvalidRequest when no order can be like this."""
    must_make_sense(wanted.shop_order_no, wanted.money, wanted.ttl_s or 60)
    if not 1 <= len(wanted.items) <= MAX_ITEMS:
        raise InvalidRequest(f"an order has 1 to {MAX_ITEMS} items")
    if not all(1 <= item.quantity <= MAX_QUANTITY for item in wanted.items):
        raise InvalidRequest(f"the quantity of an item must lie between 1 and {MAX_QUANTITY}")
    return msgspec.structs.replace(wanted, items=whole(wanted.items))


async def sell(tx: Tx, batch: Sequence[Wanted], now: datetime) -> list[Answer]:
    """Place a batch of checked orders, in the order in which they came; each is answered by its order or its refusal.

    Raises asyncpg's UniqueViolationError when somebody else placed one of them in this very moment: ask again.
    """
    first = {wanted.name: wanted for wanted in reversed(batch)}
    some = [wanted for wanted in batch if first[wanted.name] is wanted]
    refused = _hopeless(some, await inventory.shelf(tx, _places(some)))
    hopeful = [wanted for wanted in some if wanted.name not in refused]
    shelf = await inventory.lock(tx, _places(hopeful))
    known = await _known(tx, batch)
    fresh = [wanted for wanted in hopeful if wanted.name not in known]
    if fresh:
        refused |= _refused(fresh, shelf)
        terms = await _terms(tx, fresh)
        served = [(_order(w, terms, now), w) for w in fresh if w.name not in refused]
        await _write(tx, served, shelf, terms, now)
        known |= {wanted.name: (order, wanted.items) for order, wanted in served}
    return [_answer(wanted, known.get(wanted.name), refused) for wanted in batch]


_Placed = tuple[Order, tuple[Item, ...]]
_Names = tuple[str, str]


def _answer(wanted: Wanted, known: _Placed | None, refused: Mapping[_Names, SenderError]) -> Answer:
    """The order of this number, if it is the one that is wanted."""
    if known is None:
        return refused[wanted.name]
    order, items = known
    if order.money != wanted.money:
        return Conflict(f"order {order.shop_order_no} already exists with {order.money}; {ANOTHER}")
    if items != wanted.items:
        return Conflict(f"order {order.shop_order_no} already exists with {_said(items)}; {ANOTHER}")
    return order


def _said(items: Sequence[Item]) -> str:
    return ", ".join(f"{item.quantity} of {item.sku}" for item in items) or "no items"


async def _known(tx: Tx, batch: Sequence[Wanted]) -> dict[_Names, _Placed]:
    """The orders of these numbers that are there already, with their items."""
    found = await orders.by_numbers(tx, [wanted.name for wanted in batch])
    units = await inventory.of_orders(tx, [order.id for order in found.values()]) if found else {}
    return {name: (order, units[order.id].items if order.id in units else ()) for name, order in found.items()}


def _places(some: Iterable[Wanted]) -> set[Place]:
    return {(wanted.shop, item.sku) for wanted in some for item in wanted.items}


def _hopeless(some: Sequence[Wanted], shelf: Shelf) -> dict[_Names, SenderError]:
    """Those that could not be served from this shelf if they came alone, and why."""
    return _said_no(some, alone([(wanted.shop, wanted.items) for wanted in some], shelf))


def _refused(some: Sequence[Wanted], shelf: Shelf) -> dict[_Names, SenderError]:
    """Those that cannot be served from this shelf, one after the other, and why."""
    return _said_no(some, allocate([(wanted.shop, wanted.items) for wanted in some], shelf))


def _said_no(some: Sequence[Wanted], shorts: Sequence[Short | None]) -> dict[_Names, SenderError]:
    return {wanted.name: _refusal(short) for wanted, short in zip(some, shorts, strict=True) if short}


def _refusal(short: Short) -> SenderError:
    if short.left is None:
        return InvalidRequest(f"there is no SKU {short.sku}; PUT /v1/skus/{short.sku} makes one")
    return OutOfStock(short.sku, short.wanted, short.left)


class _Terms(msgspec.Struct, frozen=True):
    """What shops have laid down for their orders."""

    late_payment: Mapping[str, LatePayment]
    policies: Mapping[str, Policy]


async def _terms(tx: Tx, some: Iterable[Wanted]) -> _Terms:
    names = {wanted.shop for wanted in some}
    return _Terms(await shops.late_payments_of(tx, names), await inventory.policies(tx, names))


def _order(wanted: Wanted, terms: _Terms, now: datetime) -> Order:
    ttl_s = wanted.ttl_s or terms.policies[wanted.shop].hold_s
    return Order(
        id=ids.new_id(ids.ORDER, now, wanted.shard),
        shop=wanted.shop,
        shop_order_no=wanted.shop_order_no,
        amount_minor=wanted.money.amount_minor,
        currency=wanted.money.currency,
        description=wanted.description[:MAX_DESCRIPTION_CHARS],
        state=State.UNPAID,
        late_payment=terms.late_payment[wanted.shop],
        created_at=now,
        expires_at=now + timedelta(seconds=ttl_s),
        updated_at=now,
        buyer_ref=wanted.buyer_ref,
    )


async def _write(tx: Tx, served: Sequence[tuple[Order, Wanted]], shelf: Shelf, terms: _Terms, now: datetime) -> None:
    """The orders, their reservations, and the movements."""
    reservations = [
        Reservation(
            order_id=order.id,
            shop=order.shop,
            state=StockState.HELD,
            items=wanted.items,
            restock_refunded=terms.policies[order.shop].restock_refunded,
            created_at=now,
            updated_at=now,
        )
        for order, wanted in served
    ]
    # By number, because somebody who places the same numbers elsewhere, with other articles, waits for them in turn.
    await orders.insert_many(tx, sorted((order for order, _ in served), key=lambda o: (o.shop, o.shop_order_no)))
    await numbers.write(tx, [number for order, _ in served for number in numbers.of_order(order)])
    await inventory.reserve(tx, reservations)
    await stock.write(tx, shelf, [m for r in reservations for m in movements(r, Kind.RESERVE, now)], now)
