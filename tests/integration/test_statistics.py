"""Plans follow tables that grow fast, without waiting for the autovacuum's minute."""

from datetime import timedelta

import asyncpg
import pytest

from paidup.db import statistics
from paidup.db.transaction import Database
from paidup.schedule import store as schedule
from paidup.testing.builders import NOW

MANY = 20_000
BELIEVED = "SELECT reltuples::int FROM pg_class WHERE oid = 'due'::regclass"


@pytest.fixture(autouse=True)
async def no_autovacuum(db: Database) -> None:
    """It may come in between, and do our work."""
    async with db.session() as tx:
        await tx.execute("ALTER TABLE due SET (autovacuum_enabled = false)")


async def grow(db: Database, rows: int) -> None:
    async with db.transaction() as tx:
        there = await tx.fetchval("SELECT count(*) FROM due")
        many = [(f"pay{n:026}", "payment", "wechat", "main", NOW + timedelta(seconds=n)) for n in range(there, rows)]
        await schedule.put(tx, many)


async def plan_of(connection: asyncpg.Connection) -> list[str]:
    """Of the statement prepared as `kept`, as it is carried out now."""
    return [
        row[0].strip() for row in await connection.fetch("EXPLAIN (COSTS OFF) EXECUTE kept (NULL, NULL, NULL, NULL)")
    ]


async def test_a_plan_made_for_an_empty_table_is_made_anew_when_it_has_grown(db: Database) -> None:
    """On a connection that has prepared its statement long ago."""
    connection = await asyncpg.connect(db.dsn)
    await connection.execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan; ANALYZE due")
    await connection.execute(f"PREPARE kept AS {schedule.POSTPONE}")
    one_by_one = "Index Cond: (subject_id = c.subject_id)"
    assert one_by_one not in await plan_of(connection)
    await grow(db, MANY)
    assert one_by_one not in await plan_of(connection)
    assert "due" in await statistics.refresh(db)
    assert one_by_one in await plan_of(connection)
    await connection.close()


async def test_a_table_is_analyzed_when_it_has_grown_several_times_and_not_before(db: Database) -> None:
    """So that it costs nothing all day long, and the planner never believes in much less than there is."""
    await grow(db, MANY)
    assert ["due"] == await statistics.refresh(db)
    await grow(db, 2 * MANY)
    assert [] == await statistics.refresh(db)
    await grow(db, 8 * MANY)
    assert ["due"] == await statistics.refresh(db)
    async with db.session() as tx:
        assert abs(8 * MANY - await tx.fetchval(BELIEVED)) < MANY


async def test_one_worker_at_a_time_does_it(db: Database) -> None:
    """The others have nothing to wait for."""
    await grow(db, MANY)
    async with db.transaction() as tx:
        await tx.execute(statistics.ALONE)
        assert [] == await statistics.refresh(db)
    assert ["due"] == await statistics.refresh(db)


async def test_a_table_that_somebody_holds_is_left_for_the_next_time(db: Database) -> None:
    """Whoever waited for a vacuum would end it. Nobody is told that the table was analyzed."""
    await grow(db, MANY)
    async with db.transaction() as tx:
        await tx.execute("LOCK TABLE due IN SHARE UPDATE EXCLUSIVE MODE")
        assert [] == await statistics.refresh(db)
    assert ["due"] == await statistics.refresh(db)
