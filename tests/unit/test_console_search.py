"""An amount and a time, as people say them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from paidup.sought import AROUND, LOOK_BACK, read_amount

NOW = datetime(2026, 11, 28, 8, 0, tzinfo=UTC)  # 16:00 in Shanghai
ZONE = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize("text", ["12.50", "12,50", "¥12.50", "12.5 元", "CNY 12.50"])
def test_an_amount_is_read_whatever_its_currency(text: str) -> None:
    """In minor units of two and of three decimals; twelve and a half yen there are not."""
    found = read_amount(text, NOW, ZONE)
    assert found is not None
    assert ([1250, 12500], NOW - LOOK_BACK, NOW) == (found.amounts_minor, found.since, found.until)


@pytest.mark.parametrize(
    ("text", "middle"),
    [
        ("12.50 14:03", datetime(2026, 11, 28, 14, 3, tzinfo=ZONE)),
        ("12.50 23:30", datetime(2026, 11, 27, 23, 30, tzinfo=ZONE)),
        ("12.50 2026-11-20 9:05", datetime(2026, 11, 20, 9, 5, tzinfo=ZONE)),
    ],
)
def test_a_time_is_the_readers_and_lies_in_the_past(text: str, middle: datetime) -> None:
    """Half an hour around it: people read a clock roughly."""
    found = read_amount(text, NOW, ZONE)
    assert found is not None
    assert (middle - AROUND, middle + AROUND) == (found.since, found.until)


def test_a_day_is_the_whole_day() -> None:
    """From midnight to midnight, where the reader is."""
    found = read_amount("8 2026-11-20", NOW, ZONE)
    assert found is not None
    assert datetime(2026, 11, 20, tzinfo=ZONE) == found.since
    assert timedelta(days=1) == found.until - found.since
    assert [8, 800, 8000] == found.amounts_minor


@pytest.mark.parametrize(
    "text",
    [
        "", "A-1001", "12.5000", "12.50 25:99", "12.50 2026-02-31", "1e9", "12.50 soon", "12.50 9999-12-31",
        "12.50 0001-01-01 00:10",
    ],
)  # fmt: skip
def test_anything_else_is_no_amount(text: str) -> None:
    """And is looked for as a number only."""
    assert read_amount(text, NOW, ZONE) is None
