"""What does a Paidup cost that has nothing to do, how soon does it wake, how large is it, and does it grow?

Idle: CPU of one `paidup serve` with all roles, and of PostgreSQL with all its backends, over half a minute. Waking:
callbacks, one at a time, to a process that only takes them in; a second process applies them, woken by NOTIFY; timed
from sending to the commit that another connection sees. Memory: what each process holds alone, before and during load.
"""

import asyncio
import subprocess
import sys
import time
from statistics import median, quantiles

from bench import cpu
from bench.end_to_end import Stage, endpoint_of
from bench.result import Asked, Bar, Chart, Figure, Result, Series
from bench.serve import Serving
from bench.shop import Receiver, prepare
from bench.world import World, signed, world
from paidup.clock import SystemClock

SETTLE_S = 3.0
CALLBACKS, APART_S = 200, 0.05
LOAD_PER_S, CHUNK_S = 200, 10.0
TELL_EACH = 30  # chunks; whoever waits for an hour sees every five minutes that it goes on
IMPORTS = 7

_Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]

STATE = "SELECT state = 'paid' FROM orders WHERE shop = 'bench' AND shop_order_no = $1"


async def run(asked: Asked) -> Result:
    """One after the other, on one database."""
    results = [_imports()]
    receiver = Receiver()
    port = await receiver.listen()
    async with world() as place:
        await endpoint_of(place, port)
        results.append(await _rest(place, 10.0 if asked.quick else 30.0))
        results.append(await _waking(place, 60 if asked.quick else CALLBACKS))
        minutes = asked.minutes or (0.5 if asked.quick else 2.0)
        results.append(await _memory(place, receiver, minutes))
    await receiver.close()
    return Result(
        figures=[figure for result in results for figure in result.figures],
        bars=[bar for result in results for bar in result.bars],
        charts=[chart for result in results for chart in result.charts],
    )


def _imports() -> Result:
    """Wall time of importing the core, without that of starting Python."""

    def timed(statement: str) -> float:
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", statement], check=True)
        return (time.monotonic() - began) * 1000

    timed("import paidup.app")  # compiled and in the page cache
    took = [timed("import paidup.app") - timed("pass") for _ in range(IMPORTS)]
    figure = Figure(name="importing the application", unit="ms", rounds=took, better="lower")
    return Result(figures=[figure], bars=[Bar(claim="import paidup.app, ms", value=min(took), at_most=300)])


async def _rest(place: World, seconds: float) -> Result:
    """CPU and memory of an idle server."""
    postmaster = await place.postmaster()
    async with Serving(place, "all") as serve:
        await asyncio.sleep(SETTLE_S)
        before = cpu.cpu_s([serve.pid]), cpu.family_cpu_s(postmaster)
        await asyncio.sleep(seconds)
        own, database = cpu.cpu_s([serve.pid]) - before[0], cpu.family_cpu_s(postmaster) - before[1]
        size, theirs = cpu.resident_mib([serve.pid]), cpu.resident_mib(cpu.family(postmaster))
    shares = [own / seconds * 100, database / seconds * 100]
    return Result(
        figures=[
            Figure(name="idle, paidup serve", unit="% of a core", rounds=[shares[0]], better="lower"),
            Figure(name="idle, PostgreSQL", unit="% of a core", rounds=[shares[1]], better="lower"),
            Figure(name="resident when idle, paidup serve", unit="MiB", rounds=[size], better="lower"),
            Figure(
                name="resident when idle, PostgreSQL without its buffers", unit="MiB", rounds=[theirs], better="lower"
            ),
        ],
        bars=[Bar(claim=f"idle over {seconds:.0f} s, all processes, % of a core", value=sum(shares), at_most=1)],
    )


async def _waking(place: World, count: int) -> Result:
    """From a process without workers to one that only works."""
    now = SystemClock().now()
    refs = [f"w{n:029}" for n in range(count + 20)]
    await prepare(place, refs, now, payee=place.payee)
    requests = [signed(place.keys, now, ref) for ref in refs]
    took = []
    async with Serving(place, "web") as web, Serving(place, "intake") as _:
        line = await asyncio.open_connection("127.0.0.1", web.port)
        for ref, request in zip(refs, requests, strict=True):
            took.append(await _applied(place, line, ref, request))
            await asyncio.sleep(APART_S)
        line[1].close()
    took = took[20:]  # the first ones met cold caches
    p99 = quantiles(took, n=100, method="inclusive")[98]
    return Result(
        figures=[
            Figure(
                name="callback to applied by another process, p50", unit="ms", rounds=[median(took)], better="lower"
            ),
            Figure(name="callback to applied by another process, p99", unit="ms", rounds=[p99], better="lower"),
            Figure(name="callback to applied by another process, most", unit="ms", rounds=[max(took)], better="lower"),
        ],
        bars=[Bar(claim=f"callback to applied by another process, p99 of {count}, ms", value=p99, at_most=50)],
    )


async def _applied(place: World, line: _Line, ref: str, request: bytes) -> float:
    """Milliseconds until the order is paid, as another connection sees it."""
    reader, writer = line
    async with place.db.session() as tx, asyncio.timeout(15):
        began = time.monotonic()
        writer.write(request)
        while not await tx.fetchval(STATE, ref):  # noqa: ASYNC110  nobody tells us; that is what is measured
            await asyncio.sleep(0.001)
        took = (time.monotonic() - began) * 1000
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r")[0]))
    return took


async def _memory(place: World, receiver: Receiver, minutes: float) -> Result:
    """What a server holds while it is loaded for minutes."""
    chunks = max(4, round(minutes * 60 / CHUNK_S))
    held: list[float] = []
    async with Serving(place, "all") as serve:
        stage = Stage(place, receiver, {"serve": serve.pid})
        for n in range(1, chunks + 1):
            await stage.trial(serve.port, LOAD_PER_S, CHUNK_S)
            held.append(cpu.resident_mib([serve.pid]))
            if n % TELL_EACH == 0:
                print(f"  {n * CHUNK_S / 60:g} minutes under load: {held[-1]:.1f} MiB", file=sys.stderr, flush=True)
    second, last = held[chunks // 4 : chunks // 2], held[-(chunks // 4) :]
    growth = median(last) / median(second)
    points: list[tuple[float | str, float]] = [((n + 1) * CHUNK_S, size) for n, size in enumerate(held)]
    title = f"Memory of paidup serve, {LOAD_PER_S} payments a second from the callback to the shop"
    return Result(
        figures=[Figure(name="resident under load, paidup serve", unit="MiB", rounds=held, better="lower")],
        bars=[
            Bar(claim=f"memory, last quarter / second quarter of {minutes:g} min of load", value=growth, at_most=1.05)
        ],
        charts=[Chart(title=title, kind="lines", unit="MiB", series=[Series("", points)], along="seconds of load")],
    )
