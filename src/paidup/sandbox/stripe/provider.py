"""Stripe's API as the merchant sees it: PaymentIntents, Checkout Sessions, refunds, events, idempotency keys.

Source: Stripe's API reference and webhook documents.
"""

import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta

from paidup.sandbox.bills import Bills
from paidup.sandbox.faults import Dice
from paidup.sandbox.keys import StripeKeys
from paidup.sandbox.ledger import DisputeState, Ledger, Refund, RefundState, Trade, TradeState
from paidup.sandbox.stripe.events import Events
from paidup.sandbox.stripe.forms import count, fields_of, key_of, noted, price, price_of_items
from paidup.sandbox.stripe.idempotency import Answers
from paidup.sandbox.stripe.lists import listed
from paidup.sandbox.stripe.objects import (
    CHECKOUT,
    INTENT,
    NAME,
    error,
    intent,
    missing,
    must_be_countable,
    refund_object,
    session,
    tell,
)
from paidup.sandbox.stripe.report_desk import StripeDesk
from paidup.sandbox.stripe.trades import Trades
from paidup.sandbox.wire import NONSENSE, Ask, News, Notice, Tell

RETRIES_S = (60, 300, 1800, 7200, 18000, 36000, 36000, 43200, 43200, 43200)
"""Exponential over about three days; Stripe does not publish the steps."""
_INTENT_METADATA = "payment_intent_data[metadata]["
_KEPT = ("metadata[", "description", "client_reference_id", "success_url", "cancel_url")


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
        self._trades = Trades(ledger, account)
        self._events = Events(account, keys, dice, webhook_url)
        self._answers = Answers()
        self._desk = StripeDesk(bills, account)

    def subject(self, ask: Ask) -> str:
        """The path, and for what makes something the idempotency key."""
        return f"{ask.path} {ask.headers.get('idempotency-key', '')}"

    def respond(self, ask: Ask, now: datetime) -> tuple[Tell, Trade | Refund | None]:
        """Answer one request; the second value is what it changed. A key gives the same answer again, but for what made
        no sense: then nothing was begun, and nothing is kept."""
        if not hmac.compare_digest(key_of(ask).encode(), self._keys.secret.encode()):
            return error(401, None, "Invalid API Key provided"), None
        try:
            if again := self._answers.again(ask, now):
                return again, None
            answer, changed = self._act(ask, now)
        except NONSENSE as wrong:
            return error(400, "parameter_invalid", str(wrong)), None
        self._answers.keep(ask, answer, now)
        return answer, changed

    def limited(self) -> Tell:
        """429."""
        return error(429, "rate_limit", "Too many requests in too short a time")

    def news(self, what: Trade | Refund, now: datetime) -> tuple[News, ...]:
        """Stripe tells of nearly everything."""
        return self._events.news(what, now)

    def dispute_news(self, trade: Trade, dispute: DisputeState, now: datetime) -> tuple[News, ...]:
        """The buyer's bank asks, or wants the money back, or the dispute has ended."""
        return self._events.dispute_news(trade, dispute, now)

    def notice(self, news: News, now: datetime) -> Notice:
        """The event under a signature that carries the time of this sending."""
        return self._events.notice(news, now)

    def is_acknowledged(self, status: int, body: bytes) -> bool:  # noqa: ARG002 - Stripe reads only the status
        """Any 2xx."""
        return 200 <= status < 300

    def happened(self, news: News) -> None:
        """The event can be listed from now on."""
        self._events.happened(news)

    def acknowledged(self, news: News) -> None:
        """The event no longer counts as undelivered."""
        self._events.acknowledged(news)

    # Requests --------------------------------------------------------------------------------------------------------

    def _act(self, ask: Ask, now: datetime) -> tuple[Tell, Trade | Refund | None]:
        fields = fields_of(ask)
        match (ask.method, *ask.path.strip("/").split("/")[1:]):
            case ("POST", "payment_intents"):
                return self._open(INTENT, fields, now)
            case ("POST", "checkout", "sessions"):
                return self._open(CHECKOUT, fields, now)
            case ("POST", "payment_intents", number, "cancel"):
                return self._cancel(self._trades.by_intent(number, now), fields, now)
            case ("POST", "checkout", "sessions", number, "expire"):
                return self._expire(self._trades.by_session(number, now), now)
            case ("POST", "refunds"):
                return self._refund(fields, now)
            case ("POST", "reporting", "report_runs"):
                return tell(self._desk.start(fields, ask, now)), None
            case ("GET", *path):
                return self._show(path, ask, now), None
            case _:
                return missing("Unrecognized request URL"), None

    def _show(self, path: list[str], ask: Ask, now: datetime) -> Tell:
        match path:
            case ["payment_intents", number]:
                trade = self._trades.by_intent(number, now)
                return tell(intent(trade)) if trade else missing(f"No such payment_intent: '{number}'")
            case ["checkout", "sessions", number]:
                trade = self._trades.by_session(number, now)
                return tell(session(trade)) if trade else missing(f"No such checkout.session: '{number}'")
            case ["refunds", number]:
                refund = self._ledger.refund_at(NAME, self.account, number)
                return tell(refund_object(refund)) if refund else missing(f"No such refund: '{number}'")
            case ["reporting", "report_runs", number]:
                run = self._desk.run(number, ask, now)
                return tell(run) if run else missing(f"No such report run: '{number}'")
            case ["files", number, "contents"]:
                file = self._desk.file(number)
                return Tell(200, {"content-type": "text/csv"}, file) if file else missing(f"No such file: '{number}'")
            case ["events", number] if told := self._events.get(number):
                return tell(told)
            case _:
                return listed("/".join(path), self._trades, self._events.newest_first(), ask, now)

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
            return missing("No such payment_intent"), None
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
            return missing("No such checkout.session"), None
        if trade.state is not TradeState.WAITING:
            return error(400, None, 'Only Checkout Sessions with a status in ["open"] can be expired.'), None
        self._ledger.close(trade, now)
        return tell(session(trade)), trade

    def _refund(self, fields: dict[str, str], now: datetime) -> tuple[Tell, Refund | None]:
        trade = self._trades.refunded_from(fields, now)
        if trade is None:
            return missing("No such payment_intent or charge"), None
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


def _is_noted(name: str) -> bool:
    return name.startswith(_INTENT_METADATA)
