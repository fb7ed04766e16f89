"""How many buyers a second get one hot article, against one transaction per buyer; and does a sale with crashes add up?

All write the same, on the same durable server: the order, its reservation, the movement, the counters. The peers are
what one writes by hand (bench/stock_peers.py): lock the row, look, write, commit; the same with the row taken last; all
of it in a single statement, which holds the row only for its commit.
"""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from bench.fresh import fresh
from bench.result import Asked, Bar, Figure, Result, ratios
from bench.stock_peers import in_one_statement, look_first, take_last
from bench.world import World, as_on_slower_disk, world
from paidup.checkout.counter import Counter
from paidup.checkout.sell import Wanted
from paidup.checkout.warehouse import Change, Described, change, put_sku
from paidup.db.transaction import Database
from paidup.errors import OutOfStock
from paidup.inventory.sku import Item
from paidup.inventory.states import Kind
from paidup.money import Money
from paidup.orders.order import LatePayment
from paidup.shops import store as shops
from paidup.verify import verify
from paidup.verify.stock import check_stock

SHOP, MONEY = "bench", Money(1250, "CNY")
CALLERS = 500
COUNTS = (1, 2, 4)
PLENTY = 10_000_000
BUYERS, UNITS, STANDS, CRASHES = 20_000, 1000, 4, 3
_ROOT = Path(__file__).parents[1]

PEERS = {
    "one transaction each, looks first": look_first,
    "one transaction each, takes last": take_last,
    "one statement each": in_one_statement,
}
OURS, REFUSED = "at the counter", "refused at the counter: sold out"

Buy = Callable[[int], Awaitable[object]]


class Pace(msgspec.Struct, frozen=True):
    """Buyers a second, and how long the slowest of a hundred waited."""

    per_s: float
    p99_ms: float


async def run(asked: Asked) -> Result:
    """On a server of its own."""
    async with world(as_on_slower_disk(asked.flush_ms)) as place:
        seconds, rounds = (1.0, 2) if asked.quick else (2.0, 4)
        rates = await measure(place, rounds=rounds, seconds=seconds)
        shared = await processes(place, rounds=rounds, seconds=seconds)
        sums = await sale(place, buyers=BUYERS, units=UNITS)
    parts = (rates, shared, sums)
    return Result(
        figures=[figure for part in parts for figure in part.figures],
        bars=[bar for part in parts for bar in part.bars],
        notes=[note for part in parts for note in part.notes],
    )


# One process ---------------------------------------------------------------------------------------------------------


async def measure(world: World, *, rounds: int, seconds: float, callers: int = CALLERS) -> Result:
    """Interleaved rounds of all ways, each on an article of its own; then of buyers who come when all is gone."""
    paces: dict[str, list[Pace]] = {}
    async with fresh(world, "bench_stock") as db:
        counter = Counter(db, lambda: world.now)
        for n in range(rounds):
            for name, way in PEERS.items():
                sku = await stock(db, f"{way.__name__}-{n}", PLENTY, world.now)
                buy = way(db, SHOP, sku, world.now)
                paces.setdefault(name, []).append(await crowd(buy, callers=callers, seconds=seconds))
            for name, units in ((OURS, PLENTY), (REFUSED, 0)):
                sku = await stock(db, f"ours-{n}-{units}", units, world.now)
                found = await crowd(at_the_counter(counter, sku), callers=callers, seconds=seconds)
                paces.setdefault(name, []).append(found)
        holds = all(one.holds for one in await check_stock(db))
    times = [ratios(f"{OURS} / {name}", _rates(paces[OURS]), _rates(paces[name])) for name in PEERS]
    longest = max(pace.p99_ms for pace in paces[OURS])
    shortest = min(pace.p99_ms for name in PEERS for pace in paces[name])
    return Result(
        figures=[figure for name, found in paces.items() for figure in (_rate(name, found), _p99(name, found))] + times,
        bars=[
            Bar(claim=f"{times[0].name}, {callers} callers on one article", value=times[0].median, at_least=50),
            Bar(claim="longest p99 at the counter / shortest of a peer", value=longest / shortest, at_most=1),
            Bar(claim="what all of them wrote adds up (1: it does)", value=float(holds), at_least=1),
        ],
    )


def _rates(paces: Sequence[Pace]) -> list[float]:
    return [pace.per_s for pace in paces]


def _rate(name: str, paces: Sequence[Pace]) -> Figure:
    return Figure(name=name, unit="/s", rounds=[pace.per_s for pace in paces])


def _p99(name: str, paces: Sequence[Pace]) -> Figure:
    return Figure(name=f"{name}, p99", unit=" ms", rounds=[pace.p99_ms for pace in paces], better="lower")


def at_the_counter(counter: Counter, sku: str, name: str = "") -> Buy:
    """A buyer of one unit; whoever is refused goes home."""

    async def buy(n: int) -> object:
        try:
            return await counter.place(wanted(sku, f"{name or sku}-{n}"))
        except OutOfStock as refusal:
            return refusal

    return buy


def wanted(sku: str, number: str) -> Wanted:
    """One unit."""
    return Wanted(shop=SHOP, shop_order_no=number, money=MONEY, items=(Item(sku, 1),), ttl_s=7200)


async def stock(db: Database, sku: str, units: int, now: datetime) -> str:
    """The shop, with so many units of this article; gives its name."""
    async with db.transaction() as tx:
        await shops.put_shop(tx, SHOP, LatePayment.REOPEN, now)
        await put_sku(tx, Described(shop=SHOP, sku=sku), now)
        if units:
            wanted = Change(
                shop=SHOP, sku=sku, kind=Kind.RESTOCK, quantity=units, reason="bench", operator="bench", key="first"
            )
            await change(tx, wanted, now)
    return sku


async def crowd(buy: Buy, *, callers: int, seconds: float) -> Pace:
    """So many callers, each of whom comes back as soon as he is served."""
    took: list[float] = []
    began = time.monotonic()

    async def caller(first: int) -> None:
        n = first
        while (at := time.monotonic()) - began < seconds:
            await buy(n)
            took.append(time.monotonic() - at)
            n += callers

    await asyncio.gather(*map(caller, range(callers)))
    per_s = len(took) / (time.monotonic() - began)
    return Pace(per_s, sorted(took)[len(took) * 99 // 100] * 1000)


# Several processes ---------------------------------------------------------------------------------------------------


async def processes(world: World, *, rounds: int, seconds: float) -> Result:
    """The same article, sold by 1, 2 and 4 processes at once, with as many callers in all."""
    paces: dict[int, list[Pace]] = {count: [] for count in COUNTS}
    for n in range(rounds):
        for count in COUNTS:
            async with fresh(world, f"bench_stock_{n}_{count}") as db:
                await stock(db, "hot", PLENTY, world.now)
                paces[count].append(await _together(db, world, count, seconds))
    figures = [_rate(_processes(count), paces[count]) for count in COUNTS]
    figures += [_p99(_processes(count), paces[count]) for count in COUNTS]
    note = (
        f"The processes share {os.cpu_count()} cores with PostgreSQL, and one row: only one of them writes at a time."
    )
    return Result(figures=figures, notes=[note])


def _processes(count: int) -> str:
    return f"one article, {count} process{'es' * (count > 1)}"


async def _together(db: Database, world: World, count: int, seconds: float) -> Pace:
    crowds = [
        await _stand("crowd", db.dsn, world.now.isoformat(), str(n), str(CALLERS // count), str(seconds))
        for n in range(count)
    ]
    for one in crowds:
        await one.stdout.readline()
    for one in crowds:
        one.stdin.write(b"go\n")
    said = [msgspec.json.decode(await one.stdout.readline(), type=Pace) for one in crowds]
    await asyncio.gather(*(one.wait() for one in crowds))
    return Pace(sum(pace.per_s for pace in said), max(pace.p99_ms for pace in said))


async def _stand(*arguments: str) -> Any:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.stock_stand", *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=_ROOT,
    )  # fmt: skip


# A sale with crashes -------------------------------------------------------------------------------------------------


async def sale(world: World, *, buyers: int, units: int) -> Result:
    """More buyers than units, at four stands whose processes are killed at random; each buyer asks until he is told."""
    dice = random.Random(1)
    async with fresh(world, "bench_sale") as db:
        await stock(db, "hot", units, world.now)
        began = time.monotonic()
        done = await asyncio.gather(
            *(_sell_out(db, world, n, buyers // STANDS, random.Random(dice.random())) for n in range(STANDS))
        )
        took_s = time.monotonic() - began
        sums = await _sums(db)
        report = await verify(db)
    crashes = sum(crashed for crashed, _ in done)
    answered = sum(found for _, found in done)
    total = sums["available"] + sums["reserved"] + sums["sold"]
    return Result(
        figures=[Figure(name=f"{buyers} buyers for {units} units", unit=" s", rounds=[took_s], better="lower")],
        bars=[
            Bar(claim="sale: sold + reserved + available − units", value=total - units, at_least=0, at_most=0),
            Bar(claim="sale: units left although more were wanted", value=sums["available"], at_least=0, at_most=0),
            Bar(claim="sale: buyers who were told yes − units reserved", value=answered - sums["reserved"],
                at_least=0, at_most=0),
            Bar(claim="sale: everything adds up (1: it does)", value=float(report.holds), at_least=1),
            Bar(claim="sale: processes killed in the middle of it", value=crashes, at_least=1),
        ],
        notes=[f"In the sale {crashes} processes were killed; it ended with {dict(sums)}."],
    )  # fmt: skip


async def _sums(db: Database) -> Mapping[str, int]:
    async with db.session() as tx:
        row = await tx.fetchrow("SELECT available, reserved, sold FROM skus WHERE sku = 'hot'")
    assert row is not None
    return dict(row)


async def _sell_out(db: Database, world: World, stand: int, buyers: int, dice: random.Random) -> tuple[int, int]:
    """One stand until all of its buyers are answered; how often it was killed, and how many got their unit."""
    crashes = 0
    while True:
        process = await _stand("sale", db.dsn, world.now.isoformat(), str(stand), str(buyers))
        await process.stdout.readline()
        process.stdin.write(b"go\n")
        # A stand needs some tenths of a second; the first times somebody kills it before.
        patience_s = dice.uniform(0.01, 0.12) if crashes < CRASHES else 120.0
        try:
            async with asyncio.timeout(patience_s):
                said = await process.stdout.readline()
        except TimeoutError:
            said = b""
            process.send_signal(signal.SIGKILL)
        await process.wait()
        if said:
            return crashes, int(said)
        crashes += 1
