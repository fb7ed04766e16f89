"""Orders with items on real PostgreSQL: units are set aside, sold and given back as the order moves, never twice."""

import pytest

from kept import open_cases
from paidup.apply import Item, Result, apply
from paidup.db.transaction import Database
from paidup.errors import Conflict, InvalidRequest, OutOfStock
from paidup.evidence import Evidence, RefundSays
from paidup.handlers import Handlers
from paidup.orders.order import Order
from paidup.payments import store as payments
from paidup.settle.book import CloseOrder, Command
from paidup.testing.builders import SHOP, a_payment, after, closed, paid, refund_says
from paidup.verify import verify
from stock_side import CUP, TEA, counters, journal, numbers, place, placed, stocked, told_of, units_of, wanted


async def test_an_order_takes_its_units_and_no_more(db: Database) -> None:
    """They move from available to reserved, in the journal and in the counters, and the order lives 15 minutes."""
    await stocked(db, 10)
    order = await placed(db, "A-1", (TEA, 3))
    assert ((7, 3, 0), [("reserve", TEA, 3)]) == (await counters(db), await journal(db, order))
    assert ("held", after(900)) == ((await units_of(db, order)).state, order.expires_at)


async def test_all_items_or_none(db: Database) -> None:
    """One article is short: nothing of the other is set aside, and no order is left behind."""
    await stocked(db, 10)
    await stocked(db, 1, CUP)
    (answer,) = await place(db, wanted("A-1", (TEA, 2), (CUP, 2)))
    assert isinstance(answer, OutOfStock)
    assert ((CUP, 1), (10, 0, 0), (1, 0, 0), []) == (
        (answer.sku, answer.left), await counters(db), await counters(db, CUP), await numbers(db)
    )  # fmt: skip


async def test_a_large_request_does_not_starve_the_smaller_ones_behind_it(db: Database) -> None:
    """In one batch, in the order in which they came: what is refused takes nothing from those behind."""
    await stocked(db, 5)
    answers = await place(
        db, wanted("A-1", (TEA, 2)), wanted("A-2", (TEA, 9)), wanted("A-3", (TEA, 2)), wanted("A-4", (TEA, 1))
    )
    assert [False, True, False, False] == [isinstance(answer, OutOfStock) for answer in answers]
    assert ((0, 5, 0), ["A-1", "A-3", "A-4"]) == (await counters(db), await numbers(db))


async def test_the_same_number_is_the_same_order(db: Database) -> None:
    """Also twice within one batch; with other items or other money it is a contradiction."""
    await stocked(db, 5)
    first, second = await place(db, wanted("A-1", (TEA, 2)), wanted("A-1", (TEA, 2)))
    again, other = await place(db, wanted("A-1", (TEA, 1), (TEA, 1)), wanted("A-1", (TEA, 3)))
    assert (first, first, (3, 2, 0)) == (second, again, await counters(db))
    with pytest.raises(Conflict, match="already exists with 2 of TEA-01"):
        raise other  # type: ignore[misc]


async def test_an_unknown_article_fails_alone(db: Database) -> None:
    """Its neighbours in the batch are served."""
    await stocked(db, 5)
    bad, good = await place(db, wanted("A-1", ("NOWHERE", 1)), wanted("A-2"))
    assert (True, "A-2") == (isinstance(bad, InvalidRequest), good.shop_order_no)  # type: ignore[union-attr]


async def test_the_shop_is_told_once_that_few_are_left_and_that_none_is(db: Database) -> None:
    """Low at the mark, sold out at nought; more of the same says nothing new."""
    await stocked(db, 5, low_at=3)
    for n in range(5):
        await placed(db, f"A-{n}")
    assert ["stock.available", "stock.low", "stock.sold_out"] == await told_of(db)


# The door -------------------------------------------------------------------------------------------------------------


async def through_the_door(db: Database, *what: Evidence | Command, seconds: float = 60) -> list[Result]:
    """One batch."""
    async with db.transaction() as tx:
        items = [Item(what=one, shop=SHOP, road="callback") for one in what]
        return await apply(tx, items, after(seconds), Handlers())


async def offered(db: Database, order: Order, number: int = 1) -> Order:
    """The order with an open payment of this number."""
    async with db.transaction() as tx:
        assert await payments.insert(tx, a_payment(number, order_id=order.id))
    return order


async def holds(db: Database) -> dict[str, list[str]]:
    """What breaks a claim of verify; nothing."""
    return {check.name: check.breaches for check in (await verify(db)).checks if check.breaches}


async def test_a_paid_order_has_its_units_sold(db: Database) -> None:
    """Once, however often it is told."""
    await stocked(db, 10)
    order = await offered(db, await placed(db, "A-1", (TEA, 3)))
    await through_the_door(db, paid(), paid(key="again"))
    await through_the_door(db, paid(key="and again"))
    assert ((7, 0, 3), "sold") == (await counters(db), (await units_of(db, order)).state)
    assert ([("reserve", TEA, 3), ("confirm", TEA, 3)], {}) == (await journal(db, order), await holds(db))


async def test_units_are_on_sale_again_when_the_channel_confirmed_the_close_and_not_before(db: Database) -> None:
    """While it is being closed at the channel somebody may still pay: its units stay set aside."""
    await stocked(db, 10)
    order = await offered(db, await placed(db, "A-1", (TEA, 3)))
    await through_the_door(db, CloseOrder(order.id, "its time is over"))
    closing = await counters(db)
    await through_the_door(db, closed())
    assert ((7, 3, 0), (10, 0, 0), "released") == (closing, await counters(db), (await units_of(db, order)).state)
    assert {} == await holds(db)


async def test_money_for_a_closed_order_takes_the_units_back(db: Database) -> None:
    """They are still there: the order is reopened, its units are reserved once more and sold."""
    await stocked(db, 10)
    order = await offered(db, await placed(db, "A-1", (TEA, 3)))
    await through_the_door(db, CloseOrder(order.id, "its time is over"), closed())
    await through_the_door(db, paid())
    kinds = [kind for kind, _, _ in await journal(db, order)]
    assert ((7, 0, 3), ["reserve", "release", "reserve", "confirm"]) == (await counters(db), kinds)
    assert {} == await holds(db)


async def test_money_for_a_closed_order_whose_units_are_gone_goes_back(db: Database) -> None:
    """Sold to others since: the order stays closed, nothing is oversold, and the refund is under way."""
    await stocked(db, 3)
    order = await offered(db, await placed(db, "A-1", (TEA, 3)))
    await through_the_door(db, CloseOrder(order.id, "its time is over"), closed())
    await placed(db, "A-2", (TEA, 1))
    (result,) = await through_the_door(db, paid())
    assert result.book is not None
    assert ("closed", ["late_payment"]) == (result.book.order.state, [r.cause for r in result.book.refunds.values()])
    assert ((2, 1, 0), {}) == (await counters(db), await holds(db))
    assert "its units were sold to others: the money goes back" in result.why


async def test_closing_and_late_money_in_one_batch(db: Database) -> None:
    """The batch that releases units may have to take them again: two late payments, units for one of them."""
    await stocked(db, 4)
    first = await offered(db, await placed(db, "A-1", (TEA, 3)), 1)
    second = await offered(db, await placed(db, "A-2", (TEA, 1)), 2)
    for order in (first, second):
        await through_the_door(db, CloseOrder(order.id, "its time is over"))
    await through_the_door(db, closed(1), closed(2))
    await placed(db, "A-3", (TEA, 2))
    await through_the_door(db, paid(1), paid(2))
    assert (("released", "sold"), (1, 2, 1)) == (
        ((await units_of(db, first)).state, (await units_of(db, second)).state), await counters(db)
    )  # fmt: skip
    assert {} == await holds(db)


@pytest.mark.parametrize(
    ("restock_refunded", "expected"), [(True, ("returned", (10, 0, 0))), (False, ("sold", (7, 0, 3)))]
)
async def test_units_of_a_refunded_order_go_where_the_shop_says(
    db: Database, restock_refunded: bool, expected: tuple[str, tuple[int, int, int]]
) -> None:
    """On sale again at once, or kept until somebody finds them in the warehouse."""
    await stocked(db, 10, restock_refunded=restock_refunded)
    order = await offered(db, await placed(db, "A-1", (TEA, 3)))
    await through_the_door(db, paid(), refund_says(RefundSays.SUCCEEDED))
    assert expected == ((await units_of(db, order)).state, await counters(db))
    assert {} == await holds(db)


async def test_a_paid_order_that_cannot_get_its_units_back_is_a_case(db: Database) -> None:
    """Refunded and on sale again, sold to others, and then the refund came back: a person decides."""
    await stocked(db, 3)
    order = await offered(db, await placed(db, "A-1", (TEA, 3)))
    await through_the_door(db, paid(), refund_says(RefundSays.SUCCEEDED))
    await placed(db, "A-2", (TEA, 3))
    await through_the_door(db, refund_says(RefundSays.FAILED, received_at=after(900)), seconds=900)
    assert (True, (0, 3, 0)) == (("stock_gone", order.id) in await open_cases(db), await counters(db))
    assert {} == await holds(db)


@pytest.mark.parametrize("restock_refunded", [True, False])
async def test_trap_17_a_late_paid_does_not_take_the_units_a_second_time(db: Database, restock_refunded: bool) -> None:
    """A late "paid" turned a refunded order back to processing, and took the stock twice. Here it is old news."""
    await stocked(db, 10, restock_refunded=restock_refunded)
    order = await offered(db, await placed(db, "A-1", (TEA, 3)))
    await through_the_door(db, paid(), refund_says(RefundSays.SUCCEEDED))
    before = await counters(db), await journal(db, order)
    await through_the_door(db, paid(key="late"), paid(key="again", received_at=after(86400)))
    assert (before, {}) == ((await counters(db), await journal(db, order)), await holds(db))
