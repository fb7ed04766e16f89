"""Callback in, shop told: how long does it take at a fixed rate, with everything on this machine?

Real processes: `paidup serve` three times (one takes callbacks in, one applies them and asks channels, one tells the
shop), PostgreSQL, and the receiver and the generator (both in this process). Orders and payments are prepared before.
The rate is the highest of RATES that is held in a trial, where held means that the last was told within a second of the
last callback; then it is kept up for a minute. If it is not held there, that is said, and a lower one is tried.

Times count from the moment a callback should have been sent (bench/load.py) to the arrival of its `order.paid`.
"""

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta

import msgspec

from bench import cpu
from bench.load import Load, opened
from bench.result import Asked, Bar, Chart, Figure, Result, Series
from bench.serve import Serving
from bench.shop import Receiver, endpoint, prepare
from bench.world import World, signed, world
from paidup.clock import SystemClock
from paidup.sandbox.keys import Keys

RATES = (500, 1000, 1500, 2000)
ROLES = ("web", "intake,repair", "delivery")
HELD_S = 1.0
_WITHIN_S = 60.0
_SIGNERS = 2

REFS = """
SELECT order_id, merchant_ref FROM payments
WHERE channel = 'wechat' AND account = 'main' AND merchant_ref = ANY($1::text[])"""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One rate for some seconds. lag_s: how long after the last callback the last was told. took: ms of each, in the
    order of the callbacks. cores: which part of how many cores each took."""

    rate: int
    load: Load
    took: list[float]
    missing: int
    lag_s: float
    cores: dict[str, float]

    @property
    def held(self) -> bool:
        """Whether the work did not pile up."""
        return not self.missing and not self.load.refused and self.lag_s <= HELD_S

    def at(self, share: float) -> float:
        """A percentile of the times, ms."""
        ordered = sorted(self.took) or [0.0]
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def run(asked: Asked) -> Result:
    """Trials upwards, then the long one, then a profiled one."""
    trial_s, long_s = (4.0, 10.0) if asked.quick else (8.0, 60.0)
    receiver = Receiver()
    port = await receiver.listen()
    async with world() as place:
        await endpoint_of(place, port)
        async with _processes(place) as (web, *workers):
            parts = {one.roles: one.pid for one in (web, *workers)} | {"PostgreSQL": await place.postmaster()}
            stage = Stage(place, receiver, parts)
            await stage.trial(web.port, 200, 2.0)  # caches and plans
            trials = []
            for rate in () if asked.rate else RATES:
                trials.append(await stage.trial(web.port, rate, trial_s))
                if not trials[-1].held:
                    break
            rates = [asked.rate] if asked.rate else [trial.rate for trial in reversed(trials) if trial.held]
            longs = await _long(stage, web.port, rates or [RATES[0]], long_s)
        async with _processes(place, profile=True) as profiled:
            for one in profiled:
                one.sample()
            await Stage(place, receiver, {}).trial(profiled[0].port, longs[-1].rate, trial_s)
    await receiver.close()
    return _result(trials, longs, profiled)


@asynccontextmanager
async def _processes(place: World, *, profile: bool = False) -> AsyncIterator[list[Serving]]:
    """The servers, that of the callbacks first."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Serving(place, roles, profile=profile)) for roles in ROLES]


async def endpoint_of(place: World, port: int) -> None:
    """The bench's shop and its one endpoint."""
    await prepare(place, [], place.now, payee=place.payee)
    await endpoint(place, port, ["order.paid"])


async def _long(stage: "Stage", port: int, rates: Sequence[int], seconds: float) -> list[Trial]:
    """Each of these rates until one is held for long."""
    longs: list[Trial] = []
    for rate in rates:
        longs.append(await stage.trial(port, rate, seconds))
        if longs[-1].held:
            break
    return longs


class Stage:
    """What the trials share. parts: process ids whose CPU time is told, by name."""

    def __init__(self, world: World, receiver: Receiver, parts: Mapping[str, int]) -> None:
        self._world = world
        self._receiver = receiver
        self._parts = parts

    async def trial(self, port: int, rate: int, seconds: float) -> Trial:
        """Prepare so many orders, pay them at this rate, and wait until the shop was told of each."""
        count = int(rate * seconds)
        refs = [f"e{n:029}" for n in range(self._world.taken, self._world.taken + count)]
        self._world.taken += count
        await prepare(self._world, refs, SystemClock().now(), payee=self._world.payee)
        requests = await _sign(self._world.keys, refs)
        self._receiver.expect(count)
        before = {name: cpu.family_cpu_s(pid) for name, pid in self._parts.items()}
        began = time.monotonic()
        load = await opened([port], requests, rate=rate)
        sent_s = load.started_s + count / rate
        missing = await self._told(count)
        elapsed = time.monotonic() - began
        cores = {name: (cpu.family_cpu_s(pid) - before[name]) / elapsed for name, pid in self._parts.items()}
        cores["generator and receiver"] = load.cpu
        took, last = await self._times(refs, load.started_s, rate)
        return Trial(
            rate=rate,
            load=load,
            took=took,
            missing=missing + count - len(took),
            lag_s=max(0.0, last - sent_s),
            cores=cores,
        )

    async def _told(self, count: int) -> int:
        """How many are missing after a while."""
        try:
            async with asyncio.timeout(_WITHIN_S):
                await self._receiver.enough.wait()
        except TimeoutError:
            return count - len(self._receiver.told)
        return 0

    async def _times(self, refs: Sequence[str], began: float, rate: int) -> tuple[list[float], float]:
        """Milliseconds from each callback's moment to its event, and when the last came."""
        async with self._world.db.session() as tx:
            order_of = {row["merchant_ref"]: row["order_id"] for row in await tx.fetch(REFS, refs)}
        told = self._receiver.paid()
        moments = [(n, told[order_of[ref]]) for n, ref in enumerate(refs) if order_of[ref] in told]
        took = [(at - began - n / rate) * 1000 for n, at in moments]
        return took, max((at for _, at in moments), default=began)


async def _sign(keys: Keys, refs: Sequence[str]) -> list[bytes]:
    """Signed callbacks, dated so that they may come in the next five minutes; made by several processes."""
    dated = SystemClock().now() + timedelta(seconds=120)
    parts = [list(refs[n::_SIGNERS]) for n in range(_SIGNERS)]
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(_SIGNERS, mp_context=context, initializer=_learn, initargs=(keys,)) as pool:
        loop = asyncio.get_running_loop()
        made = await asyncio.gather(*(loop.run_in_executor(pool, _signed, dated, part) for part in parts))
    whole: list[bytes] = [b""] * len(refs)
    for n, some in enumerate(made):
        whole[n::_SIGNERS] = some
    return whole


_keys: list[Keys] = []


def _learn(keys: Keys) -> None:
    _keys[:] = [keys]


def _signed(dated: datetime, refs: list[str]) -> list[bytes]:
    return [signed(_keys[0], dated, ref) for ref in refs]


# What it means -----------------------------------------------------------------------------------------------------


def _result(trials: Sequence[Trial], longs: Sequence[Trial], profiled: Sequence[Serving]) -> Result:
    last = longs[-1]
    load = last.load
    notes = [f"{trial.rate:,}/s for a short while: {_said(trial)}" for trial in trials]
    notes += [f"{trial.rate:,}/s for {trial.load.seconds:.0f} s: {_said(trial)}" for trial in longs]
    notes.append(f"The generator was late by {load.late_ms:.1f} ms (p99). Cores: {_cores(last)}.")
    figures = [
        Figure(name="rate", unit="/s", rounds=[last.rate if last.held else 0.0]),
        Figure(name="callback in, shop told, p50", unit="ms", rounds=[last.at(0.5)], better="lower"),
        Figure(name="callback in, shop told, p99", unit="ms", rounds=[last.at(0.99)], better="lower"),
        Figure(name="callback in, acknowledged, p50", unit="ms", rounds=[load.p50_ms], better="lower"),
        Figure(name="callback in, acknowledged, p99", unit="ms", rounds=[load.p99_ms], better="lower"),
    ]
    bar = Bar(
        claim="callbacks a second, held from the callback to the shop", value=figures[0].median, at_least=RATES[-1]
    )
    texts = [(f"where the time of --roles {one.roles} goes", one.profile) for one in profiled]
    return Result(figures=figures, bars=[bar], charts=[_chart(last)], notes=notes, texts=texts)


def _said(trial: Trial) -> str:
    held = "held" if trial.held else f"NOT held ({trial.missing} not told in time, {trial.load.refused} refused)"
    return f"{held}; told p50 {trial.at(0.5):.0f} ms, p99 {trial.at(0.99):.0f} ms; the last {trial.lag_s:.2f} s late"


def _cores(trial: Trial) -> str:
    return ", ".join(f"{name} {share:.2f}" for name, share in trial.cores.items())


def _chart(trial: Trial) -> Chart:
    """The 99th percentile of each second: a backlog would climb."""
    seconds: dict[int, list[float]] = {}
    for n, took in enumerate(trial.took):
        seconds.setdefault(n // trial.rate, []).append(took)
    lines = []
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        points: list[tuple[float | str, float]] = [
            (float(second), sorted(some)[min(len(some) - 1, int(len(some) * share))])
            for second, some in seconds.items()
        ]
        lines.append(Series(name, points))
    title = f"Callback in, shop told, at {trial.rate:,} a second"
    return Chart(title=title, kind="lines", unit="ms", series=lines, along="seconds")
