"""When bills are looked for: at the end of every day, until each day on which money moved is billed, and no difference
waits for another bill."""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

from paidup.reconcile.rules import RuleBook
from paidup.sandbox.bill_cells import BEIJING
from paidup.simulator.script import Office

WRONG_FOR = timedelta(hours=18)
"""So long into the day after the trouble bills and their fetching go wrong: past the hour of every channel's bill."""

SETTLES_IN = timedelta(hours=6)
"""So long refunds and deliveries that follow from a bill may take."""


def rule_book(wait_days: int, office: Office | None) -> RuleBook:
    """What the shop agreed with its channels: the fees that the sandbox takes, to the minor unit; what takes two."""
    cheap = {"fee_ppm": 6000}
    limits = {"repair_minor": office.repair_minor, "approve": list(office.kinds)} if office else {}
    return RuleBook(
        {
            "default": {"wait_days": wait_days, "fee_tolerance_minor": 0} | limits,
            "wechat/main": cheap,
            "alipay/main": cheap,
            "stripe/main": {"fee_ppm": 29000, "fee_fixed_minor": 30},
        }
    )


class Nights:
    """Says when the workers that reconcile look next. last_moved_at: when money moved last at any channel."""

    def __init__(self, start: datetime, last_moved_at: Callable[[], datetime | None]) -> None:
        self.is_open = False
        """Until then nobody fetches bills."""
        self._last_moved_at = last_moved_at
        self._first = self._looks_at = _turn_after(start)
        self._start = start
        self._needed_until = start
        self._done_at: datetime | None = None

    def next_look(self, next_bill: datetime | None, waits_until: datetime | None, now: datetime) -> datetime | None:
        """When a round has something to do: a bill that is due, or a day that has ended. waits_until: so long some
        difference waits for another bill."""
        if not self.is_open:  # but once, so that no day is forgotten
            return self._first if self._looks_at == self._first else None
        self._see(waits_until)
        turn = self._looks_at if self._looks_at <= self._needed_until else None
        found = min((at for at in (next_bill, turn) if at is not None), default=None)
        self._done_at = (self._done_at or now) if found is None else None
        return found

    def begin_again(self) -> None:
        """Somebody does something once more, and what it leads to has its time."""
        self._done_at = None

    def are_over(self, now: datetime) -> bool:
        """Whether no bill is wanted any more, and what the last one led to had its time."""
        return self._done_at is not None and now > self._done_at + SETTLES_IN

    def looked(self, now: datetime) -> None:
        """A round was done: the bills of all days that ended before are in the schedule."""
        self._looks_at = _turn_after(now)

    def _see(self, waits_until: datetime | None) -> None:
        """Until when days have to end: what moved is billed, and what waits is looked at after its time."""
        moved_at = self._last_moved_at()
        self._needed_until = max(_end_of_day(moved_at or self._start), waits_until or self._start)


def _turn_after(moment: datetime) -> datetime:
    """When the next day begins, in Beijing or in UTC."""
    return min(datetime.combine(moment.astimezone(zone).date() + timedelta(days=1), time(), zone) for zone in _ZONES)


def _end_of_day(moment: datetime) -> datetime:
    """When the day of this moment is over in both."""
    return max(datetime.combine(moment.astimezone(zone).date() + timedelta(days=1), time(), zone) for zone in _ZONES)


_ZONES = (BEIJING, UTC)
