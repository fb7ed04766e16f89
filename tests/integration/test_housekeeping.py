"""Claims about housekeeping while somebody reads for long: it waits for the next pass, and nobody waits for it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from paidup import housekeeping
from paidup.app import Paidup
from paidup.clock import SystemClock
from paidup.db.partitions import PARTITIONED, ensure_partitions, partition_name
from paidup.db.transaction import Database
from paidup.settings import load
from paidup.testing.builders import NOW

AT_ONCE_S = 1.0
WRITE = """
INSERT INTO events (id, created_at, shop, type, order_id, seq, subject_id, data)
VALUES ($1, $2, '', '', '', 1, '', '{}')"""
LOCKABLE = """
SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"""
DAYS = "SELECT relname FROM pg_class JOIN pg_inherits ON oid = inhrelid WHERE relname LIKE $1"


@pytest.fixture
async def reader(db_dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection with a transaction that lasts."""
    connection = await asyncpg.connect(db_dsn)
    await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    yield connection
    await connection.close()


async def days_of(db: Database, day: datetime) -> set[str]:
    """The partitions of this day."""
    async with db.session() as tx:
        return {row["relname"] for row in await tx.fetch(DAYS, f"%_p{day:%Y%m%d}")}


async def test_paidup_starts_while_a_backup_runs(
    db: Database, db_dsn: str, tmp_path: Path, reader: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """The machine was away over midnight, and the nightly backup has locked every table as pg_dump does. The day is
    made by the first pass after it."""
    await housekeeping.run_once(db, now=SystemClock().now() - timedelta(days=1))
    for name in [row[0] for row in await reader.fetch(LOCKABLE)]:
        await reader.execute(f"LOCK TABLE ONLY {name} IN ACCESS SHARE MODE")
    environ = {"PAIDUP_DATABASE_URL": db_dsn, "PAIDUP_DATA": str(tmp_path), "PAIDUP_ROLES": "web,intake"}
    async with Paidup(load(environ)) as paidup:
        now = paidup.clock.now()
        assert set() == await days_of(db, now + timedelta(days=7))
        await reader.execute("ROLLBACK")
        await housekeeping.run_once(db, now=now)
    assert len(PARTITIONED) == len(await days_of(db, now + timedelta(days=7)))


async def test_nobody_waits_while_an_old_day_is_read_that_is_to_be_dropped(
    db: Database, reader: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """A report reads last quarter: that day stays, its neighbours in other tables go, and events are written."""
    then = NOW - timedelta(days=91)
    await housekeeping.run_once(db, now=then)
    async with db.transaction() as tx:
        await ensure_partitions(tx, NOW)
    read = partition_name("events", then)
    await reader.execute(f"SELECT count(*) FROM {read}")
    async with asyncio.timeout(AT_ONCE_S):
        passing = asyncio.create_task(housekeeping.run_once(db, now=NOW))
        for n in range(50):
            await db.write(WRITE, f"evt{n}", NOW)
        await passing
    assert {read, partition_name("decisions", then)} == await days_of(db, then)
    await reader.execute("ROLLBACK")
    await housekeeping.run_once(db, now=NOW)
    assert {partition_name("decisions", then)} == await days_of(db, then)


MANY = """
INSERT INTO idempotency_keys (shop, key, request_hash, status, answer, created_at)
SELECT 'teahouse', 'key-' || n, '', 200, '{}', $1 FROM generate_series(1, $2) n"""


async def test_what_is_over_its_time_leaves_however_much_it_is(db: Database) -> None:
    """A pass comes every ten minutes, and a busy shop sends more keys meanwhile than one statement takes away."""
    async with db.transaction() as tx:
        await tx.execute(MANY, NOW, housekeeping.FORGET_AT_ONCE + 1)
    await housekeeping.run_once(db, now=NOW + timedelta(days=31))
    assert 0 == await db.read("SELECT count(*) FROM idempotency_keys")
