"""When a channel is asked about a payment: the figures that the schedule promises, computed exactly."""

import math
import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from paidup.repair import due
from paidup.repair.due import (
    GIVE_UP_AFTER_EXPIRY_S,
    GIVE_UP_REFUND_S,
    PAYMENT_SCHEDULES,
    REFUND_SCHEDULE,
    SilentChannel,
    next_expiry_s,
    next_query_s,
    next_refund_ask_s,
    should_close,
)

CHANNELS = sorted(PAYMENT_SCHEDULES)
T0 = datetime(2026, 11, 23, 8, tzinfo=UTC)
TTL_S = 7200.0
MEDIAN_S, SIGMA = 25.0, 1.0


def paid_by(age_s: float) -> float:
    """The share of paying customers who have paid at this age: log-normal, median 25 s, sigma 1."""
    if age_s <= 0:
        return 0.0
    return 0.5 * (1 + math.erf(math.log(age_s / MEDIAN_S) / (SIGMA * math.sqrt(2))))


def query_ages(channel: str, latency_s: float, chance: random.Random | None = None) -> list[float]:
    """The ages at which a payment is asked about until it expires; each gap is late by the worker's round."""
    ages, age_s = [], 0.0
    while age_s < TTL_S:
        factor = chance.uniform(0.9, 1.1) if chance else 1.0
        late_s = chance.uniform(0, latency_s) if chance else latency_s
        gap_s = next_query_s(channel, age_s, ttl_s=TTL_S, factor=factor)
        assert gap_s is not None
        age_s += gap_s + late_s
        ages.append(age_s)
    return ages


def share_found_within(ages: list[float], delay_s: float) -> float:
    """The share of payments whose next query comes within delay_s of the payment."""
    return sum(paid_by(age) - paid_by(max(before, age - delay_s)) for before, age in pairwise([0.0, *ages]))


def delay_quantile_s(ages: list[float], share: float) -> float:
    low_s, high_s = 0.0, 7200.0
    for _ in range(60):
        middle_s = (low_s + high_s) / 2
        low_s, high_s = (middle_s, high_s) if share_found_within(ages, middle_s) < share else (low_s, middle_s)
    return high_s


def queries_per_paid_payment(ages: list[float]) -> float:
    """The k-th query is sent for whoever had not paid by the one before it."""
    return sum(1 - paid_by(before) for before, _ in pairwise([0.0, *ages]))


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("latency_s", [0.0, 1.0, 2.0])
def test_lost_callbacks_are_made_up_for_within_seconds(channel: str, latency_s: float) -> None:
    """With every callback lost: p50 within 15 s, p95 within 45 s, at most 4 queries a paid payment, with room."""
    ages = query_ages(channel, latency_s)
    p50_s, p95_s, queries = delay_quantile_s(ages, 0.5), delay_quantile_s(ages, 0.95), queries_per_paid_payment(ages)
    print(
        f"\n{channel} +{latency_s:.0f} s: p50 {p50_s:.2f} s, p95 {p95_s:.2f} s, {queries:.2f} queries, {len(ages)} max"
    )
    assert p50_s + latency_s <= 15 * 0.8
    assert p95_s + latency_s <= 45 * 0.6
    assert queries <= 4 * 0.8


@pytest.mark.parametrize("channel", CHANNELS)
def test_spread_and_late_workers_keep_the_promise(channel: str) -> None:
    """100,000 seeded payments with spread gaps and workers up to 2 s late give the same picture."""
    chance = random.Random(20261123)
    delays, queries = [], 0
    for _ in range(2000):
        ages = query_ages(channel, 2.0, chance)
        for _ in range(50):
            paid_s = chance.lognormvariate(math.log(MEDIAN_S), SIGMA)
            asked = next(number for number, age in enumerate(ages) if age >= paid_s)
            delays.append(ages[asked] - paid_s)
            queries += asked + 1
    delays.sort()
    assert delays[len(delays) // 2] <= 12
    assert delays[len(delays) * 95 // 100] <= 30
    assert queries / len(delays) <= 3.2


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_docstring_says_the_computed_figures(channel: str) -> None:
    """What people read about the schedule is what it does."""
    doc = due.__doc__ or ""
    name = {"wechat": "WeChat Pay", "alipay": "Alipay", "stripe": "Stripe"}[channel]
    line = next(line for line in doc.splitlines() if name in line and " / " in line)
    ready, late = query_ages(channel, 0.0), query_ages(channel, 2.0)
    figures = [
        f"{delay_quantile_s(ready, 0.5):.1f} s / {delay_quantile_s(late, 0.5):.1f} s",
        f"{delay_quantile_s(ready, 0.95):.1f} s / {delay_quantile_s(late, 0.95):.1f} s",
        f"{queries_per_paid_payment(ready):.2f} / {queries_per_paid_payment(late):.2f}",
    ]
    assert figures == [figure for figure in figures if figure in line]


@pytest.mark.parametrize("channel", CHANNELS)
def test_an_abandoned_payment_costs_few_queries(channel: str) -> None:
    """Two hours of nobody paying stay under 40 queries."""
    assert len(query_ages(channel, 0.0)) < 40


@pytest.mark.parametrize("schedule", [*PAYMENT_SCHEDULES.values(), REFUND_SCHEDULE])
def test_gaps_only_grow_and_every_step_says_why(schedule: tuple) -> None:
    """The older, the less often; a number without a reason cannot be argued with."""
    assert [(a.from_age_s < b.from_age_s, a.gap_s < b.gap_s) for a, b in pairwise(schedule)] == [
        (True, True) for _ in schedule[1:]
    ]
    assert schedule[0].from_age_s == 0
    assert all(step.why for step in schedule)


def test_a_question_falls_on_the_expiry() -> None:
    """That is when closing begins; an unlucky spread must not move it."""
    assert next_query_s("wechat", TTL_S - 3, ttl_s=TTL_S, factor=1.1) == 3


def test_a_short_lived_payment_is_asked_about_when_it_expires() -> None:
    """A payment that may be paid for 60 s is not asked about at 14, 28, 42, 56 and then much later."""
    assert next_query_s("alipay", 56, ttl_s=60) == 4


@pytest.mark.parametrize("channel", CHANNELS)
def test_after_the_expiry_it_goes_on_for_a_while_and_then_a_person_looks(channel: str) -> None:
    """Closing is asked about for six hours in ever longer gaps; then None opens a case."""
    age_s, gaps = TTL_S, []
    while (gap_s := next_query_s(channel, age_s, ttl_s=TTL_S)) is not None:
        gaps.append(gap_s)
        age_s += gap_s
    assert gaps == sorted(gaps)
    assert age_s >= TTL_S + GIVE_UP_AFTER_EXPIRY_S
    assert len(gaps) < 50


@pytest.mark.parametrize("channel", CHANNELS)
def test_it_is_given_up_six_hours_after_the_expiry_and_no_second_earlier(channel: str) -> None:
    """An outage of less than six hours mends itself; what outlasts it waits for a person."""
    over_s = TTL_S + 6 * 3600
    assert [900, None] == [next_query_s(channel, age_s, ttl_s=TTL_S) for age_s in (over_s - 1, over_s)]


def test_an_order_whose_channel_is_down_is_given_up_with_ever_more_patience() -> None:
    """A minute after the first failure, twice as long after each further one, and never more than an hour: when the
    channel is back, its units are on sale again within the hour."""
    waits_s = [next_expiry_s(failures) for failures in range(1, 10)]
    assert [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600] == waits_s
    assert 3600 == next_expiry_s(10_000)


def test_an_hour_without_a_worker_costs_one_late_query_only() -> None:
    """The gap goes by the age: what was missed is not made up for in a burst, and not given up either."""
    assert next_query_s("wechat", 3600, ttl_s=TTL_S) == 400


def test_an_unknown_channel_is_asked_as_often_as_the_quickest() -> None:
    """A channel added later works before somebody has written a schedule for it."""
    assert next_query_s("newpay", 0) == next_query_s("wechat", 0)


def test_the_spread_moves_the_gap() -> None:
    """Payments opened together are not asked about together."""
    assert next_query_s("stripe", 0, factor=1.1) == pytest.approx(16.5)


def test_the_spread_moves_the_gaps_after_the_expiry_and_of_refunds_too() -> None:
    """What expires together, or is refunded together, is not asked about together."""
    assert 20 == next_query_s("stripe", TTL_S, ttl_s=TTL_S)
    assert pytest.approx(22) == next_query_s("stripe", TTL_S, ttl_s=TTL_S, factor=1.1)
    assert pytest.approx(5.5) == next_refund_ask_s(0, factor=1.1)


def test_what_was_opened_by_a_clock_that_is_ahead_is_asked_about_like_a_fresh_one() -> None:
    """Another machine's clock may be a moment ahead, and then an age is below nothing."""
    assert next_query_s("wechat", 0) == next_query_s("wechat", -2)
    assert next_refund_ask_s(0) == next_refund_ask_s(-2)


def test_refunds_are_asked_about_for_a_month() -> None:
    """Quickly at first, every six hours at last; after thirty days a person looks."""
    assert next_refund_ask_s(0) == 5
    assert next_refund_ask_s(10 * 86400) == 6 * 3600
    assert next_refund_ask_s(GIVE_UP_REFUND_S) is None


def test_a_month_of_asking_about_one_refund_stays_cheap() -> None:
    """Fewer than 250 questions in thirty days."""
    age_s, asked = 0.0, 0
    while (gap_s := next_refund_ask_s(age_s)) is not None:
        age_s, asked = age_s + gap_s, asked + 1
    assert asked < 250


def test_closing_begins_at_the_expiry_and_not_before() -> None:
    """A customer may pay until the last moment."""
    assert [should_close(T0 - timedelta(seconds=1), T0), should_close(T0, T0)] == [False, True]


class TestSilentChannel:
    """Callbacks have stopped while payments go on."""

    watched = SilentChannel(since=T0)

    def alarms(self, channel: SilentChannel, minutes: float) -> bool:
        return channel.alarms(T0 + timedelta(minutes=minutes), silent_minutes=10, at_least=3)

    def test_a_quiet_night_is_no_alarm(self) -> None:
        """Hours without callbacks and without payments mean that nobody bought anything."""
        assert self.alarms(self.watched, 600) is False

    def test_payments_found_by_asking_while_nobody_told_us_are_an_alarm(self) -> None:
        """Three found in ten silent minutes; not two, and not before the ten minutes are over."""
        assert self.alarms(self.watched.found_paid(3), 10) is True
        assert self.alarms(self.watched.found_paid(2), 10) is False
        assert self.alarms(self.watched.found_paid(1).found_paid(2), 9.9) is False

    def test_one_callback_ends_the_alarm_and_starts_the_count_anew(self) -> None:
        """After a callback at minute 20 the next alarm needs three more and ten more minutes."""
        heard = self.watched.found_paid(5).heard(T0 + timedelta(minutes=20))
        assert self.alarms(heard, 40) is False
        assert self.alarms(heard.found_paid(3), 29) is False
        assert self.alarms(heard.found_paid(3), 30) is True

    def test_an_older_callback_does_not_turn_time_back(self) -> None:
        """News of callbacks may itself come out of order."""
        heard = self.watched.heard(T0 + timedelta(minutes=5)).heard(T0 + timedelta(minutes=2))
        assert heard.since == T0 + timedelta(minutes=5)
