"""Money on the console's pages."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from paidup.console.show import Show
from paidup.console.visitor import LANGUAGES, Visitor
from paidup.money import CODES, decimals

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_cent_is_lost_on_a_page(language: str) -> None:
    """Every currency is shown with all the decimals it has, also where people write fewer (IQD, HUF, COP)."""
    show = Show(Visitor(base="", language=language, theme="auto", zone=ZoneInfo("UTC"), source="here"), NOW)
    for code in sorted(CODES):
        for minor in (1_234_567, 1_234_500, 1):
            shown = show.signed(-minor, code).replace(",", "")
            (figures,) = re.findall(r"[0-9]+(?:\.[0-9]+)?", shown)
            assert Decimal(minor).scaleb(-decimals(code)) == Decimal(figures), shown
