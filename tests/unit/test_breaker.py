"""A breaker that is a value: when it opens, and how it comes back."""

from datetime import UTC, datetime, timedelta

import pytest

from paidup.errors import ConfigError
from paidup.resilience.breaker import Breaker, Ending, Permit, Rules, State

T0 = datetime(2026, 11, 23, 8, tzinfo=UTC)
RULES = Rules(
    window_s=10, buckets=5, min_calls=4, failure_rate=0.5, slow_rate=0.75, slow_s=2, wait_s=10, longest_wait_s=30,
    stages=(1, 2, 4), probe_s=60,
)  # fmt: skip
FRESH = Breaker(rules=RULES)
WORKED, FAILED, CANCELLED = Ending.WORKED, Ending.FAILED, Ending.CANCELLED


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def begin(breaker: Breaker, now_s: float) -> tuple[Permit, Breaker]:
    permit, after = breaker.begin(at(now_s))
    assert permit is not None
    return permit, after


def call(breaker: Breaker, now_s: float, ending: Ending, elapsed_s: float = 0.1) -> Breaker:
    permit, going = begin(breaker, now_s)
    return going.ended(permit, at(now_s), ending, elapsed_s)


def calls(breaker: Breaker, now_s: float, *endings: Ending) -> Breaker:
    for ending in endings:
        breaker = call(breaker, now_s, ending)
    return breaker


def granted(breaker: Breaker, now_s: float, asked: int = 50) -> tuple[list[Permit], Breaker]:
    permits = []
    for _ in range(asked):
        permit, breaker = breaker.begin(at(now_s))
        permits += [permit] if permit else []
    return permits, breaker


OPEN = calls(FRESH, 0, *[FAILED] * 4)  # opened at 0, half open from 10


def test_it_opens_when_half_of_enough_calls_failed() -> None:
    """Two of four reach the failure rate of a half."""
    opened = calls(FRESH, 0, WORKED, FAILED, WORKED, FAILED)
    assert opened.state is State.OPEN
    assert opened.reopens_at == at(10)


def test_it_stays_closed_below_the_least_number_of_calls() -> None:
    """Three failures are not yet evidence."""
    assert calls(FRESH, 0, *[FAILED] * 3).state is State.CLOSED


def test_it_stays_closed_below_the_failure_rate() -> None:
    """Two failures among five stay under a half."""
    assert calls(FRESH, 0, WORKED, WORKED, WORKED, FAILED, FAILED).state is State.CLOSED


def test_it_opens_when_answers_are_too_slow() -> None:
    """A channel that answers everything after 3 s takes our workers with it, though nothing fails."""
    breaker = FRESH
    for elapsed_s in (0.1, 3.0, 3.0, 3.0):
        breaker = call(breaker, 0, WORKED, elapsed_s)
    assert breaker.state is State.OPEN


def test_a_few_slow_answers_do_not_open_it() -> None:
    """Half of the answers slow stays under the slow rate of three quarters."""
    breaker = FRESH
    for elapsed_s in (0.1, 3.0, 0.1, 3.0):
        breaker = call(breaker, 0, WORKED, elapsed_s)
    assert breaker.state is State.CLOSED


def test_failures_that_left_the_window_are_forgotten() -> None:
    """Three failures, a quiet window, then one more: one failure is all that counts."""
    breaker = call(calls(FRESH, 0, *[FAILED] * 3), 11, FAILED)
    assert breaker.state is State.CLOSED
    assert sum(bucket.calls for bucket in breaker.window) == 1


def test_failures_within_the_window_are_counted_together() -> None:
    """Two failures, and two more nine seconds later, lie within a window of ten seconds."""
    assert State.OPEN is calls(calls(FRESH, 0, FAILED, FAILED), 9, FAILED, FAILED).state


def test_memory_is_bounded_by_the_number_of_buckets() -> None:
    """A thousand calls over a hundred seconds leave five counts."""
    breaker = FRESH
    for tenth in range(1000):
        breaker = call(breaker, tenth / 10, WORKED)
    assert len(breaker.window) == 5


def test_a_clock_set_back_keeps_counting() -> None:
    """Calls that seem to end in the past are counted with the newest ones."""
    breaker = calls(calls(FRESH, 100, FAILED, FAILED), 40, FAILED, FAILED)
    assert breaker.state is State.OPEN


def test_a_clock_set_back_does_not_make_the_window_grow() -> None:
    """Five counts stay five counts, also while the clock goes through the same minutes again."""
    breaker = call(FRESH, 100, WORKED)
    for second in range(100):
        breaker = call(breaker, second, WORKED)
    assert len(breaker.window) <= 5


def test_a_clock_set_back_leaves_the_slices_in_their_order() -> None:
    """Otherwise a slice is counted twice, and the newest one is thought to have left the window."""
    breaker = FRESH
    for second in (94, 96, 98, 100, 95, 101):
        breaker = call(breaker, second, WORKED)
    slots = [bucket.slot for bucket in breaker.window]
    assert sorted(set(slots)) == slots
    assert 6 == sum(bucket.calls for bucket in breaker.window)


def test_an_open_breaker_allows_nothing_before_its_wait_is_over() -> None:
    """Not at 9.9 s, but at 10 s."""
    assert [OPEN.allows(at(9.9)), OPEN.allows(at(10))] == [False, True]


def test_a_breaker_that_opened_in_the_future_lets_one_probe_through() -> None:
    """The clock was an hour fast, and is set right. A clock that is a little behind changes nothing."""
    permits, _ = granted(OPEN, -3600)
    assert [1, False, False] == [len(permits), OPEN.allows(at(-30)), OPEN.allows(at(9))]


def test_a_long_open_breaker_does_not_drain_at_once() -> None:
    """After hours of work piling up, a single probe goes first, whoever else asks."""
    permits, _ = granted(OPEN, 3 * 3600)
    assert len(permits) == 1


def test_it_comes_back_in_stages() -> None:
    """1, then 2, then 4 calls; only then does everything go through."""
    breaker, sizes = OPEN, []
    while breaker.state is not State.CLOSED:
        permits, breaker = granted(breaker, 20)
        sizes.append(len(permits))
        for permit in permits:
            breaker = breaker.ended(permit, at(20), WORKED, 0.1)
    assert sizes == [1, 2, 4]


def test_who_came_back_keeps_its_rules() -> None:
    """It opens again as soon as it did the first time."""
    closed = calls(OPEN, 10, *[WORKED] * 7)
    assert (State.CLOSED, RULES) == (closed.state, closed.rules)
    assert State.OPEN is calls(closed, 11, *[FAILED] * 4).state


def test_no_generation_comes_twice() -> None:
    """Through two outages, with a probe that was lost and one that failed: else a late result would count for now."""
    breaker, seen = OPEN, [FRESH.generation, OPEN.generation]
    for now_s in (10, 70):  # the first probe never reports, and another one goes
        _, breaker = begin(breaker, now_s)
        seen.append(breaker.generation)
    breaker = breaker.ended(Permit(breaker.generation), at(70), FAILED, 0.1)
    seen.append(breaker.generation)
    for ending in (*[WORKED] * 7, *[FAILED] * 4):
        breaker = call(breaker, 90, ending)
        seen += [breaker.generation] if breaker.generation != seen[-1] else []
    assert State.OPEN is breaker.state
    assert sorted(set(seen)) == seen


def test_a_failed_probe_opens_it_for_twice_as_long_up_to_a_limit() -> None:
    """10 s, 20 s, then 30 s and not 40 s."""
    breaker, waits_s, now_s = OPEN, [], 10.0
    for _ in range(3):
        breaker = call(breaker, now_s, FAILED)
        assert breaker.reopens_at is not None
        waits_s.append((breaker.reopens_at - at(now_s)).total_seconds())
        now_s += waits_s[-1]
    assert waits_s == [20, 30, 30]


def test_one_failure_in_a_larger_stage_does_not_throw_it_back() -> None:
    """A channel that always loses one call in a hundred must be able to come back."""
    breaker = calls(OPEN, 10, WORKED, WORKED, WORKED)
    breaker = calls(breaker, 10, WORKED, FAILED, WORKED, WORKED)
    assert breaker.state is State.CLOSED


def test_slow_probes_open_it_again() -> None:
    """A channel that answers, but after 3 s each time, is not back."""
    assert call(OPEN, 10, WORKED, elapsed_s=3.0).state is State.OPEN


def test_a_success_begun_before_it_opened_does_not_close_it() -> None:
    """The call was begun while closed and ends while half open: it says nothing about now."""
    early, going = begin(FRESH, 0)
    opened = calls(going, 1, *[FAILED] * 4)
    half_open = opened.begin(at(11))[1]
    assert half_open.ended(early, at(11), WORKED, 0.1) == half_open


def test_a_failure_begun_before_it_opened_does_not_reopen_it() -> None:
    """A call that hung through the outage fails after recovery: the recovered breaker does not count it."""
    early, going = begin(FRESH, 0)
    closed = calls(calls(going, 1, *[FAILED] * 4), 11, *[WORKED] * 7)
    assert closed.state is State.CLOSED
    assert closed.ended(early, at(12), FAILED, 12.0) == closed


def test_results_that_come_while_it_is_open_change_nothing() -> None:
    """Neither late successes nor late failures move the moment at which it reopens."""
    early, going = begin(FRESH, 0)
    opened = calls(going, 1, *[FAILED] * 4)
    assert opened.ended(early, at(2), WORKED, 0.1) == opened
    assert opened.ended(early, at(2), FAILED, 0.1) == opened


def test_a_cancelled_probe_gives_its_slot_back() -> None:
    """Otherwise one impatient caller would keep the breaker half open for ever."""
    permit, half_open = begin(OPEN, 10)
    assert half_open.allows(at(10)) is False
    assert half_open.ended(permit, at(11), CANCELLED, 1.0).allows(at(11)) is True


def test_a_cancelled_call_counts_neither_for_nor_against() -> None:
    """Four cancelled calls leave a closed breaker as it was."""
    assert calls(FRESH, 0, *[CANCELLED] * 4) == FRESH


def test_a_probe_that_never_reports_is_given_up() -> None:
    """A permit lost with its process part must not lock the channel out: after probe_s another probe goes."""
    permit, half_open = begin(OPEN, 10)
    assert [half_open.allows(at(69.9)), half_open.allows(at(70))] == [False, True]
    fresh_probe = half_open.begin(at(70))[1]
    assert fresh_probe.ended(permit, at(71), WORKED, 61.0) == fresh_probe


def test_probes_that_ended_count_after_a_quiet_hour() -> None:
    """Nobody is lost when nobody is on his way: three of four failed, however long the fourth was waited for."""
    stage = calls(OPEN, 10, WORKED, WORKED, WORKED)
    later = calls(calls(stage, 10, *[FAILED] * 3), 3610, WORKED)
    assert State.OPEN is later.state


@pytest.mark.parametrize(
    "wrong", [{"stages": ()}, {"stages": (0,)}, {"buckets": 0}, {"min_calls": 0}, {"wait_s": 0.0}, {"slow_rate": 0.0}]
)
def test_rules_that_cannot_work_are_refused(wrong: dict[str, float]) -> None:
    """A breaker that could never close, or would open on nothing, is a mistake that shows at once."""
    with pytest.raises(ConfigError, match="a breaker"):
        Rules(**wrong)


def test_a_stage_lets_through_as_many_as_it_has_and_is_judged_when_all_have_ended() -> None:
    """One that ended makes no room for another, and one that failed does not decide for the others."""
    at = datetime(2026, 11, 23, 8, tzinfo=UTC)
    breaker = Breaker(rules=Rules(stages=(1, 4)), state=State.HALF_OPEN, stage=1, reopens_at=at, wait_s=10)
    permits = []
    for _ in range(4):
        permit, breaker = breaker.begin(at)
        assert permit is not None
        permits.append(permit)
    for permit, ending in zip(permits, (Ending.FAILED, *[Ending.WORKED] * 3), strict=True):
        assert (State.HALF_OPEN, False) == (breaker.state, breaker.allows(at))
        breaker = breaker.ended(permit, at, ending, 0.1)
    assert State.CLOSED is breaker.state
