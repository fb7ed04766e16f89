"""Bills for tests: where they lie, and what a claim about a refusal looks like."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from paidup.channels.bill import Bill, BillFault, BillKind, BillLine, BillName, BillRefused
from paidup.sandbox.bills import BilledDay
from paidup.sandbox.bookings import Entry, EntryKind

GOLDEN = Path(__file__).parent / "golden" / "bills"
_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "bills"


def beside(name: str) -> bytes:
    """A bill whose licence allows no copy; it stands beside the repository, and need not be there."""
    path = _BESIDE / name
    if not path.exists():
        pytest.skip(f"{path} is absent: this bill's licence is unknown, so it is not copied into the repository")
    return path.read_bytes()


def name_of(day: date, kind: BillKind = BillKind.TRADES) -> BillName:
    return BillName(kind=kind, day=day)


def lines(bill: Bill) -> list[BillLine]:
    return list(bill.lines())


def fault(read: Callable[[], Bill]) -> BillFault | None:
    """Why a bill is refused; None when it is not."""
    try:
        read()
    except BillRefused as refusal:
        return refusal.fault
    return None


BILL = BillName(kind=BillKind.TRADES, day=date(2026, 11, 22))


def one_day(currency: str, *, days_ago: int = 0) -> BilledDay:
    """A day of bookings: 12.50 paid under pay1, 5.00 of it given back under ref1."""
    noon = datetime(2026, 11, 22, 4, 0, tzinfo=UTC) - timedelta(days=days_ago)
    number, refund_number = {"USD": ("pi_1", "re_1")}.get(currency, ("4200000000202611220000000001", "503000001"))
    paid = Entry(
        kind=EntryKind.PAYMENT, at=noon, amount_minor=1250, fee_minor=8, currency=currency, number=number,
        merchant_ref="pay1", title="两张票, \"靠窗\"", method="native",
    )  # fmt: skip
    back = msgspec.structs.replace(
        paid, kind=EntryKind.REFUND, at=noon - timedelta(hours=1), amount_minor=-500, fee_minor=-3,
        refund_number=refund_number, refund_ref="ref1",
    )  # fmt: skip
    return BilledDay(entries=(back, paid))
