"""The courier: which attempts a process has under way, and how well each endpoint takes them."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from paidup import ids, log
from paidup.delivery import plan, sign
from paidup.delivery.claimed import Claimed, Room, Settled
from paidup.delivery.plan import Answer, Step
from paidup.errors import ConfigError
from paidup.outbox.floor import Floor
from paidup.resilience.breaker import Breaker, Ending, Permit, Rules, State
from paidup.spans.context import TRACEPARENT, Spot, of_attempt
from paidup.spans.tell import Spans

if TYPE_CHECKING:  # it brings an HTTP client along, which takes its time
    from paidup.delivery.send import Send

LEASE = timedelta(seconds=60)
"""Longer than an attempt (plan.DEADLINE_S) and its record take."""

PER_ENDPOINT = 32
"""At most so many attempts at one endpoint are under way in one process: none takes the room of the others, and a shop
that comes back is not run over by us."""

QUICK_MS = 250
MOST_PER_ENDPOINT = 192
"""An endpoint that took all that it may have at once, each within QUICK_MS, may have twice as many, up to this; with
the first failure it is back at PER_ENDPOINT. Each round costs the database the same, be it of 32 attempts or of 192."""

MAX_UNDER_WAY = 256
SPARE = 64
"""So many more for endpoints that have few under way (store.FEW): eight slow ones fill the room, and who has one event
is told at once all the same."""

RULES = Rules(window_s=60.0, slow_s=10.0, wait_s=10.0, longest_wait_s=300.0, probe_s=60.0)
"""An endpoint that fails broadly is left alone but for probes; what waits for it keeps its tries."""

_MAX_WHY_CHARS = 300


class _Flight(msgspec.Struct, frozen=True):
    """One attempt that has begun."""

    claimed: Claimed
    permit: Permit
    sent_at: datetime


class Courier:
    """What one process has under way, and what it has seen of each endpoint's health. One round at a time uses it.

    send: how to send. patience_s: how long a round waits for answers; slower ones are settled by a later round, so
    that one slow endpoint does not hold up the others. spread: stretches waits (ids.spread). lease: a clock that runs
    faster than the network needs a longer one.
    """

    def __init__(
        self,
        send: "Send",
        *,
        rules: Rules = RULES,
        per_endpoint: int = PER_ENDPOINT,
        patience_s: float = 0.5,
        spread: Callable[[], float] = ids.spread,
        lease: timedelta = LEASE,
        spans: Spans | None = None,
    ) -> None:
        self._send = send
        self._fresh = Breaker(rules=rules)
        self._breakers: dict[str, Breaker] = {}
        self._under_way: dict[asyncio.Task[Answer], _Flight] = {}
        self._widened: dict[str, int] = {}
        self._patience_s = patience_s
        self._spread = spread
        self.per_endpoint = per_endpoint
        self.lease = lease
        self.floor = Floor()
        self.spans = spans

    def breaker(self, endpoint_id: str) -> Breaker:
        """An endpoint's breaker as this process sees it, for health pages."""
        return self._breakers.get(endpoint_id, self._fresh)

    @property
    def unwell(self) -> int:
        """How many endpoints are left alone but for probes."""
        return sum(breaker.state is not State.CLOSED for breaker in self._breakers.values())

    @property
    def busy(self) -> bool:
        """Whether attempts are under way."""
        return bool(self._under_way)

    @property
    def room(self) -> int:
        """How many more attempts may begin; below 0 while some of SPARE are under way."""
        return MAX_UNDER_WAY - len(self._under_way)

    def room_at(self, now: datetime) -> dict[str, Room]:
        """How many attempts may begin at endpoints that are busy, unwell or quick; at the others per_endpoint."""
        busy = Counter(flight.claimed.endpoint_id for flight in self._under_way.values())
        unwell = {key for key, breaker in self._breakers.items() if breaker.state is not State.CLOSED}
        return {
            key: Room(_permits(self.breaker(key), now, self._width(key) - busy[key]), busy[key])
            for key in sorted(unwell.union(busy, self._widened))
        }

    def start(self, claimed: Claimed, now: datetime) -> None:
        """Begin an attempt. There is a permit for it, because `room_at` said how many to claim."""
        permit, breaker = self.breaker(claimed.endpoint_id).begin(now)
        if permit is None:
            return  # its lease gives it back
        self._breakers[claimed.endpoint_id] = breaker
        task = asyncio.create_task(_attempt(self._send, claimed, now))
        self._under_way[task] = _Flight(claimed, permit, now)

    async def landed(self) -> list[Settled]:
        """The attempts that have ended, after waiting at most patience_s for all of them."""
        if not self._under_way:
            return []
        done, _ = await asyncio.wait(self._under_way, timeout=self._patience_s)
        ended = [task for task in self._under_way if task in done]  # in the order in which they began
        flights = [(task, self._under_way.pop(task)) for task in ended]  # first, so that none is looked at twice
        settled = [self._settled(_answer_of(task), flight) for task, flight in flights]
        self._learn(settled)
        return settled

    async def aclose(self) -> None:
        """Give up what is under way; it is sent again after its lease."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        self._under_way.clear()

    def _width(self, endpoint_id: str) -> int:
        return self._widened.get(endpoint_id, self.per_endpoint)

    def _learn(self, settled: Sequence[Settled]) -> None:
        """Who takes much at once may have more."""
        quick = Counter(
            row.claimed.endpoint_id
            for row in settled
            if row.plan.step is Step.DELIVERED and row.answer.elapsed_ms <= QUICK_MS
        )
        for endpoint_id, ended in Counter(row.claimed.endpoint_id for row in settled).items():
            width = self._width(endpoint_id)
            if quick[endpoint_id] < ended:
                self._widened.pop(endpoint_id, None)
            elif ended >= width:
                self._widened[endpoint_id] = min(2 * width, MOST_PER_ENDPOINT)

    def _settled(self, answer: Answer, flight: _Flight) -> Settled:
        claimed = flight.claimed
        at = flight.sent_at + timedelta(milliseconds=answer.elapsed_ms)
        spread = 1.0 if _is_2xx(answer) else self._spread()  # chance costs a call of the operating system
        decided = plan.decide(answer, claimed.attempts + 1, at, spread)
        if decided.step in (Step.DELIVERED, Step.GONE):
            ending = Ending.WORKED
        else:
            ending = Ending.CANCELLED if answer.hopeless else Ending.FAILED
        before = self.breaker(claimed.endpoint_id)
        after = before.ended(flight.permit, at, ending, answer.elapsed_ms / 1000)
        self._breakers[claimed.endpoint_id] = after
        _tell_breaker(claimed.endpoint_id, before.state, after)
        return Settled(claimed, flight.sent_at, at, answer, decided)


async def _attempt(send: "Send", claimed: Claimed, now: datetime) -> Answer:
    try:
        if claimed.message is None:
            return _hopeless("the event is no longer kept")
        body = sign.body(claimed.message)
        headers = sign.headers(claimed.event_id, now, body, claimed.secrets)
        spot = spot_of(claimed)
        if spot:
            headers = (*headers, (TRACEPARENT, spot.traceparent))
    except (sign.TooLarge, ConfigError) as error:
        return _hopeless(str(error))
    return await send(claimed.url, headers, body)


def spot_of(claimed: Claimed) -> Spot | None:
    """The attempt's own place in its trace."""
    number = claimed.attempts + 1
    return claimed.cause and of_attempt(claimed.cause, claimed.event_id, claimed.endpoint_id, number)


def _answer_of(task: asyncio.Task[Answer]) -> Answer:
    """What the attempt came to. One that broke in a way that nobody foresaw failed, and the others' answers count."""
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    return Answer(status=None, elapsed_ms=0, failure=repr(error)[:_MAX_WHY_CHARS]) if error else task.result()


def _is_2xx(answer: Answer) -> bool:
    return answer.status is not None and 200 <= answer.status < 300


def _hopeless(why: str) -> Answer:
    return Answer(status=None, elapsed_ms=0, failure=why, hopeless=True)


def _permits(breaker: Breaker, now: datetime, most: int) -> int:
    """How many permits the breaker would give now, counted up to `most`."""
    if breaker.state is State.CLOSED:
        return max(0, most)
    for given in range(most):
        permit, breaker = breaker.begin(now)
        if permit is None:
            return given
    return max(0, most)


def _tell_breaker(endpoint_id: str, before: State, after: Breaker) -> None:
    if after.state is not before and after.state is State.OPEN:
        log.warning("endpoint.failing", endpoint=endpoint_id, probe_at=after.reopens_at)
    if after.state is not before and after.state is State.CLOSED:
        log.info("endpoint.recovered", endpoint=endpoint_id)
