"""What follows for the payment and the order when one of its refunds is weighed. Pure."""

from datetime import datetime

import msgspec

from paidup import ids
from paidup.events import EventType
from paidup.evidence import RefundEvidence, RefundSays, Road
from paidup.money import Money
from paidup.orders import decide as order_rules
from paidup.orders.states import Happening as OrderHappening
from paidup.orders.states import State as OrderState
from paidup.payments.payment import Payment
from paidup.payments.states import MONEY_ARRIVED
from paidup.payments.states import State as PaymentState
from paidup.refunds import decide as refund_rules
from paidup.refunds.refund import Cause, Refund
from paidup.refunds.states import AT_CHANNEL
from paidup.refunds.states import Happening as RefundHappening
from paidup.refunds.states import State as RefundState
from paidup.settle.announce import event, refund_event, refund_events
from paidup.settle.book import (
    AskRefund,
    Book,
    NewCase,
    RefundDeclined,
    Settled,
    Weighed,
    find_payment,
    refunds_minor,
    weighed,
)
from paidup.settle.payments import new_refund


def ask_refund(book: Book, item: AskRefund, now: datetime) -> Settled:
    refund = item.refund
    if refund.id in book.refunds:
        return Settled(book, Weighed.REPEATED, "this refund was already asked for", refund_id=refund.id)
    payment = book.payments[refund.payment_id]
    rest = payment.amount_minor - refunds_minor(book, payment.id)
    if payment.state is not PaymentState.PAID:
        why = f"the payment is {payment.state}, and only a paid one can be refunded"
        return Settled(book, Weighed.REJECTED, why, payment_id=payment.id)
    if refund.amount_minor > rest or refund.currency != payment.currency:
        why = f"{refund.money} is more than the {rest} minor units of {payment.currency} that are left to refund"
        return Settled(book, Weighed.REJECTED, why, payment_id=payment.id)
    asked = refund_event(EventType.REFUND_REQUESTED, book.order, refund)
    why = f"a refund of {refund.money} was asked for"
    refund = msgspec.structs.replace(refund, created_at=now, updated_at=now)
    return Settled(book.put(refund), Weighed.APPLIED, why, (asked,), payment_id=payment.id, refund_id=refund.id)


def refund_evidence(book: Book, evidence: RefundEvidence, now: datetime) -> Settled:
    payment = find_payment(book, evidence)
    refund = _find_refund(book, evidence, payment)
    if refund is not None:
        payment = book.payments[refund.payment_id]
    if payment is None:
        return Settled(book, Weighed.PARKED, "no payment of this number is known yet; it waits")
    if payment.state not in MONEY_ARRIVED:
        return _too_early(book, payment, evidence)
    if refund is None:
        return _unknown_refund(book, payment, evidence, now)
    return _after_refund(book, refund_rules.decide(refund, evidence), now)


def _too_early(book: Book, payment: Payment, evidence: RefundEvidence) -> Settled:
    """Only a callback is kept until its time has come. An answer is nowhere kept: a person is told of it."""
    if evidence.road is not Road.QUERY or evidence.says is not RefundSays.SUCCEEDED:
        why = f"a refund came while the payment is {payment.state}; it waits until the payment is known to be paid"
        return Settled(book, Weighed.PARKED, why, payment_id=payment.id)
    why = f"the channel says that money went back, and the payment is {payment.state} here ({evidence.note})"
    case = NewCase("contradiction", payment.id, why)
    return Settled(book, Weighed.REJECTED, why, cases=(case,), payment_id=payment.id)


def _find_refund(book: Book, evidence: RefundEvidence, payment: Payment | None) -> Refund | None:
    """The refund that the evidence speaks of, among those of the payment that it names: Alipay asks for numbers
    (out_request_no) that are unique within one trade, so that two payments may each have a refund "1"."""
    mine = [r for r in book.refunds.values() if (r.channel, r.account) == (evidence.channel, evidence.account)]
    if payment is not None:
        mine = [refund for refund in mine if refund.payment_id == payment.id]
    by_ref = [r for r in mine if evidence.merchant_refund_ref in (r.merchant_ref, r.id)]
    by_id = [r for r in mine if evidence.channel_refund_id and r.channel_refund_id == evidence.channel_refund_id]
    return next(iter(by_ref + by_id), None)


def _unknown_refund(book: Book, payment: Payment, evidence: RefundEvidence, now: datetime) -> Settled:
    """A refund that we did not ask for: made in the channel's own console, or after a restore of a backup."""
    number = evidence.merchant_refund_ref or evidence.channel_refund_id
    if evidence.says is RefundSays.NOT_FOUND:
        why = f"neither the channel nor we know of a refund {number}"
        return Settled(book, Weighed.REPEATED, why, payment_id=payment.id)
    if _is_all_known(evidence, book, payment):
        why = f"all that went back so far is known here ({evidence.note})"
        return Settled(book, Weighed.REPEATED, why, payment_id=payment.id)
    amount = evidence.amount
    if _is_all_of_it(evidence, book, payment):
        number, amount = number or payment.merchant_ref, payment.money
    if number is None or amount is None or not _fits(evidence, amount, book, payment):
        why = f"the channel tells of a refund {number} that we did not ask for and cannot book ({evidence.note})"
        case = NewCase("unknown_refund", payment.id, why)
        return Settled(book, Weighed.REJECTED, why, cases=(case,), payment_id=payment.id)
    # Whoever made it chose the number, perhaps "held": it must not lead to the id of a refund of ours.
    refund_id = ids.derived_id(ids.REFUND, payment.id, f"{Cause.AT_CHANNEL}/{number}")
    refund = new_refund(payment, refund_id, amount.amount_minor, Cause.AT_CHANNEL, evidence.note, now)
    refund = msgspec.structs.replace(refund, merchant_ref=number, state=RefundState.PENDING)
    return _after_refund(book.put(refund), refund_rules.decide(refund, evidence), now, is_new=True)


def _is_all_known(evidence: RefundEvidence, book: Book, payment: Payment) -> bool:
    """Whether the sum that the channel states is no more than what we know to have gone back."""
    known_minor = refunds_minor(book, payment.id, states=(RefundState.SUCCEEDED,))
    so_far = evidence.so_far
    return so_far is not None and so_far.currency == payment.currency and so_far.amount_minor <= known_minor


def _is_all_of_it(evidence: RefundEvidence, book: Book, payment: Payment) -> bool:
    """Whether the sum stands for one refund of everything: the payment was first heard of when all of it had gone back.
    Several refunds may have made up the sum; then the bill will say so. Of a payment that was known before, one that we
    could not book may be among them, so there the sum is taken for a refund's own amount only where nobody named the
    refund: Alipay wants a number (out_request_no) for each part, and what goes back without one, as by its cancel, is
    all of it and bears the payment's own number (alipay.trade.refund)."""
    never_ours = book.order.paid_by != payment.id and not any(
        refund.payment_id == payment.id for refund in book.refunds.values()
    )
    is_unnamed = evidence.merchant_refund_ref == payment.merchant_ref
    return (never_ours or is_unnamed) and evidence.amount is None and evidence.so_far == payment.money


def _fits(evidence: RefundEvidence, amount: Money, book: Book, payment: Payment) -> bool:
    """Whether so much of this payment can have been given back: its currency, and no more than is left. What came back
    takes nothing of that: the rest may have been refunded since. What is only asked for here takes nothing, either:
    the channel does not have it, gave the money back otherwise, and will refuse ours. Only a bill's line may yet be
    about that one, by a number that we have not learned."""
    came_back = evidence.says is RefundSays.FAILED
    taken = refunds_minor(book, payment.id, states=None if evidence.road is Road.BILL else AT_CHANNEL)
    rest = payment.amount_minor - (0 if came_back else taken)
    return amount.currency == payment.currency and 0 < amount.amount_minor <= rest


def _after_refund(book: Book, decision: refund_rules.Decision, now: datetime, *, is_new: bool = False) -> Settled:
    """What follows for the payment and the order once a refund has been weighed."""
    before, refund, case = book.refunds[decision.refund.id], decision.refund, decision.move.case
    changed = refund != before
    if changed:
        refund = msgspec.structs.replace(refund, updated_at=now)
    settled = Settled(
        book.put(refund),
        weighed(changed or is_new, case is not None, before.state is not refund.state),
        decision.why,
        refund_events(book.order, before, refund),
        (NewCase(case, refund.id, decision.why),) if case else (),
        payment_id=refund.payment_id,
        refund_id=refund.id,
    )
    return _sum_up(settled, refund.payment_id, now) if before.state is not refund.state else settled


def refund_declined(book: Book, item: RefundDeclined, now: datetime) -> Settled:
    """The channel refuses to take the refund. Where all of the payment went back otherwise, that harms nobody."""
    refund = book.refunds[item.refund_id]
    rest = book.payments[refund.payment_id].amount_minor - refunds_minor(book, refund.payment_id, states=AT_CHANNEL)
    happening = RefundHappening.DECLINED if rest > 0 else RefundHappening.OVERTAKEN
    return _after_refund(book, refund_rules.happen(refund, happening, item.why), now)


def _sum_up(settled: Settled, payment_id: str, now: datetime) -> Settled:
    """What was refunded of a payment is the sum of its succeeded refunds; the order follows it."""
    book = settled.book
    payment = book.payments[payment_id]
    refunded = refunds_minor(book, payment_id, states=(RefundState.SUCCEEDED,))
    payment = msgspec.structs.replace(payment, refunded_minor=refunded, updated_at=now)
    book = book.put(payment)
    if refunded > payment.amount_minor:
        why = f"{refunded} of {payment.amount_minor} minor units were refunded: more than was paid"
        settled = msgspec.structs.replace(
            settled, cases=(*settled.cases, NewCase("over_refunded", payment_id, why)), why=f"{settled.why}; {why}"
        )
    if book.order.paid_by != payment_id:
        return msgspec.structs.replace(settled, book=book)
    whole = refunded >= payment.amount_minor
    decision = order_rules.happen(book.order, OrderHappening.FULLY_REFUNDED if whole else OrderHappening.REFUND_UNDONE)
    if decision.order.state is book.order.state:
        return msgspec.structs.replace(settled, book=book)
    order = msgspec.structs.replace(decision.order, updated_at=now)
    events = settled.events
    if order.state is OrderState.REFUNDED:
        events = (*events, event(EventType.ORDER_REFUNDED, order, payment))
    return msgspec.structs.replace(
        settled, book=book.put(order), events=events, why=f"{settled.why}; {decision.move.why}"
    )
