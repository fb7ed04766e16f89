"""When to ask the channel (主动查单), computed from nothing but ages. Pure.

A payment is asked about from its opening on, whether callbacks come or not: a callback that was lost leaves no trace.
Gaps grow with the payment's age, because customers who pay do it soon: around 25 s after opening in the median. The
gap depends on the age and not on how often we asked, so an hour in which we could not ask costs one late query and
not the whole schedule.

What this gives when EVERY callback is lost and customers pay log-normally around 25 s (sigma 1), computed exactly in
tests/unit/test_due.py, with 0 s / 2 s added to every gap for a worker's round and the call itself:

    delay from payment to the query that finds it    p50             p95              queries per paid payment
    WeChat Pay, Alipay                               7.7 s / 8.7 s   19.6 s / 20.2 s  3.05 / 2.80
    Stripe                                           8.3 s / 9.3 s   20.8 s / 21.1 s  2.90 / 2.68
    what we hold ourselves to                        15 s            45 s             4

A payment that nobody pays costs 28 to 35 queries in its two hours.
"""

from datetime import datetime, timedelta

import msgspec


class Step(msgspec.Struct, frozen=True):
    """From this age on, the next question comes after this gap; and why."""

    from_age_s: float
    gap_s: float
    why: str


Schedule = tuple[Step, ...]

_QR_CODE: Schedule = (
    Step(0, 14, "the code must first be shown, scanned and confirmed with a password"),
    Step(56, 22, "one in five is still looking for the phone"),
    Step(144, 45, "one in twenty-five; the money may have to be topped up first"),
    Step(400, 150, "rarely paid now; a shop's screen was perhaps left open"),
    Step(1200, 400, "abandoned in all likelihood, but payable until it expires"),
)
_CARD_FORM: Schedule = (
    Step(0, 15, "typing a card number and passing 3-D Secure takes longer than scanning"),
    Step(60, 24, "a second card is tried, or the bank's text message is awaited"),
    Step(156, 48, "rarely paid now"),
    Step(396, 180, "read calls count against the account's rate limit, so the tail asks less"),
    Step(1116, 600, "abandoned in all likelihood, but payable until it expires"),
)
PAYMENT_SCHEDULES: dict[str, Schedule] = {"wechat": _QR_CODE, "alipay": _QR_CODE, "stripe": _CARD_FORM}
"""By channel. Alipay makes a trade only when its code is scanned: until then the answer is 'not found', which is no
reason to ask less often. WeChat Pay's prepay_id lives two hours, its H5 page five minutes."""

_AFTER_EXPIRY: Schedule = (
    Step(0, 20, "it is being closed; a payment made in the last second shows now"),
    Step(120, 120, "the channel has not confirmed the close; perhaps it is down"),
    Step(900, 900, "still no confirmation"),
)
GIVE_UP_AFTER_EXPIRY_S = 6 * 3600.0
"""Six hours after its expiry a payment that is neither paid nor closed is a case for a person. Until then an outage of
the channel mends itself."""

REFUND_SCHEDULE: Schedule = (
    Step(0, 5, "most refunds to a balance are through within seconds (Alipay wants 3 s between calls on one trade)"),
    Step(30, 30, "the channel is working on it"),
    Step(300, 300, "to a bank card: hours"),
    Step(3600, 3600, "to a bank card: 1 to 3 working days"),
    Step(3 * 86400, 6 * 3600, "some banks take a week or more"),
)
GIVE_UP_REFUND_S = 30 * 86400.0
"""A refund that takes longer than a month is a case for a person."""

LAST_LOOK_S = 180.0
"""A request that hung on its way no longer arrives so long after we gave it up; should one do so all the same, the
channel's notice or its bill tells."""

DEFAULT_TTL_S = 7200.0


def next_query_s(channel: str, age_s: float, *, ttl_s: float = DEFAULT_TTL_S, factor: float = 1.0) -> float | None:
    """Seconds from now until the channel is asked about a payment again; None: give up and open a case.

    age_s: since the payment was opened; 0 gives the wait before the first question. ttl_s: from opening to expiry.
    factor: the spread (ids.spread), so that payments opened together are not asked about together. A question always
    falls on the expiry itself, for that is when closing begins. Unknown channels use the QR code's schedule.
    """
    left_s = ttl_s - age_s
    if left_s > 0:
        return min(_gap_s(PAYMENT_SCHEDULES.get(channel, _QR_CODE), age_s) * factor, left_s)
    if -left_s >= GIVE_UP_AFTER_EXPIRY_S:
        return None
    return _gap_s(_AFTER_EXPIRY, -left_s) * factor


def next_refund_ask_s(age_s: float, *, factor: float = 1.0) -> float | None:
    """Seconds from now until a refund is sent again, or asked about again; None: give up and open a case.

    age_s: since the refund was requested. The first sending does not wait for this: it is due at once.
    """
    return None if age_s >= GIVE_UP_REFUND_S else _gap_s(REFUND_SCHEDULE, age_s) * factor


def last_look_s(known_s: float) -> float | None:
    """Seconds until a payment that was paid while we closed it is asked about for the last time, whether the close gave
    it back; None: it has been. known_s: since we know that it was paid."""
    left_s = LAST_LOOK_S - known_s
    return left_s if left_s > 0 else None


def next_expiry_s(failures: int) -> float:
    """Seconds until it is tried again to give up an order whose time is over, after so many failures in a row."""
    return min(60.0 * 2.0 ** (min(failures, 7) - 1), 3600.0)


def should_close(now: datetime, expires_at: datetime) -> bool:
    """Whether an unpaid payment is to be closed at the channel now. It is asked about first: the channel wins."""
    return now >= expires_at


def _gap_s(schedule: Schedule, age_s: float) -> float:
    reached = [step.gap_s for step in schedule if step.from_age_s <= age_s]
    return reached[-1] if reached else schedule[0].gap_s


class SilentChannel(msgspec.Struct, frozen=True, kw_only=True):
    """Notices that an account's callbacks have stopped while its payments go on.

    Silence alone says nothing at night. Silence while queries keep finding payments that nobody told us of means a
    wrong notify_url, a firewall, or a key the channel changed. `since`: when we began to watch, or when the last
    callback came.
    """

    since: datetime
    found: int = 0

    def heard(self, at: datetime) -> "SilentChannel":
        """A callback that could be verified came: any alarm is over."""
        return SilentChannel(since=max(at, self.since))

    def found_paid(self, count: int) -> "SilentChannel":
        """Queries found so many payments paid that no callback had told us of."""
        return SilentChannel(since=self.since, found=self.found + count)

    def alarms(self, now: datetime, *, silent_minutes: float, at_least: int = 3) -> bool:
        """No callback for `silent_minutes`, while queries found at least `at_least` paid payments."""
        return self.found >= at_least and now - self.since >= timedelta(minutes=silent_minutes)
