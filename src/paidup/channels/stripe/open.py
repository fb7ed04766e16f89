"""Offering a payment: a PaymentIntent for the shop's own page, or a hosted Checkout page.

What is sent depends on the payment alone, never on the time: repeated under its Idempotency-Key, the opening must be
the same byte for byte, for that is how Stripe tells us an id whose answer we lost.
"""

from datetime import datetime

from paidup.channels.channel import ToOpen
from paidup.channels.messages import Exchange, Outcome, Success
from paidup.channels.stripe.amount import to_stripe
from paidup.channels.stripe.api import OnError, no_to_a_deed, post
from paidup.channels.stripe.keys import StripeAccount, payee
from paidup.channels.stripe.objects import PAYMENT_REF, PaymentIntent, Session
from paidup.channels.stripe.says import Told, intent_says, session_says
from paidup.errors import InvalidRequest
from paidup.evidence import Road

METHODS = ("payment_intent", "checkout")
MAX_DESCRIPTION_CHARS = 500


def open_payment(payment: ToOpen, account: StripeAccount, on_error: OnError = no_to_a_deed) -> Exchange:
    """Raises InvalidRequest when the method is unknown or a field is missing. `on_error` reads refusals; a query that
    repeats the opening reads them as a question's."""
    if payment.money.amount_minor < 1:
        raise InvalidRequest("Stripe takes no payment of nothing")
    if payment.method == "payment_intent":
        return _intent(payment, account, on_error)
    if payment.method == "checkout":
        return _checkout(payment, account, on_error)
    raise InvalidRequest(f"method {payment.method!r} is none of Stripe's: {', '.join(METHODS)}")


def answered(account: StripeAccount, ref: str, status: str, livemode: bool, now: datetime) -> Told:
    """Where news in an answer about this payment comes from."""
    return Told(
        road=Road.QUERY,
        account=account,
        key=f"query:{ref}:{status}",
        received_at=now,
        payee=payee(livemode, account.connect_account),
        merchant_ref=ref,
    )


def ours(ref: str, stated: str | None) -> None:
    """Raises InvalidRequest when the answer carries the number of another payment or refund."""
    if stated is not None and stated != ref:
        raise InvalidRequest(f"asked about {ref}, answered about {stated[:64]}")


def _intent(payment: ToOpen, account: StripeAccount, on_error: OnError) -> Exchange:
    def read(intent: PaymentIntent, now: datetime) -> Outcome:
        ours(payment.merchant_ref, intent.ref(PAYMENT_REF))
        if intent.client_secret is None:
            raise InvalidRequest("there is no client_secret")
        told = answered(account, payment.merchant_ref, intent.status, intent.livemode, now)
        return Success(intent_says(intent, told), {"client_secret": intent.client_secret}, intent.id)

    parameters = {
        "amount": str(to_stripe(payment.money)),
        "currency": payment.money.currency.lower(),
        "description": _description(payment),
        "automatic_payment_methods[enabled]": "true",
        f"metadata[{PAYMENT_REF}]": payment.merchant_ref,
    }
    key = payment.merchant_ref
    return post("/v1/payment_intents", parameters, account, PaymentIntent, read, on_error, key)


def _checkout(payment: ToOpen, account: StripeAccount, on_error: OnError) -> Exchange:
    """The page lives 24 hours, or until we expire it: Stripe accepts no `expires_at` nearer than 30 minutes, and one
    that depended on the time of sending would break the repetition."""
    if "return_url" not in payment.extra:
        raise InvalidRequest("method checkout needs extra.return_url: where Stripe sends the customer afterwards")

    def read(session: Session, now: datetime) -> Outcome:
        ours(payment.merchant_ref, session.ref(PAYMENT_REF) or session.client_reference_id)
        told = answered(account, payment.merchant_ref, session.status or "none", session.livemode, now)
        pay_with = {"url": session.url} if session.url else {}
        return Success(session_says(session, told), pay_with, session.txn_id)

    item = "line_items[0]"
    parameters = {
        "mode": "payment",
        "client_reference_id": payment.merchant_ref,
        f"metadata[{PAYMENT_REF}]": payment.merchant_ref,
        f"payment_intent_data[metadata][{PAYMENT_REF}]": payment.merchant_ref,
        f"{item}[quantity]": "1",
        f"{item}[price_data][currency]": payment.money.currency.lower(),
        f"{item}[price_data][unit_amount]": str(to_stripe(payment.money)),
        f"{item}[price_data][product_data][name]": _description(payment),
        "success_url": payment.extra["return_url"],
    }
    if "cancel_url" in payment.extra:
        parameters["cancel_url"] = payment.extra["cancel_url"]
    return post("/v1/checkout/sessions", parameters, account, Session, read, on_error, payment.merchant_ref)


def _description(payment: ToOpen) -> str:
    return payment.description.strip()[:MAX_DESCRIPTION_CHARS] or payment.merchant_ref
