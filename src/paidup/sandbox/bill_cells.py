"""The cells that WeChat Pay's and Alipay's bills have in common: times in Beijing, and sums in yuan."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal

BEIJING = timezone(timedelta(hours=8))
OPENING_MINOR = 1_000_000_00
"""The balance before the first booking of all."""


def beijing(moment: datetime) -> str:
    """The time, to the second."""
    return f"{moment.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"


def yuan(amount_minor: int) -> str:
    """With two decimals."""
    return f"{Decimal(amount_minor).scaleb(-2):.2f}"


def one_line(text: str) -> str:
    """A cell: neither format can hold a line feed, and Alipay's ends at a TAB."""
    return text.translate({9: " ", 10: " ", 13: " "})
