"""Orders, payments, refunds and evidence with sensible values, of which a test names only what it is about.

::

    book = a_book(payments=[a_payment(), a_payment(2, state=PaymentState.OPEN)])
    settled = settle(book, paid(), after(30))

All belong to one order of 12.50 CNY, placed at `NOW` through the Alipay account ``main`` of the shop ``teahouse``.
Numbers tell payments and refunds apart: payment 2 is ``payment_id(2)`` here and ``txn_id(2)`` at the channel.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from paidup.evidence import (
    DisputeEvidence,
    DisputeSays,
    PaymentEvidence,
    PaymentSays,
    RefundEvidence,
    RefundSays,
    Road,
)
from paidup.money import Money
from paidup.orders.order import LatePayment, Order
from paidup.orders.states import State as OrderState
from paidup.payments.payment import Payment
from paidup.payments.states import State as PaymentState
from paidup.refunds.refund import Cause, Refund
from paidup.refunds.states import State as RefundState
from paidup.settle.book import Book

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
SHOP, CHANNEL, ACCOUNT, PAYEE = "teahouse", "alipay", "main", "app/seller"
AMOUNT = Money(1250, "CNY")
TTL = timedelta(hours=2)

# Any: what a builder is given goes to a struct, which is where it is named and typed.
_Fields = Any


LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
"""Before anything happened."""


def after(seconds: float) -> datetime:
    """So many seconds after `NOW`."""
    return NOW + timedelta(seconds=seconds)


def order_id(number: int = 1) -> str:
    """The id of the order of this number; ids sort by number."""
    return f"ord00{number:025d}"


def payment_id(number: int = 1) -> str:
    """The id of the payment of this number, which is also its number at the channel."""
    return f"pay00{number:025d}"


def refund_id(number: int = 1) -> str:
    """The id of the refund of this number, which is also its number at the channel."""
    return f"ref00{number:025d}"


def txn_id(number: int = 1) -> str:
    """The channel's own number of this payment."""
    return f"ali{number}"


def an_order(number: int = 1, **fields: _Fields) -> Order:
    """An unpaid order whose shop welcomes late money."""
    order = Order(
        id=order_id(number),
        shop=SHOP,
        shop_order_no=f"A-{number}",
        amount_minor=AMOUNT.amount_minor,
        currency=AMOUNT.currency,
        description="tea",
        state=OrderState.UNPAID,
        late_payment=LatePayment.REOPEN,
        created_at=NOW,
        expires_at=NOW + TTL,
        updated_at=NOW,
    )
    return msgspec.structs.replace(order, **fields)


def a_payment(number: int = 1, **fields: _Fields) -> Payment:
    """A payment of order 1 that is open at its channel."""
    payment = Payment(
        id=payment_id(number),
        shop=SHOP,
        order_id=order_id(),
        channel=CHANNEL,
        account=ACCOUNT,
        method="precreate",
        merchant_ref=payment_id(number),
        payee=PAYEE,
        amount_minor=AMOUNT.amount_minor,
        currency=AMOUNT.currency,
        state=PaymentState.OPEN,
        created_at=NOW,
        expires_at=NOW + TTL,
        updated_at=NOW,
    )
    return msgspec.structs.replace(payment, **fields)


def a_paid_payment(number: int = 1, **fields: _Fields) -> Payment:
    """A payment of order 1 that was paid 20 seconds after `NOW`."""
    proof = {"state": PaymentState.PAID, "channel_txn_id": txn_id(number), "paid_at": after(20)}
    return a_payment(number, **(proof | fields))


def a_refund(number: int = 1, **fields: _Fields) -> Refund:
    """A refund of all of payment 1, asked for and not yet sent."""
    refund = Refund(
        id=refund_id(number),
        shop=SHOP,
        order_id=order_id(),
        payment_id=payment_id(),
        channel=CHANNEL,
        account=ACCOUNT,
        merchant_ref=refund_id(number),
        amount_minor=AMOUNT.amount_minor,
        currency=AMOUNT.currency,
        state=RefundState.REQUESTED,
        cause=Cause.REQUESTED,
        reason="changed his mind",
        created_at=after(60),
        updated_at=after(60),
    )
    return msgspec.structs.replace(refund, **fields)


def a_book(order: Order | None = None, *, payments: Iterable[Payment] = (), refunds: Iterable[Refund] = ()) -> Book:
    """An order with these payments and refunds; with one open payment when none is named."""
    rows = tuple(payments) or (a_payment(),)
    return Book(order or an_order(), {p.id: p for p in rows}, {r.id: r for r in refunds})


def a_paid_book(*, refunds: Iterable[Refund] = (), **fields: _Fields) -> Book:
    """Order 1, paid by payment 1."""
    order = an_order(state=OrderState.PAID, paid_by=payment_id(), **fields)
    return a_book(order, payments=[a_paid_payment()], refunds=refunds)


def says(what: PaymentSays, number: int = 1, **fields: _Fields) -> PaymentEvidence:
    """A callback that says so of the payment of this number."""
    evidence = PaymentEvidence(
        road=Road.CALLBACK,
        channel=CHANNEL,
        account=ACCOUNT,
        key=f"{what}/{number}",
        received_at=after(30),
        occurred_at=after(20),
        merchant_ref=payment_id(number),
        channel_txn_id=txn_id(number),
        amount=AMOUNT,
        payee=PAYEE,
        note=what.upper(),
        says=what,
    )
    return msgspec.structs.replace(evidence, **fields)


def paid(number: int = 1, **fields: _Fields) -> PaymentEvidence:
    """A callback that says that the payment was paid as agreed."""
    return says(PaymentSays.PAID, number, **fields)


def waiting(number: int = 1, **fields: _Fields) -> PaymentEvidence:
    """A callback that says that nobody has paid yet."""
    return says(PaymentSays.WAITING, number, **fields)


def attempt_failed(number: int = 1, **fields: _Fields) -> PaymentEvidence:
    """A callback that says that one attempt failed."""
    return says(PaymentSays.FAILED, number, **fields)


def closed(number: int = 1, **fields: _Fields) -> PaymentEvidence:
    """A callback that says that nobody can pay it any more."""
    return says(PaymentSays.CLOSED, number, **fields)


def given_back(number: int = 1, **fields: _Fields) -> PaymentEvidence:
    """A callback that says that the payment was paid as agreed, and that all of it has gone back since."""
    return says(PaymentSays.GIVEN_BACK, number, **fields)


def not_found(number: int = 1, **fields: _Fields) -> PaymentEvidence:
    """A query's answer: the channel does not know the payment."""
    unstated = {"road": Road.QUERY, "channel_txn_id": None, "amount": None, "payee": None, "occurred_at": None}
    return says(PaymentSays.NOT_FOUND, number, **(unstated | fields))


def refund_says(what: RefundSays, number: int = 1, *, payment: int = 1, **fields: _Fields) -> RefundEvidence:
    """A callback that says so of the refund of this number, over all of the payment's money."""
    evidence = RefundEvidence(
        road=Road.CALLBACK,
        channel=CHANNEL,
        account=ACCOUNT,
        key=f"{what}/{payment}/{number}",
        received_at=after(130),
        occurred_at=after(120),
        merchant_ref=payment_id(payment),
        channel_txn_id=txn_id(payment),
        amount=AMOUNT,
        says=what,
        merchant_refund_ref=refund_id(number),
        channel_refund_id=f"alr{number}",
    )
    return msgspec.structs.replace(evidence, **fields)


def dispute_says(what: DisputeSays, number: int = 1, *, payment: int = 1, **fields: _Fields) -> DisputeEvidence:
    """A callback that says so of the dispute of this number, over all of the payment's money."""
    evidence = DisputeEvidence(
        road=Road.CALLBACK,
        channel=CHANNEL,
        account=ACCOUNT,
        key=f"{what}/{payment}/{number}",
        received_at=after(230),
        occurred_at=after(220),
        merchant_ref=payment_id(payment),
        channel_txn_id=txn_id(payment),
        amount=AMOUNT,
        says=what,
        dispute_id=f"dp{number}",
    )
    return msgspec.structs.replace(evidence, **fields)
