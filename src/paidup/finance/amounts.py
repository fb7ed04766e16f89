"""How amounts are written for finance people: in major units, exactly, with their sign."""

from decimal import Decimal

from paidup.money import decimals


def exact(minor: int, currency: str) -> Decimal:
    """Minor units as a decimal number of major ones: ``-1250`` CNY is ``Decimal("-12.50")``."""
    return Decimal(minor).scaleb(-decimals(currency))


def shown(minor: int | None, currency: str) -> str:
    """With thousands separated: ``"-1,012.50"``; nothing where there is none."""
    return "" if minor is None else f"{exact(minor, currency):,.{decimals(currency)}f}"


def plain(minor: int, currency: str) -> str:
    """Without separators, for other programs: ``"-1012.50"``."""
    return f"{exact(minor, currency):.{decimals(currency)}f}"
