"""What the proof costs, and how fast it is: seals and chains in the door, and `verify` over many orders."""

import contextlib
import resource
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

from bench import door
from bench.result import Asked, Bar, Figure, Result
from bench.world import World, world
from paidup import chain
from paidup.orders import store as orders
from paidup.payments import store as payments
from paidup.verify import verify

ROWS_PER_ORDER = 5
"""Of a plainly paid order: the order, its payment, its decision, two events."""
MAX_COST = 0.10
TABLES = "orders, payments, refunds, decisions, events, outbox_queue, inbox, due"


async def run(asked: Asked) -> Result:
    """On a database of its own."""
    async with world() as place:
        cost = await _cost(place, rounds=6 if asked.quick else 12, count=2000 if asked.quick else 5000)
        speed = await _speed(place, batches=4 if asked.quick else 40)
    return Result(figures=cost.figures + speed.figures, bars=cost.bars + speed.bars)


async def _cost(place: World, *, rounds: int, count: int) -> Result:
    """The door with and without, in turns, on tables that are empty each time."""
    proven: list[float] = []
    unproven: list[float] = []
    for n in range(rounds):
        for without in (True, False) if n % 2 else (False, True):
            with _no_proof() if without else contextlib.nullcontext():
                (unproven if without else proven).append((await door.settle(place, f"{without}{n}", count, 500)).per_s)
            async with place.db.transaction() as tx:
                await tx.execute(f"TRUNCATE {TABLES} CASCADE")  # unproven rows would be breaches
    share = 1 - median(a / b for a, b in zip(proven, unproven, strict=True))
    return Result(
        figures=[
            Figure(name="door with seals and chains", unit="/s", rounds=proven),
            Figure(name="door without", unit="/s", rounds=unproven),
            Figure(name="share of the door's time", unit="", rounds=[share], better="lower"),
        ],
        bars=[Bar(claim="what the proof costs of the door's time", value=share, at_most=MAX_COST)],
    )


async def _speed(place: World, *, batches: int) -> Result:
    for n in range(batches):
        await door.settle(place, f"v{n}", 5000, 500)
    began = time.monotonic()
    report = await verify(place.db, now=place.now)
    rate = report.orders * ROWS_PER_ORDER / (time.monotonic() - began)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Result(
        figures=[
            Figure(name="verified", unit=" rows/s", rounds=[rate]),
            Figure(name="10 million rows take", unit=" min", rounds=[10_000_000 / rate / 60], better="lower"),
            Figure(name="peak memory of verify", unit=" MB", rounds=[peak_mb], better="lower"),
        ],
        bars=[Bar(claim="everything verified holds (1: it does)", value=float(report.holds), at_least=1)],
    )


@contextlib.contextmanager
def _no_proof() -> Iterator[None]:
    """The door as it would be without seals and chains. Only here, to know what they cost."""
    places: tuple[tuple[Any, str, Any], ...] = (
        (orders, "seal", lambda _row: b""),
        (payments, "seal", lambda _row: b""),
        (chain, "extend", lambda entries, _told, _orders: chain.Chained(list(entries), {})),
    )
    kept = [getattr(module, name) for module, name, _ in places]
    for module, name, instead in places:
        setattr(module, name, instead)
    try:
        yield
    finally:
        for (module, name, _), before in zip(places, kept, strict=True):
            setattr(module, name, before)
