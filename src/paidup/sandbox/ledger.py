"""The sandbox's own ledger of truth: what really happened to the money. In memory, and pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from paidup.clock import Clock


@dataclass
class Refund:
    """Money on its way back. state: pending, succeeded or failed."""

    merchant_ref: str
    number: str
    amount_minor: int
    state: str
    made_at: datetime
    settled_at: datetime | None = None


@dataclass
class Trade:
    """One payment as the channel knows it. state: waiting, paid or closed; number is the channel's own."""

    channel: str
    account: str
    merchant_ref: str
    number: str
    amount_minor: int
    currency: str
    method: str
    opened_at: datetime
    expires_at: datetime
    state: str = "waiting"
    seen_at: datetime | None = None  # when the buyer scanned the code; Alipay makes the trade only then
    paid_at: datetime | None = None
    closed_at: datetime | None = None
    dispute: str | None = None
    extra: dict[str, str] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)

    def refunded_minor(self) -> int:
        """What went back, or is on its way."""
        return sum(r.amount_minor for r in self.refunds.values() if r.state != "failed")


class Ledger:
    """All trades, by channel and number. Nothing here sends or waits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_ref: dict[tuple[str, str], Trade] = {}
        self._by_number: dict[tuple[str, str], Trade] = {}
        self._count = 0

    def next_number(self) -> int:
        """A running number, for the channels' own ids."""
        self._count += 1
        return self._count

    def open(self, trade: Trade) -> Trade:
        """Enter a trade, or return the one that has this merchant number already."""
        known = self._by_ref.setdefault((trade.channel, trade.merchant_ref), trade)
        self._by_number.setdefault((known.channel, known.number), known)
        return known

    def find(self, channel: str, merchant_ref: str | None = None, number: str | None = None) -> Trade | None:
        """A trade by the merchant's number or by the channel's; one that is over its time is closed first."""
        trade = self._by_ref.get((channel, merchant_ref or "")) or self._by_number.get((channel, number or ""))
        if trade and trade.state == "waiting" and self._clock.now() >= trade.expires_at:
            self.close(trade)
        return trade

    def pay(self, trade: Trade) -> bool:
        """The buyer pays; False when it cannot be paid (any more)."""
        now = self._clock.now()
        if trade.state != "waiting" or now >= trade.expires_at:
            return False
        trade.state, trade.paid_at, trade.seen_at = "paid", now, trade.seen_at or now
        return True

    def close(self, trade: Trade) -> bool:
        """Nobody can pay it any more; False when it is paid."""
        if trade.state == "paid":
            return False
        trade.state, trade.closed_at = "closed", trade.closed_at or self._clock.now()
        return True

    def refund(self, trade: Trade, merchant_ref: str, amount_minor: int, number: str) -> Refund | None:
        """Give money back; the same number gives the same refund. None when there is not so much left."""
        known = trade.refunds.get(merchant_ref)
        if known:
            return known
        if trade.state != "paid" or amount_minor <= 0 or amount_minor > trade.amount_minor - trade.refunded_minor():
            return None
        now = self._clock.now()
        refund = Refund(merchant_ref, number, amount_minor, "succeeded", now, now)
        trade.refunds[merchant_ref] = refund
        return refund

    def trades(self) -> Iterable[Trade]:
        """All trades, in the order they were opened."""
        return self._by_ref.values()
