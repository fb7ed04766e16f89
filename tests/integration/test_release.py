"""Money that came otherwise than agreed is held, until a person takes it or gives it back."""

import asyncio

import pytest

from kept import a_callback, an_offer, keep, open_cases, read, receive, states, take_in, told
from paidup.checkout.release import release_payment
from paidup.db.transaction import Database
from paidup.errors import Conflict, NotFound
from paidup.handlers import Handlers
from paidup.money import Money
from paidup.payments import store as payments
from paidup.payments.payment import Payment
from paidup.refunds.refund import Cause
from paidup.repair import expire as expiring
from paidup.settle.book import Verdict
from paidup.testing.builders import AMOUNT, SHOP, a_payment, after, closed, order_id, paid, payment_id
from paidup.verify import verify
from stock_side import counters, placed, stocked
from waits import PID, somebody_waits_for

TOO_LITTLE = Money(900, "CNY")
NOTHING = Money(0, "CNY")


async def held(db: Database, came: Money = TOO_LITTLE) -> None:
    """Payment 1 was offered over more than was paid."""
    await keep(db, an_offer())
    await receive(db, a_callback("cbk1", paid(amount=came)))
    await take_in(db)
    assert ["unpaid", "held"] == states(await read(db))


async def expire(db: Database, seconds: float) -> None:
    """What is not paid by then is given up."""
    await expiring.run_once(db, now=after(seconds), limit=10, handlers=Handlers())


async def release(db: Database, verdict: Verdict, *, shop: str | None = SHOP) -> Payment:
    async with db.transaction() as tx:
        return await release_payment(
            tx, Handlers(), shop=shop, payment_id=payment_id(), verdict=verdict, why="as agreed by phone", now=after(60)
        )


async def test_accepted_money_pays_the_order_as_it_came(db: Database) -> None:
    """The payment is over what came; the order is paid and told of; the case is closed, and verify holds."""
    await held(db)
    taken = await release(db, Verdict.ACCEPT)
    assert (TOO_LITTLE, ["paid", "paid"], []) == (taken.money, states(await read(db)), await open_cases(db))
    assert ["payment.held", "case.opened", "payment.paid", "order.paid"] == await told(db)
    assert (await verify(db)).holds


async def test_money_that_is_given_back_goes_back_whole(db: Database) -> None:
    """All that came is refunded under a number of its own; the order still waits for its money."""
    await held(db)
    await release(db, Verdict.GIVE_BACK)
    book = await read(db)
    [refund] = book.refunds.values()
    assert (["unpaid", "paid", "requested"], TOO_LITTLE, Cause.HELD) == (states(book), refund.money, refund.cause)
    assert (await verify(db)).holds


async def test_a_held_payment_given_back_lets_its_order_close(db: Database) -> None:
    """The order expires while a person decides, and waits for the decision: given back, the money pays nothing."""
    await held(db)
    await expire(db, 3 * 3600)
    waits = states(await read(db))
    await release(db, Verdict.GIVE_BACK)
    assert (["closing", "held"], ["closed", "paid", "requested"]) == (waits, states(await read(db)))
    assert "order.closed" in await told(db)
    assert (await verify(db)).holds


async def test_accepted_money_pays_an_order_that_is_being_closed(db: Database) -> None:
    """The same, accepted: nothing was closed meanwhile."""
    await held(db)
    await expire(db, 3 * 3600)
    await release(db, Verdict.ACCEPT)
    assert ["paid", "paid"] == states(await read(db))


async def test_an_order_waits_for_its_other_payment_when_one_was_given_back(db: Database) -> None:
    """Money that went back is no reason to close an order whose second offer the channel has not closed yet."""
    await held(db)
    async with db.transaction() as tx:
        assert await payments.insert(tx, a_payment(2, order_id=order_id()))
    await expire(db, 3 * 3600)
    await release(db, Verdict.GIVE_BACK)
    waits = states(await read(db))
    await receive(db, a_callback("cbk2", closed(2)))
    await take_in(db, 4 * 3600)
    assert (["closing", "paid", "closing", "requested"], ["closed", "paid", "closed", "requested"]) == (
        waits,
        states(await read(db)),
    )


async def test_units_of_an_order_whose_money_went_back_are_on_sale_again(db: Database) -> None:
    """Given back before the order expired: nobody pays it any more, and its units are set aside for nobody."""
    await stocked(db, 10)
    order = await placed(db)
    async with db.transaction() as tx:
        assert await payments.insert(tx, a_payment(order_id=order.id, expires_at=order.expires_at))
    await receive(db, a_callback("cbk1", paid(amount=TOO_LITTLE)))
    await take_in(db)
    await release(db, Verdict.GIVE_BACK)
    before = await counters(db)
    await expire(db, 86400)
    assert ((9, 1, 0), (10, 0, 0)) == (before, await counters(db))
    assert (await verify(db)).holds


async def test_accepting_that_nothing_came_books_nothing(db: Database) -> None:
    """A page that a coupon paid wholly came to an amount of 0: taken as it came it pays no order, and the refusal says
    what to do."""
    await held(db, NOTHING)
    with pytest.raises(Conflict, match="nothing came, and that pays no order; give it back, which closes the payment"):
        await release(db, Verdict.ACCEPT)
    book = await read(db)
    assert (["unpaid", "held"], [("mismatch", payment_id())]) == (states(book), await open_cases(db))
    assert AMOUNT == book.payments[payment_id()].money


async def test_nothing_that_came_is_not_given_back(db: Database) -> None:
    """The payment is closed without a refund, and its case with it; the order may be paid by another payment."""
    await held(db, NOTHING)
    await release(db, Verdict.GIVE_BACK)
    assert (["unpaid", "closed"], []) == (states(await read(db)), await open_cases(db))
    assert ["payment.held", "case.opened", "payment.closed"] == await told(db)
    assert (await verify(db)).holds


async def test_nothing_that_came_lets_its_order_close(db: Database) -> None:
    """The order expired while a person decided."""
    await held(db, NOTHING)
    await expire(db, 3 * 3600)
    await release(db, Verdict.GIVE_BACK)
    assert ["closed", "closed"] == states(await read(db))


async def test_nothing_that_comes_once_more_asks_nobody_again(db: Database) -> None:
    """The channel repeats its notice after a person has decided; money that does come pays the order."""
    await held(db, NOTHING)
    await release(db, Verdict.GIVE_BACK)
    await receive(db, a_callback("cbk2", paid(amount=NOTHING)))
    await take_in(db, 100)
    repeated = states(await read(db)), await open_cases(db)
    await receive(db, a_callback("cbk3", paid()))
    await take_in(db, 200)
    book = await read(db)
    assert ((["unpaid", "closed"], []), ["paid", "paid"]) == (repeated, states(book))
    assert (0, "") == (book.payments[payment_id()].received_minor, book.payments[payment_id()].received_currency)


async def test_deciding_twice_moves_nothing_twice(db: Database) -> None:
    """The second decision is refused, with words; there is one refund."""
    await held(db)
    await release(db, Verdict.GIVE_BACK)
    with pytest.raises(Conflict, match="only a held one waits for a decision"):
        await release(db, Verdict.ACCEPT)
    assert 1 == len((await read(db)).refunds)


@pytest.mark.parametrize("second", Verdict)
@pytest.mark.parametrize("first", Verdict)
async def test_of_two_people_who_decide_at_once_the_second_is_refused(
    db: Database, first: Verdict, second: Verdict
) -> None:
    """Whoever waited for the first one's commit hears that it was decided, and how it stands; nothing is written."""
    await held(db)
    decided = asyncio.Event()

    async def decide_first() -> None:
        async with db.transaction() as tx:
            pid = await tx.fetchval(PID)
            await release_payment(
                tx, Handlers(), shop=SHOP, payment_id=payment_id(), verdict=first, why="first", now=after(60)
            )
            decided.set()
            await somebody_waits_for(db, pid)

    async def decide_second() -> None:
        await decided.wait()
        with pytest.raises(Conflict, match="already paid; nothing is held here"):
            await release(db, second)

    await asyncio.gather(decide_first(), decide_second())
    async with db.session() as tx:
        resolution = await tx.fetchval("SELECT resolution FROM cases")
    assert (first is Verdict.GIVE_BACK, f"{first}: first") == (bool((await read(db)).refunds), resolution)


async def test_nothing_is_held_where_all_is_as_agreed(db: Database) -> None:
    """An open payment has nothing to release, and a stranger's payment is not there at all."""
    await keep(db, an_offer())
    with pytest.raises(Conflict):
        await release(db, Verdict.ACCEPT)
    with pytest.raises(NotFound):
        await release(db, Verdict.ACCEPT, shop="stranger")


async def test_a_dispute_that_waited_is_weighed_after_the_release(db: Database) -> None:
    """What was parked while a person decided is applied by the intake when it looks again."""
    from paidup.evidence import DisputeSays
    from paidup.testing.builders import dispute_says

    await held(db)
    await receive(db, a_callback("cbk2", dispute_says(DisputeSays.OPENED)))
    await take_in(db, 50)
    await release(db, Verdict.ACCEPT)
    await take_in(db, 4000)
    assert ["paid", "disputed"] == states(await read(db))
