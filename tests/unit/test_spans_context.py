"""Ids of traces follow from what the database keeps, and a caller's header is believed only when it is one."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paidup import ids
from paidup.spans.context import (
    Spot,
    Weighing,
    caller_of,
    of_attempt,
    of_callback,
    of_weighing,
    read_traceparent,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLER = Spot(int(TRACE, 16), int(SPAN, 16))


def a_weighing(**fields: str | None) -> Weighing:
    usual = {
        "callback_id": "cbk1",
        "road": "callback",
        "payment_id": "pay1",
        "refund_id": None,
        "after": "payment paid",
    }
    return Weighing(**(usual | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [f"00-{TRACE}-{SPAN}-01", f" 00-{TRACE}-{SPAN}-00 ", f"01-{TRACE}-{SPAN}-01-more"])
def test_a_header_of_the_standard_is_read(text: str) -> None:
    """Also one of a later version, of which the first four fields are as they were (W3C Trace Context, 3.2.2)."""
    assert CALLER == read_traceparent(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01\n00-{TRACE}-{SPAN}-01",
        "x" * 100_000,
    ],
)
def test_anything_else_is_no_header(text: str) -> None:
    """Then the callback has a trace of its own."""
    assert None is read_traceparent(text)


@given(st.text(max_size=80))
def test_no_text_makes_the_reader_raise(text: str) -> None:
    """A stranger writes this header."""
    spot = read_traceparent(text)
    assert spot is None or (spot.trace_id > 0 and spot.span_id > 0)


def test_two_headers_say_nothing() -> None:
    """Which of them is true cannot be known."""
    one = ("traceparent", f"00-{TRACE}-{SPAN}-01")
    assert (CALLER, None, None) == (caller_of([one, ("host", "x")]), caller_of([one, one]), caller_of([]))


def test_what_is_written_can_be_read() -> None:
    """The shop sees the span that we tell of."""
    spot = of_attempt(of_callback("cbk1", None), "evt1", "ept1", 1)
    assert spot == read_traceparent(spot.traceparent)


def test_one_trace_joins_callback_decision_and_delivery() -> None:
    """The caller's if it has one, else one that follows from the callback's id; each has a span of its own."""
    for caller in (CALLER, None):
        callback = of_callback("cbk1", caller)
        decision = of_weighing(a_weighing(), caller)
        attempts = [of_attempt(decision, "evt1", endpoint, n) for endpoint in ("ept1", "ept2") for n in (1, 2)]
        spots = [callback, decision, *attempts]
        assert ({callback.trace_id}, 6) == ({s.trace_id for s in spots}, len({s.span_id for s in spots}))
    assert (CALLER.trace_id, True) == (of_callback("cbk1", CALLER).trace_id, callback.trace_id != CALLER.trace_id)


def test_a_decision_without_a_callback_has_a_trace_of_its_own() -> None:
    """What a query found out, and what a person says, of each payment and each change."""
    by = [a_weighing(callback_id=None, road=road, payment_id=p) for road in ("query", "operator") for p in ("a", "b")]
    traces = [of_weighing(weighing, None).trace_id for weighing in by]
    assert (4, traces) == (len(set(traces)), [of_weighing(weighing, CALLER).trace_id for weighing in by])


@given(st.integers(1_600_000_000_000_000, 4_000_000_000_000_000), st.integers(0, ids.MAX_SHARD))
def test_an_id_tells_when_it_was_made(at_us: int, shard: int) -> None:
    """To the millisecond, give or take the rounding; whoever looks for its row looks into that day's partition."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)
    difference = ids.made_at(ids.new_id("cbk", moment, shard)) - moment
    assert timedelta(milliseconds=-2) < difference <= timedelta()


def test_the_first_id_of_a_moment_stands_between_the_older_and_the_younger() -> None:
    """Rows of a span of time are found by their primary key."""
    moments = [datetime(2026, 11, 23, 8, 0, 0, ms * 1000, tzinfo=UTC) for ms in range(3)]
    made = [ids.new_id("dec", at) for at in moments]
    firsts = [ids.first_of("dec", at) for at in moments]
    assert sorted([*made, *firsts]) == list(itertools.chain.from_iterable(zip(firsts, made, strict=True)))
