"""Migrations: applied once, in order, and refused when the database and the files do not fit."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from paidup.db.migrate import _is_recorded, migrate, pending, read_migrations
from paidup.db.transaction import Database
from paidup.errors import ConfigError

ORDERS = "create table orders (id text primary key);"
PAYMENTS = "create table payments (id text primary key);\ncreate index on payments (id);"


async def test_the_packaged_migrations_are_applied(db: Database) -> None:
    """A migrated database has nothing pending."""
    assert [] == await pending(db)


async def test_files_are_applied_in_order_and_once(empty_db: Database, tmp_path: Path) -> None:
    """Each file runs once, however often it is asked for."""
    folder = _folder(tmp_path, {"0002_payments.sql": PAYMENTS, "0001_orders.sql": ORDERS})
    assert ["0001_orders", "0002_payments"] == await pending(empty_db, folder)
    assert ["0001_orders", "0002_payments"] == await migrate(empty_db, folder)
    assert [] == await migrate(empty_db, folder)
    assert [1, 2] == await _versions(empty_db)


async def test_a_new_file_is_applied_later(empty_db: Database, tmp_path: Path) -> None:
    """An upgrade applies only what is new."""
    await migrate(empty_db, _folder(tmp_path, {"0001_orders.sql": ORDERS}))
    assert ["0002_payments"] == await migrate(empty_db, _folder(tmp_path, {"0002_payments.sql": PAYMENTS}))


async def test_processes_may_start_together(empty_db: Database, tmp_path: Path) -> None:
    """Of many that migrate at the same moment, each file is applied by one."""
    folder = _folder(tmp_path, {"0001_orders.sql": ORDERS, "0002_payments.sql": PAYMENTS})
    applied = await asyncio.gather(*(migrate(empty_db, folder) for _ in range(5)))
    assert ["0001_orders", "0002_payments"] == sorted(name for names in applied for name in names)


async def test_nobody_waits_behind_a_migration(empty_db: Database, tmp_path: Path) -> None:
    """While a backup reads a table that a migration changes, others go on using it; then the migration is applied."""
    await migrate(empty_db, _folder(tmp_path, {"0001_orders.sql": ORDERS}))
    _folder(tmp_path, {"0002_more.sql": "alter table orders add column more text;"})
    async with empty_db.session() as backup:
        await backup.execute("begin; lock table orders in access share mode")
        upgrade = asyncio.create_task(migrate(empty_db, tmp_path))
        for _ in range(15):
            async with empty_db.transaction() as tx:
                await tx.execute("insert into orders values (gen_random_uuid())", timeout=2)
            await asyncio.sleep(0.1)
        assert not upgrade.done()
        await backup.execute("rollback")
        assert ["0002_more"] == await upgrade


async def test_a_migration_that_meets_a_deadlock_begins_anew(empty_db: Database, tmp_path: Path) -> None:
    """Whoever locks the same tables in another order does not keep the new version from starting."""
    await migrate(empty_db, _folder(tmp_path, {"0001_both.sql": ORDERS + PAYMENTS}))
    change = (
        "alter table orders add column more text;\nselect pg_sleep(0.2);\nalter table payments add column more text;"
    )
    _folder(tmp_path, {"0002_more.sql": change})
    async with empty_db.session() as other:
        await other.execute("begin; insert into payments values ('1')")
        upgrade = asyncio.create_task(migrate(empty_db, tmp_path))
        await asyncio.sleep(0.1)
        await other.execute("insert into orders values ('1'); commit", timeout=5)
    assert ["0002_more"] == await upgrade


async def test_a_file_that_fails_leaves_nothing(empty_db: Database, tmp_path: Path) -> None:
    """The file's changes and its row go together; the files before it stay applied."""
    folder = _folder(tmp_path, {"0001_orders.sql": ORDERS, "0002_payments.sql": PAYMENTS + "\nselect 1/0;"})
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_db, folder)
    assert [1] == await _versions(empty_db)
    async with empty_db.session() as tx:
        assert await tx.fetchval("select to_regclass('payments')") is None


async def test_an_edited_file_is_refused(empty_db: Database, tmp_path: Path) -> None:
    """What was applied and what the file says now would be two different schemas."""
    await migrate(empty_db, _folder(tmp_path, {"0001_orders.sql": ORDERS}))
    _folder(tmp_path, {"0001_orders.sql": ORDERS + "-- harmless"})
    await _assert_refused(empty_db, tmp_path, "0001_orders was changed after it had been applied")


async def test_line_ends_are_no_edit(empty_db: Database, tmp_path: Path) -> None:
    """A checkout with CRLF line ends holds the same migrations."""
    await migrate(empty_db, _folder(tmp_path, {"0001_orders.sql": "select 1;\nselect 2;\n"}))
    (tmp_path / "0001_orders.sql").write_bytes(b"select 1;\r\nselect 2;\r\n")
    assert [] == await pending(empty_db, tmp_path)


async def test_a_newer_database_is_refused(empty_db: Database, tmp_path: Path) -> None:
    """Old code does not touch a schema that it does not know."""
    await migrate(empty_db, _folder(tmp_path, {"0001_orders.sql": ORDERS, "0002_payments.sql": PAYMENTS}))
    (tmp_path / "0002_payments.sql").unlink()
    await _assert_refused(empty_db, tmp_path, "the database is at 0002_payments")


async def test_a_gap_in_the_history_is_refused(empty_db: Database, tmp_path: Path) -> None:
    """A later migration without an earlier one is half a copy of a database."""
    await migrate(empty_db, _folder(tmp_path, {"0001_orders.sql": ORDERS, "0002_payments.sql": PAYMENTS}))
    async with empty_db.session() as tx:
        await tx.execute("delete from schema_migrations where version = 1")
    await _assert_refused(empty_db, tmp_path, "0001_orders was never applied, although 0002_payments")


async def test_tables_without_a_history_are_refused(empty_db: Database, tmp_path: Path) -> None:
    """Somebody else's database, or a half restored one, is not built upon."""
    async with empty_db.session() as tx:
        await tx.execute("create table wordpress_posts ()")
    await _assert_refused(empty_db, _folder(tmp_path, {"0001_orders.sql": ORDERS}), "wordpress_posts")


async def test_tables_with_an_empty_history_are_refused(empty_db: Database, tmp_path: Path) -> None:
    """A history that was emptied says nothing about the tables that stand there."""
    await migrate(empty_db, _folder(tmp_path, {"0001_orders.sql": ORDERS}))
    async with empty_db.session() as tx:
        await tx.execute("truncate schema_migrations")
    await _assert_refused(empty_db, tmp_path, r"has tables \(orders\)")


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["0002_b.sql", "0003_c.sql"], "0002_b stands where number 0001"),
        (["0001_a.sql", "0001_b.sql"], "0001_a and 0001_b have the same number"),
        (["1_a.sql"], "is no name for a migration"),
    ],
)
def test_misnamed_files_are_refused(tmp_path: Path, names: list[str], complaint: str) -> None:
    """Numbers begin with 1 and do not repeat, so that two branches cannot both add the same one; gaps are allowed, for
    numbers are given out before the files are written."""
    folder = _folder(tmp_path, dict.fromkeys(names, ""))
    with pytest.raises(ConfigError, match=complaint):
        read_migrations(folder)


async def _assert_refused(db: Database, folder: Path, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        await pending(db, folder)
    with pytest.raises(ConfigError, match=complaint):
        await migrate(db, folder)


async def _versions(db: Database) -> list[int]:
    async with db.session() as tx:
        return [row["version"] for row in await tx.fetch("select version from schema_migrations order by version")]


def _folder(folder: Path, files: dict[str, str]) -> Path:
    for name, sql in files.items():
        (folder / name).write_text(sql, newline="")
    return folder


@pytest.mark.parametrize("path", ["app", "app, public"])
async def test_a_search_path_that_leads_past_our_tables_is_refused(db: Database, path: str) -> None:
    """Nobody begins anew beside the tables that are there, or makes days in another schema than theirs."""
    async with db.transaction() as tx:
        await tx.execute("create schema app")
        await tx.execute(f"set local search_path = {path}")
        with pytest.raises(ConfigError, match=r"are in the schema public.*leads to app"):
            await _is_recorded(tx)


async def test_a_search_path_that_leads_nowhere_is_told(empty_db: Database, tmp_path: Path) -> None:
    """One sentence, and not the database's error about a CREATE that names no schema."""
    folder = _folder(tmp_path, {"0001_orders.sql": ORDERS})
    async with empty_db.session() as admin:
        await admin.execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = nowhere', current_database()); END $$"
        )
    lost = await Database.connect(empty_db.dsn)
    try:
        with pytest.raises(ConfigError, match="search_path leads to no schema"):
            await migrate(lost, folder)
    finally:
        await lost.close()


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_that_cannot_hold_every_name_is_refused_empty(
    admin: asyncpg.Connection, server_dsn: str, encoding: str, tmp_path: Path
) -> None:
    """Before the first table is made, for an encoding cannot be changed later."""
    name = f"paidup_test_{encoding.lower()}"
    await admin.execute(f"create database {name} template template0 encoding '{encoding}' locale 'C'")
    poor = await Database.connect(urlunsplit(urlsplit(server_dsn)._replace(path=f"/{name}")))
    try:
        with pytest.raises(ConfigError, match=f"encoding is {encoding}"):
            await migrate(poor, _folder(tmp_path, {"0001_orders.sql": ORDERS}))
        assert ["0001_orders"] == await pending(poor, tmp_path)
    finally:
        await poor.close()
        await admin.execute(f"drop database {name} with (force)")
