"""Clocks: time is aware, and a fast clock is the same for everybody who was told its start and rate."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from paidup.clock import FastClock, SystemClock, days_after, monotonic_s, parse_clock
from paidup.errors import ConfigError
from paidup.testing.clock import ManualClock

START = datetime(2026, 11, 23, 8, tzinfo=UTC)


@pytest.mark.parametrize("clock", [SystemClock(), FastClock(START, 20), ManualClock(START)])
def test_every_clock_tells_utc(clock) -> None:
    """An aware time: comparing it with one of the database never raises."""
    assert timedelta(0) == clock.now().utcoffset()


def test_a_fast_clock_runs_at_its_rate() -> None:
    """Between two looks, `rate` times as much time passes as on the machine's own clock."""
    fast, real = FastClock(START, 1000), SystemClock()
    before, fast_before = real.now(), fast.now()
    fast_after, after = fast.now(), real.now()
    assert timedelta(0) <= fast_after - fast_before <= (after - before) * 1000


def test_processes_that_were_told_the_same_agree() -> None:
    """Two clocks made of the same text stand at the same time, however late the second one is made."""
    text = "2026-11-23T16:00:00+08:00*20"
    first, second = parse_clock(text), parse_clock(text)
    earlier, between, later = first.now(), second.now(), first.now()
    assert (True, 20.0) == (earlier <= between <= later, first.rate)


def test_system_is_the_machines_own_clock() -> None:
    """The word is `system`."""
    assert (1.0, SystemClock) == (parse_clock("system").rate, type(parse_clock("system")))


@pytest.mark.parametrize("text", ["", "fast", "2026-11-23*fast", "yesterday*20", "2026-11-23T08:00:00+00:00"])
def test_a_clock_that_cannot_be_read_says_what_would_do(text: str) -> None:
    """Both forms are named."""
    with pytest.raises(ConfigError, match=r"write 'system' or '<ISO time>\*<rate>'"):
        parse_clock(text)


def test_days_begin_at_midnight_utc() -> None:
    """Whatever zone the moment is written in."""
    moment = datetime(2026, 11, 24, 3, tzinfo=timezone(timedelta(hours=8)))
    assert datetime(2026, 11, 25, tzinfo=UTC) == days_after(moment, 2)


def test_the_stopwatch_never_goes_back() -> None:
    """It measures how long something took."""
    assert monotonic_s() <= monotonic_s()
