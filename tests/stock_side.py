"""A shop that sells from stock: articles, buyers, and what the tables say of them."""

from collections.abc import Sequence
from datetime import datetime

from paidup.checkout.sell import Answer, Wanted, checked, sell
from paidup.checkout.warehouse import Change, Described, change, put_sku
from paidup.db.transaction import Database
from paidup.ids import ORDER, last_of
from paidup.inventory import store as inventory
from paidup.inventory.sku import Item, Policy, Reservation, Sku
from paidup.inventory.states import Kind
from paidup.money import Money
from paidup.orders import store as orders
from paidup.orders.order import LatePayment, Order
from paidup.outbox import store as outbox
from paidup.shops import store as shops
from paidup.testing.builders import AMOUNT, LONG_AGO, NOW, SHOP

TEA, CUP = "TEA-01", "CUP-01"


async def stocked(
    db: Database,
    units: int = 10,
    sku: str = TEA,
    *,
    late_payment: LatePayment = LatePayment.REOPEN,
    restock_refunded: bool = True,
    **described: object,
) -> Sku:
    """A shop with so many units of an article."""
    async with db.transaction() as tx:
        await shops.put_shop(tx, SHOP, late_payment, NOW)
        await inventory.put_policy(tx, Policy(shop=SHOP, restock_refunded=restock_refunded))
        await put_sku(tx, Described(shop=SHOP, sku=sku, **described), NOW)  # type: ignore[arg-type]
    return await restock(db, units, sku) if units else await the_sku(db, sku)


async def restock(db: Database, units: int, sku: str = TEA, *, key: str = "first delivery") -> Sku:
    """So many units more."""
    return await changed(db, Kind.RESTOCK, units, sku, key=key)


async def changed(db: Database, kind: Kind, units: int, sku: str = TEA, *, key: str) -> Sku:
    """Somebody in the warehouse does something."""
    wanted = Change(
        shop=SHOP, sku=sku, kind=kind, quantity=units, reason="delivery note 4711", operator="anna", key=key
    )
    async with db.transaction() as tx:
        return await change(tx, wanted, NOW)


def wanted(number: str = "A-1", *items: tuple[str, int], money: Money = AMOUNT, ttl_s: int | None = None) -> Wanted:
    """An order of these items; of one tea when none is named."""
    lines = tuple(Item(sku, quantity) for sku, quantity in items or ((TEA, 1),))
    return checked(Wanted(shop=SHOP, shop_order_no=number, money=money, items=lines, ttl_s=ttl_s))


async def place(db: Database, *batch: Wanted, now: datetime = NOW) -> list[Answer]:
    """One batch at the counter."""
    async with db.transaction() as tx:
        return await sell(tx, batch, now)


async def placed(db: Database, number: str = "A-1", *items: tuple[str, int], now: datetime = NOW) -> Order:
    """An order that gets its units."""
    (answer,) = await place(db, wanted(number, *items), now=now)
    assert isinstance(answer, Order), answer
    return answer


async def the_sku(db: Database, sku: str = TEA) -> Sku:
    """The article as it stands."""
    async with db.session() as tx:
        found = await inventory.get(tx, SHOP, sku)
    assert found is not None
    return found


async def counters(db: Database, sku: str = TEA) -> tuple[int, int, int]:
    """Available, reserved and sold."""
    found = await the_sku(db, sku)
    return found.available, found.reserved, found.sold


async def units_of(db: Database, order: Order) -> Reservation:
    """What is set aside for the order."""
    async with db.session() as tx:
        return (await inventory.of_orders(tx, [order.id]))[order.id]


async def journal(db: Database, order: Order) -> list[tuple[str, str, int]]:
    """(kind, SKU, quantity) of the movements of an order, oldest first."""
    async with db.session() as tx:
        return [(m.kind.value, m.sku, m.quantity) for m in await inventory.of_order(tx, order.id)]


async def told_of(db: Database, sku: str = TEA) -> list[str]:
    """What the shop was told of an article, in order."""
    async with db.session() as tx:
        return [event.type.value for event in await outbox.of_order(tx, (await the_sku(db, sku)).id, since=LONG_AGO)]


async def numbers(db: Database) -> Sequence[str]:
    """The shop's numbers of all orders."""
    async with db.session() as tx:
        return sorted(order.shop_order_no for order in await orders.page(tx, SHOP, last_of(ORDER), 10_000))
