"""Stripe's webhooks: verified on the raw body, then read by the kind of object they carry."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import msgspec

from paidup.channels.messages import CallbackRequest, Reading, Reply
from paidup.channels.stripe.keys import StripeAccount, payee
from paidup.channels.stripe.objects import Charge, Dispute, Event, PaymentIntent, Refund, Session
from paidup.channels.stripe.says import Told, at, charge_says, dispute_says, intent_says, refund_says, session_says
from paidup.channels.stripe.sign import verify
from paidup.errors import CallbackRefused, InvalidRequest, Verdict
from paidup.evidence import Evidence, Road

MAX_EVENT_BYTES = 1 << 20

ObjectT = TypeVar("ObjectT")
_Reader = Callable[[msgspec.Raw, Told], tuple[Evidence, ...]]


def read_callback(request: CallbackRequest, account: StripeAccount, now: datetime) -> Reading:
    """Raises CallbackRefused and nothing else, whatever the bytes are.

    A snapshot may be older than what we know already; weighing it again changes nothing.
    """
    if len(request.body) > MAX_EVENT_BYTES:
        raise CallbackRefused(Verdict.MALFORMED, f"longer than {MAX_EVENT_BYTES} bytes")
    verify(request.header("stripe-signature"), request.body, account.webhook_secrets, now)
    try:
        event = msgspec.json.decode(request.body, type=Event)
        return Reading(event.id, event.type, _evidence(event, account, now))
    except (msgspec.MsgspecError, InvalidRequest, RecursionError, UnicodeDecodeError) as wrong:
        raise CallbackRefused(Verdict.MALFORMED, f"verified, but not readable: {str(wrong)[:300]}") from None


def accepted() -> Reply:
    """Stripe reads nothing but the status: any 2xx."""
    return Reply(200, "application/json", b'{"received":true}')


def refused(refusal: CallbackRefused) -> Reply:
    """Stripe shows the body in its dashboard, to whoever looks why deliveries fail."""
    return Reply(400, "application/json", msgspec.json.encode({"refused": refusal.verdict}))


def _evidence(event: Event, account: StripeAccount, now: datetime) -> tuple[Evidence, ...]:
    reader = _reader(event.type)
    if reader is None or event.data is None or isinstance(event.created, str):
        return ()
    if event.data.object is msgspec.UNSET:
        raise InvalidRequest("there is no data.object")
    told = Told(
        road=Road.CALLBACK,
        account=account,
        key=event.id,
        received_at=now,
        occurred_at=at(event.created),
        payee=payee(event.livemode, event.account),
        is_news=not event.type.endswith(".updated") or event.data.is_about("status"),
    )
    return reader(event.data.object, told)


def _reader(kind: str) -> _Reader | None:
    """Which object the event carries, by its type; None for kinds that say nothing about money we follow."""
    if kind in _BY_TYPE:
        return _BY_TYPE[kind]
    return next((reader for prefix, reader in _BY_PREFIX if kind.startswith(prefix)), None)


def _read(raw: msgspec.Raw, kind: type[ObjectT]) -> ObjectT:
    return msgspec.json.decode(raw, type=kind)


def _intent(raw: msgspec.Raw, told: Told) -> tuple[Evidence, ...]:
    return intent_says(_read(raw, PaymentIntent), told)


def _failed_intent(raw: msgspec.Raw, told: Told) -> tuple[Evidence, ...]:
    return intent_says(_read(raw, PaymentIntent), told, attempt_failed=True)


def _session(raw: msgspec.Raw, told: Told) -> tuple[Evidence, ...]:
    return session_says(_read(raw, Session), told)


def _failed_session(raw: msgspec.Raw, told: Told) -> tuple[Evidence, ...]:
    return session_says(_read(raw, Session), told, attempt_failed=True)


def _charge(raw: msgspec.Raw, told: Told) -> tuple[Evidence, ...]:
    return charge_says(_read(raw, Charge), told)


def _refund(raw: msgspec.Raw, told: Told) -> tuple[Evidence, ...]:
    return refund_says(_read(raw, Refund), told)


def _dispute(raw: msgspec.Raw, told: Told) -> tuple[Evidence, ...]:
    return dispute_says(_read(raw, Dispute), told)


_BY_TYPE: dict[str, _Reader] = {
    "payment_intent.payment_failed": _failed_intent,
    "checkout.session.async_payment_failed": _failed_session,
    "charge.refunded": _charge,
    "charge.refund.updated": _refund,
}
_BY_PREFIX: tuple[tuple[str, _Reader], ...] = (
    ("payment_intent.", _intent),
    ("checkout.session.", _session),
    ("refund.", _refund),
    ("charge.dispute.", _dispute),
)
