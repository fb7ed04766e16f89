"""Making a payment unpayable: cancel the PaymentIntent, or expire the Checkout page, whether it has one or not."""

from datetime import datetime

from paidup.channels.channel import PaymentName
from paidup.channels.messages import Exchange, Outcome
from paidup.channels.stripe.api import ApiError, no_to_a_deed, post, segment
from paidup.channels.stripe.keys import StripeAccount
from paidup.channels.stripe.objects import PaymentIntent, Session
from paidup.channels.stripe.query import (
    SESSION_PREFIX,
    intent_told,
    opened_again,
    session_told,
    stripe_id,
    unknown_there,
)
from paidup.evidence import PaymentSays


def close_payment(payment: PaymentName, account: StripeAccount) -> Exchange:
    """Success carries CLOSED; a paid intent's refusal carries the intent, and so PAID. A completed page is Declined,
    and queried: the query learns its PaymentIntent. The PaymentIntent of a page cannot be cancelled, so the query that
    is sent before tells the page's id as long as the page is open. A payment whose id was lost is first asked for
    (WAITING and its id), then closed in the next round; one that Stripe declines to open is closed, for nobody has
    anything to pay with.
    """
    txn_id = stripe_id(payment)
    if txn_id is None:
        return opened_again(payment, account, PaymentSays.CLOSED)

    def on_error(error: ApiError, now: datetime) -> Outcome:
        if error.status == 400 and error.payment_intent is not None and error.payment_intent.id == txn_id:
            return intent_told(error.payment_intent, payment, account, now)
        return unknown_there(payment, account, now) if error.is_missing else no_to_a_deed(error, now)

    if txn_id.startswith(SESSION_PREFIX):
        path = f"/v1/checkout/sessions/{segment(txn_id)}/expire"
        return post(path, {}, account, Session, lambda page, at: session_told(page, payment, account, at), on_error)
    path = f"/v1/payment_intents/{segment(txn_id)}/cancel"
    return post(path, {}, account, PaymentIntent, lambda it, at: intent_told(it, payment, account, at), on_error)
