"""The benches of growth, of processes and of cells, in small: what they do is right, and the hot statements look up
what they need however much lies around it. Times are none of a test's business."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from bench import cells, door, fill, footprint, growth, processes
from bench.fresh import fresh
from bench.plans import Plan, Watched, explain
from bench.world import World, callbacks, world

from paidup import housekeeping, ids
from paidup.db.transaction import Database
from paidup.delivery import shown
from paidup.delivery import store as delivery
from paidup.handlers import Handlers
from paidup.intake import inbox
from paidup.intake import worker as intake
from paidup.outbox.floor import BEGINNING
from paidup.schedule import store as schedule
from paidup.verify import verify

DAYS, ROWS = 6, 48_000
"""2,000 paid orders on each of six days: a table this large is not read whole by a plan that can look things up."""

BIG = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relpages > 60 AND relnamespace = 'public'::regnamespace"


@pytest.fixture(scope="module")
async def place() -> AsyncIterator[World]:
    """A durable server, accounts and keys of the bench's own."""
    async with world() as made:
        yield made


@pytest.fixture(scope="module")
async def full(place: World) -> AsyncIterator[Database]:
    """A database with history, as it is once autovacuum has been there."""
    async with fresh(place, "full") as db:
        await fill.history(db, place.now, rows=ROWS, days=DAYS)
        await fill.settle_down(db)
        yield db


@pytest.fixture(params=["custom", "generic"])
async def watched(request: pytest.FixtureRequest, place: World, full: Database) -> AsyncIterator[Watched]:
    """The full database, every statement explained: planned with its arguments, and planned without knowing them."""
    db = await Watched.connect(full.dsn, max_size=2)
    db.plans, db.generic = [], request.param == "generic"
    yield db
    await db.close()


async def big_tables(db: Database) -> set[str]:
    async with db.session() as tx:
        return {row["relname"] for row in await tx.fetch(BIG)}


def read_whole(plans: list[Plan], big: set[str]) -> list[str]:
    return [f"{table} by {plan.query}" for plan in plans for table in plan.read_whole if table in big]


def past_days(plans: list[Plan], big: set[str]) -> list[str]:
    return [f"{table} by {plan.query}" for plan in plans for table in plan.opened if "_p2" in table and table in big]


async def test_the_fill_is_what_it_says(place: World, full: Database) -> None:
    """As many rows as asked for, a partition per day, and ids that carry their time as ours do."""
    big = await big_tables(full)
    async with full.session() as tx:
        counted = [await tx.fetchval(f"SELECT count(*) FROM {t}") for t in ("inbox", "decisions", "events")]
        first = await tx.fetchrow("SELECT id, created_at FROM orders ORDER BY id LIMIT 1")
    assert [ROWS // 4, ROWS // 4, ROWS // 2] == counted
    assert {"orders", "payments", "numbers"} | {t for t in big if "_p" in t} == big
    assert 3 * DAYS == len([t for t in big if "_p" in t])
    assert first is not None
    assert ids.new_id(ids.ORDER, first["created_at"])[:14] == first["id"][:14]


async def test_the_door_looks_up_what_it_needs(place: World, full: Database, watched: Watched) -> None:
    """Nothing large is read from end to end, and no partition of a past day is opened."""
    name = "generic" if watched.generic else "custom"
    async with full.transaction() as tx:
        await door._prepare(tx, World(place.folder, place.embedded, full, place.keys, place.now), f"door-{name}", 40)
    assert 40 == await intake.run_once(watched, now=place.now, limit=40, handlers=Handlers())
    big = await big_tables(full)
    assert len(watched.plans) >= 7
    assert [[], []] == [read_whole(watched.plans, big), past_days(watched.plans, big)]


async def test_the_entrance_opens_today_only(place: World, watched: Watched) -> None:
    """Storing callbacks looks at no other row of the inbox, large as it is."""
    async with watched.transaction() as tx:
        await inbox.store(tx, [growth.callback(place, f"in-{n}") for n in range(40)])
        await inbox.done(tx, [row.seq for row in await inbox.claim(tx, place.now, 40)])
    big = await big_tables(watched)
    assert [[], []] == [read_whole(watched.plans, big), past_days(watched.plans, big)]


async def test_a_long_inbox_is_taken_from_its_front(place: World) -> None:
    """With many callbacks waiting and no statistics at all, the oldest are found by index, and deleted by theirs."""
    async with fresh(place, "inbox") as db:
        async with db.transaction() as tx:
            for start in range(0, 30_000, 3000):
                await inbox.store(tx, [growth.callback(place, f"{start}-{n}") for n in range(3000)])
        async with db.transaction() as tx:
            seqs = [row.seq for row in await inbox.claim(tx, place.now, 100)]
            plans = [
                await explain(tx, query, args, generic=generic)
                for generic in (False, True)
                for query, args in ((inbox.CLAIM, (place.now, 100, BEGINNING)), (inbox.DONE, (seqs,)))
            ]
    assert [()] * 4 == [plan.read_whole for plan in plans]
    assert [("inbox_queue_waiting",), ("inbox_queue_pkey",)] * 2 == [plan.indexes for plan in plans]


async def test_delivery_opens_only_the_days_of_its_events(place: World, full: Database, watched: Watched) -> None:
    """Giving out, claiming with the events' bodies, and settling touch no past day and read nothing large whole."""
    name = "generic" if watched.generic else "custom"
    async with full.transaction() as tx:
        await tx.execute("DELETE FROM outbox_queue")
        await tx.execute("UPDATE endpoints SET enabled = false")
    await fill.endpoints(full, place.now, [f"ept-{name}"])
    await fill.queued_events(full, place.now, 50, name)
    done = await growth.tell_all(watched, place.now + timedelta(seconds=1))
    big = await big_tables(full)
    assert 100 == done.done
    assert [[], []] == [read_whole(watched.plans, big), past_days(watched.plans, big)]


async def test_what_is_due_is_found_by_its_time_before_anything_was_analyzed(place: World) -> None:
    """With many open payments and no statistics at all, claiming, postponing and dropping use the indexes."""
    async with fresh(place, "due") as db:
        await fill.open_payments(db, place.now, 60_000, 3600)
        until = place.now + timedelta(minutes=1)
        async with db.transaction() as tx:
            dues = await schedule.claim(tx, place.now, until, 100)
            ids_, leases = [d.subject_id for d in dues], [d.lease for d in dues]
            plans = [
                await explain(tx, query, args, generic=generic)
                for generic in (False, True)
                for query, args in (
                    (schedule.CLAIM, (place.now, until, 100)),
                    (schedule.POSTPONE, (ids_, leases, [until] * 100, [1] * 100)),
                    (schedule.DROP, (ids_,)),
                )
            ]
    assert [()] * 6 == [plan.read_whole for plan in plans]
    assert [("due_by_time",), ("due_pkey",), ("due_pkey",)] * 2 == [plan.indexes for plan in plans]


async def test_a_long_outbox_is_taken_from_its_front(place: World) -> None:
    """With many events queued and no statistics at all, giving out some of them reads no table whole."""
    async with fresh(place, "outbox") as db:
        await fill.queued_events(db, place.now, 10_000, "long")
        watched = await Watched.connect(db.dsn, max_size=1)
        watched.plans, watched.generic = [], True
        async with watched.transaction() as tx:
            given_out = await delivery.fan_out(tx, place.now + timedelta(seconds=1), 100)
        await watched.close()
    assert (100, []) == (given_out, read_whole(watched.plans, {"outbox_queue", "deliveries", "events_rest"}))


async def test_old_deliveries_are_forgotten_by_their_number(place: World) -> None:
    """When nothing is old yet, looking for it touches a few of many; when all is old, one pass forgets all of it but
    what still waits."""
    async with fresh(place, "old") as db:
        await fill.endpoints(db, place.now, [growth.DEAD])
        await fill.deliveries(db, place.now, 6000, [growth.DEAD], place.now)
        async with db.transaction() as tx:
            await tx.execute("UPDATE deliveries SET state = 'delivered', head = false WHERE seq = 1 OR id > 20")
        watched = await Watched.connect(db.dsn, max_size=1)
        watched.plans, watched.generic = [], True
        async with watched.transaction() as tx:
            gone = await delivery.forget(tx, place.now - timedelta(days=90), 100)
        await watched.close()
        await housekeeping.run_once(db, now=place.now + timedelta(days=91))
        async with db.session() as tx:
            left = await tx.fetch("SELECT state, count(*) FROM deliveries GROUP BY 1")
    assert [0, [], True] == [gone, list(watched.plans[0].read_whole), watched.plans[0].blocks < 400]
    assert [("waiting", 10)] == [tuple(row) for row in left]


async def test_a_plan_that_reads_a_table_whole_is_seen(full: Database) -> None:
    """What the other tests look for can be found."""
    async with full.transaction() as tx:
        plan = await explain(tx, "SELECT count(*) FROM payments WHERE payee = $1", ("nobody",))
        events = await explain(tx, "SELECT data FROM events WHERE order_id = $1", ("nothing",))
    assert [("payments",), True] == [plan.read_whole, len(events.opened) > DAYS]


async def test_every_due_question_is_claimed_once(place: World) -> None:
    """The bench claims as many as there are, and every other one is left for later."""
    async with fresh(place, "ask") as db:
        await fill.open_payments(db, place.now, 3000, 3600)
        pace = await growth.ask_all(db, place.now)
        async with db.session() as tx:
            left = await tx.fetchval("SELECT count(*) FROM due WHERE asked = 1 AND lease = 1")
    assert (3000, 1500) == (pace.done, left)


async def test_a_dead_endpoint_keeps_nobody_waiting(place: World) -> None:
    """All events reach the healthy endpoints, and all that the dead one did not get still waits for it."""
    async with fresh(place, "told") as db:
        await fill.endpoints(db, place.now, (growth.DEAD, *growth.HEALTHY))
        await fill.deliveries(db, place.now - timedelta(hours=2), 500, [growth.DEAD], place.now)
        await fill.queued_events(db, place.now, 100, "x")
        pace = await growth.tell_all(db, place.now + timedelta(seconds=1))
        async with db.session() as tx:
            found = await shown.summary(tx)
    assert (200 * 4, {"waiting": 1200, "delivered": 800, "dead": 0, "skipped": 0}) == (pace.done, found)


async def test_the_growth_bench_compares_empty_with_full(place: World) -> None:
    """All three parts run, and each has its figures."""
    found = await growth.measure(place, rows=2400, days=3, waiting=600, rounds=1, batched=60)
    assert [0, 5] == [len([f.name for f in found.figures if f.median <= 0]), len(found.bars)]


@pytest.mark.parametrize("count", [pytest.param(1, marks=pytest.mark.fault), 2])
async def test_processes_do_nothing_twice(place: World, count: int) -> None:
    """However many web processes, workers and claimers there are, each callback is kept, applied and asked about once;
    the bench itself raises when it is not so."""
    requests = callbacks(place.keys, place.now, 200)
    async with fresh(place, f"processes_{count}") as db:
        settings = processes.settings_for(place, db.dsn)
        await processes.take_in(place, db, settings, requests, count, 0.3)
        await processes.work_off(place, db, settings, count, 600)
        await processes.claim(place, db, count, 3000)
        report = await verify(db)
    assert 3000 + 600 == report.orders


@pytest.mark.fault  # two servers with a process each
async def test_two_cells_share_nothing(place: World) -> None:
    """Each order is paid in the cell that its id names, and `paidup verify` holds in each."""
    homes = cells.Cells(cells.SHARDS)
    async with cells.servers(place, ("first", "second")) as dbs:
        await cells.pay(place, homes, dbs, "x", 200, workers=1)
        proved = {name: await cells.proven(place, db) for name, db in dbs.items()}
        await cells.assert_at_home(dbs)
        found = {}
        for name, db in dbs.items():
            async with db.session() as tx:
                found[name] = [row["id"] for row in await tx.fetch("SELECT id FROM orders WHERE state = 'paid'")]
    assert 200 == sum(proved.values())
    assert {name: len(its) for name, its in found.items()} == proved
    assert {name: {name} for name in found} == {name: {homes.of(order) for order in its} for name, its in found.items()}


async def test_the_footprint_is_that_of_orders_that_were_paid_and_told(place: World) -> None:
    """Real processes pay the orders (the bench raises if one is not), and every table they leave rows in is counted."""
    found = await footprint.measure(place, orders=60)
    kept = {table for tables in footprint.KEPT.values() for table in tables}
    assert [8, []] == [len(found.figures), [f.name for f in found.figures if f.median <= 0]]
    assert {table for table in kept if f"{table} 0" in found.notes[0]} == set()


def test_the_same_number_is_placed_in_the_same_cell() -> None:
    """The shard of a new order follows from its number, uses every shard, and stands in the id."""
    homes = cells.Cells(cells.SHARDS)
    shards = [homes.shard_for("shop", str(n)) for n in range(100)]
    assert [shards, {0, 1, 2, 3}] == [[homes.shard_for("shop", str(n)) for n in range(100)], set(shards)]
    assert "second" == homes.of(ids.new_id(ids.ORDER, datetime(2026, 11, 24, tzinfo=UTC), 3))
