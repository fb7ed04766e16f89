"""Do several processes share one PostgreSQL without a leader and without doing anything twice, and what does it bring?

1, 2 and 4 web processes take callbacks in; as many workers apply what waits; as many claim what is due. The processes
are those that `paidup serve` runs. They share the machine with PostgreSQL and with whoever calls them: past the number
of its cores more processes bring nothing, and that is what the figures then say.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench import door, fill
from bench.fresh import fresh
from bench.load import closed
from bench.result import Asked, Figure, Result
from bench.world import DISTINCT, World, callbacks, world
from paidup.clock import SystemClock
from paidup.db.transaction import Database
from paidup.demo.processes import Child, answering, free_port
from paidup.verify import verify
from paidup.wakeups import NOTIFY

COUNTS = (1, 2, 4)
DONE = ("acknowledged", "applied", "claimed and settled")
CONNECTIONS = 128
_DRAINED_WITHIN_S = 120
_ROOT = Path(__file__).parents[1]


async def run(asked: Asked) -> Result:
    """On a server of its own."""
    async with world() as place:
        if asked.quick:
            return await measure(place, rounds=1, seconds=1.5, jobs=4000, due=20_000)
        return await measure(place, rounds=3, seconds=3, jobs=10_000, due=50_000)


async def measure(
    world: World, *, counts: Sequence[int] = COUNTS, rounds: int, seconds: float, jobs: int, due: int
) -> Result:
    """Interleaved rounds. Raises AssertionError when anything was lost or done twice."""
    requests = callbacks(world.keys, world.now, DISTINCT)
    paces: dict[tuple[str, int], list[float]] = {}
    for n in range(rounds):
        for count in counts:
            name = f"bench_processes_{n}_{count}"
            async with fresh(world, name) as db:
                settings = settings_for(world, db.dsn)
                found = (
                    await take_in(world, db, settings, requests, count, seconds),
                    await work_off(world, db, settings, count, jobs),
                    await claim(world, db, count, due),
                )
            for what, pace in zip(DONE, found, strict=True):
                paces.setdefault((what, count), []).append(pace)
    figures = [
        Figure(name=f"{what}, {count} process{'es' * (count > 1)}", unit="/s", rounds=paces[what, count])
        for what in DONE
        for count in counts
    ]
    note = (
        f"{os.cpu_count()} cores, shared by these processes, PostgreSQL and the load: see 1 against 2, not 2 against 4."
    )
    return Result(figures=figures, notes=[note])


def settings_for(world: World, dsn: str) -> dict[str, str]:
    """The environment of a process that works on this database."""
    return {
        "PAIDUP_DATABASE_URL": dsn,
        "PAIDUP_DATA": str(world.folder),
        "PAIDUP_ACCOUNTS": str(world.folder / "accounts"),
        "PAIDUP_CLOCK": f"{world.now.isoformat()}*0.001",  # stands still: the callbacks were signed before
    }


@asynccontextmanager
async def serving(world: World, settings: Mapping[str, str], role: str, count: int) -> AsyncIterator[list[int]]:
    """So many `paidup serve` processes of one role; gives their ports."""
    ports = [free_port() for _ in range(count)]
    children = [
        Child(f"{role}-{port}", ["serve", "--roles", role, "--port", str(port)], settings, world.folder)
        for port in ports
    ]
    try:
        for child in children:
            await child.start()
        for child, port in zip(children, ports, strict=True):
            await answering(port, child)
        yield ports
    finally:
        await asyncio.gather(*(child.end() for child in children))


async def take_in(
    world: World, db: Database, settings: Mapping[str, str], requests: list[bytes], count: int, seconds: float
) -> float:
    """Callbacks acknowledged a second by `count` web processes; each acknowledged one is in the inbox, once."""
    async with serving(world, settings, "web", count) as ports:
        sent = await closed(ports, requests, connections=CONNECTIONS, seconds=seconds)
    async with db.session() as tx:
        kept = await tx.fetchval("SELECT count(*) FROM inbox")
        await tx.execute("TRUNCATE inbox, inbox_queue")  # nobody works here yet; the next part begins with none
    assert (0, sent.answered) == (sent.refused, kept), (
        f"{sent.answered} acknowledged, {kept} kept, {sent.refused} refused"
    )
    return sent.per_s


async def work_off(world: World, db: Database, settings: Mapping[str, str], count: int, jobs: int) -> float:
    """Callbacks applied a second by `count` workers; each pays its order once."""
    async with serving(world, settings, "intake", count):
        async with db.transaction() as tx:
            await door._prepare(tx, world, "job", jobs)
            await tx.execute(NOTIFY, "intake")  # as the web processes do
        began = time.monotonic()
        await drained(db)
        elapsed_s = time.monotonic() - began
    await _assert_applied_once(db, jobs)
    return jobs / elapsed_s


async def drained(db: Database) -> None:
    """Returns when nothing waits for the door any more."""
    async with db.session() as tx, asyncio.timeout(_DRAINED_WITHIN_S):
        while await tx.fetchval("SELECT EXISTS (SELECT FROM inbox_queue)"):
            await SystemClock().sleep(0.02)


_APPLIED = """
SELECT count(*) AS decisions, count(DISTINCT payment_id) AS payments, count(DISTINCT callback_id) AS callbacks,
  (SELECT count(*) FROM orders WHERE state = 'paid' AND event_seq = 2) AS paid, (SELECT count(*) FROM events) AS events
FROM decisions WHERE outcome = 'applied'"""


async def _assert_applied_once(db: Database, jobs: int) -> None:
    async with db.session() as tx:
        found = await tx.fetchrow(_APPLIED)
    assert found is not None
    assert (jobs, jobs, jobs, jobs, 2 * jobs) == tuple(found), f"of {jobs} callbacks came {dict(found)}"
    report = await verify(db)
    assert report.holds, str([check for check in report.checks if check.breaches])


async def claim(world: World, db: Database, count: int, due: int) -> float:
    """Questions claimed and settled a second by `count` processes; each is claimed by one of them."""
    await fill.open_payments(db, world.now, due, 3600)
    claimers = [await _claimer(db.dsn, world) for _ in range(count)]
    began = time.monotonic()
    for claimer in claimers:
        claimer.stdin.write(b"go\n")
    said = await asyncio.gather(*(claimer.stdout.readline() for claimer in claimers))
    elapsed_s = time.monotonic() - began
    for claimer in claimers:
        await claimer.wait()
    assert due == sum(map(int, said)), f"{due} were due; claimed were {said}"
    return due / elapsed_s


async def _claimer(dsn: str, world: World) -> Any:
    claimer = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.claimer", dsn, world.now.isoformat(),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=_ROOT,
    )  # fmt: skip
    assert claimer.stdout is not None
    await claimer.stdout.readline()
    return claimer
