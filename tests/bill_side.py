"""Bills for tests: where they lie, and what a claim about a refusal looks like."""

import io
from collections.abc import Callable
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from paidup.channels.bill import Bill, BillFault, BillKind, BillLine, BillName, BillRefused

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


@contextmanager
def opened(content: bytes):
    with io.BytesIO(content) as file:
        yield file
