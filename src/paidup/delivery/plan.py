"""What an endpoint's answer means, and when to try again. Pure: deciding twice gives the same answer.

Acknowledged is not applied. A 2xx says that the receiver has the event; only a receiver that also answers
``{"applied": true}``, or the header ``paidup-applied: true``, says that its own order was changed by it.
"""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum

import msgspec

from paidup.resilience.backoff import Backoff

DEADLINE_S = 15.0
"""For one attempt, from the name look-up to the last byte. The specification asks for 15 to 30 seconds."""

MAX_ANSWER_BYTES = 4096
"""So much of an answer's body is read and kept."""

# The specification's example waits 5 s, 5 min, 30 min, 2 h … over three days. A shop that restarts for twenty seconds
# should not have its paid orders wait five minutes, and every later event of the order waits with them. So each wait is
# about as long as all those before it: what an outage holds up arrives within about twice the outage's length.
# 18 attempts over 72 hours; with the spread of ±10 % at least 64.
SCHEDULE = Backoff(
    steps_s=(5, 10, 15, 30, 60, 120, 240, 480, 900, 1800, 3600, 7200, 14400, 28800, 43200, 72000, 86400),
    longest_s=6 * 3600,
)

THROTTLE_S = 5.0
"""How long an endpoint that says it is overloaded, without saying for how long, is left alone."""

_OVERLOADED = (429, 502, 504)
_TELLS_WHEN = (*_OVERLOADED, 503)


class Step(StrEnum):
    """What becomes of a delivery after an attempt."""

    DELIVERED = "delivered"  # the receiver has it
    AGAIN = "again"  # it is tried again at due_at
    DEAD = "dead"  # every try was used up, or it can never be sent: a person looks at it
    GONE = "gone"  # the receiver wants nothing any more: the endpoint is disabled


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back of one attempt.

    status: None when no answer came; `failure` then says why not, and is empty otherwise. body: at most
    MAX_ANSWER_BYTES. retry_after and applied: the headers Retry-After and Paidup-Applied, as sent. hopeless: it can
    never be sent, however often one tries. connected: without a connection certainly nothing was sent.
    """

    status: int | None
    elapsed_ms: int
    failure: str = ""
    body: bytes = b""
    retry_after: str | None = None
    applied: str | None = None
    hopeless: bool = False
    connected: bool = True


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do about one attempt. `why` goes word for word into the attempt's record.

    due_at: when to try again, for AGAIN only. pause_until: the whole endpoint is left alone until then.
    """

    step: Step
    why: str
    applied: bool = False
    due_at: datetime | None = None
    pause_until: datetime | None = None


class _Body(msgspec.Struct):
    applied: bool = False


_decoder = msgspec.json.Decoder(_Body)


def decide(answer: Answer, attempts: int, at: datetime, spread: float) -> Plan:
    """What follows from an answer that came at `at` to attempt number `attempts` (1 = the first).

    spread: the factor of ids.spread by which the next wait is stretched, so that retries do not come all at once.
    """
    status = answer.status
    if status is not None and 200 <= status < 300:
        applied = says_applied(answer)
        return Plan(step=Step.DELIVERED, why=f"{status}: {'applied' if applied else 'acknowledged'}", applied=applied)
    if status == 410:
        return Plan(step=Step.GONE, why="410: the receiver wants no more events; the endpoint is disabled")
    why = _why(answer)
    if answer.hopeless:
        return Plan(step=Step.DEAD, why=why)
    asked_s = retry_after_s(answer.retry_after, at) if status in _TELLS_WHEN else None
    pause_until = _pause_until(status, asked_s, at)
    if SCHEDULE.exhausted(attempts):
        return Plan(step=Step.DEAD, why=f"{why}; gave up after {attempts} attempts", pause_until=pause_until)
    wait_s = SCHEDULE.honour(SCHEDULE.wait_s(attempts, spread), asked_s)
    return Plan(step=Step.AGAIN, why=why, due_at=at + timedelta(seconds=wait_s), pause_until=pause_until)


def says_applied(answer: Answer) -> bool:
    """Whether a 2xx answer says that the event was applied, not merely received."""
    if (answer.applied or "").strip().lower() == "true":
        return True
    try:
        return _decoder.decode(answer.body).applied
    except (msgspec.DecodeError, RecursionError):  # no JSON object, or one cut off: it says nothing
        return False


def retry_after_s(value: str | None, at: datetime) -> float | None:
    """Seconds that a Retry-After header asks for: a number of seconds, or a date (RFC 9110, 10.2.3). None: nothing."""
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - at).total_seconds())


def _pause_until(status: int | None, asked_s: float | None, at: datetime) -> datetime | None:
    if status in _OVERLOADED or (status in _TELLS_WHEN and asked_s):
        return at + timedelta(seconds=SCHEDULE.honour(THROTTLE_S, asked_s))
    return None


def _why(answer: Answer) -> str:
    if answer.hopeless:
        return f"never sent: {answer.failure}"
    if answer.status is None:
        return f"no answer: {answer.failure}"
    if 300 <= answer.status < 400:
        return f"{answer.status}: redirects are not followed; change the endpoint's URL"
    if answer.status in _OVERLOADED:
        return f"{answer.status}: the receiver is overloaded"
    return f"{answer.status}: not accepted"
