"""What follows for the order when one of its payments is weighed, or when the order is given up. Pure."""

from datetime import datetime

import msgspec

from paidup import ids
from paidup.events import EventType
from paidup.evidence import DisputeEvidence, PaymentEvidence
from paidup.orders import decide as order_rules
from paidup.orders.states import GiveBack
from paidup.orders.states import Happening as OrderHappening
from paidup.orders.states import State as OrderState
from paidup.payments import decide as payment_rules
from paidup.payments.payment import Payment
from paidup.payments.states import MONEY_ARRIVED
from paidup.payments.states import Happening as PaymentHappening
from paidup.payments.states import State as PaymentState
from paidup.refunds.refund import Cause, Refund
from paidup.refunds.states import State as RefundState
from paidup.settle.announce import event, payment_events, refund_event
from paidup.settle.book import (
    Book,
    CloseOrder,
    ClosePayment,
    NeedPerson,
    NewCase,
    Opened,
    Release,
    Settled,
    Verdict,
    Weighed,
    find_payment,
    refunds_minor,
    weighed,
)
from paidup.settle.stock import units_are_gone

_MAY_PAY_YET = frozenset((PaymentState.CREATED, PaymentState.OPEN, PaymentState.CLOSING, PaymentState.HELD))
"""A payment in one of these may yet pay its order. One whose money is here has done so, or was given back for good."""


def payment_evidence(book: Book, evidence: PaymentEvidence | DisputeEvidence, now: datetime) -> Settled:
    payment = find_payment(book, evidence)
    if payment is None:
        return Settled(book, Weighed.PARKED, "no payment of this number is known yet; it waits")
    if isinstance(evidence, DisputeEvidence):
        decision = payment_rules.decide_dispute(payment, evidence)
    else:
        decision = payment_rules.decide(payment, evidence)
    return _after_payment(book, payment, decision, now)


def _after_payment(book: Book, before: Payment, decision: payment_rules.Decision, now: datetime) -> Settled:
    """What follows for the order once a payment has been weighed."""
    after, move = decision.payment, decision.move
    if move.park:
        return Settled(book, Weighed.PARKED, decision.why, payment_id=after.id)
    cases = (NewCase(move.case, after.id, decision.why),) if move.case else ()
    changed = after != before
    if changed:
        after = msgspec.structs.replace(after, updated_at=now)
    settled = Settled(
        book.put(after),
        weighed(changed, move.case is not None, before.state is not after.state),
        decision.why,
        payment_events(book.order, before, after),
        cases,
        payment_id=after.id,
    )
    if move.gone:
        return _maybe_all_closed(settled, now)
    if after.state in MONEY_ARRIVED and before.state not in MONEY_ARRIVED:
        return _money_arrived(settled, after, now)
    if after.state is PaymentState.CLOSED and before.state is not PaymentState.CLOSED:
        return _maybe_all_closed(settled, now)
    return settled


def _money_arrived(settled: Settled, payment: Payment, now: datetime) -> Settled:
    """The first paid payment pays the order and withdraws the other offers; any other payment is given back."""
    book = settled.book
    decision = order_rules.payment_paid(book.order, payment.id, units_are_gone=units_are_gone(book))
    if decision.move.give_back is not GiveBack.NO:
        return _give_back(settled, payment, decision, now)
    order = msgspec.structs.replace(decision.order, updated_at=now)
    book = _withdraw_offers(book.put(order), now)
    events = settled.events
    if book.order.state is OrderState.PAID and settled.book.order.state is not OrderState.PAID:
        if settled.book.order.state is OrderState.CLOSED:
            events += (event(EventType.ORDER_REOPENED, order, payment),)
        events += (event(EventType.ORDER_PAID, order, payment),)
    why = f"{settled.why}; {decision.move.why}"
    return msgspec.structs.replace(settled, book=book, events=events, why=why)


def _give_back(settled: Settled, payment: Payment, decision: order_rules.Decision, now: datetime) -> Settled:
    """Refund a payment that the order has no use for. Its refund's number follows from the payment: never two."""
    cause = Cause(decision.move.give_back.value)
    paid_by = settled.book.order.paid_by
    reason = f"the order was paid by {paid_by}" if cause is Cause.SECOND_PAYMENT else "the order was closed"
    settled = msgspec.structs.replace(settled, why=f"{settled.why}; {decision.move.why}")
    return _refund_rest(settled, payment, cause, reason, now)


def _refund_rest(settled: Settled, payment: Payment, cause: Cause, reason: str, now: datetime) -> Settled:
    book = settled.book
    rest = payment.amount_minor - refunds_minor(book, payment.id)
    refund_id = ids.derived_id(ids.REFUND, payment.id, cause)
    if rest <= 0 or refund_id in book.refunds:
        return settled
    refund = new_refund(payment, refund_id, rest, cause, reason, now)
    events = (*settled.events, refund_event(EventType.REFUND_REQUESTED, book.order, refund))
    return msgspec.structs.replace(settled, book=book.put(refund), events=events, refund_id=refund.id)


def release(book: Book, item: Release, now: datetime) -> Settled:
    """A person decided about held money: it pays the order as it came, or goes back whole."""
    before = book.payments[item.payment_id]
    if payment_rules.nothing_came(before):
        return _release_nothing(book, before, item, now)
    decision = payment_rules.release(before, f"{item.verdict}: {item.why}", now)
    if item.verdict is Verdict.ACCEPT or decision.payment.state is before.state:
        return _after_payment(book, before, decision, now)
    after = msgspec.structs.replace(decision.payment, updated_at=now)
    events = payment_events(book.order, before, after)
    settled = Settled(book.put(after), Weighed.APPLIED, decision.why, events, payment_id=after.id)
    return _maybe_all_closed(_refund_rest(settled, after, Cause.HELD, "it was not paid as agreed", now), now)


def _release_nothing(book: Book, payment: Payment, item: Release, now: datetime) -> Settled:
    """The channel called it paid, and nothing came: it cannot pay an order, and there is nothing to send back."""
    if item.verdict is Verdict.ACCEPT:
        why = "nothing came, and that pays no order; give it back, which closes the payment and refunds nothing"
        return Settled(book, Weighed.REJECTED, why, payment_id=payment.id)
    decision = payment_rules.close_for_nothing(payment, f"{item.verdict}: {item.why}")
    return _after_payment(book, payment, decision, now)


def _withdraw_offers(book: Book, now: datetime) -> Book:
    """Close what else the customer could pay for this order."""
    rows = []
    for payment in book.payments.values():
        moved = payment_rules.happen(payment, PaymentHappening.CLOSE_ASKED).payment
        if moved.state is not payment.state:
            rows.append(msgspec.structs.replace(moved, updated_at=now))
    return book.put(*rows)


def close_order(book: Book, item: CloseOrder, now: datetime) -> Settled:
    decision = order_rules.happen(book.order, OrderHappening.CLOSE_ASKED)
    if decision.order.state is book.order.state:
        already = book.order.state in (OrderState.CLOSING, OrderState.CLOSED)
        return Settled(book, Weighed.REPEATED if already else Weighed.REJECTED, decision.move.why)
    order = msgspec.structs.replace(decision.order, updated_at=now)
    settled = Settled(_withdraw_offers(book.put(order), now), Weighed.APPLIED, f"{decision.move.why} ({item.why})")
    return _maybe_all_closed(settled, now)


def close_payment(book: Book, item: ClosePayment, now: datetime) -> Settled:
    payment = book.payments[item.payment_id]
    return _after_payment(book, payment, payment_rules.happen(payment, PaymentHappening.CLOSE_ASKED, item.why), now)


def _maybe_all_closed(settled: Settled, now: datetime) -> Settled:
    """An order that is being closed is closed when none of its payments can pay it any more."""
    book = settled.book
    open_still = [p for p in book.payments.values() if p.state in _MAY_PAY_YET]
    if book.order.state is not OrderState.CLOSING or open_still:
        return settled
    decision = order_rules.happen(book.order, OrderHappening.NOTHING_LEFT_TO_PAY)
    order = msgspec.structs.replace(decision.order, updated_at=now)
    events = (*settled.events, event(EventType.ORDER_CLOSED, order, None))
    return msgspec.structs.replace(
        settled, book=book.put(order), events=events, why=f"{settled.why}; {decision.move.why}"
    )


def opened(book: Book, item: Opened, now: datetime) -> Settled:
    before = book.payments[item.payment_id]
    decision = payment_rules.happen(before, PaymentHappening.OPENED)
    after = msgspec.structs.replace(
        decision.payment,
        pay_with=item.pay_with or before.pay_with,
        channel_txn_id=before.channel_txn_id or item.channel_txn_id,
    )
    return _after_payment(book, before, payment_rules.Decision(after, decision.move, decision.why), now)


def need_person(book: Book, item: NeedPerson) -> Settled:
    known_payment = item.subject_id if item.subject_id in book.payments else None
    return Settled(
        book,
        Weighed.APPLIED,
        item.why,
        cases=(NewCase(item.kind, item.subject_id, item.why),),
        payment_id=known_payment,
        refund_id=item.subject_id if item.subject_id in book.refunds else None,
    )


def new_refund(payment: Payment, refund_id: str, minor: int, cause: Cause, reason: str, now: datetime) -> Refund:
    """A refund of this payment, not yet known to the channel. Its id is the number it is sent under."""
    return Refund(
        id=refund_id,
        shop=payment.shop,
        order_id=payment.order_id,
        payment_id=payment.id,
        channel=payment.channel,
        account=payment.account,
        merchant_ref=refund_id,
        amount_minor=minor,
        currency=payment.currency,
        state=RefundState.REQUESTED,
        cause=cause,
        reason=reason,
        created_at=now,
        updated_at=now,
    )
