"""The databases that a participant may have, each on its real server: SQLite, PostgreSQL by two drivers, MariaDB."""

import os
import shutil
import sqlite3
import subprocess
from asyncio import to_thread
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pg8000.dbapi
import pymysql
import pytest

from paidup.participant import ASYNCPG, MYSQL, POSTGRESQL, SQLITE, Barrier, Business, Call, Dialect, Operation, Reply

DEEDS = "CREATE TABLE IF NOT EXISTS deeds (xid varchar(64), operation varchar(16))"
NOBODY = "nobody"


def deed(cursor: Any, call: Call) -> dict[str, str]:
    """A business that leaves a row each time it is done: no key of its own hides a repeat."""
    mark = "?" if isinstance(cursor, sqlite3.Cursor) else "%s"
    cursor.execute(f"INSERT INTO deeds VALUES ({mark}, {mark})", (call.xid, str(call.operation)))
    return {"did": call.operation}


async def deed_async(connection: Any, call: Call) -> dict[str, str]:
    await connection.execute("INSERT INTO deeds VALUES ($1, $2)", call.xid, str(call.operation))
    return {"did": call.operation}


class Room:
    """A participant's database through a DB-API driver; each request has a connection and a transaction of its own."""

    def __init__(self, dialect: Dialect, connect: Callable[[], Any], begin: str = "") -> None:
        self.dialect, self.connect, self.begin = dialect, connect, begin
        self.barrier = Barrier(dialect)
        with self.transaction() as cursor:
            for table in (*dialect.tables, DEEDS):
                cursor.execute(table)

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        connection = self.connect()
        cursor = connection.cursor()
        try:
            if self.begin:
                cursor.execute(self.begin)
            yield cursor
            connection.commit()
        finally:
            connection.close()

    async def take(self, call: Call, work: Business = deed) -> Reply:
        return await to_thread(self._take, call, dict.fromkeys(Operation, work))

    def _take(self, call: Call, business: Mapping[Operation, Business]) -> Reply:
        with self.transaction() as cursor:
            return self.barrier.run(cursor, call, business)

    async def take_without_transaction(self, call: Call, work: Business = deed) -> Reply:
        """As a service does that forgot to begin: each statement is committed at once."""
        return await to_thread(self._take_bare, call, dict.fromkeys(Operation, work))

    def _take_bare(self, call: Call, business: Mapping[Operation, Business]) -> Reply:
        connection = self.connect()
        if self.dialect.name == "mysql":
            connection.autocommit(True)
        elif self.dialect.name == "postgresql":
            connection.autocommit = True
        try:
            return self.barrier.run(connection.cursor(), call, business)
        finally:
            connection.close()

    async def deeds(self, xid: str) -> list[str]:
        with self.transaction() as cursor:
            cursor.execute(self.dialect.sql("SELECT operation FROM deeds WHERE xid = ?"), (xid,))
            return [row[0] for row in cursor.fetchall()]


class AsyncRoom:
    """The same through asyncpg."""

    dialect = ASYNCPG

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.barrier = Barrier(ASYNCPG)

    async def take(self, call: Call, work: Any = deed_async) -> Reply:
        if work is not deed_async:
            plain = work

            async def work(connection: Any, call: Call) -> object:
                await deed_async(connection, call)
                return plain(_Deaf(), call)

        async with self.pool.acquire() as connection, connection.transaction():
            return await self.barrier.run_async(connection, call, dict.fromkeys(Operation, work))

    async def take_without_transaction(self, call: Call, work: Any = deed_async) -> Reply:
        async with self.pool.acquire() as connection:
            return await self.barrier.run_async(connection, call, dict.fromkeys(Operation, work))

    async def deeds(self, xid: str) -> list[str]:
        return [row[0] for row in await self.pool.fetch("SELECT operation FROM deeds WHERE xid = $1", xid)]


class _Deaf:
    """A cursor for a business that has written already what it writes."""

    def execute(self, *_: object) -> None:
        """Nothing more is to be written."""


def sqlite_room(folder: Path) -> Room:
    path = folder / "participant.db"
    return Room(SQLITE, lambda: sqlite3.connect(path, isolation_level=None, timeout=30), "BEGIN IMMEDIATE")


def postgresql_room(dsn: str) -> Room:
    parts = urlsplit(dsn)
    host = parse_qs(parts.query).get("host", [parts.hostname])[0]
    port = int(parse_qs(parts.query).get("port", [parts.port or 5432])[0])
    where = {"unix_sock": f"{host}/.s.PGSQL.{port}"} if str(host).startswith("/") else {"host": host, "port": port}
    name = parts.path.removeprefix("/")
    return Room(
        POSTGRESQL,
        lambda: pg8000.dbapi.connect(user=parts.username, password=parts.password, database=name, **where),
    )


async def asyncpg_room(pool: Any) -> AsyncRoom:
    for table in (*ASYNCPG.tables, DEEDS):
        await pool.execute(table)
    return AsyncRoom(pool)


def mysql_room(socket: Path) -> Room:
    return Room(
        MYSQL, lambda: pymysql.connect(unix_socket=str(socket), user="root", database="shop", client_flag=FOUND_ROWS)
    )


FOUND_ROWS = pymysql.constants.CLIENT.FOUND_ROWS
"""As many frameworks set it: an update that changes nothing counts then."""


@contextmanager
def a_mariadb(folder: Path) -> Iterator[Path]:
    """A MariaDB of this run's own, on a private socket, as an unprivileged user; gives the socket."""
    server, install = (_program(name) for name in ("mariadbd", "mariadb-install-db"))
    if server is None or install is None:
        pytest.skip("no mariadbd on this machine: `apt-get install mariadb-server` brings it (.ci/run does)")
    user = NOBODY if os.getuid() == 0 else None
    folder.mkdir()
    if user:
        shutil.chown(folder, user)
    data, socket = folder / "data", folder / "s"
    subprocess.run(
        [install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db"],
        check=True, capture_output=True, user=user, cwd=folder,
    )  # fmt: skip
    options = [
        "--no-defaults", f"--datadir={data}", f"--socket={socket}", "--skip-networking", f"--pid-file={folder}/pid",
        "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M", f"--tmpdir={folder}",
    ]  # fmt: skip
    with subprocess.Popen([server, *options], stderr=subprocess.PIPE, text=True, user=user, cwd=folder) as process:
        try:
            assert process.stderr is not None
            assert any("ready for connections" in line for line in process.stderr)
            with pymysql.connect(unix_socket=str(socket), user="root") as connection:
                connection.cursor().execute("CREATE DATABASE shop")
            yield socket
        finally:
            process.terminate()
            process.communicate(timeout=60)


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


async def a_pool(dsn: str) -> Any:
    return await asyncpg.create_pool(dsn, min_size=1, max_size=10)
