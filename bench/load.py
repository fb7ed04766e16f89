"""Load over keep-alive connections, from requests that are ready as bytes.

`closed` sends as fast as answers come and finds the maximum. `opened` sends on a schedule at a fixed rate, whatever
the server does, and measures from the moment each request should have been sent: a server that stalls for a second
gets a second of late answers in its percentiles, and not one (what is called coordinated omission). Both say what the
generator itself cost, and how late it was; a generator that is late or busy measures itself.
"""

import asyncio
import gc
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import cast

import msgspec

_TICK_S = 0.001
"""Timers of the event loop count milliseconds; a shorter one would spin."""
_GRACE_S = 15.0
"""So long answers are waited for after the last request; what is missing then is counted as refused."""

Sent = Callable[[int, float], None]


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What a load met. Milliseconds; for `opened` from the intended moment of sending, for `closed` from sending.

    late_ms: how late the generator's own clock was, the 99th percentile. cpu: the generator's share of one core.
    """

    answered: int
    refused: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    late_ms: float
    cpu: float
    started_s: float

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds


async def closed(ports: Sequence[int], requests: Sequence[bytes], *, connections: int, seconds: float) -> Load:
    """Each connection sends its next request when the answer has come, for so many seconds."""
    source = cycle(requests)
    meter = _Meter()
    lines = await _connect(ports, connections, meter)
    meter.begin()
    until = time.monotonic() + seconds

    def following() -> bytes | None:
        return next(source) if time.monotonic() < until else None

    for line in lines:
        line.follow(following)
    await asyncio.wait([line.idle for line in lines], timeout=seconds + _GRACE_S)
    return meter.end(lines, seconds)


async def opened(ports: Sequence[int], requests: Sequence[bytes], *, rate: float, connections: int = 256) -> Load:
    """Send all requests, the nth of them n/rate seconds after the first, over whichever connection is free."""
    meter = _Meter()
    lines = await _connect(ports, max(1, min(connections, int(rate))), meter)
    schedule = _Schedule(lines, requests, rate, meter)
    meter.begin()
    await schedule.run()
    return meter.end(lines, len(requests) / rate)


class _Meter:
    """Collects latencies."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self.late: list[float] = []
        self.refused = 0

    def begin(self) -> None:
        gc.collect()
        gc.freeze()  # a collection half-way would be measured as the server's
        self._cpu, self._began = time.process_time(), time.monotonic()

    def end(self, lines: "Sequence[_Line]", seconds: float) -> Load:
        elapsed, cpu = time.monotonic() - self._began, time.process_time() - self._cpu
        gc.unfreeze()
        missing = sum(line.busy for line in lines)
        for line in lines:
            line.close()
        took = sorted(self.took) or [0.0]
        return Load(
            answered=len(self.took) - self.refused,
            refused=self.refused + missing,
            seconds=max(seconds, elapsed),
            p50_ms=_share(took, 0.5) * 1000,
            p99_ms=_share(took, 0.99) * 1000,
            max_ms=took[-1] * 1000,
            late_ms=_share(sorted(self.late) or [0.0], 0.99) * 1000,
            cpu=cpu / elapsed,
            started_s=self._began,
        )


class _Line(asyncio.Protocol):
    """One connection; one request at a time is under way on it."""

    def __init__(self, meter: _Meter) -> None:
        self._meter = meter
        self._buffer = b""
        self._since = 0.0
        self._following: Callable[[], bytes | None] | None = None
        self.answered: Callable[[_Line], None] = lambda _: None
        self.busy = False
        self.idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def follow(self, following: Callable[[], bytes | None]) -> None:
        """Send what this gives, one after the other, until it gives nothing."""
        self._following = following
        self._next()

    def send(self, request: bytes, since: float) -> None:
        """since: the moment to measure from."""
        self.busy, self._since = True, since
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        head = data.find(b"\r\n\r\n")
        if head < 0 or len(data) < head + 4 + _length(data[:head]):
            self._buffer = data
            return
        self._buffer = b""
        self.busy = False
        self._meter.took.append(time.monotonic() - self._since)
        self._meter.refused += not data.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2"))
        self._next() if self._following else self.answered(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the Protocol's signature
        self._done()

    def close(self) -> None:
        self._transport.close()

    def _next(self) -> None:
        request = self._following() if self._following else None
        if request is None:
            self._done()
        else:
            self.send(request, time.monotonic())

    def _done(self) -> None:
        if not self.idle.done():
            self.idle.set_result(None)


class _Schedule:
    """Requests that are due are sent over free lines; when none is free they wait, and their time runs."""

    def __init__(self, lines: Sequence[_Line], requests: Sequence[bytes], rate: float, meter: _Meter) -> None:
        self._free = deque(lines)  # all by turns: a server hangs up on those that say nothing for seconds
        self._coming: Iterator[bytes] = iter(requests)
        self._left = len(requests)
        self._rate = rate
        self._meter = meter
        self._waiting: deque[tuple[bytes, float]] = deque()
        self._under_way = 0
        for line in lines:
            line.answered = self._answered

    async def run(self) -> None:
        began = time.monotonic()
        for n in range(self._left):
            at = began + n / self._rate
            while at > time.monotonic():  # noqa: ASYNC110  it waits for a moment
                await asyncio.sleep(max(_TICK_S, at - time.monotonic()))
            self._meter.late.append(time.monotonic() - at)
            self._waiting.append((next(self._coming), at))
            self._send()
        until = time.monotonic() + _GRACE_S
        while (self._waiting or self._under_way) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        self._meter.refused += len(self._waiting)

    def _send(self) -> None:
        while self._waiting and self._free:
            request, at = self._waiting.popleft()
            self._under_way += 1
            self._free.popleft().send(request, at)

    def _answered(self, line: _Line) -> None:
        self._under_way -= 1
        self._free.append(line)
        self._send()


async def _connect(ports: Sequence[int], connections: int, meter: _Meter) -> list[_Line]:
    """Connections, by turns to each of the ports."""
    loop = asyncio.get_running_loop()
    where = [ports[n % len(ports)] for n in range(connections)]
    made = [await loop.create_connection(lambda: _Line(meter), "127.0.0.1", port) for port in where]
    return [line for _, line in made]


def _length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].split(b"\r", 1)[0]) if at >= 0 else 0


def _share(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
