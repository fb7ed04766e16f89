"""Stripe's API as the merchant sees it: PaymentIntents, Checkout Sessions, refunds, events, idempotency keys.

Source: Stripe's API reference and webhook documents.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import parse_qs, parse_qsl

import msgspec

from paidup.sandbox.bill_desks import StripeDesk
from paidup.sandbox.bills import Bills
from paidup.sandbox.faults import Dice
from paidup.sandbox.keys import StripeKeys
from paidup.sandbox.ledger import DisputeState, Ledger, Refund, RefundState, Trade, TradeState
from paidup.sandbox.stripe_forms import count, key_of, noted, price, price_of_items
from paidup.sandbox.stripe_objects import (
    CHECKOUT,
    INTENT,
    Json,
    dispute_object,
    error,
    event,
    has_intent,
    intent,
    must_be_countable,
    page,
    refund_object,
    session,
    session_number,
    tell,
)
from paidup.sandbox.wire import NONSENSE, Ask, News, Notice, Tell

NAME = "stripe"
RETRIES_S = (60, 300, 1800, 7200, 18000, 36000, 36000, 43200, 43200, 43200)
"""Exponential over about three days; Stripe does not publish the steps."""
KEYS_KEPT = timedelta(hours=24)
"""How long an idempotency key is known at the least; here it is not known any longer, either."""
MAX_KEPT = 100_000
"""Events, and answers under idempotency keys: the oldest are forgotten."""

_INTENT_METADATA = "payment_intent_data[metadata]["


class _Answered(msgspec.Struct, frozen=True):
    """What was asked for under an idempotency key, and what was said."""

    path: str
    fields: dict[str, str]
    answer: Tell
    at: datetime


class Stripe:
    """One Stripe account. webhook_url is its endpoint."""

    channel = NAME
    retries_s = RETRIES_S
    ack_within_s = 15.0

    def __init__(
        self, account: str, keys: StripeKeys, ledger: Ledger, dice: Dice, *, bills: Bills, webhook_url: str
    ) -> None:
        self.account = account
        self.identity = keys.secret
        self._keys = keys
        self._ledger = ledger
        self._dice = dice
        self._webhook_url = webhook_url
        self._answers: dict[str, _Answered] = {}
        self._events: dict[str, Json] = {}
        self._disputed: dict[str, datetime] = {}
        self._inquiries: set[str] = set()
        self._desk = StripeDesk(bills, account)

    def subject(self, ask: Ask) -> str:
        """The path, and for what makes something the idempotency key."""
        return f"{ask.path} {ask.headers.get('idempotency-key', '')}"

    def respond(self, ask: Ask, now: datetime) -> tuple[Tell, Trade | Refund | None]:
        """Answer one request; the second value is what it changed. A key gives the same answer again, but for what made
        no sense: then nothing was begun, and nothing is kept."""
        if not hmac.compare_digest(key_of(ask).encode(), self._keys.secret.encode()):
            return error(401, None, "Invalid API Key provided"), None
        key = ask.headers.get("idempotency-key") if ask.method == "POST" else None
        known = self._answers.get(key) if key else None
        try:
            if known and now - known.at < KEYS_KEPT:
                return _again(known, ask), None
            answer, changed = self._act(ask, now)
        except NONSENSE as wrong:
            return error(400, "parameter_invalid", str(wrong)), None
        if key:
            self._answers[key] = _Answered(ask.path, _fields_in(ask), answer, now)
            _forget_oldest(self._answers)
        return answer, changed

    def limited(self) -> Tell:
        """429."""
        return error(429, "rate_limit", "Too many requests in too short a time")

    def news(self, what: Trade | Refund, now: datetime) -> tuple[News, ...]:
        """Stripe tells of nearly everything; a paid page is told of twice, as the page and as its PaymentIntent."""
        if isinstance(what, Refund):
            kind = {RefundState.FAILED: "refund.failed"}.get(what.state, "refund.created")
            return (self._told(what.trade, kind, refund_object(what), f"{what.number} {what.state}", now),)
        return tuple(
            self._told(what, kind, told, f"{what.number} {what.failed_at if kind.endswith('failed') else ''}", now)
            for kind, told in _happened(what)
        )

    def dispute_news(self, trade: Trade, dispute: DisputeState, now: datetime) -> tuple[News, ...]:
        """The buyer's bank asks, or wants the money back, or the dispute has ended."""
        is_new, is_over = trade.number not in self._disputed, dispute in (DisputeState.WON, DisputeState.LOST)
        if dispute is DisputeState.INQUIRED:
            self._inquiries.add(trade.number)
        elif dispute is not DisputeState.WON:
            self._inquiries.discard(trade.number)
        kind = "closed" if is_over else "created" if is_new else "updated"
        told = dispute_object(
            trade, dispute, self._disputed.setdefault(trade.number, now), asks_only=trade.number in self._inquiries
        )
        return (self._told(trade, f"charge.dispute.{kind}", told, f"{trade.number} {dispute}", now),)

    def notice(self, news: News, now: datetime) -> Notice:
        """The event under a signature that carries the time of this sending."""
        timestamp = int(now.timestamp())
        secret = self._keys.stranger if news.forged else self._keys.webhook
        digest = hmac.digest(secret.encode(), f"{timestamp}.".encode() + news.content, hashlib.sha256).hex()
        headers = {"stripe-signature": f"t={timestamp},v1={digest}", "content-type": "application/json; charset=utf-8"}
        return Notice(headers, news.content)

    def is_acknowledged(self, status: int, body: bytes) -> bool:  # noqa: ARG002 - Stripe reads only the status
        """Any 2xx."""
        return 200 <= status < 300

    def happened(self, news: News) -> None:
        """The event can be listed from now on."""
        self._events[news.key] = msgspec.json.decode(news.content)
        _forget_oldest(self._events)

    def acknowledged(self, news: News) -> None:
        """The event no longer counts as undelivered."""
        if news.key in self._events:
            self._events[news.key]["pending_webhooks"] = 0

    # Requests --------------------------------------------------------------------------------------------------------

    def _act(self, ask: Ask, now: datetime) -> tuple[Tell, Trade | Refund | None]:
        fields = _fields_in(ask)
        match (ask.method, *ask.path.strip("/").split("/")[1:]):
            case ("POST", "payment_intents"):
                return self._open(INTENT, fields, now)
            case ("POST", "checkout", "sessions"):
                return self._open(CHECKOUT, fields, now)
            case ("POST", "payment_intents", number, "cancel"):
                return self._cancel(self._by_intent(number, now), fields, now)
            case ("POST", "checkout", "sessions", number, "expire"):
                return self._expire(self._by_session(number, now), now)
            case ("POST", "refunds"):
                return self._refund(fields, now)
            case ("POST", "reporting", "report_runs"):
                return tell(self._desk.start(fields, ask, now)), None
            case ("GET", *path):
                return self._show(path, ask, now), None
            case _:
                return _missing("Unrecognized request URL"), None

    def _show(self, path: list[str], ask: Ask, now: datetime) -> Tell:
        match path:
            case ["payment_intents", number]:
                trade = self._by_intent(number, now)
                return tell(intent(trade)) if trade else _missing(f"No such payment_intent: '{number}'")
            case ["checkout", "sessions", number]:
                trade = self._by_session(number, now)
                return tell(session(trade)) if trade else _missing(f"No such checkout.session: '{number}'")
            case ["refunds", number]:
                refund = self._ledger.refund_at(NAME, self.account, number)
                return tell(refund_object(refund)) if refund else _missing(f"No such refund: '{number}'")
            case ["reporting", "report_runs", number]:
                run = self._desk.run(number, ask, now)
                return tell(run) if run else _missing(f"No such report run: '{number}'")
            case ["files", number, "contents"]:
                file = self._desk.file(number)
                return Tell(200, {"content-type": "text/csv"}, file) if file else _missing(f"No such file: '{number}'")
            case ["events", number] if number in self._events:
                return tell(self._events[number])
            case _:
                return self._list("/".join(path), ask, now)

    def _list(self, what: str, ask: Ask, now: datetime) -> Tell:
        match what:
            case "payment_intents":
                return self._list_intents(ask)
            case "checkout/sessions":
                return self._list_sessions(ask, now)
            case "refunds":
                return self._list_refunds(ask, now)
            case "events":
                return self._list_events(ask)
            case _:
                return _missing("No such object, or an unrecognized request URL")

    def _open(self, method: str, fields: dict[str, str], now: datetime) -> tuple[Tell, Trade]:
        amount_minor, currency = price_of_items(fields) if method == CHECKOUT else price(fields)
        must_be_countable(amount_minor, currency)
        # What the merchant notes on the session's PaymentIntent is shown on both here.
        on_intent = {f"metadata[{name[len(_INTENT_METADATA) :]}": v for name, v in fields.items() if _is_noted(name)}
        extra = on_intent | {name: value for name, value in fields.items() if name.startswith(_KEPT)}
        number, ref = self._numbers(extra)
        trade = Trade(
            channel=NAME,
            account=self.account,
            merchant_ref=ref,
            number=number,
            amount_minor=amount_minor,
            currency=currency,
            method=method,
            opened_at=now,
            expires_at=now + timedelta(days=1) if method == CHECKOUT else None,
            extra=extra,
        )
        self._ledger.enter(trade)
        return tell(session(trade) if method == CHECKOUT else intent(trade)), trade

    def _numbers(self, extra: Mapping[str, str]) -> tuple[str, str]:
        """Stripe's number and the merchant's. The merchant's is a mere note, and may be there twice."""
        ref = extra.get("client_reference_id") or noted(extra, "payment") or noted(extra, "order") or ""
        nth = self._ledger.how_many(NAME, self.account, ref) if ref else len(self._ledger)
        number = "pi_3" + self._dice.letters(23, "intent", self.account, ref, nth)
        return number, ref or number

    def _cancel(self, trade: Trade | None, fields: Mapping[str, str], now: datetime) -> tuple[Tell, Trade | None]:
        if trade is None:
            return _missing("No such payment_intent"), None
        if trade.state is not TradeState.WAITING:
            status = intent(trade)["status"]
            why = f"You cannot cancel this PaymentIntent because it has a status of {status}."
            return error(400, "payment_intent_unexpected_state", why, payment_intent=intent(trade)), None
        if trade.method == CHECKOUT:
            why = "You cannot cancel this PaymentIntent because it was created by Checkout; expire the Session instead."
            return error(400, None, why, payment_intent=intent(trade)), None
        self._ledger.close(trade, now)
        trade.extra |= {name: fields[name] for name in ("cancellation_reason",) if name in fields}
        return tell(intent(trade)), trade

    def _expire(self, trade: Trade | None, now: datetime) -> tuple[Tell, Trade | None]:
        if trade is None:
            return _missing("No such checkout.session"), None
        if trade.state is not TradeState.WAITING:
            return error(400, None, 'Only Checkout Sessions with a status in ["open"] can be expired.'), None
        self._ledger.close(trade, now)
        return tell(session(trade)), trade

    def _refund(self, fields: dict[str, str], now: datetime) -> tuple[Tell, Refund | None]:
        trade = self._refunded_from(fields, now)
        if trade is None:
            return _missing("No such payment_intent or charge"), None
        left = trade.amount_minor - trade.refunded_minor()
        extra = {name: value for name, value in fields.items() if name.startswith(("metadata[", "reason"))}
        number = "re_3" + self._dice.letters(23, "refund", trade.number, len(trade.refunds))
        refund = Refund(
            trade=trade,
            merchant_ref=noted(extra, "refund") or number,
            number=number,
            amount_minor=count(fields, "amount") if "amount" in fields else left,
            state=RefundState.SUCCEEDED,
            made_at=now,
            settled_at=now,
            extra=extra,
        )
        must_be_countable(refund.amount_minor, trade.currency)
        if not self._ledger.refund(trade, refund):
            why = f"{left if trade.paid_at else 0} is left to refund on {trade.number}"
            return error(400, "charge_already_refunded" if left == 0 else "amount_too_large", why), None
        return tell(refund_object(refund)), refund

    def _list_refunds(self, ask: Ask, now: datetime) -> Tell:
        """Of one payment, or of all."""
        query = ask.query()
        trade = self._refunded_from(query, now)
        if trade is None and ("payment_intent" in query or "charge" in query):
            return _missing("No such payment_intent or charge")
        refunds = [it for one in ([trade] if trade else self._ever()) for it in one.refunds]
        oldest_first = sorted(refunds, key=lambda refund: refund.made_at)
        return page("/v1/refunds", [refund_object(refund) for refund in reversed(oldest_first)], query)

    def _list_intents(self, ask: Ask) -> Tell:
        found = [intent(trade) for trade in reversed(self._ever()) if has_intent(trade)]
        return page("/v1/payment_intents", found, ask.query())

    def _list_sessions(self, ask: Ask, now: datetime) -> Tell:
        """Of one PaymentIntent, or all."""
        query = ask.query()
        trade = self._by_intent(query["payment_intent"], now) if "payment_intent" in query else None
        trades = [trade] if trade else [] if "payment_intent" in query else reversed(self._ever())
        found = [
            session(it) | ({"payment_intent": intent(it)} if _is_expanded(query) and has_intent(it) else {})
            for it in trades
            if it.method == CHECKOUT
        ]
        return page("/v1/checkout/sessions", found, query)

    def _list_events(self, ask: Ask) -> Tell:
        """By type, and by delivery."""
        query = parse_qs(ask.target.partition("?")[2])
        kinds = query.get("types[]", []) + query.get("type", [])
        delivered = query.get("delivery_success", [""])[0]
        wanted = {"true": (0,), "false": (1,)}.get(delivered, (0, 1))
        found = [it for it in reversed(self._events.values()) if it["pending_webhooks"] in wanted]
        return page("/v1/events", [it for it in found if not kinds or it["type"] in kinds], ask.query())

    def _ever(self) -> list[Trade]:
        """All trades of this account, the oldest first."""
        trades = self._ledger.page(0, len(self._ledger))
        return [trade for trade in trades if (trade.channel, trade.account) == (NAME, self.account)]

    def _refunded_from(self, fields: Mapping[str, str], now: datetime) -> Trade | None:
        return self._by_intent(fields.get("payment_intent") or fields.get("charge", "").replace("ch_", "pi_"), now)

    def _by_intent(self, number: str, now: datetime) -> Trade | None:
        """The PaymentIntent of a page exists once the customer has tried to pay."""
        trade = self._ledger.numbered(NAME, self.account, number, now)
        return trade if trade and has_intent(trade) else None

    def _by_session(self, number: str, now: datetime) -> Trade | None:
        trade = self._ledger.numbered(NAME, self.account, number.replace("cs_test_", "pi_"), now)
        return trade if trade and session_number(trade) == number and trade.method == CHECKOUT else None

    def _told(self, trade: Trade, kind: str, told: Json, about: str, now: datetime) -> News:
        key = "evt_" + self._dice.letters(24, "event", kind, about)
        return News(
            channel=NAME,
            account=self.account,
            about=trade.merchant_ref,
            key=key,
            kind=kind,
            url=self._webhook_url,
            at=now,
            content=msgspec.json.format(msgspec.json.encode(event(key, kind, told, now)), indent=2),
        )


_KEPT = ("metadata[", "description", "client_reference_id", "success_url", "cancel_url")


def _fields_in(ask: Ask) -> dict[str, str]:
    return dict(parse_qsl(ask.body.decode(), keep_blank_values=True))


def _again(known: _Answered, ask: Ask) -> Tell:
    """Refusals, too, are repeated. What counts is what is asked for, and not in which order the form says it."""
    if (known.path, known.fields) != (ask.path, _fields_in(ask)):
        why = "Keys for idempotent requests can only be used with the same parameters they were first used with."
        return error(400, None, why, "idempotency_error")
    return Tell(known.answer.status, {**known.answer.headers, "idempotent-replayed": "true"}, known.answer.body)


def _happened(trade: Trade) -> tuple[tuple[str, Json], ...]:
    """The events of a trade as it stands now."""
    of_page = trade.method == CHECKOUT
    if trade.state is TradeState.PAID:
        paid = ("payment_intent.succeeded", intent(trade))
        return (("checkout.session.completed", session(trade)), paid) if of_page else (paid,)
    if trade.state is TradeState.CLOSED:
        return (
            ("checkout.session.expired", session(trade)) if of_page else ("payment_intent.canceled", intent(trade)),
        )
    return (("payment_intent.payment_failed", intent(trade)),) if trade.failed_at else ()


def _is_noted(name: str) -> bool:
    return name.startswith(_INTENT_METADATA)


def _missing(message: str) -> Tell:
    return error(404, "resource_missing", message)


def _is_expanded(query: Mapping[str, str]) -> bool:
    return query.get("expand[]") == "data.payment_intent"


def _forget_oldest(kept: dict[str, _Answered] | dict[str, Json]) -> None:
    if len(kept) > MAX_KEPT:
        del kept[next(iter(kept))]
