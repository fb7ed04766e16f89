"""How many WeChat Pay callbacks a second can be acknowledged durably, and what that costs the database?

Ceiling: the same server without a database. Peers: one transaction per request; what people write with FastAPI and
SQLAlchemy, which marks the order paid in the handler, and the same when it only writes the callback down. One server
process each, rounds interleaved, closed loop over keep-alive connections on loopback.
"""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import median

from bench.typical import RESET
from bench.world import DISTINCT, World, callbacks
from paidup.demo.processes import free_port

MODES = ("verify", "ours", "single", "typical", "log_only")


@dataclass(frozen=True)
class Round:
    """One server under load for some seconds. cpu: of the generator and of PostgreSQL."""

    answered: int
    per_s: float
    p50_ms: float
    p99_ms: float
    refused: int
    generator_cpu: float
    database_us_each: float


@contextlib.asynccontextmanager
async def servers(world: World, modes: tuple[str, ...] = MODES) -> AsyncIterator[dict[str, int]]:
    """A server per mode; gives their ports."""
    clock = f"{world.now.isoformat()}*0.001"  # stands still, as it were: the callbacks were signed before
    ports = {mode: free_port() for mode in modes}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.ack_server", mode, str(world.folder), world.embedded.dsn, clock, str(port)],
            cwd=Path(__file__).parents[1],
        )
        for mode, port in ports.items()
    ]
    try:
        for port in ports.values():
            await _listening(port)
        yield ports
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


async def load(port: int, requests: list[bytes], connections: int, seconds: float) -> Round:
    """Send as fast as the answers come."""
    took: list[float] = []
    refused = 0
    bodies = cycle(requests)
    until = time.monotonic() + seconds

    async def connection() -> None:
        nonlocal refused
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < until:
            began = time.monotonic()
            writer.write(next(bodies))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r")[0])
            await reader.readexactly(length)
            took.append(time.monotonic() - began)
            refused += not head.startswith(b"HTTP/1.1 200")
        writer.close()

    cpu, database, began = time.process_time(), database_cpu_s(), time.monotonic()
    await asyncio.gather(*(connection() for _ in range(connections)))
    elapsed = time.monotonic() - began
    took.sort()
    return Round(
        answered=len(took),
        per_s=len(took) / elapsed,
        p50_ms=took[len(took) // 2] * 1000,
        p99_ms=took[len(took) * 99 // 100] * 1000,
        refused=refused,
        generator_cpu=(time.process_time() - cpu) / elapsed,
        database_us_each=(database_cpu_s() - database) / len(took) * 1e6,
    )


async def run(world: World, *, rounds: int, seconds: float, connections: tuple[int, ...]) -> dict[str, object]:
    """Interleaved rounds; medians per mode and number of connections, and the ratios that the bars are about."""
    requests = callbacks(world.keys, world.now, DISTINCT)
    measured: dict[tuple[int, str], list[Round]] = {}
    async with servers(world) as ports:
        for count in connections:
            for _ in range(rounds):
                async with world.db.transaction() as tx:
                    await tx.execute(RESET)
                for mode, port in ports.items():
                    measured.setdefault((count, mode), []).append(await load(port, requests, count, seconds))
    return {f"{count} connections": _summary(count, measured) for count in connections}


def _summary(count: int, measured: dict[tuple[int, str], list[Round]]) -> dict[str, object]:
    figures = {mode: _medians(measured[count, mode]) for mode in MODES}
    ours = figures["ours"]

    def ratio(mode: str, name: str = "per_s") -> float:
        """Per pair of neighbouring rounds, then the median: the machine's speed drifts."""
        pairs = zip(measured[count, "ours"], measured[count, mode], strict=True)
        ratios: list[float] = [getattr(a, name) / max(getattr(b, name), 1e-9) for a, b in pairs]
        return round(median(ratios), 2)

    return {
        "figures": figures,
        "ours / verify only (bar 0.6)": ratio("verify"),
        "ours / one transaction each (bar 2.5)": ratio("single"),
        "ours / FastAPI + SQLAlchemy (bar 15)": ratio("typical"),
        "ours / the same, only writing the callback down": ratio("log_only"),
        "database CPU: ours / one transaction each (bar 0.2)": ratio("single", "database_us_each"),
        "generator CPU share": ours["generator_cpu"],
    }


def _medians(rounds: list[Round]) -> dict[str, float]:
    return {name: round(median(getattr(r, name) for r in rounds), 2) for name in Round.__dataclass_fields__}


def database_cpu_s() -> float:
    """CPU seconds of all PostgreSQL processes of this machine so far (nothing else may use PostgreSQL meanwhile)."""
    return sum(_postgres_ticks()) / 100


def _postgres_ticks() -> Iterator[int]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # a process that has just ended
            text = stat.read_text()
            if "(postgres)" in text:
                fields = text.rpartition(")")[2].split()
                yield int(fields[11]) + int(fields[12])


async def _listening(port: int) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.05)
    raise RuntimeError(f"no server on port {port} after 30 s")
