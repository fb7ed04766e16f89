"""How many WeChat Pay callbacks a second can be acknowledged durably, how late, and what does that cost the database?

Ceiling: the same server without a database. Peers: one transaction per request; what people write with FastAPI and
SQLAlchemy, which marks the order paid in the handler, and the same when it only writes the callback down. Rounds are
interleaved. A closed loop finds the maximum, with one server process and with two; an open loop at fixed rates finds
how late answers are.
"""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import msgspec

from bench import cpu
from bench.load import Load, closed, opened
from bench.result import Asked, Bar, Chart, Figure, Result, Series, ratios
from bench.typical import RESET
from bench.world import DISTINCT, World, as_on_slower_disk, callbacks, world
from paidup.demo.processes import free_port

MODES = ("verify", "ours", "single", "typical", "log_only")
TITLES = {
    "verify": "verification only, no database",
    "ours": "Paidup: group commit",
    "single": "one transaction per request",
    "typical": "FastAPI + SQLAlchemy, pays the order",
    "log_only": "FastAPI + SQLAlchemy, only writes it down",
}
IN_TWO = ("verify", "ours", "typical")
SHARES = (0.25, 0.5, 0.75)
"""Offered rates of the open loop, as shares of what one process of ours took in a closed loop."""

_CONNECTIONS = (64, 256)
_Ports = Mapping[str, Sequence[int]]


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One configuration under load for some seconds, with the CPU it took of server and PostgreSQL, µs each."""

    load: Load
    server_us: float
    database_us: float


@contextlib.asynccontextmanager
async def servers(
    world: World, modes: Sequence[str] = MODES, *, processes: int = 1
) -> AsyncIterator[dict[str, "Site"]]:
    """The servers of each mode."""
    clock = f"{world.now.isoformat()}*0.001"  # stands still, as it were: the callbacks were signed before
    sites = {mode: Site() for mode in modes}
    try:
        for mode, site in sites.items():
            for _ in range(processes):
                site.start(mode, world, clock)
        for site in sites.values():
            for port in site.ports:
                await listening(port)
        yield sites
    finally:
        for site in sites.values():
            site.end()


class Site:
    """The server processes of one mode."""

    def __init__(self) -> None:
        self.ports: list[int] = []
        self._running: list[subprocess.Popen[bytes]] = []

    @property
    def pids(self) -> list[int]:
        """Their process ids."""
        return [process.pid for process in self._running]

    def start(self, mode: str, world: World, clock: str) -> None:
        """One more process, on a port of its own."""
        port = free_port()
        arguments = [mode, str(world.folder), world.embedded.dsn, clock, str(port)]
        command = [sys.executable, "-m", "bench.ack_server", *arguments]
        self._running.append(subprocess.Popen(command, cwd=Path(__file__).parents[1]))
        self.ports.append(port)

    def end(self) -> None:
        """SIGTERM, and wait."""
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.wait()


async def run(asked: Asked) -> Result:
    """On a database of its own."""
    async with world(as_on_slower_disk(asked.flush_ms)) as place:
        if asked.quick:
            return await measure(place, rounds=2, seconds=2, connections=_CONNECTIONS)
        return await measure(place, rounds=5, seconds=4, connections=_CONNECTIONS)


async def measure(world: World, *, rounds: int, seconds: float, connections: Sequence[int]) -> Result:
    """All configurations in interleaved rounds, then the open loop."""
    requests = callbacks(world.keys, world.now, DISTINCT)
    found: dict[tuple[str, int, int], list[Round]] = {}
    late: dict[tuple[str, float], list[Load]] = {}
    for processes, modes in ((1, MODES), (2, IN_TWO)):
        async with servers(world, modes, processes=processes) as sites:
            for _ in range(rounds):
                for count in connections:
                    for mode, site in sites.items():
                        load = await _round(world, site, requests, count, seconds)
                        found.setdefault((mode, processes, count), []).append(load)
            if processes == 1:
                most = _figure(found, "ours", 1, connections[0]).median
                late = await _late(sites, requests, [most * share for share in SHARES], rounds, seconds)
    return _result(found, late, connections)


async def _round(world: World, site: Site, requests: Sequence[bytes], count: int, seconds: float) -> Round:
    async with world.db.transaction() as tx:
        if await tx.fetchval("SELECT to_regclass('typical_orders')"):
            await tx.execute(RESET)
    postmaster = await world.postmaster()
    server, database = cpu.cpu_s(site.pids), cpu.family_cpu_s(postmaster)
    load = await closed(site.ports, requests, connections=count, seconds=seconds)
    each = 1e6 / max(1, load.answered)
    return Round(
        load=load,
        server_us=(cpu.cpu_s(site.pids) - server) * each,
        database_us=(cpu.family_cpu_s(postmaster) - database) * each,
    )


async def _late(
    sites: Mapping[str, Site],
    requests: Sequence[bytes],
    rates: Sequence[float],
    rounds: int,
    seconds: float,
) -> dict[tuple[str, float], list[Load]]:
    """Open loops at the same offered rates."""
    found: dict[tuple[str, float], list[Load]] = {}
    for _ in range(rounds):
        for rate in rates:
            for mode in ("verify", "ours"):
                many = [requests[n % len(requests)] for n in range(int(rate * seconds))]
                found.setdefault((mode, rate), []).append(await opened(sites[mode].ports, many, rate=rate))
    return found


# What it means -----------------------------------------------------------------------------------------------------


def _figure(found: Mapping[tuple[str, int, int], Sequence[Round]], mode: str, processes: int, count: int) -> Figure:
    name = f"{TITLES[mode]}, {processes} process{'es' * (processes > 1)}, {count} connections"
    return Figure(name=name, unit="/s", rounds=[r.load.per_s for r in found[mode, processes, count]])


def _result(
    found: Mapping[tuple[str, int, int], Sequence[Round]],
    late: Mapping[tuple[str, float], Sequence[Load]],
    connections: Sequence[int],
) -> Result:
    figures = [_figure(found, *key) for key in found]
    rounds = [r for some in found.values() for r in some]
    busiest = max([r.load.cpu for r in rounds] + [load.cpu for some in late.values() for load in some])
    refused = sum(r.load.refused for r in rounds) + sum(load.refused for some in late.values() for load in some)
    costs = [*_costs(found, connections[0]), *_cheaper(found, connections[0]), *_lateness(late)]
    return Result(
        figures=[*figures, *costs],
        bars=[*_bars(found, connections), *_late_bars(late)],
        charts=[_chart(found, connections), _late_chart(late)],
        notes=[
            f"The generator used at most {busiest:.0%} of a core; {refused} requests were refused or not answered.",
        ],
    )


def _bars(found: Mapping[tuple[str, int, int], Sequence[Round]], connections: Sequence[int]) -> list[Bar]:
    def against(mode: str, processes: int, count: int, theirs: int = 0) -> float:
        ours = _figure(found, "ours", processes, count).rounds
        return ratios("", ours, _figure(found, mode, theirs or processes, count).rounds).median

    made = []
    for count in connections:
        at = f"1 process, {count} connections"
        made.append(Bar(claim=f"durable / verify only, {at}", value=against("verify", 1, count), at_least=0.7))
        made.append(Bar(claim=f"durable / one transaction each, {at}", value=against("single", 1, count), at_least=2.5))
    made.append(
        Bar(claim="CPU of the database / of one transaction each", value=_database(found, connections[0]), at_most=0.2)
    )
    count = max(connections, key=lambda c: _figure(found, "ours", 2, c).median)
    best = f"2 processes, {count} connections"
    made.append(Bar(claim=f"best ({best}) / its own ceiling", value=against("verify", 2, count), at_least=0.75))
    made.append(Bar(claim=f"best ({best}) / FastAPI, 1 process", value=against("typical", 2, count, 1), at_least=20))
    made.append(Bar(claim=f"best ({best}) / FastAPI, 2 processes", value=against("typical", 2, count), at_least=20))
    return made


def _database(found: Mapping[tuple[str, int, int], Sequence[Round]], count: int) -> float:
    """What a callback costs PostgreSQL, as a share of what it does in a transaction of its own."""
    ours, theirs = ([r.database_us for r in found[mode, 1, count]] for mode in ("ours", "single"))
    return ratios("", ours, theirs).median


def _costs(found: Mapping[tuple[str, int, int], Sequence[Round]], count: int) -> list[Figure]:
    made = []
    for (mode, processes, connections), rounds in found.items():
        if (processes, connections) == (1, count):
            for part, used in (
                ("server", [r.server_us for r in rounds]),
                ("database", [r.database_us for r in rounds]),
            ):
                made.append(Figure(name=f"CPU of the {part}, {TITLES[mode]}", unit="µs", rounds=used, better="lower"))
    return made


def _cheaper(found: Mapping[tuple[str, int, int], Sequence[Round]], count: int) -> list[Figure]:
    """By CPU of server and database together: who else uses the machine changes these least."""

    def cost(mode: str) -> list[float]:
        return [r.server_us + r.database_us for r in found[mode, 1, count]]

    return [ratios(f"CPU of {TITLES[mode]} / of ours", cost(mode), cost("ours")) for mode in MODES if mode != "ours"]


def _lateness(late: Mapping[tuple[str, float], Sequence[Load]]) -> list[Figure]:
    made = []
    for n, ((mode, rate), loads) in enumerate(late.items()):
        at = f"at {SHARES[n // 2]:.0%} of the maximum, {TITLES[mode]}"
        made.append(Figure(name=f"p50 {at}", unit="ms", rounds=[load.p50_ms for load in loads], better="lower"))
        made.append(Figure(name=f"p99 {at}", unit="ms", rounds=[load.p99_ms for load in loads], better="lower"))
        lag = [load.late_ms for load in loads]
        made.append(Figure(name=f"generator late (p99) {at}", unit="ms", rounds=lag, better="lower"))
        made.append(Figure(name=f"offered {at}", unit="/s", rounds=[rate], better="neither"))
    return made


def _late_bars(late: Mapping[tuple[str, float], Sequence[Load]]) -> list[Bar]:
    made = []
    for share, rate in zip(SHARES, dict.fromkeys(rate for _, rate in late), strict=False):
        ours, theirs = ([load.p99_ms for load in late[mode, rate]] for mode in ("ours", "verify"))
        claim = f"p99 of durable / of verify only, {rate:,.0f}/s offered ({share:.0%} of the maximum)"
        made.append(Bar(claim=claim, value=ratios("", ours, theirs).median, at_most=2))
    return made


def _chart(found: Mapping[tuple[str, int, int], Sequence[Round]], connections: Sequence[int]) -> Chart:
    series = []
    for processes in (1, 2):
        points: list[tuple[float | str, float]] = [
            (TITLES[mode], _figure(found, mode, processes, connections[0]).median)
            for mode in MODES
            if (mode, processes, connections[0]) in found
        ]
        series.append(Series(f"{processes} server process{'es' * (processes > 1)}", points))
    return Chart(title=f"Callbacks acknowledged, {connections[0]} connections", kind="bars", unit="/s", series=series)


def _late_chart(late: Mapping[tuple[str, float], Sequence[Load]]) -> Chart:
    modes = dict.fromkeys(mode for mode, _ in late)
    series = [
        Series(
            TITLES[mode],
            [
                (rate, Figure(name="", unit="", rounds=[load.p99_ms for load in loads]).median)
                for (their, rate), loads in late.items()
                if their == mode
            ],
        )
        for mode in modes
    ]
    return Chart(
        title="99th percentile at a fixed rate", kind="lines", unit="ms", series=series, along="offered a second"
    )


async def listening(port: int) -> None:
    """Wait until something listens on the port. Raises RuntimeError after 30 s."""
    for _ in range(600):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.05)
    raise RuntimeError(f"no server on port {port} after 30 s")
