"""Words, amounts and the chart of accounts."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paidup.channels.bill import LineKind
from paidup.errors import InvalidRequest
from paidup.finance.amounts import exact, plain, shown
from paidup.finance.entries import Chart, account_of, parse_chart
from paidup.finance.rows import spans
from paidup.finance.words import NEXT_STEP_ZH, WORDS, Language, next_step, word
from paidup.reconcile.breaks import Kind
from paidup.reconcile.states import State


def test_every_kind_state_and_sum_has_words_in_both_languages() -> None:
    """Nothing that can be in a report is without words."""
    names = [
        *(f"kind {kind.value}" for kind in Kind),
        *(f"state {state.value}" for state in State),
        *(f"sum {kind.value}" for kind in LineKind),
    ]
    assert [] == [name for name in names if name not in WORDS]
    assert set(Kind) == set(NEXT_STEP_ZH)
    assert [True] * len(Kind) == [next_step(Language.ZH, kind) != next_step(Language.EN, kind) for kind in Kind]


def test_chinese_words_are_chinese() -> None:
    """No English word was left standing in the Chinese column."""
    assert [] == [zh for _, zh in WORDS.values() if not any("\u4e00" <= c <= "\u9fff" for c in zh)]


@given(st.integers(-(10**15), 10**15), st.sampled_from(["CNY", "JPY", "KWD"]))
def test_an_amount_is_written_exactly(minor: int, currency: str) -> None:
    """In minor units it is the same integer again, whether with separators or without."""
    places = {"CNY": 2, "JPY": 0, "KWD": 3}[currency]
    assert [minor] * 3 == [
        int(amount.scaleb(places))
        for amount in (
            exact(minor, currency),
            Decimal(plain(minor, currency)),
            Decimal(shown(minor, currency).replace(",", "")),
        )
    ]


def test_what_is_not_there_is_shown_as_nothing() -> None:
    """And zero is shown as zero."""
    assert ["", "0.00"] == [shown(None, "CNY"), shown(0, "CNY")]


@pytest.mark.parametrize(
    "table",
    [
        {"bank": ""},
        {"bank": 5},
        {"banc": "Assets:Bank"},
        {"bank": "A" * 200},
        {"bank": "Assets:\nBank"},
        {"bank": "a  b"},
    ],
)
def test_a_chart_that_no_program_could_read_is_refused(table: dict[str, object]) -> None:
    """With the name of the account that is wrong."""
    with pytest.raises(InvalidRequest, match="chart of accounts"):
        parse_chart(table)


def test_an_account_has_a_name_that_programs_read() -> None:
    """Letters, digits and hyphens, beginning with a capital, whatever the channel account is called."""
    assert ["Assets:Channels:Wechat:Main", "Assets:Channels:Alipay:X-shop-2"] == [
        account_of(Chart(), "wechat", "main"),
        account_of(Chart(), "alipay", "_shop.2"),
    ]


def test_a_sentence_takes_its_figures() -> None:
    """Both languages name the same number."""
    assert ["Breaks that are not settled: 3.", "还有 3 条差异未处理。"] == [
        word(language, "verdict differs", count=3) for language in Language
    ]


def test_days_that_follow_each_other_are_one_span() -> None:
    """Over the end of a month, too; a day by itself stays one."""
    days = [date(2026, 11, 1), date(2026, 11, 29), date(2026, 11, 30), date(2026, 12, 1), date(2026, 12, 3)]
    assert ["2026-11-01", "2026-11-29 – 2026-12-01", "2026-12-03"] == spans(days)
    assert [] == spans([])
