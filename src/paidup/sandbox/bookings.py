"""What the channels book, out of the ledger of truth: payments, refunds, and the payouts to the merchant's bank."""

from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timedelta
from enum import StrEnum

import msgspec

from paidup.sandbox.ledger import Refund, RefundState, Trade

STRIPE = "stripe"
PAID_OUT_AFTER = timedelta(days=2)


class EntryKind(StrEnum):
    """What was booked."""

    PAYMENT = "payment"
    REFUND = "refund"
    REFUND_FAILURE = "refund_failure"
    REFUND_UNDONE = "refund_undone"
    OTHER = "other_adjustment"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One booking. Amounts as the merchant sees them: a refund is negative, and so is a fee that comes back."""

    kind: EntryKind
    at: datetime
    amount_minor: int
    fee_minor: int
    currency: str
    number: str  # the trade's, at the channel
    merchant_ref: str
    refund_number: str = ""
    refund_ref: str = ""
    title: str = ""
    attach: str = ""
    method: str = ""
    channel: str = ""
    comes_back: bool = False
    """Of a refund: whether it failed, and is booked back by a line of its own."""

    @property
    def is_refund(self) -> bool:
        """Whether it is about money given back."""
        return self.kind not in (EntryKind.PAYMENT, EntryKind.OTHER)

    @property
    def key(self) -> str:
        """What fates go by."""
        return f"{self.kind} {self.number} {self.refund_number}"

    @property
    def net_minor(self) -> int:
        """By how much it moved the balance."""
        return self.amount_minor - self.fee_minor


class Payout(msgspec.Struct, frozen=True, kw_only=True):
    """Money on its way from the balance to the merchant's bank, and what it is made of."""

    number: str
    day: date
    currency: str
    entries: tuple[Entry, ...]
    takes_too_much: bool = False
    """Whether its report has a line that stands in no bill."""

    @property
    def net_minor(self) -> int:
        """What leaves the balance."""
        return sum(entry.net_minor for entry in self.entries)


def bookings_of(trade: Trade, paid_at: datetime) -> Iterator[Entry]:
    """All that was booked of a trade that was paid at this moment."""
    amount_minor = booked_minor(trade.amount_minor, trade)
    paid = Entry(
        kind=EntryKind.PAYMENT,
        at=paid_at,
        amount_minor=amount_minor,
        fee_minor=fee_of(trade.channel, amount_minor),
        currency=trade.currency,
        number=trade.number,
        merchant_ref=trade.merchant_ref,
        title=trade.extra.get("subject") or trade.extra.get("description") or "",
        attach=trade.extra.get("attach", ""),
        method=trade.method,
        channel=trade.channel,
    )
    yield paid
    for refund in trade.refunds:
        yield from _given_back(paid, refund)


def _given_back(paid: Entry, refund: Refund) -> Iterator[Entry]:
    """Stripe books a refund when it is made, and a failed one back when it fails, and keeps its fee. WeChat Pay and
    Alipay book it once it has succeeded, and return their share of the fee."""
    channel, amount_minor = refund.trade.channel, booked_minor(refund.amount_minor, refund.trade)
    if channel != STRIPE and (refund.state is not RefundState.SUCCEEDED or refund.settled_at is None):
        return
    booked = msgspec.structs.replace(
        paid,
        kind=EntryKind.REFUND,
        at=refund.made_at if channel == STRIPE else refund.settled_at or refund.made_at,
        amount_minor=-amount_minor,
        fee_minor=0 if channel == STRIPE else -fee_of(channel, amount_minor),
        refund_number=refund.number,
        refund_ref=refund.merchant_ref,
        comes_back=channel == STRIPE and refund.state is RefundState.FAILED and refund.settled_at is not None,
    )
    yield booked
    if booked.comes_back and refund.settled_at is not None:
        yield msgspec.structs.replace(
            booked, kind=EntryKind.REFUND_FAILURE, at=refund.settled_at, amount_minor=amount_minor
        )


def fee_of(channel: str, amount_minor: int) -> int:
    """What the channel keeps of a payment: 0.6 % rounded to the nearest minor unit; Stripe 2.9 % and 30 more."""
    return (amount_minor * 29 + 500) // 1000 + 30 if channel == STRIPE else (amount_minor * 6 + 500) // 1000


def booked_minor(amount: int, trade: Trade) -> int:
    """Minor units of ISO 4217: Stripe's API counts some currencies otherwise, and its reports count none of them."""
    if trade.channel != STRIPE:
        return amount
    return amount // 100 if trade.currency in ("ISK", "UGX") else amount * 100 if trade.currency == "MGA" else amount


def payouts(booked: Iterable[tuple[date, Entry]], letters: Callable[[date, str], str]) -> Iterator[Payout]:
    """Each day's payouts, one per currency: what was booked two days before; less than nothing waits for more."""
    by_day: dict[tuple[date, str], list[Entry]] = {}
    for day, entry in booked:
        by_day.setdefault((day, entry.currency), []).append(entry)
    waiting: dict[str, tuple[Entry, ...]] = {}
    for (day, currency), entries in sorted(by_day.items(), key=lambda item: item[0]):
        taken = waiting.pop(currency, ()) + tuple(sorted(entries, key=lambda entry: entry.at))
        one = Payout(number=f"po_1{letters(day, currency)}", day=day + PAID_OUT_AFTER, currency=currency, entries=taken)
        if one.net_minor > 0:
            yield one
        else:
            waiting[currency] = taken
