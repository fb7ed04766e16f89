"""A token bucket that is a value."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paidup.errors import ConfigError
from paidup.resilience.budget import Budget

T0 = datetime(2026, 11, 23, 8, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def test_a_full_budget_grants_its_burst_and_then_nothing() -> None:
    """What has gathered may be used at once; then it is the rate that counts."""
    granted, left = Budget.full(2.0, 5, T0).take(T0, 8)
    assert granted == 5
    assert left.take(T0, 1)[0] == 0


def test_tokens_come_in_at_the_rate_and_never_exceed_the_burst() -> None:
    """Two a second: three after a second and a half; after an hour the burst and not more."""
    _, empty = Budget.full(2.0, 5, T0).take(T0, 5)
    assert empty.take(after(1.5), 10)[0] == 3
    assert empty.take(after(3600), 10)[0] == 5


def test_taking_changes_a_new_value_only() -> None:
    """A budget is frozen: who keeps the old one has not spent anything."""
    budget = Budget.full(1.0, 3, T0)
    budget.take(T0, 3)
    assert budget.take(T0, 3)[0] == 3


def test_a_clock_set_back_neither_gives_nor_takes() -> None:
    """Time that was counted once is not counted again."""
    _, empty = Budget.full(1.0, 10, T0).take(T0, 10)
    granted, again = empty.take(after(-60), 10)
    assert granted == 0
    assert again.take(after(2), 10)[0] == 2


def test_after_a_clock_was_set_right_tokens_come_in_again() -> None:
    """It was an hour fast: nothing is given for the hour, and nobody waits until it has passed again."""
    _, empty = Budget.full(1.0, 10, T0).take(T0, 10)
    granted, again = empty.take(after(-3600), 10)
    assert (0, 1.0) == (granted, again.wait_s(after(-3600)))
    assert again.take(after(-3598), 10)[0] == 2


def test_wait_s_says_when_to_come_again() -> None:
    """After exactly that wait the token is there."""
    _, empty = Budget.full(4.0, 4, T0).take(T0, 4)
    wait_s = empty.wait_s(T0)
    assert wait_s == 0.25
    assert empty.take(after(wait_s), 1)[0] == 1


def test_what_has_gathered_shortens_the_wait() -> None:
    """Half a token of four a second is there: the other half takes an eighth of a second. Who wants more than can ever
    gather waits for the burst, and nobody waits for what is there."""
    _, empty = Budget.full(4.0, 4, T0).take(T0, 4)
    half = after(0.125)
    assert [0.125, 0.875, 0.875] == [empty.wait_s(half, wanted) for wanted in (1, 4, 99)]
    assert 0.0 == empty.wait_s(after(60), 2)


def test_nobody_takes_or_gives_back_less_than_nothing() -> None:
    """An error in the caller's sums neither makes tokens nor takes them away."""
    _, left = Budget.full(1.0, 5, T0).take(T0, 3)
    assert (0, left) == left.take(T0, -2)
    assert [left, left] == [left.give_back(0), left.give_back(-2)]


def test_unused_tokens_can_be_given_back_but_not_beyond_the_burst() -> None:
    """A round that found less work than it was granted costs what it used."""
    granted, left = Budget.full(1.0, 5, T0).take(T0, 4)
    assert left.give_back(granted - 1).take(T0, 9)[0] == 4
    assert left.give_back(99).take(T0, 9)[0] == 5


@given(
    st.floats(0.1, 100),
    st.integers(1, 50),
    st.lists(st.tuples(st.floats(0, 10), st.integers(0, 60)), max_size=40),
)
def test_no_pattern_of_asking_gets_more_than_rate_and_burst(
    rate_per_s: float, burst: int, asks: list[tuple[float, int]]
) -> None:
    """Over any stretch of time: at most the burst plus what came in meanwhile."""
    budget, total, now_s = Budget.full(rate_per_s, burst, T0), 0, 0.0
    for pause_s, wanted in asks:
        now_s += pause_s
        granted, budget = budget.take(after(now_s), wanted)
        total += granted
    assert total <= burst + rate_per_s * now_s + 1e-3


@pytest.mark.parametrize(("rate_per_s", "burst"), [(0.0, 1), (-1.0, 1), (1.0, 0)])
def test_a_budget_that_would_never_allow_anything_is_refused(rate_per_s: float, burst: int) -> None:
    """A limit of nothing is a mistake in the settings, and is said so at once."""
    with pytest.raises(ConfigError, match="never allow"):
        Budget.full(rate_per_s, burst, T0)
