"""What is found, announced and said when an item is weighed; and that nothing else is touched."""

import msgspec
import pytest

from paidup.evidence import DisputeSays, Evidence, RefundSays
from paidup.inventory.sku import Item, Reservation
from paidup.inventory.states import Kind
from paidup.inventory.states import State as StockState
from paidup.money import Money
from paidup.orders.order import LatePayment
from paidup.orders.states import State as OrderState
from paidup.payments.states import State as PaymentState
from paidup.refunds.refund import Cause
from paidup.settle import settle
from paidup.settle.book import AskRefund, Book, CloseOrder, ClosePayment, Command, Weighed
from paidup.testing.builders import (
    NOW,
    SHOP,
    a_book,
    a_paid_book,
    a_payment,
    a_refund,
    after,
    an_order,
    closed,
    dispute_says,
    order_id,
    paid,
    payment_id,
    refund_id,
    refund_says,
    txn_id,
)

GIVE_UP = CloseOrder(order_id(), "its time is over")


def kinds(book: Book, item: Evidence | Command) -> list[str]:
    return [event.type for event in settle(book, item, after(900)).events]


def test_that_a_refund_is_asked_for_is_announced() -> None:
    """Whoever listens learns of it before the channel does, with all that a refund is."""
    (told,) = settle(
        a_paid_book(), AskRefund(order_id(), a_refund(amount_minor=300, reason="broken")), after(900)
    ).events
    assert ("refund.requested", SHOP, order_id(), refund_id()) == (
        told.type, told.shop, told.order_id, told.subject_id,
    )  # fmt: skip
    assert {
        "order_id": order_id(), "shop_order_no": "A-1", "payment_id": payment_id(), "refund_id": refund_id(),
        "channel": "alipay", "amount_minor": 300, "currency": "CNY", "refund_state": "requested",
        "cause": a_refund().cause.value, "reason": "broken",
    } == told.data  # fmt: skip


def test_money_that_the_bank_took_back_is_announced() -> None:
    """A shop that ships on paid must hear of it."""
    assert ["payment.charged_back"] == kinds(a_paid_book(), dispute_says(DisputeSays.LOST))


def test_a_payment_is_found_by_the_channels_number_alone() -> None:
    """A message may leave our own number out, or bear another one."""
    known = a_book(payments=[a_payment(channel_txn_id=txn_id())])
    for number in (None, "somebody else's"):
        step = settle(known, paid(merchant_ref=number), after(900))
        assert (Weighed.APPLIED, payment_id()) == (step.outcome, step.payment_id)


def test_a_message_without_any_number_speaks_of_no_payment() -> None:
    """Least of all of one that bears no number of the channel's either."""
    step = settle(a_book(payments=[a_payment(channel_txn_id=None)]), paid(merchant_ref=None, channel_txn_id=None), NOW)
    assert (Weighed.PARKED, None) == (step.outcome, step.payment_id)


def test_our_own_number_comes_before_the_channels() -> None:
    """Two payments, each of which bears one of the numbers: ours was made for this one."""
    other = a_payment(2, channel_txn_id=txn_id(1))
    assert payment_id(1) == settle(a_book(payments=[other, a_payment(1)]), paid(1), after(900)).payment_id


def test_what_was_withdrawn_before_is_not_touched_when_the_order_is_paid() -> None:
    """An offer that is gone has not changed, so it bears the moment at which it went."""
    gone = a_payment(2, state=PaymentState.CLOSED)
    book = settle(a_book(payments=[a_payment(1), gone]), paid(1), after(900)).book
    assert gone == book.payments[gone.id]


def test_an_offer_that_is_withdrawn_is_being_closed() -> None:
    """Until the channel confirms it, and the order is payable all the same."""
    step = settle(a_book(), ClosePayment(order_id(), payment_id(), "withdrawn"), after(900))
    assert ("closing", "unpaid") == (step.book.payments[payment_id()].state, step.book.order.state)


def test_a_second_payment_of_the_least_amount_goes_back_too() -> None:
    """One minor unit is money."""
    book = a_paid_book()
    book = msgspec.structs.replace(book, payments={**book.payments, payment_id(2): a_payment(2, amount_minor=1)})
    (refund,) = settle(book, paid(2, amount=Money(1, "CNY")), after(900)).book.refunds.values()
    assert (payment_id(2), 1, Cause.SECOND_PAYMENT) == (refund.payment_id, refund.amount_minor, refund.cause)


@pytest.mark.parametrize(("minor", "is_booked"), [(1250, True), (1251, False)])
def test_no_more_comes_back_than_was_paid(minor: int, is_booked: bool) -> None:
    """A refund that failed takes nothing of what is left, but it was one of this payment."""
    step = settle(a_paid_book(), refund_says(RefundSays.FAILED, amount=Money(minor, "CNY")), after(900))
    assert is_booked == (1 == len(step.book.refunds))


def test_an_order_that_is_closed_bears_the_moment() -> None:
    """By it, an answer is told from older news."""
    closing = settle(a_book(), GIVE_UP, after(60)).book
    assert after(900) == settle(closing, closed(), after(900)).book.order.updated_at


@pytest.mark.parametrize(
    ("book", "item", "said"),
    [
        (a_book(), paid(), "the order is paid"),
        (a_book(an_order(state=OrderState.CLOSED, late_payment=LatePayment.REFUND)), paid(), "gives the money back"),
        (settle(a_book(), GIVE_UP, after(60)).book, closed(), "nobody can pay"),
        (a_paid_book(refunds=[a_refund(amount_minor=1250)]), refund_says(RefundSays.SUCCEEDED), "all of the money"),
    ],
)
def test_why_says_what_follows_for_the_order(book: Book, item: Evidence | Command, said: str) -> None:
    """First what was weighed, then what came of it: people read it word for word."""
    weighed, follows = settle(book, item, after(900)).why.split("; ")
    assert (True, True) == (bool(weighed), said in follows)


def units(state: StockState, restock: bool) -> Reservation:
    return Reservation(
        order_id=order_id(), shop=SHOP, state=state, items=(Item("tea", 2),), restock_refunded=restock,
        created_at=NOW, updated_at=NOW,
    )  # fmt: skip


def with_units(book: Book, state: StockState, restock: bool) -> Book:
    return msgspec.structs.replace(book, stock=units(state, restock))


ALL_BACK = a_paid_book(refunds=[a_refund(amount_minor=1250)])


@pytest.mark.parametrize(
    ("book", "item", "state", "moved"),
    [
        (with_units(a_book(), StockState.HELD, False), paid(), "sold", [Kind.CONFIRM]),
        (with_units(settle(a_book(), GIVE_UP, NOW).book, StockState.HELD, False), closed(), "released", [Kind.RELEASE]),
        (with_units(ALL_BACK, StockState.SOLD, True), refund_says(RefundSays.SUCCEEDED), "returned", [Kind.RETURN]),
        (with_units(ALL_BACK, StockState.SOLD, False), refund_says(RefundSays.SUCCEEDED), "sold", []),
    ],
)
def test_units_follow_their_order(book: Book, item: Evidence | Command, state: str, moved: list[Kind]) -> None:
    """Paid: sold. Closed: on sale again. Refunded whole: on sale again where the shop wants it so."""
    step = settle(book, item, after(900))
    assert (state, moved) == (step.book.stock and step.book.stock.state, [one.kind for one in step.movements])
    assert [2] * len(moved) == [one.quantity for one in step.movements]
    assert 2 == step.why.count("; "), "the order, and then its units"


def test_units_stay_where_they_are_while_the_order_does() -> None:
    """Another attempt to pay a paid order, or a part that goes back, moves none."""
    sold = with_units(a_paid_book(), StockState.SOLD, True)
    for item in (paid(), refund_says(RefundSays.SUCCEEDED, amount=Money(300, "CNY"))):
        step = settle(sold, item, after(900))
        assert (sold.stock, ()) == (step.book.stock, step.movements)
