"""Wraps one outgoing call with the breaker of whom it calls."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from paidup.clock import monotonic_s
from paidup.errors import ChannelError
from paidup.resilience.breaker import Breaker, Ending, Rules

T = TypeVar("T")


class BreakerOpen(ChannelError):
    """The call was not made: the other side has failed too often. `until` is when a probe may go through."""

    def __init__(self, key: str, until: datetime) -> None:
        super().__init__(f"{key}: breaker open until {until.isoformat(timespec='seconds')}")
        self.until = until


class Guard:
    """One breaker per key (a channel account, an endpoint). As many breakers as there are keys, so keys are few.

    seconds: a clock that only goes forward; what a call took is read from it.
    """

    def __init__(self, rules: Rules | None = None, *, seconds: Callable[[], float] = monotonic_s) -> None:
        self._fresh = Breaker(rules=rules or Rules())
        self._seconds = seconds
        self._breakers: dict[str, Breaker] = {}

    def breaker(self, key: str) -> Breaker:
        """The breaker as it stands, for health pages and metrics."""
        return self._breakers.get(key, self._fresh)

    async def call(
        self,
        key: str,
        work: Callable[[], Awaitable[T]],
        judge: Callable[[T], Ending],
        now_of: Callable[[], datetime],
    ) -> T:
        """Make the call if the breaker allows it, and count how it ended as `judge` sees its answer.

        A call that is cancelled or raises gives its permit back and counts for nothing. Raises BreakerOpen.
        """
        now = now_of()
        permit, self._breakers[key] = self.breaker(key).begin(now)
        if permit is None:
            raise BreakerOpen(key, max(now, self.breaker(key).reopens_at or now))
        began_s, ending = self._seconds(), Ending.CANCELLED
        try:
            answer = await work()
            ending = judge(answer)
            return answer
        finally:
            self._breakers[key] = self.breaker(key).ended(permit, now_of(), ending, self._seconds() - began_s)
