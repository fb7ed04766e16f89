"""Does work become dearer when the tables grow? Empty and full databases on one server, interleaved in one run.

Three questions: a million open payments whose questions are due; a million deliveries that wait for an endpoint which
does not answer; and ninety days of history below the door and the entrance.

`python -m bench growth` builds 2 million rows of history (some 3 GB); `python -m bench.growth --rows 10000000` as many
as it is told to.
"""

import argparse
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import uvloop

from bench import door, fill, report
from bench.fresh import fresh
from bench.result import Asked, Bar, Figure, Result, ratios
from bench.world import World, world
from paidup import ids
from paidup.db.transaction import Database
from paidup.delivery import store as delivery
from paidup.delivery.plan import Answer, decide
from paidup.intake import inbox
from paidup.schedule import store as schedule

ROWS, DAYS, WAITING = 2_000_000, 90, 1_000_000
"""What is there by default: rows of history, the days they lie on, and jobs that wait. History takes 1.4 KB a row."""

BATCH = 500
DEAD, HEALTHY = "ept-dead", ("ept-a", "ept-b", "ept-c", "ept-d")
_STORED_AT_ONCE = 256  # what the flusher writes at most in one commit


@dataclass(frozen=True)
class Pace:
    """How much was done, how much of it a second, and the milliseconds of one claim."""

    done: int
    per_s: float
    claim_p50_ms: float
    claim_p99_ms: float


async def run(asked: Asked) -> Result:
    """On a server of its own."""
    async with world() as place:
        if asked.quick:
            return await measure(place, rows=ROWS // 10, days=DAYS, waiting=WAITING // 10, rounds=3, batched=2000)
        return await measure(place, rows=ROWS, days=DAYS, waiting=WAITING, rounds=5, batched=4000)


async def measure(world: World, *, rows: int, days: int, waiting: int, rounds: int, batched: int) -> Result:
    """All three questions, one after the other."""
    parts = [
        await _schedule(world, waiting, rounds),
        await _delivery(world, waiting, rounds),
        await _history(world, rows, days, rounds, batched),
    ]
    return Result(
        figures=[figure for part in parts for figure in part.figures],
        bars=[bar for part in parts for bar in part.bars],
        notes=[note for part in parts for note in part.notes],
    )


# What is due ------------------------------------------------------------------------------------------------------


async def _schedule(world: World, waiting: int, rounds: int) -> Result:
    """Claimed and settled until nothing is due: every other one is asked again later, the others are finished."""
    paces: list[Pace] = []
    small: list[Pace] = []
    for n in range(max(1, rounds // 2)):
        async with fresh(world, f"bench_due_{n}") as db:
            await fill.open_payments(db, world.now, waiting, 86400)
            paces.append(await ask_all(db, world.now))
        async with fresh(world, f"bench_due_small_{n}") as db:
            await fill.open_payments(db, world.now, 10 * BATCH, 86400)
            small.append(await ask_all(db, world.now))
    full = Figure(name=f"claimed and settled, {waiting:,} due", unit="/s", rounds=[p.per_s for p in paces])
    p99 = Figure(name="p99 of a claim of 500", unit="ms", rounds=[p.claim_p99_ms for p in paces], better="lower")
    return Result(
        figures=[
            full,
            Figure(name=f"claimed and settled, {10 * BATCH:,} due", unit="/s", rounds=[p.per_s for p in small]),
            p99,
        ],
        bars=[
            Bar(claim=f"questions claimed and settled a second, {waiting:,} due", value=full.median, at_least=10_000),
            Bar(claim=f"p99 of one claim in ms, {waiting:,} due", value=p99.median, at_most=50),
        ],
    )


async def ask_all(db: Database, now: datetime) -> Pace:
    """Claim what is due and settle it, as the repair worker does, without the channel in between."""
    took, done = [], 0
    began = time.monotonic()
    while True:
        claimed_at = time.monotonic()
        async with db.transaction() as tx:
            dues = await schedule.claim(tx, now, now + timedelta(minutes=1), BATCH)
        if not dues:
            break
        took.append(time.monotonic() - claimed_at)
        async with db.transaction() as tx:
            await schedule.postpone(tx, [(due, now + timedelta(hours=1), due.asked + 1) for due in dues[::2]])
            await schedule.drop(tx, [due.subject_id for due in dues[1::2]])
        done += len(dues)
    return _pace(done, time.monotonic() - began, took)


def _pace(done: int, elapsed_s: float, took_s: list[float]) -> Pace:
    took_s.sort()
    p99 = took_s[min(len(took_s) - 1, len(took_s) * 99 // 100)]
    return Pace(done, done / elapsed_s, took_s[len(took_s) // 2] * 1000, p99 * 1000)


# What waits to be delivered ---------------------------------------------------------------------------------------


async def _delivery(world: World, waiting: int, rounds: int) -> Result:
    """Events for four healthy endpoints, given out, claimed and settled, beside a dead endpoint with and without much
    that waits for it."""
    async with fresh(world, "bench_told") as full, fresh(world, "bench_told_empty") as empty:
        for db in (full, empty):
            await fill.endpoints(db, world.now, (DEAD, *HEALTHY))
        await fill.deliveries(full, world.now - timedelta(hours=2), waiting // 2, [DEAD], world.now)
        paces: dict[Database, list[Pace]] = {full: [], empty: []}
        for n in range(rounds):
            for db in (full, empty) if n % 2 else (empty, full):
                at = world.now + timedelta(seconds=n)
                await fill.queued_events(db, at, 1000, f"{n}-")
                paces[db].append(await tell_all(db, at + timedelta(seconds=1)))
    crowded, alone = [p.per_s for p in paces[full]], [p.per_s for p in paces[empty]]
    rate = ratios(f"delivered with {waiting:,} waiting / with none", crowded, alone)
    slower = [[p.claim_p50_ms for p in paces[db]] for db in (full, empty)]
    return Result(
        figures=[
            Figure(name=f"delivered, {waiting:,} waiting for a dead endpoint", unit="/s", rounds=crowded),
            Figure(name="delivered, none waiting", unit="/s", rounds=alone),
            rate,
            ratios("one claim, full / empty", *slower),
        ],
        bars=[Bar(claim=rate.name, value=rate.median, at_least=0.85)],
    )


async def tell_all(db: Database, now: datetime) -> Pace:
    """Give out what is in the outbox, and deliver it to the healthy endpoints; the breaker of the dead one is open."""
    took, done = [], 0
    began = time.monotonic()
    while True:
        async with db.transaction() as tx:
            given_out = await delivery.fan_out(tx, now, 200)
        claimed_at = time.monotonic()
        async with db.transaction() as tx:
            await delivery.skip_disabled(tx, 200)
            claimed = await delivery.claim(
                tx, now, now + timedelta(minutes=1), 200, per_endpoint=50, room_at={DEAD: delivery.Room(0)}
            )
        took.append(time.monotonic() - claimed_at)
        async with db.transaction() as tx:
            await delivery.settle(tx, [_delivered(one, now) for one in claimed])
        done += len(claimed)
        if not given_out and not claimed:
            return _pace(done, time.monotonic() - began, took)


def _delivered(claimed: delivery.Claimed, now: datetime) -> delivery.Settled:
    answer = Answer(status=200, elapsed_ms=5)
    return delivery.Settled(claimed, now, now, answer, decide(answer, claimed.attempts + 1, now, 1.0))


# What lies below the door and the entrance ------------------------------------------------------------------------

Measure = Callable[[World, str], Awaitable[float]]


async def _history(world: World, rows: int, days: int, rounds: int, batched: int) -> Result:
    async with fresh(world, "bench_full") as full, fresh(world, "bench_empty") as empty:
        began = time.monotonic()
        orders = await fill.history(full, world.now, rows=rows, days=days)
        await fill.settle_down(full)
        built = f"{rows:,} rows of history ({orders:,} paid orders on {days} days) took {await _size(full)} of disk"

        async def settle(place: World, name: str) -> float:
            return (await door.settle(place, name, batched, BATCH)).per_s

        parts = [
            await _compare("stored", store, world, full, empty, rounds),
            await _compare("applied", settle, world, full, empty, rounds),
        ]
    return Result(
        figures=[figure for part in parts for figure in part.figures],
        bars=[bar for part in parts for bar in part.bars],
        notes=[f"{built} and {time.monotonic() - began:.0f} s in all."],
    )


async def _compare(what: str, measure: Measure, world: World, full: Database, empty: Database, rounds: int) -> Result:
    """Interleaved rounds. The first is not counted: it fills caches; and the empty tables get their first statistics
    after it, without which they are the slower ones."""
    paces: dict[Database, list[float]] = {full: [], empty: []}
    for n in range(rounds + 1):
        for db in (full, empty) if n % 2 else (empty, full):
            place = replace(world, db=db, now=world.now + timedelta(seconds=n))
            paces[db].append(await measure(place, f"{what}{n}"))
            if n == 0:
                await fill.analyze_books_and_queues(db)
    rate = ratios(f"callbacks {what}, full / empty", paces[full][1:], paces[empty][1:])
    return Result(
        figures=[
            Figure(name=f"callbacks {what}, full", unit="/s", rounds=paces[full][1:]),
            Figure(name=f"callbacks {what}, empty", unit="/s", rounds=paces[empty][1:]),
            rate,
        ],
        bars=[Bar(claim=rate.name, value=rate.median, at_least=0.85)],
    )


async def store(world: World, name: str) -> float:
    """Callbacks made durable a second, in commits as large as the flusher's largest."""
    rows = [callback(world, f"{name}-{n}") for n in range(24 * _STORED_AT_ONCE)]
    began = time.monotonic()
    for start in range(0, len(rows), _STORED_AT_ONCE):
        async with world.db.transaction() as tx:
            await inbox.store(tx, rows[start : start + _STORED_AT_ONCE])
    elapsed_s = time.monotonic() - began
    async with world.db.transaction() as tx:
        await tx.execute("TRUNCATE inbox_queue")
    return len(rows) / elapsed_s


def callback(world: World, key: str) -> inbox.Received:
    """A callback of usual length that nobody has to understand."""
    return inbox.Received(
        id=ids.new_id(ids.CALLBACK, world.now), received_at=world.now, shop=fill.SHOP, channel="wechat", account="main",
        dedup_key=key, kind="TRANSACTION.SUCCESS", target="/callbacks/wechat/main", headers="h" * 700, body=b"b" * 960,
        merchant_ref=key, evidence="e" * 400,
    )  # fmt: skip


async def _size(db: Database) -> str:
    async with db.session() as tx:
        return str(await tx.fetchval("SELECT pg_size_pretty(pg_database_size(current_database()))"))


def main() -> None:
    """As large as it is told to be."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows of history ({ROWS}); a million takes 1.4 GB")
    parser.add_argument("--waiting", type=int, default=WAITING, help=f"questions due, deliveries waiting ({WAITING})")
    options = parser.parse_args()

    async def sized() -> Result:
        async with world() as place:
            return await measure(place, rows=options.rows, days=DAYS, waiting=options.waiting, rounds=5, batched=4000)

    result = uvloop.run(sized())
    print(report.as_text(result))


if __name__ == "__main__":
    main()
