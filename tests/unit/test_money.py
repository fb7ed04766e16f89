"""Money: integers of minor units, one currency, no floats."""

import pytest
from babel.core import get_global
from hypothesis import given
from hypothesis import strategies as st

from paidup.errors import InvalidRequest
from paidup.money import (
    CODES,
    MAX_AMOUNT_MINOR,
    WITH_THREE_DECIMALS,
    WITHOUT_DECIMALS,
    Money,
    decimals,
    from_major,
    major,
    must_be_current,
    shown,
)

CURRENCIES = st.sampled_from(["CNY", "USD", "JPY", "KWD"])


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(1250, "CNY", "12.50"), (5, "USD", "0.05"), (1250, "JPY", "1250"), (1250, "KWD", "1.250"), (0, "CNY", "0.00")],
)
def test_major_units_have_the_currencys_decimals(minor: int, currency: str, text: str) -> None:
    """Two for most, none for the yen, three for the dinar; written and read alike."""
    assert (text, Money(minor, currency)) == (major(Money(minor, currency)), from_major(text, currency))


@given(minor=st.integers(0, MAX_AMOUNT_MINOR - 1), currency=CURRENCIES)
def test_what_is_written_is_read_back(minor: int, currency: str) -> None:
    """No amount of up to 15 digits loses or gains a minor unit on its way through text."""
    money = Money(minor, currency)
    assert money == from_major(major(money), currency)


@pytest.mark.parametrize("text", ["", "1,50", "1.505", "1e3", "NaN", "0x1", "--1", "1.2.3", "١٢", "-1", "9" * 16])
def test_what_is_no_amount_is_refused(text: str) -> None:
    """Other notations, too many decimals, negative or absurd amounts: nothing is guessed."""
    with pytest.raises(InvalidRequest):
        from_major(text, "CNY")


def test_trailing_zeros_beyond_the_currencys_decimals_do_no_harm() -> None:
    """A channel that writes 12.500 means 12.50."""
    assert Money(1250, "CNY") == from_major(" 12.500 ", "CNY")


@pytest.mark.parametrize(("minor", "currency"), [(-1, "CNY"), (MAX_AMOUNT_MINOR + 1, "CNY"), (1, "cny"), (1, "CNYX")])
def test_money_that_makes_no_sense_cannot_be_made(minor: int, currency: str) -> None:
    """Neither negative, nor absurdly large, nor in something that is no currency."""
    with pytest.raises(InvalidRequest):
        Money(minor, currency)


def test_the_largest_amount_is_one() -> None:
    """And nothing is one, too."""
    assert [0, MAX_AMOUNT_MINOR] == [Money(minor, "CNY").amount_minor for minor in (0, MAX_AMOUNT_MINOR)]


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (-1250, "CNY", "-12.50 CNY"),
        (-5, "JPY", "-5 JPY"),
        (10**17, "KWD", "100000000000000.000 KWD"),
        (0, "CNY", "0.00 CNY"),
    ],
)
def test_a_sum_has_a_sign_and_no_bounds(minor: int, currency: str, text: str) -> None:
    """Sums of a day are no amounts of a payment."""
    assert text == shown(minor, currency)


def test_equal_numbers_of_two_currencies_differ() -> None:
    """12.50 yuan are not 12.50 dollars."""
    assert Money(1250, "CNY") != Money(1250, "USD")


def test_an_unknown_currency_has_two_decimals() -> None:
    """As most of ISO 4217 does."""
    assert 2 == decimals("XTS")


@pytest.mark.parametrize("code", ["ZZZ", "XTS", "XXX", "XAU", "RMB", "CNH", "DEM"])
def test_what_nobody_pays_in_is_no_currency_of_an_order(code: str) -> None:
    """Slips, tests, metals, and money that is no more; the sentence says what to send."""
    with pytest.raises(InvalidRequest, match="such as CNY"):
        must_be_current(code)


@pytest.mark.parametrize("code", sorted(CODES))
def test_what_people_pay_in_is_a_currency_of_an_order(code: str) -> None:
    """Nobody is refused for it."""
    must_be_current(code)


def test_the_codes_are_those_of_the_world() -> None:
    """Whatever is legal tender anywhere today, as the tables say that write it, may be paid in. Where these give it
    three decimals it has three here, and what has none here has none there."""
    tender = {
        code for of_one in get_global("territory_currencies").values()
        for code, _, until, is_tender in of_one if is_tender and until is None
    }  # fmt: skip
    digits = {code: some[0] for code, some in get_global("currency_fractions").items()}
    assert set() == tender - CODES
    assert {"ANG", "BGN", "SVC", "VED"} == CODES - tender
    assert set() == {code for code in CODES if digits.get(code, 2) > decimals(code)}
    assert set() == {code for code in WITHOUT_DECIMALS if digits.get(code, 2) > 0}
    assert {"UYI"} == (WITHOUT_DECIMALS | WITH_THREE_DECIMALS) - CODES
