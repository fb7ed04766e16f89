"""What a person's word does to money that is held."""

import msgspec
import pytest

from paidup.money import Money
from paidup.orders.states import State as OrderState
from paidup.payments.decide import decide, nothing_came
from paidup.payments.payment import Payment
from paidup.payments.states import State
from paidup.refunds.refund import Cause
from paidup.settle import settle
from paidup.settle.book import Book, CloseOrder, Release, Settled, Verdict, Weighed
from paidup.testing.builders import a_book, a_paid_payment, a_payment, after, an_order, order_id, paid, payment_id

CAME = Money(900, "USD")
NOTHING = Money(0, "CNY")


def held(came: Money | None = CAME, number: int = 1) -> Payment:
    """A payment for which this came; None: the channel stated no amount, and another receiver."""
    return decide(a_payment(number), paid(number, amount=came, payee="app/stranger")).payment


def release(book: Book, verdict: Verdict, seconds: float = 60) -> Settled:
    return settle(book, Release(order_id(), payment_id(), verdict, "as agreed by phone"), after(seconds))


def told(step: Settled) -> list[str]:
    return [event.type for event in step.events]


@pytest.mark.parametrize(("came", "money"), [(CAME, CAME), (None, a_payment().money)])
def test_accepted_money_pays_the_order_as_it_came(came: Money | None, money: Money) -> None:
    """From now on, what came is what was agreed; where no amount was stated, what was agreed came."""
    step = release(a_book(payments=[held(came)]), Verdict.ACCEPT)
    payment = step.book.payments[payment_id()]
    assert (State.PAID, money, after(60)) == (payment.state, payment.money, payment.paid_at)
    assert (OrderState.PAID, payment_id()) == (step.book.order.state, step.book.order.paid_by)
    assert (Weighed.APPLIED, ["payment.paid", "order.paid"], {}) == (step.outcome, told(step), step.book.refunds)


def test_money_that_is_given_back_goes_back_as_it_came_and_pays_nothing() -> None:
    """All that came, in its own currency."""
    step = release(a_book(payments=[held()]), Verdict.GIVE_BACK)
    (refund,) = step.book.refunds.values()
    assert (CAME, Cause.HELD, payment_id()) == (refund.money, refund.cause, refund.payment_id)
    assert (OrderState.UNPAID, State.PAID) == (step.book.order.state, step.book.payments[payment_id()].state)
    assert (["payment.paid", "refund.requested"], refund.id) == (told(step), step.refund_id)
    assert (Weighed.APPLIED, payment_id()) == (step.outcome, step.payment_id)


def test_money_that_is_given_back_lets_its_order_close() -> None:
    """The order was given up while a person decided."""
    waits = settle(a_book(payments=[held()]), CloseOrder(order_id(), "its time is over"), after(30)).book
    step = release(waits, Verdict.GIVE_BACK)
    assert (OrderState.CLOSING, OrderState.CLOSED) == (waits.order.state, step.book.order.state)
    assert ["payment.paid", "refund.requested", "order.closed"] == told(step)


def test_accepted_money_of_an_order_that_was_paid_meanwhile_goes_back() -> None:
    """A second payment is one, however it became one."""
    order = an_order(state=OrderState.PAID, paid_by=payment_id(2))
    step = release(a_book(order, payments=[held(), a_paid_payment(2)]), Verdict.ACCEPT)
    (refund,) = step.book.refunds.values()
    assert (CAME, Cause.SECOND_PAYMENT, payment_id(2)) == (refund.money, refund.cause, step.book.order.paid_by)


@pytest.mark.parametrize("verdict", Verdict)
def test_a_decision_that_was_taken_is_not_taken_again(verdict: Verdict) -> None:
    """Whatever a second person says, nothing is paid or given back twice."""
    for first in Verdict:
        book = release(a_book(payments=[held()]), first).book
        again = release(book, verdict, 900)
        assert (book, Weighed.REPEATED, ()) == (again.book, again.outcome, again.events)


def test_that_nothing_came_pays_no_order() -> None:
    """The refusal says what to do, and the payment stays held."""
    book = a_book(payments=[held(NOTHING)])
    step = release(book, Verdict.ACCEPT)
    assert (book, Weighed.REJECTED, payment_id()) == (step.book, step.outcome, step.payment_id)


def test_nothing_that_came_is_not_given_back() -> None:
    """The payment is closed without a refund, and the channel's repeats of its word change nothing any more; when money
    comes for it after all, it is held again."""
    step = release(a_book(payments=[held(NOTHING)]), Verdict.GIVE_BACK)
    payment = step.book.payments[payment_id()]
    assert (State.CLOSED, ["payment.closed"], {}) == (payment.state, told(step), step.book.refunds)
    again = decide(payment, paid(amount=NOTHING))
    assert (payment, None) == (again.payment, again.move.case)
    for came in (CAME, None):
        assert State.HELD is decide(payment, paid(amount=came, payee="app/stranger")).payment.state
    assert State.PAID is decide(payment, paid()).payment.state


def test_a_payment_that_was_closed_as_any_other_knows_of_nothing_that_came() -> None:
    """Word of an amount of nothing holds it."""
    for other in (a_payment(state=State.CLOSED), msgspec.structs.replace(held(), state=State.CLOSED)):
        assert State.HELD is decide(other, paid(amount=NOTHING)).payment.state


@pytest.mark.parametrize(
    ("payment", "nothing"),
    [
        (held(NOTHING), True),
        (held(), False),
        (held(Money(1, "CNY")), False),
        (held(None), False),
        (msgspec.structs.replace(held(NOTHING), state=State.CLOSED), False),
    ],
)
def test_nothing_came_only_where_the_channel_said_so(payment: Payment, nothing: bool) -> None:
    """Where it stated no amount, what was agreed came; the smallest amount is one."""
    assert nothing == nothing_came(payment)


def test_paid_as_agreed_after_all_nothing_else_came() -> None:
    """The channel corrects itself: what it said before is no longer what came."""
    payment = decide(held(), paid()).payment
    assert (State.PAID, 0, "") == (payment.state, payment.received_minor, payment.received_currency)
    accepted = release(a_book(payments=[held()]), Verdict.ACCEPT).book.payments[payment_id()]
    assert CAME == decide(accepted, paid(amount=CAME)).payment.received
