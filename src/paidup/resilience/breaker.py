"""When to stop calling somebody who does not answer: a breaker as a frozen value.

::

    CLOSED ──too many failed or slow──▶ OPEN ──after wait_s──▶ HALF_OPEN ──every stage went well──▶ CLOSED
                                         ▲                        │
                                         └──── a stage failed ────┘

HALF_OPEN lets calls through in stages of 1, 2, 4 … and judges each stage once all its calls have ended. So a breaker
that was open for hours does not let everything through at once, and one lost packet does not open it again.

Each change of state begins a new generation. A permit carries the generation it was given in, and the result of a call
from an earlier one counts for nothing: what was begun before the breaker opened says nothing about now.
"""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from paidup.errors import ConfigError


class State(StrEnum):
    """Where a breaker stands."""

    CLOSED = "closed"  # calls go through and are counted
    OPEN = "open"  # no call goes through until reopens_at
    HALF_OPEN = "half_open"  # a counted number of probes goes through


class Ending(StrEnum):
    """How a call ended, as far as the other side's health goes."""

    WORKED = "worked"  # it answered; "card declined" is an answer
    FAILED = "failed"  # no answer, or none that can be used
    CANCELLED = "cancelled"  # we stopped waiting for reasons of our own; it says nothing about the other side


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """When to open and how to come back.

    Of the calls that ended within window_s, at least min_calls: open when failure_rate of them failed, or slow_rate of
    them took slow_s or longer. The wait doubles from wait_s to longest_wait_s while probes keep failing. stages:
    how many probes each step of the way back lets through; a probe that never reports is given up after probe_s.
    """

    window_s: float = 30.0
    buckets: int = 10
    min_calls: int = 10
    failure_rate: float = 0.5
    slow_rate: float = 0.8
    slow_s: float = 4.0
    wait_s: float = 10.0
    longest_wait_s: float = 120.0
    stages: tuple[int, ...] = (1, 2, 4, 8, 16)
    probe_s: float = 60.0

    def __post_init__(self) -> None:
        if not self.stages or min(*self.stages, self.buckets, self.min_calls) < 1:
            raise ConfigError("a breaker needs stages, buckets and min_calls of at least 1")
        if min(self.window_s, self.wait_s, self.probe_s, self.slow_s, self.failure_rate, self.slow_rate) <= 0:
            raise ConfigError("a breaker's times and rates must be above 0")


class Permit(msgspec.Struct, frozen=True):
    """Leave to make one call, to be handed back with `Breaker.ended`."""

    generation: int


class _Bucket(msgspec.Struct, frozen=True):
    """What ended within one slice of the window, or within one stage of probes."""

    slot: int = 0
    calls: int = 0
    failed: int = 0
    slow: int = 0

    def plus(self, other: "_Bucket") -> "_Bucket":
        return _Bucket(self.slot, self.calls + other.calls, self.failed + other.failed, self.slow + other.slow)


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """Bounded memory: at most `rules.buckets` counts, whatever the number of calls."""

    rules: Rules = Rules()
    state: State = State.CLOSED
    generation: int = 0
    window: tuple[_Bucket, ...] = ()
    reopens_at: datetime | None = None
    """When the next probe may start; None while CLOSED."""
    wait_s: float = 0.0
    stage: int = 0
    last_probe_at: datetime | None = None
    in_flight: int = 0
    """Probes that have started and not ended; counted in HALF_OPEN only."""
    probed: _Bucket = _Bucket()

    def allows(self, now: datetime) -> bool:
        """Whether a call may start now."""
        return self.begin(now)[0] is not None

    def begin(self, now: datetime) -> tuple[Permit | None, "Breaker"]:
        """Ask leave for one call; None means no. Who gets a permit must hand it back with `ended`."""
        ready = self._at(now)
        if ready.state is State.CLOSED:
            return Permit(ready.generation), ready
        if ready.state is State.OPEN or ready.in_flight + ready.probed.calls >= ready._stage_size:
            return None, ready
        probing = msgspec.structs.replace(ready, in_flight=ready.in_flight + 1, last_probe_at=now)
        return Permit(ready.generation), probing

    def ended(self, permit: Permit, now: datetime, ending: Ending, elapsed_s: float) -> "Breaker":
        """Count how a call ended. A cancelled probe gives its slot back; a permit of an earlier generation is void."""
        if permit.generation != self.generation or self.state is State.OPEN:
            return self
        freed = msgspec.structs.replace(self, in_flight=max(0, self.in_flight - 1))
        if ending is Ending.CANCELLED:
            return freed
        failed, slow = ending is Ending.FAILED, elapsed_s >= self.rules.slow_s
        seen = _Bucket(int(now.timestamp() // self._slot_s), 1, int(failed), int(slow))
        return freed._counted(seen, now) if self.state is State.CLOSED else freed._probed(seen, now)

    @property
    def _slot_s(self) -> float:
        return self.rules.window_s / self.rules.buckets

    @property
    def _stage_size(self) -> int:
        return self.rules.stages[self.stage]

    def _at(self, now: datetime) -> "Breaker":
        """The breaker as time has made it: an open one becomes half open, probes that never report are given up."""
        if self.state is State.OPEN and self._waited_enough(now):
            return self._enter_stage(0, now)
        if self.state is State.HALF_OPEN and self._probes_lost(now):
            return self._enter_stage(self.stage, now)
        return self

    def _waited_enough(self, now: datetime) -> bool:
        """Also when it opened far in the future: the clock was set back since, nobody knows how long ago that was, and
        one probe finds out."""
        if self.reopens_at is None:
            return False
        opened_at = self.reopens_at - timedelta(seconds=self.wait_s)
        return now >= self.reopens_at or opened_at > now + timedelta(seconds=self.rules.longest_wait_s)

    def _probes_lost(self, now: datetime) -> bool:
        last = self.last_probe_at
        return last is not None and self.in_flight > 0 and now >= last + timedelta(seconds=self.rules.probe_s)

    def _counted(self, seen: _Bucket, now: datetime) -> "Breaker":
        window = _add(self.window, seen, self.rules.buckets)
        if self._is_bad(_sum(window), self.rules.min_calls):
            return self._open(now, self.rules.wait_s)
        return msgspec.structs.replace(self, window=window)

    def _probed(self, seen: _Bucket, now: datetime) -> "Breaker":
        probed = self.probed.plus(seen)
        if probed.calls < self._stage_size:
            return msgspec.structs.replace(self, probed=probed)
        if self._is_bad(probed, 1):
            return self._open(now, min(self.wait_s * 2, self.rules.longest_wait_s))
        if self.stage + 1 < len(self.rules.stages):
            return self._enter_stage(self.stage + 1, now)
        return Breaker(rules=self.rules, generation=self.generation + 1)

    def _is_bad(self, seen: _Bucket, at_least: int) -> bool:
        if seen.calls < at_least:
            return False
        rules = self.rules
        return seen.failed >= rules.failure_rate * seen.calls or seen.slow >= rules.slow_rate * seen.calls

    def _open(self, now: datetime, wait_s: float) -> "Breaker":
        return Breaker(
            rules=self.rules,
            state=State.OPEN,
            generation=self.generation + 1,
            reopens_at=now + timedelta(seconds=wait_s),
            wait_s=wait_s,
        )

    def _enter_stage(self, stage: int, now: datetime) -> "Breaker":
        return Breaker(
            rules=self.rules,
            state=State.HALF_OPEN,
            generation=self.generation + 1,
            reopens_at=now,
            wait_s=self.wait_s,
            stage=stage,
        )


def _add(window: tuple[_Bucket, ...], seen: _Bucket, buckets: int) -> tuple[_Bucket, ...]:
    """The window with one more call in it, and without the slices that have left it."""
    slot = max(seen.slot, window[-1].slot) if window else seen.slot  # a clock set back must not reorder slices
    kept = tuple(bucket for bucket in window if bucket.slot > slot - buckets)
    if kept and kept[-1].slot == slot:
        return (*kept[:-1], kept[-1].plus(seen))
    return (*kept, msgspec.structs.replace(seen, slot=slot))


def _sum(window: tuple[_Bucket, ...]) -> _Bucket:
    total = _Bucket()
    for bucket in window:
        total = total.plus(bucket)
    return total
