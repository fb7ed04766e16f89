"""Real PostgreSQL for every test that wants one: one server per run, one fresh database per test.

`db` is a migrated database, `empty_db` one without any table. PAIDUP_TEST_DATABASE_URL names a server to use instead
of the embedded one; its user must be allowed to create databases.
"""

import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from hypothesis import settings

from paidup.db.embedded import start_embedded
from paidup.db.migrate import migrate
from paidup.db.transaction import Database

_numbers = itertools.count(1)

# `make test` tries the same examples each time, so that whoever changes nothing sees nothing change; `make fuzz` tries
# new ones each time (--hypothesis-profile=long), and in tests/security many more of them.
settings.register_profile("long")
settings.register_profile("same", derandomize=True)
settings.load_profile("same")

FreshDsn = Callable[[], AbstractAsyncContextManager[str]]

# What a throw-away server may give up: it is never asked to survive a power cut. Killed processes do no harm to it.
_QUICK = {"fsync": "off", "max_connections": "200", "max_wal_size": "256MB"}


# Each test makes a database and drops it: a thousand small files, for which ext4 takes a third of a second where many
# were deleted a moment ago. It does not use their places again for minutes, and looks at one after the other.
_MEMORY = Path("/dev/shm")
_ENOUGH = 4 * 1024**3


def _place() -> Path | None:
    """Memory where there is plenty, as long as nobody names a place; None: the usual one."""
    is_roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ENOUGH
    return _MEMORY if is_roomy and "TMPDIR" not in os.environ else None


@pytest.fixture(scope="session")
def run_dir() -> Iterator[Path]:
    """A folder that the account which runs PostgreSQL can enter; those of pytest are private to the caller."""
    folder = Path(tempfile.mkdtemp(prefix="paidup-test-", dir=_place()))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def reachable_dir(run_dir: Path) -> Iterator[Path]:
    """A fresh folder for a test that starts servers of its own."""
    folder = run_dir / f"test-{next(_numbers)}"
    folder.mkdir()
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
async def server_dsn(run_dir: Path) -> AsyncIterator[str]:
    """A database on the run's server, from which others are created and dropped."""
    given = os.environ.get("PAIDUP_TEST_DATABASE_URL")
    if given:
        yield given
        return
    async with await start_embedded(run_dir / "server", options=_QUICK) as server:
        yield server.dsn


@pytest.fixture(scope="session")
async def admin(server_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that creates and drops databases."""
    connection = await asyncpg.connect(server_dsn)
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
async def template(server_dsn: str, admin: asyncpg.Connection) -> AsyncIterator[str]:
    """The name of a database that every migration was applied to; nobody stays connected to it."""
    async with _fresh_database(server_dsn, admin, "template1") as dsn:
        db = await Database.connect(dsn, max_size=1)
        await migrate(db)
        await db.close()
        yield urlsplit(dsn).path.removeprefix("/")


@pytest.fixture(scope="session")
def fresh_dsn(server_dsn: str, admin: asyncpg.Connection, template: str) -> FreshDsn:
    """Makes migrated databases, for fixtures that last longer than a test."""
    return lambda: _fresh_database(server_dsn, admin, template)


@pytest.fixture
async def db_dsn(fresh_dsn: FreshDsn) -> AsyncIterator[str]:
    """Where a migrated database of this test's own is, for processes that the test starts."""
    async with fresh_dsn() as dsn:
        yield dsn


@pytest.fixture
async def db(db_dsn: str) -> AsyncIterator[Database]:
    """A migrated database of this test's own."""
    database = await Database.connect(db_dsn)
    yield database
    await database.close()


@pytest.fixture
async def empty_db(server_dsn: str, admin: asyncpg.Connection) -> AsyncIterator[Database]:
    """A database of this test's own without any table."""
    async with _fresh_database(server_dsn, admin, "template1") as dsn:
        database = await Database.connect(dsn)
        yield database
        await database.close()


@asynccontextmanager
async def _fresh_database(server_dsn: str, admin: asyncpg.Connection, template: str) -> AsyncIterator[str]:
    name = f"paidup_test_{os.getpid()}_{next(_numbers)}"
    await admin.execute(f"create database {name} template {template}")
    try:
        yield urlunsplit(urlsplit(server_dsn)._replace(path=f"/{name}"))
    finally:
        await admin.execute(f"drop database {name} with (force)")
