"""When a bill is asked for again, and when a person is told that it is not there."""

from datetime import UTC, datetime, timedelta

from paidup.reconcile.due import ALARM_AFTER, next_ask, should_alarm

READY = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


def alarmed_after(first_ask: datetime, *, is_made_on_demand: bool) -> timedelta:
    """How long after the first question the alarm comes, when no answer ever brings the bill."""
    now = first_ask
    for tries in range(1, 1000):
        if should_alarm(now, READY, tries=tries, is_made_on_demand=is_made_on_demand):
            return now - first_ask
        now = next_ask(now, READY, is_made_on_demand=is_made_on_demand) or now
    raise AssertionError("it is never told")


def test_before_its_time_and_an_hour_after_it_nobody_is_alarmed() -> None:
    """Its hour is the channel's own; an hour later it is late."""
    assert timedelta(hours=3) + ALARM_AFTER == alarmed_after(READY - timedelta(hours=3), is_made_on_demand=False)


def test_a_channel_that_still_has_none_hours_later_is_told_of_at_once() -> None:
    """We may have started late: the channel's hour counts, not ours."""
    assert timedelta(0) == alarmed_after(READY + timedelta(hours=6), is_made_on_demand=False)


def test_what_is_made_because_we_asked_has_its_own_hour() -> None:
    """A server that starts in the afternoon asks for yesterday's report, and waits while it is made; not for ever."""
    assert ALARM_AFTER - timedelta(seconds=20) == alarmed_after(READY + timedelta(hours=6), is_made_on_demand=True)
