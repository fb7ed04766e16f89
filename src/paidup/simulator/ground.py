"""The real PostgreSQL under a run: one embedded server for all seeds, one database that is emptied between them."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from paidup.db.embedded import start_embedded
from paidup.db.migrate import migrate
from paidup.db.transaction import Database
from paidup.participant import ASYNCPG
from paidup.simulator.backends import Backends

if TYPE_CHECKING:
    from asyncpg import Connection, Record

# Not a power cut but the death of processes and connections is simulated, and to those a server without fsync gives
# the same answers, several times as fast. Statistics and plans must not depend on what ran before, or a seed would take
# another course when it is replayed alone: no autovacuum, and plans that do not look at values.
OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "plan_cache_mode": "force_generic_plan",
    "deadlock_timeout": "60s",  # the stage sees a deadlock first, and always the same one
    "max_connections": "60",
}

TABLES = """
SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('public', 'services') AND NOT c.relispartition
  AND c.relname <> 'schema_migrations' ORDER BY 1"""

# Of these tables those that had rows, or gave out a number, since they were emptied last; with their partitions.
USED = """
SELECT name FROM unnest($1::text[]) AS t (name)
WHERE pg_relation_size(name::regclass) > 0
  OR (SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree(name::regclass)) > 0
  OR EXISTS (SELECT FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
             WHERE d.refobjid = name::regclass
               AND CASE c.relkind WHEN 'S' THEN pg_sequence_last_value(c.oid) IS NOT NULL END)"""

# Without triggers: the journals that are only added to refuse it.
CLEAR = """
SET session_replication_role = replica;
TRUNCATE {tables} RESTART IDENTITY CASCADE;
RESET session_replication_role"""

# What the services that take part in transactions keep, beside ours and apart from it. What they did has no key that
# would hide a repeat.
SERVICES = (
    "CREATE SCHEMA IF NOT EXISTS services",
    "SET search_path TO services, public",
    *ASYNCPG.tables,
    """CREATE TABLE IF NOT EXISTS deeds (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, service text, xid text, step text, operation text)""",
    "CREATE TABLE IF NOT EXISTS shelves (service text PRIMARY KEY, available bigint, held bigint, taken bigint)",
    "SET search_path TO public, services",
)


class Ground:
    """Connections for whoever needs one. None has a state of its own, so they are handed on."""

    def __init__(self, dsn: str, tables: list[str], admin: "Connection[Record]", plain: Database) -> None:
        self.dsn = dsn
        self.plain = plain
        """The database as it is, apart from any run."""
        self.admin = admin
        self._tables = tables
        self._idle: list[Connection[Record]] = []
        self.backends = Backends(admin)
        """The server's processes."""

    async def take(self) -> "Connection[Record]":
        """A connection that nobody uses."""
        if self._idle:
            return self._idle.pop()
        return await asyncpg.connect(self.dsn, statement_cache_size=256, server_settings=_SESSION)

    def give_back(self, connection: "Connection[Record]") -> None:
        """It may be used by somebody else now, unless it was left in the middle of something."""
        if connection.is_closed() or connection.is_in_transaction():
            connection.terminate()
        else:
            self._idle.append(connection)

    async def clear(self) -> None:
        """Empty every table that was used. What is emptied is planned anew on every connection, so others are left."""
        used = [row["name"] for row in await self.admin.fetch(USED, self._tables)]
        if used:
            await self.admin.execute(CLEAR.format(tables=", ".join(used)))

    async def close(self) -> None:
        """Close every connection."""
        self.backends.let_all_go()
        await self.plain.close()
        for connection in (*self._idle, self.admin):
            await connection.close()
        self._idle.clear()


_SESSION = {
    "application_name": "paidup simulate", "jit": "off", "timezone": "UTC", "search_path": "public,services",
    "enable_seqscan": "off",  # as in Paidup's own sessions: rows come in the order of the same indexes
}  # fmt: skip


@asynccontextmanager
async def ground() -> AsyncIterator[Ground]:
    """A server of its own in a temporary folder, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="paidup-simulate-"))
    folder.chmod(0o711)  # noqa: ASYNC240 - at once; the account that runs PostgreSQL must be able to enter it
    try:
        async with await start_embedded(folder / "data", options=OPTIONS) as server, ground_on(server.dsn) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def ground_on(dsn: str) -> AsyncIterator[Ground]:
    """An existing empty database."""
    db = await Database.connect(dsn, max_size=1)
    await migrate(db)
    admin = await asyncpg.connect(dsn, server_settings=_SESSION)
    for statement in SERVICES:
        await admin.execute(statement)
    tables = [row[0] for row in await admin.fetch(TABLES)]
    made = Ground(dsn, tables, admin, db)
    try:
        yield made
    finally:
        await made.close()
