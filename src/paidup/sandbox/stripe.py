"""Stripe's API as the merchant sees it: PaymentIntents, Checkout Sessions, refunds, signed events."""

import hashlib
import hmac
from datetime import timedelta
from urllib.parse import parse_qsl

import msgspec

from paidup.clock import Clock
from paidup.sandbox.faults import Dice
from paidup.sandbox.keys import StripeKeys
from paidup.sandbox.ledger import Ledger, Refund, Trade
from paidup.sandbox.wire import Ask, Notice, Tell

NAME = "stripe"
RETRIES_S = (60, 300, 1800, 7200, 18000, 36000, 36000, 43200, 43200, 43200)
"""Exponential over about three days."""
ACK_WITHIN_S = 15.0

_STATES = {"waiting": "requires_payment_method", "paid": "succeeded", "closed": "canceled"}
_Told = dict[str, object]


class Stripe:
    """Answers requests and writes events."""

    def __init__(self, keys: StripeKeys, ledger: Ledger, clock: Clock, dice: Dice) -> None:
        self._keys = keys
        self._ledger = ledger
        self._clock = clock
        self._dice = dice
        self._answers: dict[str, tuple[bytes, Tell]] = {}

    def respond(self, ask: Ask) -> tuple[Tell, Trade | Refund | None]:
        """Answer one request; the second value is what it changed and callbacks tell of."""
        if not hmac.compare_digest(ask.headers.get("authorization", ""), f"Bearer {self._keys.secret}"):
            return _error(401, "invalid_request_error", "", "Invalid API Key provided"), None
        key = ask.headers.get("idempotency-key")
        if key and key in self._answers:
            body, answer = self._answers[key]
            if body != ask.body:
                return _error(400, "idempotency_error", "", "Keys can only be used with the same parameters"), None
            return answer, None
        answer, changed = self._act(ask)
        if key and answer.status < 500:
            self._answers[key] = (ask.body, answer)
        return answer, changed

    def _act(self, ask: Ask) -> tuple[Tell, Trade | Refund | None]:
        fields = dict(parse_qsl(ask.body.decode(), keep_blank_values=True))
        match (ask.method, *ask.path.strip("/").split("/")[1:]):
            case ("POST", "payment_intents"):
                return self._open(fields, "payment_intent")
            case ("POST", "checkout", "sessions"):
                return self._open(fields, "checkout")
            case ("GET", "payment_intents", number):
                return self._show(self._by_intent(number), "payment_intent"), None
            case ("GET", "checkout", "sessions", number):
                return self._show(self._by_session(number), "checkout"), None
            case ("POST", "payment_intents", number, "cancel"):
                return self._close(self._by_intent(number), "payment_intent")
            case ("POST", "checkout", "sessions", number, "expire"):
                return self._close(self._by_session(number), "checkout")
            case ("POST", "refunds"):
                return self._refund(fields)
            case ("GET", "refunds"):
                return self._list_refunds(ask.query().get("payment_intent", "")), None
            case ("GET", "refunds", number):
                return self._query_refund(number), None
            case _:
                return _error(404, "invalid_request_error", "resource_missing", "Unrecognized request URL"), None

    def notice(self, trade: Trade, refund: Refund | None = None, *, key: str) -> Notice:
        """The event about a payment, a refund or a dispute, signed now; `key` is the event's id."""
        kind, told = self._happened(trade, refund)
        event = {
            "id": f"evt_{hashlib.sha256(key.encode()).hexdigest()[:24]}",
            "object": "event",
            "api_version": "2025-03-31.basil",
            "created": int((trade.paid_at or self._clock.now()).timestamp()),
            "type": kind,
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "data": {"object": told},
        }
        data = msgspec.json.format(msgspec.json.encode(event), indent=2)
        timestamp = int(self._clock.now().timestamp())
        digest = hmac.digest(self._keys.webhook.encode(), f"{timestamp}.".encode() + data, hashlib.sha256).hex()
        headers = {"stripe-signature": f"t={timestamp},v1={digest}", "content-type": "application/json; charset=utf-8"}
        return Notice(headers, data)

    @staticmethod
    def is_acknowledged(status: int, _body: bytes) -> bool:
        """Any 2xx."""
        return 200 <= status < 300

    def _happened(self, trade: Trade, refund: Refund | None) -> tuple[str, _Told]:
        if refund:
            return "refund.updated" if refund.state != "failed" else "refund.failed", self._refund_object(trade, refund)
        if trade.dispute:
            closed = trade.dispute in ("won", "lost")
            kind = "charge.dispute.closed" if closed else "charge.dispute.created"
            return kind, self._dispute_object(trade)
        kinds = {"paid": "payment_intent.succeeded", "closed": "payment_intent.canceled"}
        return kinds.get(trade.state, "payment_intent.created"), self._intent(trade)

    def _open(self, fields: dict[str, str], method: str) -> tuple[Tell, Trade | None]:
        now = self._clock.now()
        number = f"{self._ledger.next_number():024}"
        item = "line_items[0][price_data]" if method == "checkout" else ""
        amount_name, currency_name = (f"{item}[unit_amount]", f"{item}[currency]") if item else ("amount", "currency")
        metadata = _metadata(fields, "metadata[") | _metadata(fields, "payment_intent_data[metadata][")
        trade = self._ledger.open(
            Trade(
                channel=NAME,
                account="acct_sandbox",
                merchant_ref=metadata.get("paidup_payment") or fields.get("client_reference_id") or f"pi_{number}",
                number=f"pi_{number}",
                amount_minor=int(fields[amount_name]),
                currency=fields[currency_name].upper(),
                method=method,
                opened_at=now,
                expires_at=now + timedelta(days=1),
                extra=metadata,
            )
        )
        return self._show(trade, method), trade

    def _close(self, trade: Trade | None, method: str) -> tuple[Tell, Trade | None]:
        if trade is None:
            return self._show(None, method), None
        if not self._ledger.close(trade):
            why = "You cannot cancel this PaymentIntent because it has a status of succeeded."
            return _error(400, "invalid_request_error", "payment_intent_unexpected_state", why), None
        return self._show(trade, method), trade

    def _refund(self, fields: dict[str, str]) -> tuple[Tell, Refund | None]:
        trade = self._by_intent(fields.get("payment_intent", ""))
        if trade is None:
            return self._show(None, "payment_intent"), None
        number = f"re_{self._ledger.next_number():024}"
        ref = fields.get("metadata[paidup_refund]", number)
        refund = self._ledger.refund(trade, ref, int(fields.get("amount", trade.amount_minor)), number)
        if refund is None:
            return _error(
                400, "invalid_request_error", "charge_already_refunded", "Not so much is left to refund"
            ), None
        return _tell(200, self._refund_object(trade, refund)), refund

    def _list_refunds(self, number: str) -> Tell:
        trade = self._by_intent(number)
        rows = [self._refund_object(trade, refund) for refund in trade.refunds.values()] if trade else []
        return _tell(200, {"object": "list", "url": "/v1/refunds", "has_more": False, "data": rows})

    def _query_refund(self, number: str) -> Tell:
        for trade in self._ledger.trades():
            for refund in trade.refunds.values():
                if trade.channel == NAME and refund.number == number:
                    return _tell(200, self._refund_object(trade, refund))
        return _error(404, "invalid_request_error", "resource_missing", f"No such refund: '{number}'")

    def _by_intent(self, number: str) -> Trade | None:
        return self._ledger.find(NAME, number=number)

    def _by_session(self, number: str) -> Trade | None:
        return self._ledger.find(NAME, number=number.replace("cs_test_", "pi_"))

    def _show(self, trade: Trade | None, method: str) -> Tell:
        if trade is None:
            return _error(404, "invalid_request_error", "resource_missing", "No such object")
        return _tell(200, self._session(trade) if method == "checkout" else self._intent(trade))

    def _intent(self, trade: Trade) -> _Told:
        return {
            "id": trade.number,
            "object": "payment_intent",
            "amount": trade.amount_minor,
            "amount_received": trade.amount_minor if trade.paid_at else 0,
            "currency": trade.currency.lower(),
            "status": _STATES[trade.state],
            "client_secret": f"{trade.number}_secret_sandbox",
            "created": int(trade.opened_at.timestamp()),
            "livemode": False,
            "metadata": trade.extra,
            "latest_charge": trade.number.replace("pi_", "ch_") if trade.paid_at else None,
        }

    def _session(self, trade: Trade) -> _Told:
        number = trade.number.replace("pi_", "cs_test_")
        status = {"waiting": "open", "paid": "complete", "closed": "expired"}[trade.state]
        return {
            "id": number,
            "object": "checkout.session",
            "amount_total": trade.amount_minor,
            "currency": trade.currency.lower(),
            "status": status,
            "payment_status": "paid" if trade.paid_at else "unpaid",
            "payment_intent": trade.number if trade.paid_at else None,
            "client_reference_id": trade.merchant_ref,
            "created": int(trade.opened_at.timestamp()),
            "livemode": False,
            "metadata": trade.extra,
            "url": f"https://checkout.stripe.com/c/pay/{number}",
        }

    def _refund_object(self, trade: Trade, refund: Refund) -> _Told:
        return {
            "id": refund.number,
            "object": "refund",
            "amount": refund.amount_minor,
            "currency": trade.currency.lower(),
            "payment_intent": trade.number,
            "charge": trade.number.replace("pi_", "ch_"),
            "status": refund.state,
            "created": int(refund.made_at.timestamp()),
            "metadata": {"paidup_refund": refund.merchant_ref} if not refund.merchant_ref.startswith("re_") else {},
        }

    def _dispute_object(self, trade: Trade) -> _Told:
        return {
            "id": trade.number.replace("pi_", "dp_"),
            "object": "dispute",
            "amount": trade.amount_minor,
            "currency": trade.currency.lower(),
            "payment_intent": trade.number,
            "charge": trade.number.replace("pi_", "ch_"),
            "status": "needs_response" if trade.dispute == "opened" else trade.dispute,
            "created": int(self._clock.now().timestamp()),
            "metadata": {},
        }


def _metadata(fields: dict[str, str], prefix: str) -> dict[str, str]:
    return {name[len(prefix) : -1]: value for name, value in fields.items() if name.startswith(prefix)}


def _tell(status: int, told: object) -> Tell:
    return Tell(status, {"content-type": "application/json"}, msgspec.json.encode(told))


def _error(status: int, kind: str, code: str, message: str) -> Tell:
    return _tell(status, {"error": {"type": kind, "code": code or None, "message": message}})
