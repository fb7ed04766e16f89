"""The process dies at each use of the database while it sells, is paid, closes and gives back: nothing is oversold, and
no unit is lost."""

from collections.abc import AsyncIterator

import pytest
from mortal import MortalDatabase
from test_dies_at_each_step import dies_at_each_step

from paidup.apply import Item, apply
from paidup.checkout.sell import sell
from paidup.checkout.warehouse import Change, change
from paidup.db.transaction import Database
from paidup.evidence import Evidence, RefundSays
from paidup.handlers import Handlers
from paidup.inventory.states import Kind
from paidup.payments import store as payments
from paidup.settle.book import CloseOrder, Command
from paidup.testing.builders import NOW, SHOP, a_payment, after, closed, paid, refund_says
from paidup.verify.stock import check_stock
from stock_side import changed, counters, numbers, place, placed, stocked, the_sku, told_of, wanted


@pytest.fixture
async def mortal(db: Database) -> AsyncIterator[MortalDatabase]:
    database = await MortalDatabase.connect(db.dsn)
    yield database
    await database.close()


async def all_holds(db: Database) -> bool:
    return all(check.holds for check in await check_stock(db))


async def test_selling_dies_at_each_step(db: Database, mortal: MortalDatabase) -> None:
    """The buyers ask again, at another process: each has one order, and as many units are set aside as were bought."""
    await stocked(db, 1000, low_at=990)

    async def once(n: int) -> None:
        async with mortal.transaction() as tx:
            await sell(tx, [wanted(f"A-{n}"), wanted(f"B-{n}")], NOW)

    deaths = await dies_at_each_step(mortal, once)
    for n in range(1, deaths + 2):
        await place(db, wanted(f"A-{n}"), wanted(f"B-{n}"))
    bought = 2 * (deaths + 1)
    assert ((1000 - bought, bought, 0), bought) == (await counters(db), len(await numbers(db)))
    assert (True, True, 1) == (deaths > 15, await all_holds(db), (await told_of(db)).count("stock.low"))


STORIES: dict[str, tuple[list[Evidence | Command], tuple[int, int, int]]] = {
    "paid": ([paid(1)], (9, 0, 1)),
    "given up and closed": ([CloseOrder("", "its time is over"), closed(1)], (10, 0, 0)),
    "refunded": ([paid(1), refund_says(RefundSays.SUCCEEDED, 1)], (10, 0, 0)),
    "closed, and paid late": ([CloseOrder("", "its time is over"), closed(1), paid(1)], (9, 0, 1)),
}


@pytest.mark.parametrize(("story", "expected"), STORIES.values(), ids=STORIES)
async def test_the_door_dies_at_each_step(
    db: Database, mortal: MortalDatabase, story: list[Evidence | Command], expected: tuple[int, int, int]
) -> None:
    """Told once more afterwards: the units end where they belong, moved once."""
    await stocked(db, 10)
    order = await placed(db)
    async with db.transaction() as tx:
        assert await payments.insert(tx, a_payment(1, order_id=order.id))
    what = [CloseOrder(order.id, one.why) if isinstance(one, CloseOrder) else one for one in story]
    items = [Item(what=one, shop=SHOP, road="callback") for one in what]

    async def once(n: int) -> None:
        async with mortal.transaction() as tx:
            await apply(tx, items, after(60), Handlers())

    deaths = await dies_at_each_step(mortal, once)
    async with db.transaction() as tx:
        await apply(tx, items, after(90), Handlers())
    assert (expected, True, True) == (await counters(db), await all_holds(db), deaths > 15)


async def test_restocking_dies_at_each_step(db: Database, mortal: MortalDatabase) -> None:
    """Under one key it is done once, whenever whoever did it died."""
    await stocked(db, 0)

    async def once(n: int) -> None:
        async with mortal.transaction() as tx:
            note = Change(
                shop=SHOP, sku="TEA-01", kind=Kind.RESTOCK, quantity=10, reason="note", operator="anna", key=f"k{n}"
            )
            await change(tx, note, NOW)

    deaths = await dies_at_each_step(mortal, once)
    for n in range(1, deaths + 2):
        await changed(db, Kind.RESTOCK, 10, key=f"k{n}")
    assert (10 * (deaths + 1), True) == ((await the_sku(db)).available, await all_holds(db))
