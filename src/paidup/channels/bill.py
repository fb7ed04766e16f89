"""The channel's bill of a day (对账单), in one vocabulary for all channels.

A bill is read in two passes: the first reads every line and checks the file against what it says of itself, and only
then may anybody have the lines, which are read again, one at a time. A bill that is wrong anywhere is refused whole.
"""

import re
from collections.abc import Callable, Generator, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from functools import lru_cache

import msgspec

from paidup.errors import ChannelError
from paidup.evidence import EARLIEST, LATEST, MAX_NUMBER_CHARS
from paidup.money import MAX_AMOUNT_MINOR, decimals


class BillKind(StrEnum):
    """Which bill of the day."""

    TRADES = "trades"  # what was paid and what was given back: 交易账单, 业务明细, Stripe's balance change
    FUNDS = "funds"  # what moved on the merchant's balance, fees included: 资金账单, 账务明细, Stripe's balance summary
    PAYOUTS = "payouts"  # which payout to our bank took which trades: Stripe's payout reconciliation


class LineKind(StrEnum):
    """What a line is about, as far as Paidup knows; the channel's own word stands beside it in `word`."""

    PAYMENT = "payment"  # a customer paid
    REFUND = "refund"  # a customer got money back
    REFUND_FAILED = "refund_failed"  # a refund could not be delivered; the money is ours again
    REFUND_UNDONE = "refund_undone"  # a refund that left us, and of which the bill says that it did not arrive
    DISPUTE = "dispute"  # a customer's bank took the money back
    DISPUTE_WON = "dispute_won"  # … and had to return it
    FEE = "fee"  # what the channel charges apart from a payment's own fee
    PAYOUT = "payout"  # from the channel's balance to our bank
    UNKNOWN = "unknown"  # a person must look; never dropped


ON_ITS_WAY = " PROCESSING"
"""So ends the `word` of a refund's line that left our balance and had not reached the customer when the bill was made.
No later bill says what became of it."""


class BillFault(StrEnum):
    """Why a bill was refused whole."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    BROKEN_FILE = "broken_file"  # cut off, not the archive it should be, or bytes that are no text
    WRONG_HASH = "wrong_hash"
    WRONG_TOTAL = "wrong_total"  # its lines do not add up to the totals it states
    OTHER_DAY = "other_day"
    OTHER_MERCHANT = "other_merchant"
    UNKNOWN_FORMAT = "unknown_format"  # columns or cells that are none of this bill's


class BillRefused(ChannelError):
    """A bill of which nothing may be used; `why` is for a finance person. The raw file is the caller's to keep."""

    def __init__(self, fault: BillFault, why: str) -> None:
        super().__init__(f"the bill was refused whole, {fault}: {why}")
        self.fault = fault
        self.why = why


class BillName(msgspec.Struct, frozen=True, kw_only=True):
    """Which bill is wanted: a day in the channel's own time zone. `made_as` is the number under which the channel is
    making it, for channels that make bills on demand (BillComing told it)."""

    kind: BillKind
    day: date
    made_as: str | None = None


class BillProof(msgspec.Struct, frozen=True, kw_only=True):
    """What the channel said of the file before we had it; None where it says nothing.

    sha1_hex is over the plain text, after decompression; size_bytes is the size of the file as downloaded.
    """

    sha1_hex: str | None = None
    size_bytes: int | None = None


class BillLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line of a bill. Amounts are minor units of `currency`, positive when the money came to us.

    number: the line's place in the file, from 1. raw: the line as it stands, without its end. amount_minor: what was
    paid, or (negative) given back. fee_minor: what the channel kept of it, negative when it returned its fee.
    net_minor: what reached the balance; where the merchant bore a discount it is less than amount minus fee. entry:
    the channel's number for this very line. payee: whose money it is, in the form of Account.payee, where the bill
    says so. sub_merchant: for whom a service provider took it. status: the channel's word for how far it is.
    balance_minor: what lay at the channel after this line, where the bill says so. payout: the channel's number of the
    payout to our bank that took it, in bills that say so.
    """

    number: int
    raw: str
    kind: LineKind
    word: str
    currency: str
    amount_minor: int
    fee_minor: int
    net_minor: int
    occurred_at: datetime
    channel_txn_id: str | None = None
    merchant_ref: str | None = None
    channel_refund_id: str | None = None
    merchant_refund_ref: str | None = None
    entry: str | None = None
    payee: str | None = None
    sub_merchant: str | None = None
    status: str = ""
    balance_minor: int | None = None
    payout: str | None = None


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of one kind and currency, added up."""

    lines: int = 0
    amount_minor: int = 0
    fee_minor: int = 0
    net_minor: int = 0


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What a bill's lines add up to. `other_days`: lines whose time lies outside the bill's day. `balances`: with what
    the day began and ended, by currency, where the lines say so."""

    lines: int
    other_days: int
    sums: Mapping[tuple[LineKind, str], Sums]
    balances: Mapping[str, tuple[int, int]] = {}

    def of(self, kind: LineKind, currency: str) -> Sums:
        """The sums of one kind; zero when there is no such line."""
        return self.sums.get((kind, currency), Sums())


BillReading = Generator[BillLine, None, Mapping[str, str]]
"""Lines, one at a time; at the end, what the file states of itself, in its own words. Raises BillRefused."""


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """A bill that was read to its end and found sound.

    stated: the totals that the file itself states, name and value in the channel's words. totals: the same, counted
    over the lines. read: reads it again; the file must still be open and unchanged.
    """

    channel: str
    account: str
    name: BillName
    stated: Mapping[str, str]
    totals: Totals
    read: Callable[[], BillReading]

    def lines(self) -> Iterator[BillLine]:
        """Every line in the file's order, one at a time. Raises BillRefused should the file have changed."""
        yield from self.read()

    def __repr__(self) -> str:
        return f"Bill({self.channel}/{self.account} {self.name.kind} {self.name.day}, {self.totals.lines} lines)"


def sound(
    channel: str, account: str, name: BillName, day: tuple[datetime, datetime] | None, read: Callable[[], BillReading]
) -> Bill:
    """Read a bill to its end and say what it adds up to. Raises BillRefused.

    day: its first moment and the first of the next day; None for bills whose lines are of many days. Single lines of
    another day pass, for channels book late and reconciliation judges them; a bill without one line of its day is
    another day's.
    """
    count, outside = 0, 0
    sums: dict[tuple[LineKind, str], list[int]] = {}
    lines, chain = read(), _Chain()
    while True:
        try:
            line = next(lines)
        except StopIteration as end:
            stated: Mapping[str, str] = end.value
            break
        count += 1
        chain.add(line)
        if day is None or not day[0] <= line.occurred_at < day[1]:
            outside += day is not None
            _must_be_holdable(line)
        into = sums.setdefault((line.kind, line.currency), [0, 0, 0, 0])
        into[0] += 1
        into[1] += line.amount_minor
        into[2] += line.fee_minor
        into[3] += line.net_minor
    if count and outside == count:
        raise BillRefused(BillFault.OTHER_DAY, f"none of its {count} lines is of {name.day}: it is another day's bill")
    added = {
        key: Sums(lines=lines, amount_minor=amount, fee_minor=fee, net_minor=net)
        for key, (lines, amount, fee, net) in sums.items()
    }
    totals = Totals(lines=count, other_days=outside, sums=added, balances=chain.ends())
    return Bill(channel=channel, account=account, name=name, stated=stated, totals=totals, read=read)


class _Chain:
    """The balances that stand in the lines, each leading from what lay there before to what lay there after.

    Banks print lines of one second in any order, and some files begin with the last line. So the lines are steps, in
    whatever order: what no step leads to is the opening, what none leads on from is the closing.
    """

    def __init__(self) -> None:
        self._loose: dict[str, dict[int, int]] = {}
        self._first: dict[str, int] = {}

    def add(self, line: BillLine) -> None:
        if line.balance_minor is None:
            return
        before, after = line.balance_minor - line.net_minor, line.balance_minor
        loose = self._loose.setdefault(line.currency, {})
        if loose.get(0) == _MOST_LOOSE:
            return
        self._first.setdefault(line.currency, before)
        for balance, by in ((before, 1), (after, -1)):
            loose[balance] = loose.get(balance, 0) + by
            if not loose[balance]:
                del loose[balance]
        if len(loose) > _MOST_LOOSE:
            raise BillRefused(
                BillFault.WRONG_TOTAL, f"its balances do not follow from each other, by line {line.number}"
            )

    def ends(self) -> dict[str, tuple[int, int]]:
        """By currency (opening, closing), where there is exactly one of each."""
        found = {}
        for currency, loose in self._loose.items():
            if not loose:  # the day ends with what it began with
                found[currency] = (self._first[currency], self._first[currency])
            elif sorted(loose.values()) == [-1, 1]:
                closing, opening = sorted(loose, key=lambda balance: loose[balance])
                found[currency] = (opening, closing)
        return found


_MOST_LOOSE = 200_000


def _must_be_holdable(line: BillLine) -> None:
    if not EARLIEST <= line.occurred_at < LATEST:
        raise BillRefused(BillFault.UNKNOWN_FORMAT, f"line {line.number} is of the year {line.occurred_at.year}")


def day_in(zone: tzinfo, day: date) -> tuple[datetime, datetime]:
    """The day's first moment in a time zone, and the first of the next day, in UTC."""
    begins, ends = (datetime.combine(it, time(), zone).astimezone(UTC) for it in (day, day + timedelta(days=1)))
    return begins, ends


# Cells --------------------------------------------------------------------------------------------------------------

_DECIMAL = re.compile(r"([+-]?)([0-9]{1,15})(?:\.([0-9]{1,10}))?")
_SCALES = (1, 10, 100, 1000)


@lru_cache(maxsize=4096)  # most amounts of a bill are 0.00, or one of a few prices
def minor(text: str, currency: str) -> int:
    """``"-12.50"`` in major units as minor ones, exactly.

    Raises ValueError for anything but a plain decimal number, and for more decimals than the currency has, unless
    they are zeros (WeChat Pay prints fees as ``0.32000``).
    """
    found = _DECIMAL.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is no amount such as 12.50")
    sign, whole, fraction = found.groups("")
    places = decimals(currency)
    if fraction[places:].strip("0"):
        raise ValueError(f"{text[:40]!r} has more decimals than {currency}")
    amount = int(whole) * _SCALES[places] + int(fraction[:places].ljust(places, "0") or 0)
    if amount > MAX_AMOUNT_MINOR:
        raise ValueError(f"{text[:40]!r} is more than any honest amount")
    return -amount if sign == "-" else amount


def number_of(text: str, *, none: tuple[str, ...] = ("",)) -> str | None:
    """A number in a cell; None for what stands there when there is none. Raises ValueError for one that is too long."""
    if text in none:
        return None
    if len(text) > MAX_NUMBER_CHARS:
        raise ValueError(f"a number of {len(text)} characters")
    return text
