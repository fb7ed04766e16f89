"""The sandbox's own ledger of truth: what really happened to the money, and when. In memory, and pure."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice


class TradeState(StrEnum):
    """Where a payment stands at the channel."""

    WAITING = "waiting"  # the buyer may pay
    PAID = "paid"  # the money moved; refunds and disputes stand beside it
    CLOSED = "closed"  # nobody can pay any more


class RefundState(StrEnum):
    """Where a refund stands."""

    PENDING = "pending"  # taken on, under way
    SUCCEEDED = "succeeded"  # the buyer has the money
    FAILED = "failed"  # the money is (again) the merchant's


class DisputeState(StrEnum):
    """Where a chargeback stands."""

    INQUIRED = "inquired"  # the bank only asks; no money moves
    OPENED = "opened"
    WON = "won"  # for the merchant
    LOST = "lost"


@dataclass
class Refund:
    """Money on its way back. merchant_ref is the merchant's number, number the channel's."""

    trade: "Trade"
    merchant_ref: str
    number: str
    amount_minor: int
    state: RefundState
    made_at: datetime
    settled_at: datetime | None = None
    notify_url: str = ""
    extra: dict[str, str] = field(default_factory=dict)


@dataclass
class Trade:
    """One payment as the channel knows it. merchant_ref is the merchant's number, number the channel's."""

    channel: str
    account: str
    merchant_ref: str
    number: str
    amount_minor: int
    currency: str
    method: str
    opened_at: datetime
    expires_at: datetime | None
    notify_url: str = ""
    state: TradeState = TradeState.WAITING
    seen_at: datetime | None = None
    """When the buyer scanned the code; Alipay makes the trade only then."""
    failed_at: datetime | None = None
    """When the latest attempt to pay failed; the buyer may try again."""
    paid_at: datetime | None = None
    closed_at: datetime | None = None
    dispute: DisputeState | None = None
    extra: dict[str, str] = field(default_factory=dict)
    refunds: list[Refund] = field(default_factory=list)

    def refunded_minor(self) -> int:
        """What went back, or is on its way."""
        return sum(refund.amount_minor for refund in self.refunds if refund.state is not RefundState.FAILED)

    def refund_named(self, merchant_ref: str) -> Refund | None:
        """The refund under this number of the merchant's."""
        return next((refund for refund in self.refunds if refund.merchant_ref == merchant_ref), None)


class Ledger:
    """All trades in the order they were opened. `now` only ever comes in as an argument."""

    def __init__(self) -> None:
        self._trades: list[Trade] = []
        self._by_ref: dict[tuple[str, str, str], list[Trade]] = {}
        self._by_number: dict[tuple[str, str, str], Trade] = {}
        self._refunds: dict[tuple[str, str, str], Refund] = {}

    def __len__(self) -> int:
        return len(self._trades)

    def enter(self, trade: Trade) -> Trade:
        """Enter a new trade; its number must be new."""
        self._trades.append(trade)
        self._by_ref.setdefault((trade.channel, trade.account, trade.merchant_ref), []).append(trade)
        self._by_number[(trade.channel, trade.account, trade.number)] = trade
        return trade

    def named(self, channel: str, account: str, merchant_ref: str, now: datetime) -> Trade | None:
        """The newest trade under the merchant's number; one that is over its time is closed first."""
        trades = self._by_ref.get((channel, account, merchant_ref))
        return self._expired(trades[-1], now) if trades else None

    def how_many(self, channel: str, account: str, merchant_ref: str) -> int:
        """How many trades share this number of the merchant's: at Stripe it is a mere note."""
        return len(self._by_ref.get((channel, account, merchant_ref), ()))

    def numbered(self, channel: str, account: str, number: str, now: datetime) -> Trade | None:
        """The trade under the channel's number."""
        trade = self._by_number.get((channel, account, number))
        return self._expired(trade, now) if trade else None

    def page(self, offset: int, limit: int) -> list[Trade]:
        """Some trades, in the order they were opened."""
        return list(islice(self._trades, offset, offset + limit))

    def refund_at(self, channel: str, account: str, name: str) -> Refund | None:
        """A refund, by the merchant's number or the channel's."""
        return self._refunds.get((channel, account, name))

    def may_pay(self, trade: Trade, now: datetime) -> bool:
        """Whether a buyer can pay it now."""
        return self._expired(trade, now).state is TradeState.WAITING

    def pay(self, trade: Trade, now: datetime) -> bool:
        """The money moves; False when the trade cannot be paid (any more)."""
        if not self.may_pay(trade, now):
            return False
        trade.state, trade.paid_at, trade.seen_at = TradeState.PAID, now, trade.seen_at or now
        return True

    def close(self, trade: Trade, now: datetime) -> bool:
        """Nobody can pay it any more; False when it is paid."""
        if trade.state is TradeState.PAID:
            return False
        trade.state, trade.closed_at = TradeState.CLOSED, trade.closed_at or now
        return True

    def refund(self, trade: Trade, refund: Refund) -> bool:
        """Enter a refund; False when the trade is not paid or has not so much left."""
        left = trade.amount_minor - trade.refunded_minor()
        if trade.state is not TradeState.PAID or not 0 < refund.amount_minor <= left:
            return False
        trade.refunds.append(refund)
        for name in (refund.merchant_ref, refund.number):
            self._refunds[(trade.channel, trade.account, name)] = refund
        return True

    def settle(self, refund: Refund, state: RefundState, now: datetime) -> None:
        """The refund reached the buyer, or did not; either may be undone later."""
        refund.state, refund.settled_at = state, now

    def _expired(self, trade: Trade, now: datetime) -> Trade:
        if trade.state is TradeState.WAITING and trade.expires_at is not None and now >= trade.expires_at:
            self.close(trade, trade.expires_at)
        return trade
