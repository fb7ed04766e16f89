"""One step at a time: who overtakes whom, who waits for a lock and who dies follows from the seed, not from timing."""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from paidup.simulator.actors import Life
from paidup.simulator.clock import Clock
from paidup.simulator.database import StagedDatabase
from paidup.simulator.fates import Fates, Hit, weather_of
from paidup.simulator.ground import Ground
from paidup.simulator.stage import Stage, Stuck

NOW = datetime(2026, 11, 24, tzinfo=UTC)
LOCK = "SELECT shop FROM shops WHERE shop = $1 FOR UPDATE"
Work = Callable[[StagedDatabase], Coroutine[Any, Any, None]]


@pytest.fixture
async def shops(soil: Ground) -> None:
    """Two rows to lock."""
    await soil.clear()
    await soil.admin.execute("INSERT INTO shops (shop, created_at) VALUES ('a', now()), ('b', now())")


def a_stage(soil: Ground, **weather: float) -> tuple[Stage, StagedDatabase]:
    stage = Stage(Clock(NOW), Fates(1, {name.replace("_", "."): rate for name, rate in weather.items()}), soil.backends)
    stage.told = []
    return stage, StagedDatabase(soil, stage)


def locks(*names: str) -> Work:
    """A transaction that locks these rows in this order."""

    async def work(db: StagedDatabase) -> None:
        async with db.transaction() as tx:
            for name in names:
                await tx.fetch(LOCK, name)

    return work


async def play(soil: Ground, *works: Work, **weather: float) -> Stage:
    stage, db = a_stage(soil, **weather)
    for n, work in enumerate(works):
        stage.spawn(f"w{n}", work(db))
    try:
        await stage.play()
    finally:
        await stage.close()
    return stage


async def test_who_waits_for_a_lock_goes_on_when_it_is_released(soil: Ground, shops: None) -> None:
    """Overtaken in its transaction, one holds a row that the other wants: the other waits, and both come through."""
    runs = [await play(soil, locks("a"), locks("a"), overlap=1.0) for _ in range(2)]
    told = [line.partition(" ")[2].partition(" ")[2] for line in runs[0].told or ()]
    assert runs[0].trace == runs[1].trace
    assert ({"w0: waits for a lock", "w1: waits for a lock"} & set(told), 2) == ({told[4]}, told.count("committed"))


async def test_a_session_waits_for_a_lock_as_a_transaction_does(soil: Ground, shops: None) -> None:
    """One statement outside of any transaction wants a row that a transaction holds: the holder goes on."""

    async def looks(db: StagedDatabase) -> None:
        async with db.session() as tx:
            await tx.fetch(LOCK, "a")

    stage = await play(soil, locks("a", "b"), looks, overlap=1.0)
    assert ([], True) == (stage.failures, any("waits for a lock" in line for line in stage.told or ()))


async def test_who_was_let_go_is_done_before_the_other_goes_on(soil: Ground, shops: None) -> None:
    """However long a statement takes once it has its lock: it does not run beside the next one of him who had it."""
    done_at: dict[str, datetime] = {}
    slow = f"SELECT clock_timestamp() FROM ({LOCK}) locked CROSS JOIN LATERAL pg_sleep(0.03)"

    async def has_it(db: StagedDatabase) -> None:
        await locks("a")(db)
        done_at["goes on"] = await db.read("SELECT clock_timestamp()")

    async def wants_it(db: StagedDatabase) -> None:
        async with db.transaction() as tx:
            done_at["let go"] = await tx.fetchval(slow, "a")

    stage = await play(soil, has_it, wants_it, overlap=1.0)
    assert any(line.endswith("waits for a lock") for line in stage.told or ())
    assert ["let go", "goes on"] == sorted(done_at, key=lambda name: done_at[name])


async def test_of_two_whom_one_commit_frees_the_first_is_done_before_the_second_goes_on(
    soil: Ground, shops: None
) -> None:
    """However long the first takes: if both went on at once, the machine's load would say who comes before whom."""
    done_at: dict[str, datetime] = {}

    def wants(who: str, name: str, then_s: float) -> Work:
        async def work(db: StagedDatabase) -> None:
            await db.read("SELECT 1")  # so that the other one begins
            query = f"SELECT clock_timestamp() FROM ({LOCK}) locked CROSS JOIN LATERAL pg_sleep({then_s})"
            async with db.transaction() as tx:
                done_at[who] = await tx.fetchval(query, name)

        return work

    stage = await play(soil, locks(*"abababab"), wants("w1", "a", 0.03), wants("w2", "b", 0.0), overlap=1.0)
    waited = [line.split()[2].rstrip(":") for line in stage.told or () if line.endswith("waits for a lock")]
    assert (["w1", "w2"], sorted(done_at, key=lambda who: done_at[who])) == (waited, waited)


async def test_a_run_that_ends_in_a_deadlock_leaves_no_process_of_the_server_standing(
    soil: Ground, shops: None
) -> None:
    """What was held in its wait goes on, and its transaction is undone: the rows are free at once."""
    with pytest.raises(Stuck):
        await play(soil, locks("a", "b"), locks("b", "a"), overlap=1.0)
    assert not soil.backends.held
    assert await soil.admin.fetch("SELECT shop FROM shops FOR UPDATE NOWAIT")


async def test_a_deadlock_is_found_at_once(soil: Ground, shops: None) -> None:
    """Two that lock the same rows in opposite orders: PostgreSQL is not left to choose a victim."""
    with pytest.raises(Stuck, match="w0, w1 wait for locks"):
        await play(soil, locks("a", "b"), locks("b", "a"), overlap=1.0)


async def test_without_being_overtaken_one_goes_after_the_other(soil: Ground, shops: None) -> None:
    """Nobody is interrupted unless the seed says so."""
    told = (await play(soil, locks("a", "b"), locks("b", "a"))).told or ()
    assert [f"w{n}" for n in (0, 0, 0, 0, 0, 1, 1, 1, 1, 1)] == [
        line.split(" ")[2].rstrip(":") for line in told if " w" in line
    ]


@pytest.mark.parametrize(("kind", "kept"), [("commit_undone", False), ("commit_lost", True), ("db_refused", False)])
async def test_the_caller_cannot_tell_how_a_commit_ended(soil: Ground, shops: None, kind: str, kept: bool) -> None:
    """Undone or merely unheard of: the same kind of error, and the row tells the truth."""
    errors = []

    async def work(db: StagedDatabase) -> None:
        try:
            async with db.transaction() as tx:
                await tx.execute("INSERT INTO shops (shop, created_at) VALUES ('c', now())")
        except (OSError, asyncpg.PostgresConnectionError) as error:
            errors.append(error)

    await play(soil, work, **{kind: 1.0})
    there = await soil.admin.fetchval("SELECT count(*) FROM shops WHERE shop = 'c'")
    assert (1, int(kept)) == (len(errors), there)


async def test_whoever_dies_touches_nothing_any_more(soil: Ground, shops: None) -> None:
    """Cleaning up after a death reaches no table: what a process does in `finally` is not what a killed one does."""
    stage, db = a_stage(soil)
    life = Life("p0")

    async def work() -> None:
        try:
            async with db.transaction() as tx:
                await tx.execute("INSERT INTO shops (shop, created_at) VALUES ('d', now())")
                life.alive = False
                await tx.execute("SELECT 1")
        finally:
            async with db.transaction() as tx:
                await tx.execute("INSERT INTO shops (shop, created_at) VALUES ('e', now())")

    stage.spawn("work", work(), life)
    await stage.play()
    assert ([], 2) == (stage.failures, await soil.admin.fetchval("SELECT count(*) FROM shops"))


async def test_nothing_of_a_run_ends_after_it(soil: Ground, shops: None) -> None:
    """What the dead and the unfinished had started is ended with the run, in silence: not when it is collected, in the
    middle of whatever runs then."""
    loop, told = asyncio.get_running_loop(), list[dict[str, Any]]()
    before, tasks = loop.get_exception_handler(), asyncio.all_tasks()
    loop.set_exception_handler(lambda _loop, context: told.append(context))
    stage, db = a_stage(soil)
    life = Life("p0")

    async def child(dies: bool) -> None:
        async with db.transaction() as tx:
            life.alive = not dies
            await tx.execute("SELECT 1")
            await stage.pause(60)

    async def parent() -> None:
        children = [asyncio.create_task(child(dies)) for dies in (False, True)]
        await asyncio.wait(children)

    stage.spawn("lives on", child(dies=False))
    stage.spawn("dies", parent(), life)
    await stage.play()
    await stage.close()
    stage.spawn("never begins", child(dies=False))
    await stage.close()
    gc.collect()
    loop.set_exception_handler(before)
    assert ([], tasks) == (told, asyncio.all_tasks())


async def test_the_clock_stands_still_while_anybody_can_go_on(soil: Ground) -> None:
    """Sleepers wake when the clock was moved, in the order in which their time comes."""
    stage, _ = a_stage(soil)
    woken = []

    async def sleeper(seconds: float) -> None:
        await stage.pause(seconds)
        woken.append(seconds)

    for seconds in (20.0, 10.0):
        stage.spawn(f"sleeps {seconds}", sleeper(seconds))
    await stage.play()
    assert (NOW + timedelta(seconds=10), []) == (stage.wakes_at, woken)
    stage.clock.move(NOW + timedelta(seconds=10))
    await stage.play()
    stage.clock.move(NOW + timedelta(hours=1))
    await stage.play()
    assert ([10.0, 20.0], True) == (woken, stage.is_empty)


def test_a_fault_keeps_its_place_when_another_is_taken_away() -> None:
    """A fault is known by whom it befalls, and at which of his occasions."""
    fates = Fates(1, {"callback.lost": 1.0}, frozenset({"callback.lost: b #2"}))
    for whom in ("a", "b", "a", "b"):
        fates.hits("callback.lost", whom, NOW)
    assert [Hit("callback.lost", "callback.lost: b #2", NOW)] == fates.hit


def test_each_seed_has_weather_of_its_own() -> None:
    """No kind of fault is everywhere, none is nowhere."""
    weathers = [weather_of(seed) for seed in range(100)]
    kinds = {kind for weather in weathers for kind in weather}
    assert {True} == {20 < sum(kind in weather for weather in weathers) < 80 for kind in kinds}
