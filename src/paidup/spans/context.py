"""The ids of traces and spans, as pure functions of what is in the database. Format: W3C Trace Context, level 1."""

import hashlib
import re
from collections.abc import Iterable

import msgspec

TRACEPARENT = "traceparent"
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


class Spot(msgspec.Struct, frozen=True):
    """One span: the trace it belongs to, and its own number there."""

    trace_id: int
    span_id: int

    @property
    def trace(self) -> str:
        """The trace's id as tracing systems show it."""
        return f"{self.trace_id:032x}"

    @property
    def traceparent(self) -> str:
        """The header that makes whoever is called a child of this span."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-01"


class Weighing(msgspec.Struct, frozen=True, kw_only=True):
    """A decision, by what tells it apart: which callback or road, about what, and where that stood afterwards."""

    callback_id: str | None
    road: str
    payment_id: str | None
    refund_id: str | None
    after: str


def read_traceparent(text: str) -> Spot | None:
    """The span that the caller says it is; None for what is not a header of this form."""
    match = _FORM.fullmatch(text.strip()[:200])
    if match is None or match[1] == "ff" or (match[1] == "00" and match[4]):
        return None
    spot = Spot(int(match[2], 16), int(match[3], 16))
    return spot if spot.trace_id and spot.span_id else None


def caller_of(headers: Iterable[tuple[str, str]]) -> Spot | None:
    """The span of whoever sent these headers (names in lower case); None when they say nothing, or two things."""
    said = [value for name, value in headers if name == TRACEPARENT]
    return read_traceparent(said[0]) if len(said) == 1 else None


def of_callback(callback_id: str, caller: Spot | None) -> Spot:
    """The span of taking a callback in: in the caller's trace if it has one."""
    trace_id, span_id = _numbers("callback", callback_id)
    return Spot(caller.trace_id if caller else trace_id, span_id)


def of_weighing(weighing: Weighing, caller: Spot | None) -> Spot:
    """The span of a decision: in its callback's trace if there was one."""
    about = (weighing.callback_id or weighing.road, weighing.payment_id or "", weighing.refund_id or "", weighing.after)
    trace_id, span_id = _numbers("decision", *about)
    if weighing.callback_id:
        trace_id = of_callback(weighing.callback_id, caller).trace_id
    return Spot(trace_id, span_id)


def of_attempt(cause: Spot, event_id: str, endpoint_id: str, number: int) -> Spot:
    """The span of one attempt to deliver an event, in the trace of the decision that caused the event."""
    return Spot(cause.trace_id, _numbers("attempt", event_id, endpoint_id, str(number))[1])


def _numbers(*names: str) -> tuple[int, int]:
    """A trace id and a span id that follow from these names; neither is ever zero, which would mean none."""
    digest = hashlib.sha256("\n".join(names).encode()).digest()
    return int.from_bytes(digest[:16]) or 1, int.from_bytes(digest[16:24]) or 1
