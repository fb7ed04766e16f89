"""The sales counter: crowds, several processes, full lines, poisoned rows; and the traps into which stock falls."""

import asyncio
from collections import Counter as Tally

import pytest

from paidup.checkout import counter as counters_module
from paidup.checkout.counter import SHARDS, Counter, shard_of
from paidup.checkout.sell import Wanted
from paidup.db.transaction import Database
from paidup.errors import InvalidRequest, OutOfStock, Overloaded, PaidupError
from paidup.inventory.sku import Item
from paidup.orders.order import Order
from paidup.testing.builders import NOW
from paidup.verify.stock import check_stock
from stock_side import CUP, TEA, counters, place, placed, stocked, told_of, wanted


async def buy(counter: Counter, order: Wanted) -> Order | PaidupError:
    try:
        return await counter.place(order)
    except PaidupError as refusal:
        return refusal


async def all_holds(db: Database) -> bool:
    return all(check.holds for check in await check_stock(db))


async def test_more_buyers_than_units_at_two_processes(db: Database) -> None:
    """300 buyers, 100 units, two counters on the same row: 100 orders, not one more or less, and everything adds up."""
    await stocked(db, 100)
    stands = [Counter(db, lambda: NOW), Counter(db, lambda: NOW)]
    answers = await asyncio.gather(*(buy(stands[n % 2], wanted(f"A-{n}")) for n in range(300)))
    kinds = Tally(type(answer) for answer in answers)
    assert ({Order: 100, OutOfStock: 200}, (0, 100, 0), True) == (kinds, await counters(db), await all_holds(db))
    assert ["stock.available", "stock.sold_out"] == await told_of(db)


async def test_the_same_order_at_two_processes_at_once_is_placed_once(db: Database) -> None:
    """A buyer who clicks twice, at two processes: one order, one unit, and both hear the same."""
    await stocked(db, 100)
    stands = [Counter(db, lambda: NOW), Counter(db, lambda: NOW)]
    answers = await asyncio.gather(*(buy(stands[n % 2], wanted("A-1")) for n in range(20)))
    assert (1, (99, 1, 0)) == (len({answer.id for answer in answers if isinstance(answer, Order)}), await counters(db))


async def test_orders_over_several_articles_never_wait_in_a_circle(db: Database) -> None:
    """Tea and cup, cup and tea, at four counters in turns: all or none each time, and nobody deadlocks."""
    await stocked(db, 60)
    await stocked(db, 50, CUP)
    stands = [Counter(db, lambda: NOW) for _ in range(4)]
    both = [[(TEA, 1), (CUP, 1)], [(CUP, 1), (TEA, 1)], [(CUP, 1)], [(TEA, 1)]]
    answers = await asyncio.gather(*(buy(stands[n % 4], wanted(f"A-{n}", *both[n % 4])) for n in range(200)))
    assert {Order, OutOfStock} == {type(answer) for answer in answers}
    assert (True, 0) == (await all_holds(db), (await counters(db, CUP))[0])


async def test_sold_out_is_answered_without_a_write(db: Database) -> None:
    """Nothing is locked and nothing is written: the transactions of refused buyers have no number."""
    await stocked(db, 1)
    await placed(db)
    counter = Counter(db, lambda: NOW)
    async with db.session() as tx:
        before = await tx.fetchval("SELECT txid_current()")
    answers = await asyncio.gather(*(buy(counter, wanted(f"B-{n}")) for n in range(50)))
    async with db.session() as tx:
        after = await tx.fetchval("SELECT txid_current()")
    assert ({OutOfStock}, 1) == ({type(answer) for answer in answers}, after - before)


async def test_a_full_line_is_refused_and_nothing_is_kept(db: Database) -> None:
    """Whoever stands in it is served."""
    await stocked(db, 100)
    counter = Counter(db, lambda: NOW, max_waiting=5)
    answers = await asyncio.gather(*(buy(counter, wanted(f"A-{n}")) for n in range(20)))
    kinds = Tally(type(answer) for answer in answers)
    assert ({Order: 5, Overloaded: 15}, (95, 5, 0)) == (kinds, await counters(db))


async def test_a_poisoned_order_fails_alone(db: Database) -> None:
    """A text that PostgreSQL cannot keep: its neighbours in the batch are served."""
    await stocked(db, 100)
    bad = wanted("A-bad")
    broken = Wanted(shop=bad.shop, shop_order_no="A-bad", money=bad.money, items=bad.items, description="a\0b")
    counter = Counter(db, lambda: NOW)
    orders = [wanted("A-1"), broken, wanted("A-2"), wanted("A-3")]
    answers = await asyncio.gather(*(counter.place(order) for order in orders), return_exceptions=True)
    assert [True, False, True, True] == [isinstance(answer, Order) for answer in answers]
    assert (97, 3, 0) == await counters(db)


async def test_what_makes_no_sense_is_refused_before_the_line(db: Database) -> None:
    """No items, too many of one, a number that cannot be printed."""
    counter = Counter(db, lambda: NOW)
    good = wanted()
    for items, number in (((), "A-1"), ((Item(TEA, 0),), "A-1"), (good.items, "A\n1")):
        with pytest.raises(InvalidRequest):
            await counter.place(Wanted(shop=good.shop, shop_order_no=number, money=good.money, items=items))


def test_one_article_has_one_line() -> None:
    """Whatever else is in the order and whoever runs: its line follows from the article, and all lines are used."""
    assert shard_of(wanted("A-1", (TEA, 1))) == shard_of(wanted("A-2", (TEA, 5)))
    assert set(range(SHARDS)) == {shard_of(wanted("A-1", (f"SKU-{n}", 1))) for n in range(100)}
    assert counters_module.MAX_BATCH <= counters_module.MAX_WAITING


# Traps ----------------------------------------------------------------------------------------------------------------


async def test_trap_19_the_retry_of_the_order_that_took_the_last_unit(db: Database) -> None:
    """Stock checked before idempotency: the retry hears "sold out". Here it is the same order, in a batch of its own as
    among buyers who are refused."""
    await stocked(db, 1)
    first = await placed(db, "A-1")
    (alone,) = await place(db, wanted("A-1"))
    among = await place(db, wanted("B-1"), wanted("A-1"), wanted("B-2"))
    assert (first, first) == (alone, among[1])
    assert ([OutOfStock, OutOfStock], (0, 1, 0)) == ([type(among[0]), type(among[2])], await counters(db))


async def test_trap_20_fifty_at_once_who_all_find_nothing_make_one_each(db: Database) -> None:
    """SELECT … FOR UPDATE on a row that is not there locks nothing. Here the article's row is there and is locked, and
    an order's number is taken once: 25 numbers, each asked for twice at once."""
    await stocked(db, 100)
    stands = [Counter(db, lambda: NOW) for _ in range(3)]
    answers = await asyncio.gather(*(buy(stands[n % 3], wanted(f"A-{n % 25}")) for n in range(50)))
    assert ({Order}, 25) == ({type(answer) for answer in answers}, len({a.id for a in answers if isinstance(a, Order)}))
    assert ((75, 25, 0), True) == (await counters(db), await all_holds(db))
