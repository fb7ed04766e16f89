"""The channels' bills of a run, and what goes wrong with them: each fault is a throw of its own, like all others.

A line's fault stands in the bill for good, however often it is fetched: the checker knows what break must be found. A
file's fault befalls one asking, and the next one may get the file as it should be.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum

import msgspec

from paidup.sandbox.bills import BilledDay, Bills, Standing
from paidup.sandbox.bookings import STRIPE, Entry
from paidup.sandbox.faults import BillFaults, Dice
from paidup.sandbox.ledger import Ledger, Refund, RefundState
from paidup.simulator.fates import Fates
from paidup.simulator.witness import Witness

DENIED_FOR = timedelta(hours=20)
"""A channel that denies its bill does so for less than the day for which it is doubted."""
CORRECTED = ("missing", "extra", "wrong fee", "duplicate")
"""What may be corrected. A wrong amount may have been all that told of a refund, and is booked then; a line in the next
day's bill is no mistake."""
_ALWAYS = BillFaults(missing=1.0, extra=1.0, wrong_amount=1.0, wrong_fee=1.0, wrong_day=1.0, duplicate=1.0)


class Spoiled(StrEnum):
    """What is wrong with the file that the latest asking was about."""

    CUT = "cut"
    WRONG_HASH = "wrong hash"
    WRONG_TOTAL = "wrong total"
    OTHER_DAY = "other day"


class Planted(msgspec.Struct, frozen=True):
    """A fault that a booking met on its way into a bill. day: that of the booking."""

    what: str
    channel: str
    day: date
    entry: Entry


class _LineDice(Dice):
    """Lets the fates decide about lines: at most one fault for each booking."""

    def __init__(self, seed: int, befalls: Callable[[str, str], bool]) -> None:
        super().__init__(seed)
        self._befalls = befalls
        self._corrected: set[str] = set()
        self.found: dict[str, str] = {}

    def hits(self, probability: float, *whom: object) -> bool:
        """Asked with the fault's word and the booking's key."""
        what, key = str(whom[0]), str(whom[-1])
        if (
            key in self._corrected
            or not probability
            or self.found.get(key, what) != what
            or not self._befalls(what, key)
        ):
            return False
        self.found[key] = what
        return True

    def correct(self, key: str) -> None:
        """From now on this booking is printed as it is."""
        self._corrected.add(key)
        del self.found[key]


class FatedBills(Bills):
    """Bills as the sandbox makes them; what goes wrong with them follows from the run's fates."""

    def __init__(
        self, ledger: Ledger, seed: int, *, fates: Fates, now_of: Callable[[], datetime], witness: Witness
    ) -> None:
        self._line_dice = _LineDice(seed, self._line_befallen)
        super().__init__(ledger, self._line_dice, lambda: _ALWAYS)
        self._fates = fates
        self._now_of = now_of
        self._witness = witness
        self._names: dict[str, str | None] = {}
        self._spoiled: dict[tuple[str, str, date], Spoiled] = {}
        self.days: dict[tuple[str, date], tzinfo] = {}
        """Of which days somebody asked for bills, and in which time zone they are."""
        self.corrected_at: dict[str, datetime] = {}
        """Since when a booking (its key) is printed as it is, that stood wrongly in a bill before."""

    # Asking ----------------------------------------------------------------------------------------------------------

    def standing(self, channel: str, account: str, day: date, zone: tzinfo) -> Standing:
        """As in Bills, or the channel is late, or denies it."""
        self.days[channel, day] = zone
        self._spoiled.pop((channel, account, day), None)
        honest = super().standing(channel, account, day, zone)
        name = f"{channel} {day}"
        if self._befalls("bill.coming", name):
            return Standing.COMING
        may_deny = honest is Standing.MADE and self._may_be_denied(channel, account, day, zone)
        if may_deny and self._befalls("bill.denied", name):
            return Standing.NONE
        for spoiled in Spoiled:
            if honest is Standing.MADE and self._befalls(f"bill.{spoiled}", name):
                self._spoiled[channel, account, day] = spoiled
        return honest

    def day(self, channel: str, account: str, day: date, zone: tzinfo) -> BilledDay:
        """As in Bills; the file that the latest asking was about may be spoiled."""
        spoiled = self._spoiled.get((channel, account, day))
        if spoiled is Spoiled.OTHER_DAY:
            other = super().day(channel, account, day - timedelta(days=1), zone)
            return other if other.entries else super().day(channel, account, day, zone)
        booked = super().day(channel, account, day, zone)
        return msgspec.structs.replace(
            booked,
            wrong_hash=spoiled is Spoiled.WRONG_HASH,
            wrong_total=spoiled is Spoiled.WRONG_TOTAL,
            cut_at=0.1 + 0.8 * self._fates.share("cut", channel, day) if spoiled is Spoiled.CUT else None,
        )

    def _may_be_denied(self, channel: str, account: str, day: date, zone: tzinfo) -> bool:
        """Only where we know better, for some hours; Stripe's report of a day is there, or is not."""
        told = {one.about for one in self._witness.acknowledged}
        ends = datetime.combine(day + timedelta(days=1), time(), zone)
        known = any(entry.merchant_ref in told for entry in self.booked(channel, account, day, zone))
        return channel != STRIPE and known and self._now_of() < ends + timedelta(hours=10) + DENIED_FOR

    # Lines -----------------------------------------------------------------------------------------------------------

    def _befalls(self, kind: str, name: str) -> bool:
        return self._fates.hits(kind, name, self._now_of())

    def _line_befallen(self, what: str, key: str) -> bool:
        if key not in self._names:
            self._names[key] = self._name(key)
        name = self._names[key]
        return name is not None and self._fates.once(f"bill.{what}", name, self._now_of())

    def _name(self, key: str) -> str | None:
        """A booking's name without the numbers that channels give out, which contain their moment. None for a refund
        that came back: of its two lines one alone would not be missed."""
        kind, number, refund_number = key.split(" ")
        trade = next(t for t in self._ledger.page(0, len(self._ledger)) if t.number == number)
        place = next((n for n, refund in enumerate(trade.refunds) if refund.number == refund_number), None)
        if place is not None and trade.refunds[place].state is RefundState.FAILED:
            return None
        opened_by = self._witness.opened_by.get(trade.merchant_ref, trade.merchant_ref)
        return f"{trade.channel} {kind} {opened_by} {'' if place is None else place}"

    def as_printed(self, channel: str, account: str, day: date, zone: tzinfo) -> tuple[Entry, ...]:
        """The lines of a bill when its file is as it should be."""
        return super().day(channel, account, day, zone).entries

    def correct(self, account: str) -> list[tuple[str, date]]:
        """Channels see what is wrong with a bill that somebody asked for, and print it anew: of which days they do."""
        planted = [one for one in self.planted(account) if one.what in CORRECTED]
        days = sorted({(one.channel, one.day) for one in planted})
        corrected = [(channel, day) for channel, day in days if self._befalls("bill.corrected", f"{channel} {day}")]
        for one in planted:
            if (one.channel, one.day) in corrected:
                self._line_dice.correct(one.entry.key)
                self.corrected_at[one.entry.key] = self._now_of()
        return corrected

    # Truth -----------------------------------------------------------------------------------------------------------

    def truth(self, account: str) -> Iterator[tuple[str, date, Entry]]:
        """Everything that was booked on the days that were asked for: (channel, day, booking)."""
        for (channel, day), zone in sorted(self.days.items(), key=lambda item: item[0]):
            for entry in self.booked(channel, account, day, zone):
                yield channel, day, entry

    def planted(self, account: str) -> list[Planted]:
        """What is wrong with the lines of these days."""
        found: Mapping[str, str] = self._line_dice.found
        return [
            Planted(found[entry.key], channel, day, entry)
            for channel, day, entry in self.truth(account)
            if entry.key in found
        ]

    def last_moved_at(self) -> datetime | None:
        """When money moved last at any channel, or is printed to have."""
        trades = self._ledger.page(0, len(self._ledger))
        moved = [moment for t in trades for moment in (t.paid_at, *_moments(t.refunds)) if moment is not None]
        moved += [one.entry.at + timedelta(days=1) for one in self.planted("main") if one.what == "wrong day"]
        return max((moment.astimezone(UTC) for moment in moved), default=None)


def _moments(refunds: Iterable[Refund]) -> Iterator[datetime | None]:
    for refund in refunds:
        yield from (refund.made_at, refund.settled_at)
