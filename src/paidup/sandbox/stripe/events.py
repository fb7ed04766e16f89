"""What Stripe tells of, signed for each sending; and what it keeps of that, to be listed."""

import hashlib
import hmac
from collections.abc import Iterator
from datetime import datetime

import msgspec

from paidup.sandbox.faults import Dice
from paidup.sandbox.keys import StripeKeys
from paidup.sandbox.ledger import DisputeState, Refund, RefundState, Trade, TradeState
from paidup.sandbox.stripe.objects import CHECKOUT, NAME, Json, dispute_object, event, intent, refund_object, session
from paidup.sandbox.wire import News, Notice

MAX_EVENTS = 100_000
"""The oldest are forgotten."""


class Events:
    """Those of one account. webhook_url is its endpoint."""

    def __init__(self, account: str, keys: StripeKeys, dice: Dice, webhook_url: str) -> None:
        self._account = account
        self._keys = keys
        self._dice = dice
        self._webhook_url = webhook_url
        self._kept: dict[str, Json] = {}
        self._disputed: dict[str, datetime] = {}
        self._inquiries: set[str] = set()

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

    def happened(self, news: News) -> None:
        """The event can be listed from now on."""
        self._kept[news.key] = msgspec.json.decode(news.content)
        if len(self._kept) > MAX_EVENTS:
            del self._kept[next(iter(self._kept))]

    def acknowledged(self, news: News) -> None:
        """The event no longer counts as undelivered."""
        if news.key in self._kept:
            self._kept[news.key]["pending_webhooks"] = 0

    def get(self, number: str) -> Json | None:
        """The event of this number, if it is kept."""
        return self._kept.get(number)

    def newest_first(self) -> Iterator[Json]:
        """All that are kept."""
        return reversed(self._kept.values())

    def _told(self, trade: Trade, kind: str, told: Json, about: str, now: datetime) -> News:
        key = "evt_" + self._dice.letters(24, "event", kind, about)
        return News(
            channel=NAME,
            account=self._account,
            about=trade.merchant_ref,
            key=key,
            kind=kind,
            url=self._webhook_url,
            at=now,
            content=msgspec.json.format(msgspec.json.encode(event(key, kind, told, now)), indent=2),
        )


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
