"""What Stripe's objects say, as evidence. Callbacks and answers carry the same objects, so both are read here.

A payment that the shop opened by itself carries no number of ours; it goes by the PaymentIntent's id.
"""

from datetime import UTC, datetime

import msgspec

from paidup.channels.stripe.amount import from_stripe
from paidup.channels.stripe.keys import StripeAccount
from paidup.channels.stripe.objects import PAYMENT_REF, REFUND_REF, Charge, Dispute, PaymentIntent, Refund, Session
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


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """How a piece of news reached us. `payee` is None where the object does not say (refunds in answers). is_news:
    whether the object's status is what the event tells of; it may have been so for days."""

    road: Road
    account: StripeAccount
    key: str
    received_at: datetime
    occurred_at: datetime | None = None
    payee: str | None = None
    merchant_ref: str | None = None  # the number we asked about; it wins over what the object carries
    is_news: bool = True


# last_payment_error ends an attempt, never the payment; requires_capture is authorised, which is not paid.
_INTENT = {
    "requires_payment_method": PaymentSays.WAITING,
    "requires_confirmation": PaymentSays.WAITING,
    "requires_action": PaymentSays.WAITING,
    "requires_capture": PaymentSays.WAITING,
    "processing": PaymentSays.WAITING,
    "succeeded": PaymentSays.PAID,
    "canceled": PaymentSays.CLOSED,
}
_REFUND = {
    "pending": RefundSays.PENDING,
    "requires_action": RefundSays.PENDING,
    "succeeded": RefundSays.SUCCEEDED,
    "failed": RefundSays.FAILED,
    "canceled": RefundSays.FAILED,
}
# warning_closed, prevented and charge_refunded ended without the bank taking anything; a refund is news of its own.
_DISPUTE = {
    "needs_response": DisputeSays.OPENED,
    "under_review": DisputeSays.OPENED,
    "warning_needs_response": DisputeSays.INQUIRED,
    "warning_under_review": DisputeSays.INQUIRED,
    "won": DisputeSays.WON,
    "warning_closed": DisputeSays.WON,
    "prevented": DisputeSays.WON,
    "charge_refunded": DisputeSays.WON,
    "lost": DisputeSays.LOST,
}


def at(seconds: int) -> datetime:
    """Stripe's time as an aware one."""
    return datetime.fromtimestamp(seconds, UTC)


def intent_says(intent: PaymentIntent, told: Told, *, attempt_failed: bool = False) -> tuple[PaymentEvidence, ...]:
    """A paid intent states what was received, so that a partial capture does not pass for the agreed amount."""
    says = _INTENT.get(intent.status)
    if says is PaymentSays.WAITING and attempt_failed:
        says = PaymentSays.FAILED
    if says is None:
        return ()
    amount = intent.amount
    if says is PaymentSays.PAID and intent.amount_received is not None:
        amount = intent.amount_received
    money = from_stripe(amount, intent.currency)
    return (_payment(told, says, intent.id, intent.ref(PAYMENT_REF), money, intent.status),)


def session_says(session: Session, told: Told, *, attempt_failed: bool = False) -> tuple[PaymentEvidence, ...]:
    """Until the page is completed, the session's own id stands for the payment. Other modes are not payments.

    attempt_failed: the debit or transfer that the customer had promised never came. The page takes no second one.
    """
    if session.mode != "payment":
        return ()
    says = _session(session)
    if says is PaymentSays.WAITING and session.status == "complete" and (attempt_failed or _has_failed(session)):
        says = PaymentSays.CLOSED
    amount = None
    if session.amount_total is not None and session.currency is not None:
        amount = from_stripe(session.amount_total, session.currency)
    ours = session.ref(PAYMENT_REF)
    note = f"{session.status}/{session.payment_status}"
    evidence = _payment(told, says, session.txn_id, ours or session.client_reference_id, amount, note)
    if ours or told.merchant_ref:
        return (evidence,)
    # A page that the shop opened by itself may be registered by its own id: the PaymentIntent's is learned from here.
    return (msgspec.structs.replace(evidence, other_ref=session.id),)


def charge_says(charge: Charge, told: Told) -> tuple[PaymentEvidence | RefundEvidence, ...]:
    """A captured charge was paid, also when it is given back now. amount_refunded is a running sum that names no
    refund; refund.created and refund.updated name them, so here only refunds that are listed count."""
    if not charge.captured:
        return ()
    amount = charge.amount if charge.amount_captured is None else charge.amount_captured
    note = f"charge {charge.id}: {charge.amount_refunded} of {amount} {charge.currency} given back so far"
    txn, ref = charge.payment_intent or charge.id, charge.ref(PAYMENT_REF)
    paid = _payment(told, PaymentSays.PAID, txn, ref, from_stripe(amount, charge.currency), note)
    # When the charge was paid is not stated: the event tells when it was given back.
    paid = msgspec.structs.replace(paid, occurred_at=None)
    return (paid, *(it for refund in charge.given_back for it in refund_says(refund, _of_refund(told, refund))))


def refund_says(refund: Refund, told: Told) -> tuple[RefundEvidence, ...]:
    """`failed` may follow `succeeded`: a bank sent the money back. Days after it succeeded Stripe learns the bank's
    number of a refund, and tells of it by an event that says once more that it succeeded."""
    says = _REFUND.get(refund.status or "")
    if says is None:
        return ()
    evidence = RefundEvidence(
        road=told.road,
        channel=told.account.channel,
        account=told.account.name,
        key=told.key,
        received_at=told.received_at,
        occurred_at=told.occurred_at if told.is_news else _surely_at(refund),
        merchant_ref=told.merchant_ref or refund.ref(PAYMENT_REF) or refund.payment_intent,
        channel_txn_id=refund.payment_intent or refund.charge,
        amount=from_stripe(refund.amount, refund.currency),
        payee=told.payee,
        note=refund.status or "",
        says=says,
        merchant_refund_ref=refund.ref(REFUND_REF),
        channel_refund_id=refund.id,
    )
    return (evidence,)


def dispute_says(dispute: Dispute, told: Told) -> tuple[DisputeEvidence, ...]:
    """The status decides, not the event: funds_withdrawn comes while the dispute is open and takes nothing for good."""
    says = _DISPUTE.get(dispute.status)
    if says is None:
        return ()
    evidence = DisputeEvidence(
        road=told.road,
        channel=told.account.channel,
        account=told.account.name,
        key=told.key,
        received_at=told.received_at,
        occurred_at=told.occurred_at,
        merchant_ref=dispute.ref(PAYMENT_REF) or dispute.payment_intent,
        channel_txn_id=dispute.payment_intent or dispute.charge,
        amount=from_stripe(dispute.amount, dispute.currency),
        payee=told.payee,
        note=dispute.status,
        says=says,
        dispute_id=dispute.id,
    )
    return (evidence,)


def _session(session: Session) -> PaymentSays:
    if session.status == "expired":
        return PaymentSays.CLOSED
    if session.status == "complete" and session.payment_status in ("paid", "no_payment_required"):
        return PaymentSays.PAID
    return PaymentSays.WAITING


def _has_failed(session: Session) -> bool:
    """Its PaymentIntent, shown whole, waits for another way to pay, which a completed page does not offer."""
    intent = session.payment_intent
    return isinstance(intent, PaymentIntent) and intent.status in ("requires_payment_method", "canceled")


def _of_refund(told: Told, refund: Refund) -> Told:
    """A list shows refunds as they were when the event happened, which tells of one of them at most."""
    return msgspec.structs.replace(told, key=f"{told.key}:{refund.id}", is_news=False)


def _surely_at(refund: Refund) -> datetime | None:
    """When it succeeded at the earliest: one that came back since did so later, so that this is older news."""
    return None if refund.created is None or refund.status != "succeeded" else at(refund.created)


def _payment(
    told: Told, says: PaymentSays, txn_id: str, ref: str | None, amount: Money | None, note: str
) -> PaymentEvidence:
    return PaymentEvidence(
        road=told.road,
        channel=told.account.channel,
        account=told.account.name,
        key=told.key,
        received_at=told.received_at,
        occurred_at=told.occurred_at,
        merchant_ref=told.merchant_ref or ref or txn_id,
        channel_txn_id=txn_id,
        amount=amount,
        payee=told.payee,
        note=note,
        says=says,
    )
