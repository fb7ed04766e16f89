"""One guard around an outgoing call."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from paidup.resilience.breaker import Ending, Rules, State
from paidup.resilience.guard import BreakerOpen, Guard

RULES = Rules(min_calls=2, failure_rate=1.0, wait_s=10, stages=(1,))


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, 8, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def forward(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


def judge(answer: str) -> Ending:
    return Ending.WORKED if answer == "good" else Ending.FAILED


async def say(guard: Guard, clock: HandClock, answer: str, key: str = "a") -> str:
    async def work() -> str:
        return answer

    return await guard.call(key, work, judge, clock.now)


async def test_the_answer_comes_through_and_bad_ones_open_the_breaker() -> None:
    """What `judge` calls failed counts; the answer itself is handed on unchanged."""
    guard, clock = Guard(RULES), HandClock()
    assert [await say(guard, clock, "bad"), await say(guard, clock, "bad")] == ["bad", "bad"]
    assert guard.breaker("a").state is State.OPEN


async def test_an_open_breaker_refuses_without_calling_and_says_until_when() -> None:
    """The work is not started at all."""
    guard, clock = Guard(RULES), HandClock()
    await say(guard, clock, "bad")
    await say(guard, clock, "bad")
    with pytest.raises(BreakerOpen, match="a: breaker open until 2026-11-23T08:00:10") as refusal:
        await say(guard, clock, "good")
    assert refusal.value.until == clock.now() + timedelta(seconds=10)


async def test_keys_do_not_suffer_for_each_other() -> None:
    """One account's outage leaves the others alone."""
    guard, clock = Guard(RULES), HandClock()
    await say(guard, clock, "bad", key="a")
    await say(guard, clock, "bad", key="a")
    assert await say(guard, clock, "good", key="b") == "good"


async def test_it_closes_again_after_a_good_probe() -> None:
    """Wait over, probe good: closed."""
    guard, clock = Guard(RULES), HandClock()
    await say(guard, clock, "bad")
    await say(guard, clock, "bad")
    clock.forward(10)
    assert await say(guard, clock, "good") == "good"
    assert guard.breaker("a").state is State.CLOSED


async def test_a_cancelled_probe_leaves_room_for_the_next() -> None:
    """The caller goes away while the probe hangs: the slot is free again, and the cancellation is not swallowed."""
    guard, clock, hanging = Guard(RULES), HandClock(), asyncio.Event()
    await say(guard, clock, "bad")
    await say(guard, clock, "bad")
    clock.forward(10)

    async def hang() -> str:
        hanging.set()
        return await asyncio.get_running_loop().create_future()

    probe = asyncio.create_task(guard.call("a", hang, judge, clock.now))
    await hanging.wait()
    assert guard.breaker("a").allows(clock.now()) is False
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert guard.breaker("a").allows(clock.now()) is True


async def test_an_error_of_our_own_is_handed_on_and_counts_for_nothing() -> None:
    """A bug in our code must not take a healthy channel out of service."""
    guard, clock = Guard(RULES), HandClock()

    async def stumble() -> str:
        raise KeyError("ours")

    for _ in range(3):
        with pytest.raises(KeyError, match="ours"):
            await guard.call("a", stumble, judge, clock.now)
    assert guard.breaker("a").state is State.CLOSED


async def test_what_a_call_took_is_read_from_its_own_clock() -> None:
    """Calls that answer well, and too slowly, open the breaker."""
    elapsed, clock = iter((0.0, 5.0, 10.0, 15.0)), HandClock()
    guard = Guard(Rules(min_calls=2, slow_rate=1.0, slow_s=5.0), seconds=lambda: next(elapsed))
    assert [await say(guard, clock, "good"), await say(guard, clock, "good")] == ["good", "good"]
    assert guard.breaker("a").state is State.OPEN
