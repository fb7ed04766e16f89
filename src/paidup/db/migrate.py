"""Schema changes: plain SQL files, applied in order, each in one transaction with the row that says so.

A file that was applied is never edited: the next file mends it. Code and database always move forwards together, so
a database that is newer than the code is refused, too.
"""

import hashlib
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

import asyncpg

from paidup import log
from paidup.clock import SystemClock
from paidup.db.transaction import READ_WHOLE, Database, Tx
from paidup.errors import ConfigError

MIGRATIONS = files("paidup.db") / "migrations"
MAX_MIGRATION_BYTES = 1_000_000
_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_TIMEOUT_S = 3600.0  # rewriting a big table takes longer than the pool's usual patience
_PAUSE_S = 2.0
_ATTEMPTS = 1800  # an hour: as long as a backup may take
_TELL_EACH = 30
NO_WRITES = (
    "the database takes no writes: give the URL of the primary, not of a standby, "
    "and set default_transaction_read_only = off for this user and database"
)
MAKE_IT_OURS = (
    "give Paidup's user a database of its own (CREATE DATABASE paidup OWNER …), or the schema "
    "(GRANT CREATE, USAGE ON SCHEMA public TO …) and the tables that are there (ALTER TABLE … OWNER TO …)"
)
NOT_UTF8 = (
    "the database's encoding is {}, and names in callbacks would not fit: "
    "make a new one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
)
_IN_THE_WAY = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)


@dataclass(frozen=True)
class Migration:
    """One file. `sha256` is that of its text with LF line ends, so that a Windows checkout has the same."""

    version: int
    name: str
    sha256: str
    sql: str

    def __str__(self) -> str:
        return f"{self.version:04}_{self.name}"


@dataclass(frozen=True)
class Applied:
    """A row of schema_migrations."""

    version: int
    name: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.version:04}_{self.name}"


@dataclass(frozen=True)
class History:
    """What the database knows of its own schema."""

    applied: tuple[Applied, ...]
    unknown_tables: tuple[str, ...] = ()  # tables that stand there although no migration was ever applied


async def migrate(db: Database, folder: Traversable = MIGRATIONS) -> list[str]:
    """Apply what is missing, and return the names of what was applied.

    Any number of processes may call it at the same time, and others may work meanwhile. A table that somebody uses for
    long, as a backup does, is waited for without making anybody wait. Raises ConfigError when the database does not fit
    the files; a migration that fails raises asyncpg's error and leaves the database as it was before that file.
    """
    migrations = read_migrations(folder)
    names: list[str] = []
    while True:
        name = await _when_free(db, migrations)
        if name is None:
            return names
        names.append(name)


async def _when_free(db: Database, migrations: Sequence[Migration]) -> str | None:
    """Apply one, beginning anew until all that it locks is free. Raises ConfigError when that takes too long."""
    said = ""
    for n in range(_ATTEMPTS):
        try:
            async with db.transaction() as tx:
                return await _apply_next(tx, migrations)
        except asyncpg.InsufficientPrivilegeError as denied:
            raise ConfigError(f"a migration may not do what it must ({denied}): {MAKE_IT_OURS}") from None
        except _IN_THE_WAY as busy:
            said = f"{busy}".partition("\n")[0]
            if n % _TELL_EACH == 0:
                log.warning("migration.awaited", why=f"somebody uses a table for long, as a backup does ({said})")
            await SystemClock().sleep(_PAUSE_S)
    raise ConfigError(
        f"the tables were not free for a migration within an hour ({said}): end what reads them, try again"
    )


async def pending(db: Database, folder: Traversable = MIGRATIONS) -> list[str]:
    """The names of what `migrate` would apply. Raises ConfigError when the database does not fit the files."""
    async with db.session() as tx:
        history = await _history(tx)
    return [str(migration) for migration in missing(history, read_migrations(folder))]


async def takes_writes(db: Database) -> bool:
    """Whether our transactions may write here: not to a standby, nor where somebody said so."""
    return not await db.read(_TAKES_NO_WRITES)


def read_migrations(folder: Traversable) -> list[Migration]:
    """The files of a folder in order. Raises ConfigError when their numbers repeat or do not begin with 1."""
    migrations = sorted(
        (_read(file) for file in folder.iterdir() if file.name.endswith(".sql")),
        key=lambda found: (found.version, str(found)),
    )
    if migrations and migrations[0].version != 1:
        raise ConfigError(f"migration {migrations[0]} stands where number 0001 should; renumber the files")
    for earlier, later in itertools.pairwise(migrations):
        if later.version == earlier.version:
            raise ConfigError(f"migrations {earlier} and {later} have the same number; renumber the later one")
    return migrations


def missing(history: History, migrations: Sequence[Migration]) -> list[Migration]:
    """The migrations that the database lacks.

    Raises ConfigError when what it has is not a beginning of the list, unchanged.
    """
    if history.unknown_tables:
        raise ConfigError(
            f"this database has tables ({', '.join(history.unknown_tables[:5])}) but no record of migrations: "
            "give Paidup a database of its own, or restore this one whole, with schema_migrations"
        )
    if len(history.applied) > len(migrations):
        raise ConfigError(
            f"the database is at {history.applied[-1]} and this version of Paidup only knows "
            f"{migrations[-1] if migrations else 'nothing'}: install the version that made it, or a newer one"
        )
    for applied, migration in zip(history.applied, migrations, strict=False):
        _compare(applied, migration)
    return list(migrations[len(history.applied) :])


def _compare(applied: Applied, migration: Migration) -> None:
    if applied.version != migration.version:
        raise ConfigError(
            f"migration {migration} was never applied, although {applied} after it was: "
            "the database is half a copy; restore it from a backup"
        )
    if (applied.name, applied.sha256) != (migration.name, migration.sha256):
        raise ConfigError(
            f"migration {migration} was changed after it had been applied as {applied}: "
            "put the file back as it was, and write the change as a new migration"
        )


_TAKES_NO_WRITES = "select current_setting('transaction_read_only')::boolean"

# One migration at a time in this database. The number names the lock and means nothing else.
_LOCK = "select pg_advisory_xact_lock(7243917)"

_CREATE = """
create table if not exists schema_migrations (
    version     integer primary key,
    name        text not null,
    sha256      text not null,
    applied_at  timestamptz not null default now()
)
"""

_COMMENT = "comment on table schema_migrations is 'retention: for ever'"

_RECORD = "insert into schema_migrations (version, name, sha256) values ($1, $2, $3)"


# Whoever waits for a table lock makes everybody wait who comes later: better give up at once, and come again.
_BE_PATIENT_BRIEFLY = "set local lock_timeout = '300ms'"


async def _apply_next(tx: Tx, migrations: Sequence[Migration]) -> str | None:
    if await tx.fetchval(_TAKES_NO_WRITES):
        raise ConfigError(NO_WRITES)
    await tx.execute(_LOCK, timeout=_TIMEOUT_S)
    # Read under the lock: another process may just have applied it.
    todo = missing(await _history(tx), migrations)
    if not todo:
        return None
    migration = todo[0]
    await tx.execute(_BE_PATIENT_BRIEFLY)
    await tx.execute(READ_WHOLE)
    if migration.version == 1:
        encoding = await tx.fetchval(_ENCODING)
        if encoding != "UTF8":
            raise ConfigError(NOT_UTF8.format(encoding))
        await tx.execute(_CREATE)
        await tx.execute(_COMMENT)
    await tx.execute(migration.sql, timeout=_TIMEOUT_S)
    await tx.execute(_RECORD, migration.version, migration.name, migration.sha256)
    return str(migration)


_ENCODING = "select current_setting('server_encoding')"

# Others have a table of this name, too; ours has the column.
_PLACES = """
select current_schema() as here, array(
    select nspname from pg_class c join pg_namespace n on n.oid = relnamespace join pg_attribute on attrelid = c.oid
    where relname = 'schema_migrations' and relkind = 'r' and attname = 'sha256' order by nspname) as places"""

_APPLIED = "select version, name, sha256 from schema_migrations order by version"

_TABLES = """
select relname from pg_class
where relkind in ('r', 'p') and relnamespace = current_schema()::regnamespace and relname <> 'schema_migrations'
order by relname
"""


async def _history(tx: Tx) -> History:
    rows = await tx.fetch(_APPLIED) if await _is_recorded(tx) else []
    if rows:
        return History(tuple(Applied(row["version"], row["name"], row["sha256"]) for row in rows))
    return History((), tuple(row["relname"] for row in await tx.fetch(_TABLES)))


async def _is_recorded(tx: Tx) -> bool:
    """Whether the record is where our tables are made. Elsewhere in the database it means that we would begin anew
    beside our own tables, or make days apart from them. Raises ConfigError then."""
    [(here, places)] = await tx.fetch(_PLACES)
    if here is None:
        raise ConfigError(f"our search_path leads to no schema that is there and ours to use: {MAKE_IT_OURS}")
    if places and here not in places:
        raise ConfigError(
            f"Paidup's tables are in the schema {places[0]}, and our search_path leads to {here}: "
            f"ALTER ROLE … IN DATABASE … SET search_path = {places[0]}"
        )
    return bool(places)


def _read(file: Traversable) -> Migration:
    match = _FILE_NAME.fullmatch(file.name)
    if not match:
        raise ConfigError(f"{file.name} is no name for a migration: write it as 0007_what_it_does.sql")
    data = file.read_bytes().replace(b"\r\n", b"\n")
    if len(data) > MAX_MIGRATION_BYTES:
        raise ConfigError(f"migration {file.name} is larger than {MAX_MIGRATION_BYTES} bytes; split it")
    return Migration(int(match[1]), match[2], hashlib.sha256(data).hexdigest(), data.decode())
