"""What one process knows of itself: how it answers, what waits in it, whether its workers make their rounds.

Counting is plain addition in one thread; nothing here waits, locks or reads a clock.
"""

from collections import Counter
from collections.abc import Callable, Iterable

from paidup import __version__
from paidup.metrics import families as f
from paidup.metrics.readings import Readings, fresh

AWAY = "the database is away"
"""What a round failed of that could not reach it, in place of the name of one of the many errors that say so."""


class Beat:
    """How one worker's rounds go. finished_s: when the last good one ended, by clock.monotonic_s."""

    def __init__(self, job: str, idle_s: float, begun_s: float) -> None:
        self.job = job
        self.idle_s = idle_s
        self.finished_s = begun_s
        self.good = 0
        self.failed = 0
        self.failures_in_a_row = 0
        self.failure = ""

    def ended(self, at_s: float) -> None:
        """A round came to its end."""
        self.good += 1
        self.finished_s, self.failures_in_a_row, self.failure = at_s, 0, ""

    def broke(self, kind: str) -> None:
        """A round failed; kind is AWAY, or the name of the error, and not its words, which may quote anything."""
        self.failed += 1
        self.failures_in_a_row += 1
        self.failure = kind


class Queue:
    """A queue inside the process: how many wait now, and how many may."""

    def __init__(self, name: str, waiting: Callable[[], int], limit: int) -> None:
        self.name = name
        self.waiting = waiting
        self.limit = limit


class Vitals:
    """One process's own figures. The parts hand in what they count; probes and metrics read it."""

    def __init__(
        self,
        *,
        queues: Iterable[Queue] = (),
        beats: Iterable[Beat] = (),
        verdicts: Callable[[], Iterable[tuple[tuple[str, str], int]]] = tuple,
        channel_breakers: Callable[[], Iterable[tuple[str, str, bool]]] = tuple,
        endpoint_breakers: Callable[[], int] = int,
    ) -> None:
        self.queues = tuple(queues)
        self.beats = tuple(beats)
        self.draining = False
        self._verdicts = verdicts
        self._channel_breakers = channel_breakers
        self._endpoint_breakers = endpoint_breakers
        self._requests: Counter[tuple[str, int]] = Counter()
        self._acknowledged = fresh(f.ACKNOWLEDGED)
        self._late = fresh(f.LATE)

    def answered(self, part: str, status: int) -> None:
        """A request was answered; part is callbacks or api."""
        self._requests[part, status] += 1

    def acknowledged(self, status: int, seconds: float) -> None:
        """A callback was answered so long after it came."""
        self.answered("callbacks", status)
        self._acknowledged.add(seconds, f.ACKNOWLEDGED.buckets)

    def woken_late(self, seconds: float) -> None:
        """The event loop had something else to do for so long."""
        self._late.add(max(0.0, seconds), f.LATE.buckets)

    def read(self, at_s: float) -> Readings:
        """Everything as of now, by clock.monotonic_s."""
        found = Readings()
        for (part, status), number in self._requests.items():
            found.count(f.REQUESTS, number, part, status)
        for (channel, verdict), number in self._verdicts():
            found.count(f.VERDICTS, number, channel, verdict)
        found.spread(f.ACKNOWLEDGED, self._acknowledged)
        found.spread(f.LATE, self._late)
        for queue in self.queues:
            found.count(f.FLUSHER, queue.waiting(), queue.name)
            found.count(f.FLUSHER_ROOM, queue.limit, queue.name)
        for beat in self.beats:
            found.count(f.ROUNDS, beat.good, beat.job, "good")
            found.count(f.ROUNDS, beat.failed, beat.job, "failed")
            found.count(f.ROUND_AGE, at_s - beat.finished_s, beat.job)
        for channel, account, is_open in self._channel_breakers():
            found.count(f.CHANNEL_BREAKER, int(is_open), channel, account)
        found.count(f.ENDPOINT_BREAKERS, self._endpoint_breakers())
        found.count(f.DRAINING, int(self.draining))
        found.count(f.BUILD, 1, __version__)
        return found
