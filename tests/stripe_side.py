"""The other side in small: what Stripe would send, signed with the test's own webhook secret."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from urllib.parse import parse_qsl

from paidup.channels.channel import PaymentName, RefundName, ToOpen
from paidup.channels.messages import CallbackRequest, Request, Response
from paidup.channels.stripe import STRIPE, StripeAccount
from paidup.money import Money

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
NOW_S = int(NOW.timestamp())
SECRET = "whsec_c2lnbmluZw"

TABLE: Mapping[str, object] = {
    "shop": "shop1",
    "notify_url": "https://pay.example/callbacks/stripe/main",
    "secret_key": "secret.key",
    "webhook_secrets": ["webhook.secret"],
    "livemode": False,
}
FILES: Mapping[str, bytes] = {"secret.key": b"sk_test_4eC39Hq\n", "webhook.secret": SECRET.encode() + b"\n"}

INTENT: Mapping[str, object] = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 1250,
    "amount_received": 1250,
    "currency": "usd",
    "livemode": False,
    "status": "succeeded",
    "client_secret": "pi_1_secret_x",
    "metadata": {"paidup_payment": "pay1"},
    "created": NOW_S - 60,
}
SESSION: Mapping[str, object] = {
    "id": "cs_1",
    "object": "checkout.session",
    "amount_total": 1250,
    "client_reference_id": "pay1",
    "currency": "usd",
    "livemode": False,
    "metadata": {},
    "mode": "payment",
    "payment_intent": "pi_1",
    "payment_status": "paid",
    "status": "complete",
    "url": None,
}
REFUND: Mapping[str, object] = {
    "id": "re_1",
    "object": "refund",
    "amount": 500,
    "charge": "ch_1",
    "currency": "usd",
    "metadata": {"paidup_refund": "ref1", "paidup_payment": "pay1"},
    "payment_intent": "pi_1",
    "status": "succeeded",
}
CHARGE: Mapping[str, object] = {
    "id": "ch_1",
    "object": "charge",
    "amount": 1250,
    "amount_captured": 1250,
    "amount_refunded": 500,
    "captured": True,
    "currency": "usd",
    "metadata": {"paidup_payment": "pay1"},
    "payment_intent": "pi_1",
}
DISPUTE: Mapping[str, object] = {
    "id": "dp_1",
    "object": "dispute",
    "amount": 1250,
    "charge": "ch_1",
    "currency": "usd",
    "metadata": {},
    "payment_intent": "pi_1",
    "status": "needs_response",
}


@cache
def account() -> StripeAccount:
    return STRIPE.parse_account("main", TABLE, FILES)


def event(kind: str, of: Mapping[str, object], **more: object) -> bytes:
    """An event's body, as Stripe lays it out."""
    whole = {
        "id": "evt_1",
        "object": "event",
        "api_version": "2025-03-31.basil",
        "created": NOW_S - 5,
        "data": {"object": of},
        "livemode": False,
        "type": kind,
        **more,
    }
    return json.dumps(whole, indent=2).encode()


def header(body: bytes, *, secrets: tuple[str, ...] = (SECRET,), at_s: int = NOW_S) -> str:
    """Stripe-Signature: one v1 per secret, and a v0 that means nothing."""
    signed = str(at_s).encode() + b"." + body
    v1 = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={at_s}", *(f"v1={hex_}" for hex_ in v1), "v0=00"])


def callback(body: bytes, signature: str | None = None) -> CallbackRequest:
    """The event's delivery; signed now unless given."""
    headers = (("content-type", "application/json"), ("stripe-signature", signature or header(body)))
    return CallbackRequest("POST", "/callbacks/stripe/main", headers, body)


def answer(of: Mapping[str, object], status: int = 200) -> Response:
    """The API's answer."""
    return Response(status, (("content-type", "application/json"),), json.dumps(of).encode())


def error(status: int, **of: object) -> Response:
    """The API's refusal."""
    return answer({"error": {"message": "no", "type": "invalid_request_error", **of}}, status)


def parameters(request: Request) -> dict[str, str]:
    """The form of a request."""
    return dict(parse_qsl(request.body.decode("ascii"), strict_parsing=True))


def sent_header(request: Request, name: str) -> str | None:
    return dict(request.headers).get(name)


def to_open(method: str = "payment_intent", *, money: Money = Money(1250, "USD"), **extra: str) -> ToOpen:  # noqa: B008
    return ToOpen(
        merchant_ref="pay1",
        money=money,
        method=method,
        description="two tickets",
        expires_at=NOW + timedelta(minutes=30),
        extra=extra,
    )


def name_of(txn_id: str | None = "pi_1", method: str = "payment_intent") -> PaymentName:
    return PaymentName(
        merchant_ref="pay1",
        channel_txn_id=txn_id,
        money=Money(1250, "USD"),
        method=method,
        created_at=NOW,
        reopen=to_open(method, return_url="https://shop.example/thanks"),
    )


def refund_of(refund_id: str | None = None, txn_id: str | None = "pi_1") -> RefundName:
    return RefundName(
        payment=name_of(txn_id),
        merchant_refund_ref="ref1",
        channel_refund_id=refund_id,
        money=Money(500, "USD"),
        reason="one ticket back",
    )
