"""Asking Stripe what became of a payment: by its id, or, when its id was lost, by repeating the opening."""

from datetime import datetime
from urllib.parse import urlencode

from paidup.channels.channel import PaymentName
from paidup.channels.messages import Declined, Exchange, Outcome, Success
from paidup.channels.stripe.api import ApiError, get, no_to_a_deed, no_to_a_question, segment
from paidup.channels.stripe.keys import StripeAccount
from paidup.channels.stripe.objects import PAYMENT_REF, PaymentIntent, Session, SessionList
from paidup.channels.stripe.open import answered, open_payment, ours
from paidup.channels.stripe.says import intent_says, session_says
from paidup.errors import InvalidRequest
from paidup.evidence import PaymentEvidence, PaymentSays, Road

INTENT_PREFIX, SESSION_PREFIX = "pi_", "cs_"


def query_payment(payment: PaymentName, account: StripeAccount) -> Exchange:
    """Stripe cannot be asked by our own number (its search lags behind). An opening whose answer was lost is repeated
    under its Idempotency-Key: that tells the id of what the first one made. Should Stripe have forgotten the key (after
    a day or more) it makes a second one; harmless, for nobody can pay the first, whose secret was never handed out.
    For the same reason there is nothing to pay where the repetition is declined. A page whose PaymentIntent alone is
    known (a notice told of a declined card) is looked for by it: only the page tells whether it can still be paid, and
    only the page can be closed.
    """
    txn_id = stripe_id(payment)
    if txn_id is None:
        return opened_again(payment, account, PaymentSays.NOT_FOUND)

    def on_error(error: ApiError, now: datetime) -> Outcome:
        return unknown_there(payment, account, now) if error.is_missing else no_to_a_question(error, now)

    if txn_id.startswith(SESSION_PREFIX):
        path = f"/v1/checkout/sessions/{segment(txn_id)}"
        return get(path, account, Session, lambda session, at: session_told(session, payment, account, at), on_error)
    if payment.method == "checkout" and txn_id.startswith(INTENT_PREFIX) and not payment.registered:
        return get(
            _pages_of(txn_id), account, SessionList, lambda it, at: _page_told(it, payment, account, at), on_error
        )
    path = f"/v1/payment_intents/{segment(txn_id)}"
    return get(path, account, PaymentIntent, lambda intent, at: intent_told(intent, payment, account, at), on_error)


def opened_again(payment: PaymentName, account: StripeAccount, if_declined: PaymentSays) -> Exchange:
    """The opening once more, under its Idempotency-Key. `if_declined` is what it means that Stripe surely refuses.

    Raises InvalidRequest for a payment that we never opened: this would make a second one beside the shop's.
    """
    if payment.registered:
        raise InvalidRequest(
            f"Stripe cannot be asked by {payment.merchant_ref[:64]}: register the payment with Stripe's own id of the "
            "PaymentIntent (pi_…) or the Checkout Session (cs_…) as merchant_ref or channel_txn_id"
        )

    def on_error(error: ApiError, now: datetime) -> Outcome:
        refusal = no_to_a_deed(error, now)
        if isinstance(refusal, Declined):
            return _told(payment, account, now, if_declined, refusal.code)
        return no_to_a_question(error, now)

    return open_payment(payment.reopen, account, on_error)


def stripe_id(payment: PaymentName) -> str | None:
    """The id to ask by. A payment that the shop opened by itself may have it as its number."""
    if payment.channel_txn_id is None and payment.merchant_ref.startswith((INTENT_PREFIX, SESSION_PREFIX)):
        return payment.merchant_ref
    return payment.channel_txn_id


def intent_told(intent: PaymentIntent, payment: PaymentName, account: StripeAccount, now: datetime) -> Success:
    """What an answer's PaymentIntent says. Raises InvalidRequest when it is another payment's."""
    ours(payment.merchant_ref, intent.ref(PAYMENT_REF))
    told = answered(account, payment.merchant_ref, intent.status, intent.livemode, now)
    return Success(intent_says(intent, told), channel_txn_id=intent.id)


def _pages_of(intent_id: str) -> str:
    parameters = {"payment_intent": intent_id, "limit": "1", "expand[]": "data.payment_intent"}
    return f"/v1/checkout/sessions?{urlencode(parameters)}"


def _page_told(found: SessionList, payment: PaymentName, account: StripeAccount, now: datetime) -> Outcome:
    if not found.data:
        return Declined("no_page", "Stripe shows no Checkout page of this PaymentIntent")
    return session_told(found.data[0], payment, account, now)


def session_told(session: Session, payment: PaymentName, account: StripeAccount, now: datetime) -> Success:
    """What an answer's session says; once it is completed, its PaymentIntent's id is the one to ask by."""
    ours(payment.merchant_ref, session.ref(PAYMENT_REF))
    told = answered(account, payment.merchant_ref, session.status or "none", session.livemode, now)
    return Success(session_says(session, told), channel_txn_id=session.txn_id)


def unknown_there(payment: PaymentName, account: StripeAccount, now: datetime) -> Success:
    """404 resource_missing: the id is unknown in this mode and account."""
    return _told(payment, account, now, PaymentSays.NOT_FOUND, "resource_missing")


def _told(payment: PaymentName, account: StripeAccount, now: datetime, says: PaymentSays, code: str) -> Success:
    """What a refusal's code tells of the payment."""
    evidence = PaymentEvidence(
        road=Road.QUERY,
        channel=account.channel,
        account=account.name,
        key=f"query:{payment.merchant_ref}:{code}",
        received_at=now,
        merchant_ref=payment.merchant_ref,
        note=code,
        says=says,
    )
    return Success((evidence,))
