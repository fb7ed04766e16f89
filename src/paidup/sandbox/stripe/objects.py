"""Stripe's objects as JSON: what the API answers with and what events carry."""

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from paidup.errors import InvalidRequest
from paidup.money import decimals
from paidup.sandbox.ledger import DisputeState, Refund, Trade, TradeState
from paidup.sandbox.wire import Tell

NAME = "stripe"
CHECKOUT = "checkout"
INTENT = "payment_intent"
API_VERSION = "2025-03-31.basil"

Json = dict[str, object]

_SESSION_BEGINS = "cs_test_a1" + 32 * "0"

_COMPARED: Mapping[str, Callable[[Any, int], bool]] = {
    "gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le,
}  # fmt: skip

# What Stripe's objects have as null where nobody asked for it: its libraries know no field that is not there.
_INTENT_EMPTY = (
    "application", "application_fee_amount", "automatic_payment_methods", "customer", "next_action", "on_behalf_of",
    "payment_method_options", "processing", "receipt_email", "review", "setup_future_usage", "shipping", "source",
    "statement_descriptor", "statement_descriptor_suffix", "transfer_data", "transfer_group",
)  # fmt: skip
_SESSION_EMPTY = (
    "after_expiration", "allow_promotion_codes", "billing_address_collection", "client_secret", "consent",
    "consent_collection", "customer", "customer_creation", "customer_details", "customer_email", "invoice",
    "invoice_creation", "locale", "payment_link", "payment_method_options", "phone_number_collection",
    "recovered_from", "setup_intent", "shipping_address_collection", "shipping_cost", "submit_type", "subscription",
)  # fmt: skip
_REFUND_EMPTY = ("reason", "receipt_number", "source_transfer_reversal", "transfer_reversal")
_SESSION_STATES = {TradeState.WAITING: "open", TradeState.PAID: "complete", TradeState.CLOSED: "expired"}
_DISPUTES = {
    DisputeState.INQUIRED: "warning_needs_response",
    DisputeState.OPENED: "needs_response",
    DisputeState.WON: "won",
    DisputeState.LOST: "lost",
}


def intent(trade: Trade) -> Json:
    """A PaymentIntent."""
    return dict.fromkeys(_INTENT_EMPTY) | {
        "id": trade.number,
        "object": "payment_intent",
        "amount": trade.amount_minor,
        "amount_capturable": 0,
        "amount_received": trade.amount_minor if trade.paid_at else 0,
        "canceled_at": _seconds(trade.closed_at),
        "cancellation_reason": trade.extra.get("cancellation_reason"),
        "capture_method": "automatic",
        "client_secret": f"{trade.number}_secret_sandbox",
        "confirmation_method": "automatic",
        "created": _seconds(trade.opened_at),
        "currency": trade.currency.lower(),
        "description": trade.extra.get("description"),
        "last_payment_error": _declined() if trade.failed_at and not trade.paid_at else None,
        "latest_charge": trade.number.replace("pi_", "ch_") if trade.paid_at else None,
        "livemode": False,
        "metadata": metadata(trade.extra),
        "payment_method": trade.number.replace("pi_", "pm_") if trade.paid_at else None,
        "payment_method_types": ["card"],
        "status": _intent_state(trade),
    }


def session(trade: Trade) -> Json:
    """A Checkout Session. It names its PaymentIntent only once the customer has tried to pay."""
    return dict.fromkeys(_SESSION_EMPTY) | {
        "id": session_number(trade),
        "object": "checkout.session",
        "amount_subtotal": trade.amount_minor,
        "amount_total": trade.amount_minor,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "cancel_url": trade.extra.get("cancel_url"),
        "client_reference_id": trade.extra.get("client_reference_id"),
        "created": _seconds(trade.opened_at),
        "currency": trade.currency.lower(),
        "custom_fields": [],
        "custom_text": dict.fromkeys(("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")),
        "discounts": [],
        "expires_at": _seconds(trade.expires_at),
        "livemode": False,
        "metadata": metadata(trade.extra),
        "mode": "payment",
        "payment_intent": trade.number if has_intent(trade) else None,
        "payment_method_types": ["card"],
        "payment_status": "paid" if trade.paid_at else "unpaid",
        "shipping_options": [],
        "status": _SESSION_STATES[trade.state],
        "success_url": trade.extra.get("success_url"),
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted",
        "url": None
        if trade.state is not TradeState.WAITING
        else f"https://checkout.stripe.com/c/pay/{session_number(trade)}",
    }


def refund_object(refund: Refund) -> Json:
    """A Refund."""
    trade = refund.trade
    return dict.fromkeys(_REFUND_EMPTY) | {
        "id": refund.number,
        "object": "refund",
        "amount": refund.amount_minor,
        "charge": trade.number.replace("pi_", "ch_"),
        "created": _seconds(refund.made_at),
        "currency": trade.currency.lower(),
        "balance_transaction": f"txn_{refund.number[3:]}",
        "failure_reason": "expired_or_canceled_card" if refund.state == "failed" else None,
        "metadata": metadata(refund.extra),
        "payment_intent": trade.number,
        "reason": refund.extra.get("reason"),
        "status": str(refund.state),
    }


def dispute_object(trade: Trade, dispute: DisputeState, opened_at: datetime, *, asks_only: bool) -> Json:
    """A Dispute over the whole amount. asks_only: it is an inquiry, and no money has moved."""
    return {
        "id": trade.number.replace("pi_", "dp_"),
        "object": "dispute",
        "amount": trade.amount_minor,
        "balance_transactions": [],
        "charge": trade.number.replace("pi_", "ch_"),
        "created": _seconds(opened_at),
        "currency": trade.currency.lower(),
        "evidence": {},
        "evidence_details": {"due_by": None, "has_evidence": False, "past_due": False, "submission_count": 0},
        "is_charge_refundable": asks_only,
        "livemode": False,
        "metadata": {},
        "payment_intent": trade.number,
        "reason": "fraudulent",
        "status": "warning_closed" if asks_only and dispute is DisputeState.WON else _DISPUTES[dispute],
    }


def event(number: str, kind: str, told: Json, created: datetime) -> Json:
    """An Event that carries an object as it was at that moment."""
    return {
        "id": number,
        "object": "event",
        "api_version": API_VERSION,
        "created": _seconds(created),
        "data": {"object": told},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }


def page(url: str, objects: Sequence[Json], query: Mapping[str, str]) -> Tell:
    """A list, newest first: at most `limit` of what was `created` then, after or before the object that the caller has
    seen last. Raises InvalidRequest and ValueError."""
    for word, holds in _COMPARED.items():
        if f"created[{word}]" in query:
            at = int(query[f"created[{word}]"])
            objects = [it for it in objects if holds(it["created"], at)]
    limit, ids = _limit(query), [it["id"] for it in objects]
    seen = query.get("starting_after") or query.get("ending_before")
    if seen and seen not in ids:
        return error(404, "resource_missing", f"No such object: '{seen}'")
    if query.get("starting_after"):
        objects = objects[ids.index(seen) + 1 :]
    elif seen:
        objects = objects[: ids.index(seen)]
    part = objects[-limit:] if query.get("ending_before") else objects[:limit]
    return tell({"object": "list", "url": url, "has_more": len(objects) > limit, "data": part})


def _limit(query: Mapping[str, str]) -> int:
    text = query.get("limit", "10")
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= 100):
        raise InvalidRequest("Invalid integer: limit must be from 1 to 100")
    return int(text)


def has_intent(trade: Trade) -> bool:
    """Whether there is a PaymentIntent: a page has one from the first attempt to pay on."""
    return trade.method == INTENT or trade.paid_at is not None or trade.failed_at is not None


def must_be_countable(amount: int, currency: str) -> None:
    """ISK and UGX are counted in hundredths that must be 00, and the last of three decimals must be 0. Raises
    InvalidRequest."""
    step = 100 if currency in ("ISK", "UGX") else 10 if decimals(currency) == 3 else 1
    if amount % step:
        raise InvalidRequest(f"Invalid amount: in {currency.lower()} it must be a multiple of {step}")


def session_number(trade: Trade) -> str:
    """A session's id."""
    return session_of(trade.number)


def session_of(intent: str) -> str:
    """The id of the session before this PaymentIntent: it ends with the same digits, and has 66 characters, as
    Stripe's have."""
    return intent.replace("pi_", _SESSION_BEGINS)


def intent_of(session: str) -> str:
    """The id of the PaymentIntent behind this session."""
    return session.replace(_SESSION_BEGINS, "pi_")


def metadata(extra: dict[str, str]) -> dict[str, str]:
    """The merchant's own notes among what a trade or refund was made with."""
    return {name[9:-1]: value for name, value in extra.items() if name.startswith("metadata[")}


def tell(told: object, status: int = 200, **headers: str) -> Tell:
    """An answer; Stripe signs none."""
    return Tell(status, {"content-type": "application/json"} | headers, msgspec.json.encode(told))


def error(status: int, code: str | None, message: str, kind: str = "invalid_request_error", **more: object) -> Tell:
    """A refusal."""
    return tell({"error": {"type": kind, "code": code, "message": message, **more}}, status)


def missing(message: str) -> Tell:
    """404."""
    return error(404, "resource_missing", message)


def _intent_state(trade: Trade) -> str:
    return {TradeState.PAID: "succeeded", TradeState.CLOSED: "canceled"}.get(trade.state, "requires_payment_method")


def _declined() -> Json:
    return {"type": "card_error", "code": "card_declined", "decline_code": "generic_decline"}


def _seconds(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment else None
