"""The bill of a day, out of what was booked, and how bills go wrong on order.

Each fate follows from the seed and from the line it befalls: asked for again, a bill is wrong in the same way.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum

import msgspec

from paidup.sandbox.bookings import STRIPE, Entry, EntryKind, Payout, bookings_of, payouts
from paidup.sandbox.faults import BillFaults, Dice
from paidup.sandbox.ledger import Ledger

_WITH_STATUS = (STRIPE, "wechat")


class Standing(StrEnum):
    """How far a day's bill is for whoever asks."""

    COMING = "coming"  # it is not made yet
    NONE = "none"  # nothing happened on that day, or so the channel says
    MADE = "made"


class BilledDay(msgspec.Struct, frozen=True, kw_only=True):
    """A day's bookings as the bill will have them, and what else will be wrong with the file. before_minor: what the
    bills of all days before had, by currency. payouts: those of the day; paid_before_minor: all before, by currency."""

    entries: tuple[Entry, ...]
    before_minor: Mapping[str, int] = {}
    payouts: tuple[Payout, ...] = ()
    paid_before_minor: Mapping[str, int] = {}
    of: date | None = None
    """The day that the file calls its own, where it does."""
    wrong_total: bool = False
    wrong_hash: bool = False
    cut_at: float | None = None
    """The share of the file that is left of it."""

    def cut(self, file: bytes) -> bytes:
        """The file as it is served."""
        return file if self.cut_at is None else file[: max(1, int(len(file) * self.cut_at))]


class Bills:
    """The books of all accounts."""

    def __init__(self, ledger: Ledger, dice: Dice, faults_of: Callable[[], BillFaults]) -> None:
        self._ledger = ledger
        self._dice = dice
        self._faults_of = faults_of

    @property
    def are_early(self) -> bool:
        """Whether a day's bill may be asked for before the day is over."""
        return self._faults_of().early

    def standing(self, channel: str, account: str, day: date, zone: tzinfo) -> Standing:
        """How far the bill is once its hour has come; asked each time somebody asks where it is."""
        return Standing.MADE if self.day(channel, account, day, zone).entries else Standing.NONE

    def day(self, channel: str, account: str, day: date, zone: tzinfo) -> BilledDay:
        """The bookings of a day in a time zone, oldest first."""
        faults, whose = self._faults_of(), (channel, account, day)
        entries = self._with_faults(faults, channel, account, day, zone)
        before = list(self._before(faults, channel, account, day, zone))
        made = list(self._payouts(faults, account, before)) if channel == STRIPE else []
        cut = self._dice.hits(faults.truncated, "truncated", *whose)
        return BilledDay(
            entries=tuple(sorted(entries, key=lambda entry: entry.at)),
            before_minor=_added((entry.currency, entry.net_minor) for _, entry in before),
            payouts=tuple(one for one in made if one.day == day),
            paid_before_minor=_added((one.currency, one.net_minor) for one in made if one.day < day),
            of=day,
            wrong_total=self._dice.hits(faults.wrong_total, "wrong total", *whose),
            wrong_hash=self._dice.hits(faults.wrong_hash, "wrong hash", *whose),
            cut_at=self._dice.throw("cut at", *whose).uniform(0.1, 0.9) if cut else None,
        )

    def booked(self, channel: str, account: str, day: date, zone: tzinfo) -> Iterator[Entry]:
        """The truth: what happened on that day."""
        begins, ends = (datetime.combine(it, time(), zone).astimezone(UTC) for it in (day, day + timedelta(days=1)))
        yield from (entry for entry in self._ever(channel, account) if begins <= entry.at < ends)

    def _before(
        self, faults: BillFaults, channel: str, account: str, day: date, zone: tzinfo
    ) -> Iterator[tuple[date, Entry]]:
        """What the bills of all days before had, each with its day: what one closes with, the next one opens with."""
        for entry in self._ever(channel, account):
            is_late = self._dice.hits(faults.wrong_day, "wrong day", entry.key)
            its = entry.at.astimezone(zone).date() + timedelta(days=is_late)
            if its < day:
                for one in [entry] if is_late else self._befallen(faults, entry):
                    yield its, one

    def _payouts(self, faults: BillFaults, account: str, before: Iterable[tuple[date, Entry]]) -> Iterable[Payout]:
        """As Stripe's report has them, wrong ones among them."""
        for one in payouts(before, lambda day, currency: self._dice.letters(23, "payout", account, day, currency)):
            is_wrong = self._dice.hits(faults.wrong_payout, "wrong payout", one.number)
            yield msgspec.structs.replace(one, takes_too_much=is_wrong)

    def _ever(self, channel: str, account: str) -> Iterator[Entry]:
        for trade in self._ledger.page(0, len(self._ledger)):
            if (trade.channel, trade.account) == (channel, account) and trade.paid_at is not None:
                yield from bookings_of(trade, trade.paid_at)

    def _with_faults(self, faults: BillFaults, channel: str, account: str, day: date, zone: tzinfo) -> Iterator[Entry]:
        for entry in self.booked(channel, account, day - timedelta(days=1), zone):
            if self._dice.hits(faults.wrong_day, "wrong day", entry.key):
                begins = datetime.combine(day, time(), zone).astimezone(UTC)
                yield msgspec.structs.replace(entry, at=begins + timedelta(seconds=1))
        for entry in self.booked(channel, account, day, zone):
            if not self._dice.hits(faults.wrong_day, "wrong day", entry.key):
                yield from self._befallen(faults, entry)

    def _called_otherwise(self, faults: BillFaults, entry: Entry) -> Iterator[Entry]:
        """The line in another currency, or with another status, where the channel's bill has such a column: only
        Stripe's counts in several currencies, and Alipay's has no status."""
        is_stripe, hits = entry.channel == STRIPE, self._dice.hits
        if is_stripe and entry.kind is EntryKind.PAYMENT and hits(faults.wrong_currency, "wrong currency", entry.key):
            yield msgspec.structs.replace(entry, currency="USD" if entry.currency == "EUR" else "EUR")
        elif (
            entry.kind is EntryKind.REFUND
            and entry.channel in _WITH_STATUS
            and not entry.comes_back
            and hits(faults.wrong_status, "wrong status", entry.key)
        ):
            yield entry if is_stripe else msgspec.structs.replace(entry, kind=EntryKind.REFUND_UNDONE)
            if is_stripe:
                yield msgspec.structs.replace(
                    entry, kind=EntryKind.REFUND_FAILURE, amount_minor=-entry.amount_minor, fee_minor=0
                )
        else:
            yield entry

    def _befallen(self, faults: BillFaults, entry: Entry) -> Iterator[Entry]:
        """The lines that one booking becomes."""
        hits, sign = self._dice.hits, -1 if entry.amount_minor < 0 else 1
        if hits(faults.extra, "extra", entry.key):
            stranger = self._dice.digits(23, "stranger", entry.key)
            number = entry.number[:5] + stranger[: len(entry.number) - 5]
            yield msgspec.structs.replace(
                entry, number=number, merchant_ref=f"stranger{stranger[:12]}", refund_number="", refund_ref="",
                kind=EntryKind.PAYMENT, amount_minor=abs(entry.amount_minor), fee_minor=abs(entry.fee_minor),
            )  # fmt: skip
        if hits(faults.unknown_type, "unknown type", entry.key):
            number = entry.number[:5] + self._dice.digits(23, "unknown", entry.key)[: len(entry.number) - 5]
            yield msgspec.structs.replace(
                entry, kind=EntryKind.OTHER, number=number, merchant_ref="", refund_number="", refund_ref="",
                amount_minor=100, fee_minor=0,
            )  # fmt: skip
        if hits(faults.missing, "missing", entry.key):
            return
        if hits(faults.wrong_amount, "wrong amount", entry.key):
            entry = msgspec.structs.replace(entry, amount_minor=entry.amount_minor + sign)
        if hits(faults.wrong_fee, "wrong fee", entry.key):
            entry = msgspec.structs.replace(entry, fee_minor=entry.fee_minor + sign)
        yield from self._called_otherwise(faults, entry)
        if hits(faults.duplicate, "duplicate", entry.key):
            yield entry


def _added(amounts: Iterable[tuple[str, int]]) -> Mapping[str, int]:
    sums: Counter[str] = Counter()
    for currency, minor in amounts:
        sums[currency] += minor
    return sums
