"""What happens between our question, our closing and the customer's money, against channels that speak their real wire
format: an order is never told as paid with money that is gone, and nothing is called closed that can still be paid."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

import aiohttp
import msgspec
import pytest

from merchant import Merchant
from paidup import ids
from paidup.channels.http import Sent
from paidup.channels.messages import CallbackRequest, Unknown
from paidup.channels.registry import CHANNELS
from paidup.checkout.open import Wanted, open_payment
from paidup.checkout.sell import Wanted as WantedOrder
from paidup.checkout.sell import sell
from paidup.intake import inbox
from paidup.intake.receive import received
from paidup.inventory.sku import Item as Units
from paidup.journal.store import Call
from paidup.money import Money
from paidup.orders import store as orders
from paidup.orders.order import Order
from paidup.orders.states import State as OrderState
from paidup.payments.payment import Payment
from paidup.payments.states import State
from paidup.sandbox.ledger import Refund, RefundState
from paidup.sandbox.wire import News
from paidup.testing.builders import SHOP
from stock_side import stocked


async def the_order(merchant: Merchant, order: Order) -> Order:
    async with merchant.db.session() as tx:
        found = await orders.get(tx, order.id)
    assert found is not None
    return found


async def settle_all(merchant: Merchant) -> None:
    """Ask about everything that is due now."""
    await merchant.clock.advance(5)
    while await merchant.repair():
        pass


def before(merchant: Merchant, purpose: str, happens: Callable[[], object]) -> None:
    """This happens at the channel in the moment before such a call arrives there."""
    send = merchant.asker.send

    async def sending(account: Any, exchange: Any, shop: str, subject_id: str, what: str) -> Any:
        if what == purpose:
            happens()
        return await send(account, exchange, shop, subject_id, what)

    merchant.asker.send = sending  # type: ignore[method-assign]


def the_answer_is_lost(merchant: Merchant, purpose: str) -> None:
    """The channel does what such a call wants, and we do not hear of it: once."""
    send, lost = merchant.asker.send, []

    async def sending(account: Any, exchange: Any, shop: str, subject_id: str, what: str) -> Any:
        sent, call = await send(account, exchange, shop, subject_id, what)
        if what != purpose or lost:
            return sent, call
        lost.append(call)
        return msgspec.structs.replace(sent, outcome=Unknown("no usable answer: it was lost")), call

    merchant.asker.send = sending  # type: ignore[method-assign]


def acts_late(merchant: Merchant, purpose: str) -> list[Callable[[], Awaitable[Any]]]:
    """The first such call reaches the channel long after we gave up: when what this returns is called."""
    send, late = merchant.asker.send, []

    async def sending(account: Any, exchange: Any, shop: str, subject_id: str, what: str) -> Any:
        if what != purpose or late:
            return await send(account, exchange, shop, subject_id, what)
        late.append(partial(send, account, exchange, shop, subject_id, what))
        sent = Sent(outcome=Unknown("no answer"), status=None, elapsed_ms=2000, request_line="", answer=b"")
        now = merchant.clock.now()
        call = Call(
            id=ids.new_id(ids.CALL, now), called_at=now, shop=shop, channel=account.channel, account=account.name,
            subject_id=subject_id, purpose=what, outcome="unknown", why="no answer", status=None, elapsed_ms=2000,
            answer="",
        )  # fmt: skip
        return sent, call

    merchant.asker.send = sending  # type: ignore[method-assign]
    return late


def is_away(merchant: Merchant) -> None:
    """No call is answered from now on."""
    send = merchant.asker.send

    async def sending(account: Any, exchange: Any, shop: str, subject_id: str, what: str) -> Any:
        sent, call = await send(account, exchange, shop, subject_id, what)
        return msgspec.structs.replace(sent, outcome=Unknown("no answer")), call

    merchant.asker.send = sending  # type: ignore[method-assign]


def pays_unheard(merchant: Merchant, payment: Payment) -> list[News]:
    """The customer pays; the channel's notice of it takes a while."""
    trade, now = merchant.trade(payment), merchant.clock.now()
    assert merchant.sandbox.world.ledger.pay(trade, now)
    return list(merchant.sandbox.world.provider(payment.channel, "main").news(trade, now))


def news_of_its_refund(merchant: Merchant, payment: Payment) -> list[News]:
    (refund,) = merchant.trade(payment).refunds
    return list(merchant.sandbox.world.provider(payment.channel, "main").news(refund, merchant.clock.now()))


async def deliver(merchant: Merchant, payment: Payment, news: Iterable[News]) -> None:
    """These notices come in through the entrance, and are weighed."""
    now, account = merchant.clock.now(), merchant.accounts.current.get(payment.channel, "main")
    for one in news:
        notice = merchant.sandbox.world.provider(one.channel, one.account).notice(one, now)
        headers = tuple((name.lower(), value) for name, value in notice.headers.items())
        request = CallbackRequest("POST", f"/callbacks/{payment.channel}/main", headers, notice.body)
        reading = CHANNELS[payment.channel].read_callback(request, account, now)
        row = received(request, reading, shop=SHOP, channel=payment.channel, account="main", now=now)
        async with merchant.db.transaction() as tx:
            await inbox.store(tx, [row])
    await merchant.take_in()


def overtakes_the_answer(merchant: Merchant, payment: Payment, news: Iterable[News]) -> None:
    """These notices are weighed before we hear what the channel answered to our close."""
    send = merchant.asker.send

    async def overtaken(account: Any, exchange: Any, shop: str, subject_id: str, what: str) -> Any:
        answer = await send(account, exchange, shop, subject_id, what)
        if what == "close":
            await deliver(merchant, payment, news)
        return answer

    merchant.asker.send = overtaken  # type: ignore[method-assign]


# Money that came and went ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_refund_told", [False, True])
@pytest.mark.parametrize("is_answer_lost", [False, True])
async def test_money_that_alipays_cancel_gave_back_pays_no_order(
    merchant: Merchant, is_refund_told: bool, is_answer_lost: bool
) -> None:
    """The customer pays between our question and our cancel, and Alipay gives the money back at once: the order closes,
    and the notice that it was paid does not open it again, whether we heard the answer to the cancel or asked anew."""
    order = await merchant.order()
    payment = await merchant.offer(order, "alipay")
    merchant.sandbox.world.scan(merchant.trade(payment), merchant.clock.now())
    news: list[News] = []
    before(merchant, "close", lambda: news or news.extend(pays_unheard(merchant, payment)))
    if is_answer_lost:
        the_answer_is_lost(merchant, "close")
    await merchant.give_up(order)
    await settle_all(merchant)
    await merchant.repair_for(60)
    if is_refund_told:
        news += news_of_its_refund(merchant, payment)
    await deliver(merchant, payment, news)
    await merchant.repair_for(3600)
    assert (OrderState.CLOSED, State.PAID) == (
        (await the_order(merchant, order)).state,
        (await merchant.payment(payment)).state,
    )
    assert ["payment.paid", "order.closed", "refund.succeeded"] == await merchant.told(order)
    assert (1250, []) == ((await merchant.payment(payment)).refunded_minor, await merchant.cases())


async def test_an_order_that_was_told_as_paid_before_the_cancel_answered_is_told_as_refunded(
    merchant: Merchant,
) -> None:
    """The notice of the payment overtakes the answer to our cancel: the shop learns both."""
    order = await merchant.order()
    payment = await merchant.offer(order, "alipay")
    merchant.sandbox.world.scan(merchant.trade(payment), merchant.clock.now())
    news: list[News] = []
    before(merchant, "close", lambda: news.extend(pays_unheard(merchant, payment)))
    overtakes_the_answer(merchant, payment, news)
    await merchant.give_up(order)
    await settle_all(merchant)
    assert ["payment.paid", "order.paid", "refund.succeeded", "order.refunded"] == await merchant.told(order)
    assert (OrderState.REFUNDED, []) == ((await the_order(merchant, order)).state, await merchant.cases())


async def test_a_withdrawn_offer_that_the_cancel_gave_back_is_booked_though_we_asked_for_it_too(
    merchant: Merchant,
) -> None:
    """The order was paid by the first offer. The notice that the second was paid, too, overtakes the answer to its
    cancel, which gave the money back: it went back once, and nobody need look."""
    order = await merchant.order()
    first, second = await merchant.offer(order), await merchant.offer(order, "alipay")
    merchant.sandbox.world.scan(merchant.trade(second), merchant.clock.now())
    news: list[News] = []
    before(merchant, "close", lambda: news or news.extend(pays_unheard(merchant, second)))
    overtakes_the_answer(merchant, second, news)
    merchant.pay(first)
    await merchant.clock.advance(20)
    await merchant.repair_for(300)
    assert [1250] == [refund.amount_minor for refund in merchant.trade(second).refunds]
    assert (1250, State.PAID) == (
        (await merchant.payment(second)).refunded_minor,
        (await merchant.payment(second)).state,
    )
    assert (OrderState.PAID, []) == ((await the_order(merchant, order)).state, await merchant.cases())
    assert ["failed", "succeeded"] == sorted(await merchant.column("SELECT state FROM refunds"))


async def test_money_that_a_late_cancel_gave_back_is_booked_when_it_is_told(merchant: Merchant) -> None:
    """Our cancel hangs on its way, the customer pays, a question finds it; then the cancel arrives and gives all of it
    back. Its notice states the sum of all refunds only, and names no refund: it is one, of everything."""
    order = await merchant.order()
    payment = await merchant.offer(order, "alipay")
    merchant.sandbox.world.scan(merchant.trade(payment), merchant.clock.now())
    late = acts_late(merchant, "close")
    await merchant.give_up(order)
    await settle_all(merchant)
    merchant.pay(payment)
    await merchant.repair_for(120)
    paid = await merchant.told(order)
    await late[0]()
    await deliver(merchant, payment, news_of_its_refund(merchant, payment))
    assert ["payment.paid", "order.paid"] == paid
    assert ["refund.succeeded", "order.refunded"] == (await merchant.told(order))[len(paid) :]
    assert (1250, []) == ((await merchant.payment(payment)).refunded_minor, await merchant.cases())


@pytest.mark.parametrize("is_late", [False, True])
async def test_money_that_the_cancel_gave_back_unheard_is_found_by_a_question(
    merchant: Merchant, is_late: bool
) -> None:
    """The notice that it was paid comes while our cancel is under way; its answer gets lost, or it hangs on its way for
    two minutes, and nobody tells that the money went back. The order is told as paid; so the payment is asked about
    again, found, and asked about no more."""
    order = await merchant.order()
    payment = await merchant.offer(order, "alipay")
    merchant.sandbox.world.scan(merchant.trade(payment), merchant.clock.now())
    news: list[News] = []
    if is_late:
        late = acts_late(merchant, "close")
        await merchant.give_up(order)
        await settle_all(merchant)
        await deliver(merchant, payment, pays_unheard(merchant, payment))
        await merchant.repair_for(120)
        await late[0]()
    else:
        before(merchant, "close", lambda: news.extend(pays_unheard(merchant, payment)))
        the_answer_is_lost(merchant, "close")
        overtakes_the_answer(merchant, payment, news)
        await merchant.give_up(order)
        await settle_all(merchant)
    assert ["payment.paid", "order.paid"] == await merchant.told(order)
    await merchant.repair_for(300)
    assert ["refund.succeeded", "order.refunded"] == (await merchant.told(order))[2:]
    assert (1250, []) == ((await merchant.payment(payment)).refunded_minor, await merchant.cases())
    assert [] == await merchant.column("SELECT subject_id FROM due")


async def paid_while_the_close_hangs(merchant: Merchant) -> tuple[Order, Payment]:
    """Our cancel of the code does not arrive, the customer pays, and the notice of that does."""
    order = await merchant.order()
    payment = await merchant.offer(order, "alipay")
    merchant.sandbox.world.scan(merchant.trade(payment), merchant.clock.now())
    acts_late(merchant, "close")
    await merchant.give_up(order)
    await settle_all(merchant)
    await deliver(merchant, payment, pays_unheard(merchant, payment))
    return order, payment


async def test_what_was_paid_while_it_was_closed_is_asked_about_twice_more(merchant: Merchant) -> None:
    """Nothing went back: two questions say so, the last one when no close of ours can still be on its way."""
    order, _ = await paid_while_the_close_hangs(merchant)
    asked = "SELECT count(*) FROM channel_calls WHERE purpose = 'query'"
    before_it, told = await merchant.column(asked), await merchant.told(order)
    await merchant.repair_for(3600)
    assert (await merchant.column(asked))[0] == before_it[0] + 2
    assert (["payment.paid", "order.paid"], told) == (told, await merchant.told(order))
    assert ([], []) == (await merchant.cases(), await merchant.column("SELECT subject_id FROM due"))


async def test_while_nobody_says_whether_it_went_back_it_is_asked_again_and_then_a_person(merchant: Merchant) -> None:
    """Alipay is away for a whole day after it was paid while it was being closed."""
    _, payment = await paid_while_the_close_hangs(merchant)
    is_away(merchant)
    await merchant.repair_for(86400)
    assert (State.PAID, ["unanswered"]) == ((await merchant.payment(payment)).state, await merchant.cases())
    assert [] == await merchant.column("SELECT subject_id FROM due")


async def test_a_payment_first_heard_of_as_wholly_refunded_pays_no_order(merchant: Merchant) -> None:
    """Somebody gave all of it back in Alipay's console, and the notice of the payment is late: the shop is not told to
    ship, the refund is booked under its own number, and the order may be paid anew."""
    order = await merchant.order()
    payment = await merchant.offer(order, "alipay")
    merchant.sandbox.world.scan(merchant.trade(payment), merchant.clock.now())
    late = pays_unheard(merchant, payment)
    trade, now = merchant.trade(payment), merchant.clock.now()
    refund = Refund(trade, "console-1", f"{trade.number}/console-1", 1250, RefundState.SUCCEEDED, made_at=now)
    assert merchant.sandbox.world.ledger.refund(trade, refund)
    await deliver(merchant, payment, news_of_its_refund(merchant, payment))
    await deliver(merchant, payment, late)
    assert ["payment.paid", "refund.succeeded"] == await merchant.told(order)
    assert (OrderState.UNPAID, []) == ((await the_order(merchant, order)).state, await merchant.cases())
    assert ["console-1"] == await merchant.column("SELECT merchant_ref FROM refunds")


# A page that nobody has followed -------------------------------------------------------------------------------------


async def a_page(merchant: Merchant, order: Order) -> Payment:
    """A signed address that the customer has, and that Alipay has never heard of."""
    wanted = Wanted(channel="alipay", account="main", method="page")
    offer = await open_payment(
        merchant.db, merchant.asker, merchant.handlers, shop=SHOP, order_id=order.id, wanted=wanted,
        now=merchant.clock.now(),
    )  # fmt: skip
    return offer.payment


async def follow(payment: Payment) -> None:
    async with aiohttp.ClientSession() as session, session.get(payment.pay_with["url"]) as answer:
        assert 200 == answer.status


async def test_a_page_that_still_lives_is_not_called_closed(merchant: Merchant) -> None:
    """Alipay has nothing to close before the customer follows the page, and takes the money afterwards: it stays
    closing, is asked about, and the money is found though its notice is lost."""
    order = await merchant.order()
    payment = await a_page(merchant, order)
    await merchant.give_up(order)
    await settle_all(merchant)
    assert (State.CLOSING, []) == ((await merchant.payment(payment)).state, await merchant.told(order))
    await follow(payment)
    assert merchant.sandbox.world.pay(merchant.trade(payment), merchant.clock.now())
    merchant.sandbox.world.news.clear()
    await merchant.repair_for(60)
    assert (State.PAID, ["payment.paid", "order.paid"]) == (
        (await merchant.payment(payment)).state,
        await merchant.told(order),
    )


async def test_a_page_that_is_followed_while_it_is_closing_is_closed_at_once(merchant: Merchant) -> None:
    """Once the customer stands before it, Alipay has a trade that can be closed."""
    order = await merchant.order()
    payment = await a_page(merchant, order)
    await merchant.give_up(order)
    await settle_all(merchant)
    await follow(payment)
    await merchant.repair_for(30)
    assert (State.CLOSED, "closed") == ((await merchant.payment(payment)).state, merchant.trade(payment).state)
    assert ["payment.closed", "order.closed"] == await merchant.told(order)


async def test_an_order_with_a_page_that_nobody_follows_ends_when_the_page_dies(merchant: Merchant) -> None:
    """Then nobody can pay it any more; until then it is asked about no more often than one that is offered."""
    given_up, offered = await merchant.order(), await merchant.order("A-2")
    page, other = await a_page(merchant, given_up), await a_page(merchant, offered)
    await merchant.give_up(given_up)
    await merchant.repair_for(3500, step_s=5)
    before = await merchant.told(given_up)
    asked = [(await merchant.calls(payment)).count("query") for payment in (page, other)]
    await merchant.repair_for(200, step_s=5)
    assert ([], ["payment.closed", "order.closed"], []) == (
        before,
        await merchant.told(given_up),
        await merchant.cases(),
    )
    assert asked[0] <= asked[1] + 3, asked


async def test_units_are_not_sold_on_while_the_page_can_be_paid(merchant: Merchant) -> None:
    """The last unit stays with the order that was given up until its page has died."""
    await stocked(merchant.db, 1)

    async def buy(number: str) -> object:
        wanted = WantedOrder(
            shop=SHOP, shop_order_no=number, money=Money(1250, "CNY"), items=(Units("TEA-01", 1),), ttl_s=3600
        )
        async with merchant.db.transaction() as tx:
            (answer,) = await sell(tx, [wanted], merchant.clock.now())
        return answer

    first = await buy("P-1")
    assert isinstance(first, Order)
    await a_page(merchant, first)
    await merchant.give_up(first)
    await settle_all(merchant)
    assert not isinstance(await buy("P-2"), Order)
    await merchant.repair_for(3700)
    assert isinstance(await buy("P-3"), Order)


# An opening on its way -----------------------------------------------------------------------------------------------


async def an_overtaken_offer(merchant: Merchant, order: Order) -> Payment:
    """The opening waits for a connection; meanwhile the order is given up, and all that is due is asked about."""
    send = merchant.asker.send

    async def slow(account: Any, exchange: Any, shop: str, subject_id: str, what: str) -> Any:
        if what == "open":
            await merchant.give_up(order)
            while await merchant.repair():
                pass
        return await send(account, exchange, shop, subject_id, what)

    merchant.asker.send = slow  # type: ignore[method-assign]
    return await merchant.offer(order)


async def test_an_opening_that_arrives_after_the_close_is_closed_again(merchant: Merchant) -> None:
    """The channel, which has never heard of the trade, "closes" it while our opening waits for a connection: what the
    opening makes there is closed, too."""
    order = await merchant.order()
    payment = await an_overtaken_offer(merchant, order)
    assert (State.CLOSING, "waiting") == (payment.state, merchant.trade(payment).state)
    await settle_all(merchant)
    assert (State.CLOSED, "closed") == ((await merchant.payment(payment)).state, merchant.trade(payment).state)
    assert (["payment.closed", "order.closed", "payment.closed"], []) == (
        await merchant.told(order),
        await merchant.cases(),
    )


async def test_an_opening_that_arrives_after_the_close_and_is_paid_is_found(merchant: Merchant) -> None:
    """The customer is faster than we, and the notice of it is lost: we ask all the same."""
    order = await merchant.order()
    payment = await an_overtaken_offer(merchant, order)
    assert merchant.sandbox.world.pay(merchant.trade(payment), merchant.clock.now())
    merchant.sandbox.world.news.clear()
    await settle_all(merchant)
    assert ["payment.closed", "order.closed", "payment.paid", "order.reopened", "order.paid"] == await merchant.told(
        order
    )


async def test_a_page_on_which_a_card_was_declined_is_closed_when_its_order_is_given_up(merchant: Merchant) -> None:
    """The notice names the page's PaymentIntent, which Stripe does not cancel: the page itself is found and expired,
    and nobody can pay for what is no longer kept for him."""
    order = await merchant.order(currency="USD")
    wanted = Wanted(channel="stripe", account="main", method="checkout", extra={"return_url": "https://shop.example/"})
    now = merchant.clock.now()
    offer = await open_payment(
        merchant.db, merchant.asker, merchant.handlers, shop=SHOP, order_id=order.id, wanted=wanted, now=now
    )
    trade = merchant.trade(offer.payment)
    merchant.sandbox.world.fail(trade, now)
    await deliver(merchant, offer.payment, merchant.sandbox.world.provider("stripe", "main").news(trade, now))
    known_as = (await merchant.payment(offer.payment)).channel_txn_id
    await merchant.give_up(order)
    await settle_all(merchant)
    assert (trade.number, State.CLOSED, "closed") == (
        known_as, (await merchant.payment(offer.payment)).state, merchant.trade(offer.payment).state,
    )  # fmt: skip
