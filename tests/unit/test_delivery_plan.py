"""Claims about what an endpoint's answer means."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paidup.delivery.plan import SCHEDULE, THROTTLE_S, Answer, Plan, Step, decide, retry_after_s

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


def _answer(status: int | None = 200, **fields: object) -> Answer:
    return Answer(status=status, elapsed_ms=5, **fields)


def _plan(answer: Answer, attempts: int = 1) -> Plan:
    return decide(answer, attempts, NOW, 1.0)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_an_acknowledgement_and_no_more(status: int):
    """The receiver has the event; whether it did something with it remains unknown."""
    assert Plan(step=Step.DELIVERED, why=f"{status}: acknowledged") == _plan(_answer(status))


@pytest.mark.parametrize(
    ("applied", "fields"),
    [
        (True, {"body": b'{"applied": true}'}),
        (True, {"body": b'{"ok": 1, "applied": true, "order": "A1"}'}),
        (True, {"applied": "true"}),
        (True, {"applied": " True "}),
        (False, {"body": b'{"applied": false}'}),
        (False, {"body": b'{"applied": "true"}'}),
        (False, {"body": b'{"applied": 1}'}),
        (False, {"body": b'{"applied": true'}),
        (False, {"body": b"OK"}),
        (False, {"body": b"[true]"}),
        (False, {"body": b"\xff\xfe"}),
        (False, {"body": b"[" * 4096}),
        (False, {"body": b'{"more": ' + b"[" * 4087}),
        (False, {"applied": "yes"}),
    ],
)
def test_applied_is_said_plainly_or_not_at_all(applied: bool, fields: dict[str, object]):
    """Only a JSON object with applied: true, or the header, counts."""
    assert applied is _plan(_answer(200, **fields)).applied


def test_an_error_page_that_says_applied_is_still_an_error():
    """Outside 2xx the body decides nothing."""
    plan = _plan(_answer(500, body=b'{"applied": true}', applied="true"))
    assert (Step.AGAIN, False) == (plan.step, plan.applied)


@pytest.mark.parametrize("status", [100, 301, 302, 307, 308, 400, 401, 404, 409, 500, 503])
def test_everything_else_is_tried_again(status: int):
    """After the first failure the next try comes five seconds later, and the endpoint is not paused."""
    plan = _plan(_answer(status))
    assert (Step.AGAIN, NOW + timedelta(seconds=5), None) == (plan.step, plan.due_at, plan.pause_until)


@pytest.mark.parametrize(("applied", "why"), [(None, "204: acknowledged"), ("true", "204: applied")])
def test_the_record_of_an_attempt_says_whether_it_was_applied(applied: str | None, why: str):
    """Support reads it there."""
    assert why == _plan(_answer(204, applied=applied)).why


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (199, "199: not accepted"),
        (300, "300: redirects are not followed; change the endpoint's URL"),
        (399, "399: redirects are not followed; change the endpoint's URL"),
        (400, "400: not accepted"),
        (503, "503: not accepted"),
        (429, "429: the receiver is overloaded"),
        (502, "502: the receiver is overloaded"),
        (504, "504: the receiver is overloaded"),
    ],
)
def test_the_record_of_an_attempt_says_what_was_wrong(status: int, why: str):
    """What the shop changes depends on it: its URL, its capacity, or its code."""
    assert why == _plan(_answer(status)).why


def test_a_redirect_says_what_to_change():
    """Redirects are not followed, and the reason tells the shop what to do."""
    assert "302: redirects are not followed; change the endpoint's URL" == _plan(_answer(302)).why


def test_gone_disables_the_endpoint():
    """410 ends the delivery, and the endpoint with it."""
    assert Step.GONE is _plan(_answer(410)).step


@pytest.mark.parametrize("status", [429, 502, 504])
def test_an_overloaded_endpoint_is_paused_as_a_whole(status: int):
    """Without Retry-After it is left alone for a few seconds."""
    assert NOW + timedelta(seconds=THROTTLE_S) == _plan(_answer(status)).pause_until


@pytest.mark.parametrize(
    "value",
    [
        "120",
        " 120 ",
        "Mon, 23 Nov 2026 08:02:00 GMT",
        "Mon, 23 Nov 2026 10:02:00 +0200",
        "Mon, 23 Nov 2026 08:02:00 -0000",
    ],
)
@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_retry_after_is_honoured_as_seconds_or_date(status: int, value: str):
    """Both the delivery and its endpoint wait for as long as the receiver asks."""
    plan = _plan(_answer(status, retry_after=value))
    assert (NOW + timedelta(seconds=120),) * 2 == (plan.due_at, plan.pause_until)


def test_retry_after_is_bounded():
    """Nobody can make us wait for years, nor sooner than we would."""
    later = _plan(_answer(429, retry_after="999999999"))
    night = _plan(_answer(503, retry_after=str(6 * 3600)))
    assert NOW + timedelta(hours=6) == night.due_at == night.pause_until, "a receiver may be down for a night"
    sooner = _plan(_answer(429, retry_after="1"), attempts=5)
    assert NOW + timedelta(seconds=SCHEDULE.longest_s) == later.due_at == later.pause_until
    assert NOW + timedelta(seconds=60) == sooner.due_at


@pytest.mark.parametrize("status", [400, 500])
def test_retry_after_of_other_answers_is_ignored(status: int):
    """A plain error has no say in our schedule."""
    assert NOW + timedelta(seconds=5) == _plan(_answer(status, retry_after="3600")).due_at


@pytest.mark.parametrize("value", [None, "", "soon", "-5", "1e9", "9" * 30, "Mon, 99 Foo 2026", "\x00"])
def test_a_senseless_retry_after_asks_for_nothing(value: str | None):
    """What cannot be read is not obeyed."""
    assert retry_after_s(value, NOW) is None


def test_a_retry_after_in_the_past_asks_for_no_wait():
    """A date that has passed is zero seconds, not a negative number."""
    assert retry_after_s("Mon, 23 Nov 2026 07:00:00 GMT", NOW) == 0.0


@given(st.text(max_size=60))
def test_no_retry_after_raises(value: str):
    """Whatever the receiver writes: None, or seconds that are not negative."""
    seconds = retry_after_s(value, NOW)
    assert seconds is None or seconds >= 0


def test_no_answer_is_tried_again_with_its_reason():
    """A connection that failed tells why."""
    assert "no answer: connection refused" == _plan(_answer(None, failure="connection refused")).why


def test_what_can_never_be_sent_is_dead_at_once():
    """An event that is too large is not tried eighteen times."""
    plan = _plan(_answer(None, failure="too large", hopeless=True))
    assert (Step.DEAD, "never sent: too large") == (plan.step, plan.why)


def test_the_schedule_ends_in_a_dead_letter():
    """The last written wait is waited for; the failure after it is the end, with the number of attempts."""
    tries = len(SCHEDULE.steps_s)
    assert Step.AGAIN is _plan(_answer(500), attempts=tries).step
    last = _plan(_answer(500), attempts=tries + 1)
    assert (Step.DEAD, None, f"500: not accepted; gave up after {tries + 1} attempts") == (
        last.step,
        last.due_at,
        last.why,
    )


def test_retries_go_on_over_a_weekend_even_with_the_least_spread():
    """Eighteen attempts over three days, as long as the specification's example; at their shortest over 64 hours."""
    waits = range(1, len(SCHEDULE.steps_s) + 1)
    assert (17, True) == (len(waits), sum(SCHEDULE.wait_s(failures) for failures in waits) >= 72 * 3600)
    assert sum(SCHEDULE.wait_s(failures, 0.9) for failures in waits) >= 64 * 3600


def test_no_wait_is_much_longer_than_the_outage_before_it():
    """Up to eight hours each wait is at most 1.1 times all those before it, so that recovery is noticed in time."""
    waits = SCHEDULE.steps_s
    long = [
        wait for place, wait in enumerate(waits) if place > 1 and wait <= 8 * 3600 and wait > 1.1 * sum(waits[:place])
    ]
    assert [] == long


def test_the_spread_stretches_the_wait():
    """Retries of many deliveries do not come at the same moment."""
    assert NOW + timedelta(seconds=5.5) == decide(_answer(500), 1, NOW, 1.1).due_at


def test_an_overloaded_endpoint_is_paused_though_the_delivery_was_given_up() -> None:
    """Its other deliveries wait."""
    plan = _plan(_answer(429), attempts=18)
    assert (Step.DEAD, NOW + timedelta(seconds=THROTTLE_S)) == (plan.step, plan.pause_until)


@pytest.mark.parametrize("status", [199, 300])
def test_next_to_2xx_is_no_acknowledgement(status: int) -> None:
    """Whatever its body says."""
    assert Step.AGAIN is _plan(_answer(status, body=b'{"applied": true}')).step


def test_a_date_without_a_zone_is_in_utc() -> None:
    """-0000 says that the zone is not known."""
    assert 60.0 == retry_after_s("Mon, 23 Nov 2026 08:01:00 -0000", NOW)
