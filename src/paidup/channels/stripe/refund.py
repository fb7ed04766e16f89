"""Giving money back, and asking what became of it."""

from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlencode

from paidup.channels.channel import RefundName
from paidup.channels.messages import Exchange, Outcome, Success, Unknown
from paidup.channels.stripe.amount import to_stripe
from paidup.channels.stripe.api import ApiError, get, no_to_a_deed, no_to_a_question, post, segment
from paidup.channels.stripe.keys import StripeAccount
from paidup.channels.stripe.objects import PAYMENT_REF, REFUND_REF, Refund, RefundList
from paidup.channels.stripe.open import ours
from paidup.channels.stripe.query import stripe_id
from paidup.channels.stripe.says import Told, refund_says
from paidup.errors import InvalidRequest
from paidup.evidence import RefundEvidence, RefundSays, Road

MAX_REASON_CHARS = 500  # Stripe's bound on a metadata value
_LISTED = 100


def refund_payment(refund: RefundName, account: StripeAccount) -> Exchange:
    """The Idempotency-Key is merchant_refund_ref. Stripe forgets it after a day or more, so an old refund must be
    asked about (`query_refund`) before it is sent again."""
    parameters = {
        **_paid_by(refund),
        "amount": str(to_stripe(refund.money)),
        f"metadata[{REFUND_REF}]": refund.merchant_refund_ref,
        f"metadata[{PAYMENT_REF}]": refund.payment.merchant_ref,
    }
    if refund.reason.strip():
        parameters["metadata[paidup_reason]"] = refund.reason.strip()[:MAX_REASON_CHARS]
    key = refund.merchant_refund_ref
    return post("/v1/refunds", parameters, account, Refund, _reader(refund, account), no_to_a_deed, key)


def query_refund(refund: RefundName, account: StripeAccount) -> Exchange:
    """By its id; when that was lost, by looking for our number among the payment's refunds.

    Repeating the creation would also tell the id, but only while Stripe remembers the key: after that it would pay a
    second time. The list (unlike Stripe's search) is up to date.
    """
    if refund.channel_refund_id is not None:
        path = f"/v1/refunds/{segment(refund.channel_refund_id)}"

        def on_error(error: ApiError, now: datetime) -> Outcome:
            return _unknown_there(refund, account, now) if error.is_missing else no_to_a_question(error, now)

        return get(path, account, Refund, _reader(refund, account), on_error)

    def search(page: RefundList, now: datetime) -> Outcome:
        found = [item for item in page.data if item.ref(REFUND_REF) == refund.merchant_refund_ref]
        if found:
            return _reader(refund, account)(found[0], now)
        if page.has_more:
            return Unknown(f"the payment has more than {_LISTED} refunds, and ours is not among the newest")
        return _unknown_there(refund, account, now)

    path = f"/v1/refunds?{urlencode({**_paid_by(refund), 'limit': _LISTED})}"
    return get(path, account, RefundList, search, no_to_a_question)


def _reader(refund: RefundName, account: StripeAccount) -> Callable[[Refund, datetime], Outcome]:
    def read(found: Refund, now: datetime) -> Outcome:
        ours(refund.merchant_refund_ref, found.ref(REFUND_REF))
        told = Told(
            road=Road.QUERY,
            account=account,
            key=f"query:{refund.merchant_refund_ref}:{found.status}",
            received_at=now,
            merchant_ref=refund.payment.merchant_ref,
        )
        return Success(refund_says(found, told), channel_txn_id=found.payment_intent)

    return read


def _unknown_there(refund: RefundName, account: StripeAccount, now: datetime) -> Success:
    evidence = RefundEvidence(
        road=Road.QUERY,
        channel=account.channel,
        account=account.name,
        key=f"query:{refund.merchant_refund_ref}:not_found",
        received_at=now,
        merchant_ref=refund.payment.merchant_ref,
        channel_txn_id=refund.payment.channel_txn_id,
        note="not among the payment's refunds",
        says=RefundSays.NOT_FOUND,
        merchant_refund_ref=refund.merchant_refund_ref,
    )
    return Success((evidence,))


def _paid_by(refund: RefundName) -> dict[str, str]:
    """What Stripe gives back from. Raises InvalidRequest while neither a PaymentIntent nor a charge is known."""
    txn_id = stripe_id(refund.payment) or ""
    for prefix, name in (("pi_", "payment_intent"), ("ch_", "charge"), ("py_", "charge")):
        if txn_id.startswith(prefix):
            return {name: txn_id}
    raise InvalidRequest(f"payment {refund.payment.merchant_ref} has no PaymentIntent yet; query it first")
