"""Waits between tries."""

import math

import pytest

from paidup.errors import ConfigError
from paidup.resilience.backoff import CHANNEL_CALL, WORKER, Backoff

STEPS = Backoff(steps_s=(1, 5, 30), longest_s=600)


def test_each_failure_waits_its_step_and_the_last_one_repeats() -> None:
    """The schedule is what is written, no formula."""
    assert [STEPS.wait_s(failures) for failures in (1, 2, 3, 4, 99)] == [1, 5, 30, 30, 30]


def test_before_any_failure_the_first_step_is_meant() -> None:
    """Zero failures is no reason to fall off the schedule's other end."""
    assert STEPS.wait_s(0) == 1


def test_exhausted_once_every_step_was_waited_for() -> None:
    """Three steps allow three waits."""
    assert [STEPS.exhausted(failures) for failures in (1, 3, 4)] == [False, False, True]


def test_the_spread_stretches_and_shortens() -> None:
    """The factor comes from outside, so that the schedule itself knows no chance."""
    assert STEPS.wait_s(2, factor=1.1) == pytest.approx(5.5)


def test_retry_after_is_honoured_when_it_is_longer() -> None:
    """The other side may ask for more patience, never for less."""
    assert STEPS.honour(5, 20) == 20
    assert STEPS.honour(30, 20) == 30


def test_a_second_that_is_asked_for_is_waited_for() -> None:
    """The header counts whole seconds, so one is the least that it can ask for."""
    assert 1 == STEPS.honour(0.2, 1)


def test_a_schedule_may_begin_at_once() -> None:
    """No wait is a wait too; only one into the past is a mistake."""
    assert 0 == Backoff(steps_s=(0, 5)).wait_s(1)


def test_an_endless_retry_after_is_cut() -> None:
    """A channel that says 'in a year' is asked again after longest_s."""
    assert STEPS.honour(5, 31_536_000) == 600
    assert STEPS.honour(5, math.inf) == 600


@pytest.mark.parametrize("nonsense", [None, 0.0, -3.0, math.nan])
def test_a_retry_after_that_makes_no_sense_is_ignored(nonsense: float | None) -> None:
    """The header is the other side's; our own schedule stands."""
    assert STEPS.honour(5, nonsense) == 5


@pytest.mark.parametrize("steps_s", [(), (1, -1)])
def test_a_schedule_without_steps_or_into_the_past_is_refused(steps_s: tuple[float, ...]) -> None:
    """A mistake in a schedule shows when it is written."""
    with pytest.raises(ConfigError, match="back-off"):
        Backoff(steps_s=steps_s)


@pytest.mark.parametrize("schedule", [CHANNEL_CALL, WORKER])
def test_our_schedules_never_grow_impatient(schedule: Backoff) -> None:
    """Each wait is at least as long as the one before."""
    assert tuple(sorted(schedule.steps_s)) == schedule.steps_s
