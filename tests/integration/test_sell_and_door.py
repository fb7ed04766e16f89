"""Who sells locks articles and then writes orders; the door locks orders and then articles. The two never wait for each
other in a circle: an order that is being written is new to everybody, or known to whoever holds its articles."""

import asyncio
import contextlib
from contextlib import AsyncExitStack

import asyncpg

from paidup.apply import Item, apply
from paidup.checkout.counter import Counter
from paidup.checkout.sell import Answer, Wanted, sell
from paidup.db.transaction import Database, Tx
from paidup.handlers import Handlers
from paidup.orders.order import Order
from paidup.settle.book import CloseOrder
from paidup.testing.builders import NOW, SHOP, after
from paidup.verify.stock import check_stock
from stock_side import CUP, TEA, counters, stocked, the_sku, wanted
from waits import PID, somebody_waits_for

POT = "POT-01"
LOCK = "SELECT id FROM skus WHERE shop = $1 AND sku = $2 FOR UPDATE"


async def sells(db: Database, batch: list[Wanted], pid: "asyncio.Future[int] | None" = None) -> list[Answer]:
    async with db.transaction() as tx:
        if pid is not None:
            pid.set_result(await tx.fetchval(PID))
        return await sell(tx, batch, after(1))


async def closes(db: Database, *orders: Order) -> None:
    async with db.transaction() as tx:
        items = [Item(what=CloseOrder(order.id, "given up"), shop=SHOP, road="shop") for order in orders]
        await apply(tx, items, after(2), Handlers())


async def in_lock_order(db: Database) -> tuple[str, str]:
    """Two articles, the one that is locked first first."""
    await stocked(db, 10)
    await stocked(db, 10, CUP)
    tea, cup = await the_sku(db), await the_sku(db, CUP)
    return (TEA, CUP) if tea.id < cup.id else (CUP, TEA)


async def held(stack: AsyncExitStack, db: Database, sku: str) -> tuple[Tx, int]:
    """A transaction that holds an article, and its server process."""
    tx = await stack.enter_async_context(db.transaction())
    await tx.fetch(LOCK, SHOP, sku)
    return tx, await tx.fetchval(PID)


async def all_adds_up(db: Database) -> bool:
    return all(check.holds for check in await check_stock(db))


async def test_an_order_that_is_sent_twice_and_closed_meanwhile(db: Database) -> None:
    """A shop sends an order to two processes. While the second one waits for the articles, the first one places it, and
    the shop closes it: the door has the order and wants its article, the second process has the article. It learns
    that the order is there, and does not want to write it any more."""
    first, second = await in_lock_order(db)
    number = wanted("A-1", (first, 1))
    async with AsyncExitStack() as other, AsyncExitStack() as placing:
        _, holds_second = await held(other, db, second)
        tx = await placing.enter_async_context(db.transaction())
        (order,) = await sell(tx, [number], NOW)
        assert isinstance(order, Order)
        places = await tx.fetchval(PID)
        pid = asyncio.get_running_loop().create_future()
        again = asyncio.create_task(sells(db, [number, wanted("A-2", (second, 1))], pid))
        await somebody_waits_for(db, places)
        await placing.aclose()
        await somebody_waits_for(db, holds_second)
        closing = asyncio.create_task(closes(db, order))
        await somebody_waits_for(db, await pid)
    answers, _ = await asyncio.gather(again, closing)
    assert (order.id, True) == (answers[0].id, isinstance(answers[1], Order))  # type: ignore[union-attr]
    assert ((10, 0, 0), (9, 1, 0), True) == (
        await counters(db, first),
        await counters(db, second),
        await all_adds_up(db),
    )


class Undone(Exception):
    """Whoever placed the order in between takes it back."""


async def test_the_same_numbers_at_two_processes_in_opposite_order(db: Database) -> None:
    """Sent with other articles, so that no article makes one wait for the other. Both write by number: the second one
    waits for the first one at the first number, and holds none that the first one wants."""
    first, second = await in_lock_order(db)
    await stocked(db, 10, POT)
    with contextlib.suppress(Undone):
        async with db.transaction() as tx:
            await sell(tx, [wanted("A-2", (first, 1))], NOW)
            pid = asyncio.get_running_loop().create_future()
            one = asyncio.create_task(sells(db, [wanted(f"A-{n}", (second, 1)) for n in (1, 2, 3)], pid))
            await somebody_waits_for(db, await tx.fetchval(PID))
            other = asyncio.create_task(sells(db, [wanted("A-3", (POT, 1)), wanted("A-1", (POT, 1))]))
            await somebody_waits_for(db, await pid)
            raise Undone
    written, refused = await asyncio.gather(one, other, return_exceptions=True)
    assert isinstance(refused, asyncpg.UniqueViolationError)  # the counter asks again, and is told of the contradiction
    assert ([Order] * 3, True) == ([type(answer) for answer in written], await all_adds_up(db))  # type: ignore[union-attr]


BOUND = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = 400', current_database()); END $$"


async def test_whoever_was_undone_to_end_a_circle_is_served_after_all(db: Database) -> None:
    """Somebody with other manners holds an article and wants another one. PostgreSQL undoes the counter's part, whose
    bound is the shorter; the buyer stands in line again, and never hears of it."""
    first, second = await in_lock_order(db)
    async with db.session() as session:
        await session.execute(BOUND)
    quick = await Database.connect(db.dsn)
    counter = Counter(quick, lambda: NOW)
    async with AsyncExitStack() as stack:
        tx, pid = await held(stack, db, second)
        await tx.execute("SET LOCAL deadlock_timeout = '20s'")
        buying = asyncio.create_task(counter.place(wanted("A-1", (first, 1), (second, 1))))
        await somebody_waits_for(db, pid)
        await tx.fetch(LOCK, SHOP, first)  # returns when the counter was undone
        await somebody_waits_for(db, pid)
    order = await buying
    await quick.close()
    assert ("A-1", (9, 1, 0), (9, 1, 0)) == (order.shop_order_no, await counters(db, first), await counters(db, second))
