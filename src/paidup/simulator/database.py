"""The database in the hands of a process that may lose its connection, or its life, at every use."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from paidup.db.transaction import Database, Tx
from paidup.simulator.ground import Ground
from paidup.simulator.stage import Stage

if TYPE_CHECKING:
    from asyncpg import Connection, Record

BROKEN = "connection was closed in the middle of operation"
AWAY = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError)
"""What a connection that cannot be had, or that breaks, raises here."""


class StagedDatabase(Database):
    """The same database, one step at a time and with whatever the seed lets go wrong."""

    def __init__(self, ground: Ground, stage: Stage) -> None:
        self.dsn = ground.dsn
        self._ground = ground
        self._stage = stage

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """As in Database. Raises asyncpg's errors for a connection that dies, and Died."""
        stage = self._stage
        async with self._connection() as connection:
            pid = connection.get_server_pid()
            transaction = connection.transaction(isolation="read_committed")
            await stage.io(transaction.start(), pid)
            stage.statements.opened(1)
            try:
                yield StagedTx(connection, stage)
                await self._before_commit()
            except BaseException:
                await stage.io(transaction.rollback(), pid)
                raise
            else:
                await stage.io(transaction.commit(), pid)
                stage.commits += 1
            finally:
                stage.statements.opened(-1)
            await self._after_commit()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Tx]:
        """As in Database."""
        async with self._connection() as connection:
            self._stage.statements.opened_session(1)
            try:
                yield StagedTx(connection, self._stage)
            finally:
                self._stage.statements.opened_session(-1)

    async def write(self, query: str, *args: object) -> str:
        """As in Database: a transaction of one statement."""
        async with self.transaction() as tx:
            return await tx.execute(query, *args)

    async def copy_csv(self, query: str, *args: object, into: Path, timeout: float) -> None:  # noqa: ASYNC109 - as in Database
        """As in Database."""
        async with self._connection() as connection:
            await self._stage.point("COPY TO")
            self._stage.dies("statement")
            with into.open("wb") as file:
                work = connection.copy_from_query(query, *args, output=file, format="csv", timeout=timeout)
                await self._stage.io(work, connection.get_server_pid())

    async def read(self, query: str, *args: object) -> Any:
        """As in Database."""
        async with self.session() as tx:
            return await tx.fetchval(query, *args)

    async def close(self) -> None:
        """Nothing is held."""

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator["Connection[Record]"]:
        await self._stage.point("begin")
        self._stage.dies("begin")
        if self._stage.befalls("db.refused", "begin"):
            raise ConnectionRefusedError("connection refused")
        connection = await self._stage.io(self._ground.take(), 0)
        try:
            yield connection
        finally:
            self._ground.give_back(connection)

    async def _before_commit(self) -> None:
        await self._stage.point("commit")
        self._stage.dies("commit")
        if self._stage.befalls("commit.undone", "commit"):
            raise asyncpg.ConnectionDoesNotExistError(BROKEN)

    async def _after_commit(self) -> None:
        self._stage.note("committed")
        self._stage.dies("committed")
        if self._stage.befalls("commit.lost", "commit"):
            raise asyncpg.ConnectionDoesNotExistError(BROKEN)
        await self._stage.point("committed")


class StagedTx:
    """A transaction whose every statement is a seam. A broken connection stays broken."""

    def __init__(self, connection: "Connection[Record]", stage: Stage) -> None:
        self._connection = connection
        self._stage = stage
        self._broken = False

    async def _run(self, statement: Callable[[], Awaitable[Any]], seam: str) -> Any:
        if self._broken:
            raise asyncpg.InterfaceError("connection is closed")
        await self._stage.point(seam)
        self._stage.dies("statement")
        if self._stage.befalls("db.broken", "statement"):
            self._broken = True
            raise asyncpg.ConnectionDoesNotExistError(BROKEN)
        return await self._stage.io(statement(), self._connection.get_server_pid())

    async def fetch(self, query: str, *args: object, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - as in Tx
        """As in Tx."""
        return await self._run(lambda: self._connection.fetch(query, *args, timeout=timeout), _short(query))

    async def fetchrow(self, query: str, *args: object, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """As in Tx."""
        return await self._run(lambda: self._connection.fetchrow(query, *args, timeout=timeout), _short(query))

    async def fetchval(self, query: str, *args: object, column: int = 0, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """As in Tx."""
        return await self._run(
            lambda: self._connection.fetchval(query, *args, column=column, timeout=timeout), _short(query)
        )

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """As in Tx."""
        return await self._run(lambda: self._connection.execute(query, *args, timeout=timeout), _short(query))

    async def executemany(self, command: str, args: Iterable[Sequence[object]], *, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """As in Tx."""
        return await self._run(lambda: self._connection.executemany(command, args, timeout=timeout), _short(command))

    async def copy_records_to_table(
        self,
        table_name: str,
        *,
        records: Iterable[Sequence[object]] | AsyncIterable[Sequence[object]],
        columns: Iterable[str] | None = None,
        schema_name: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> Any:
        """As in Tx."""
        return await self._run(
            lambda: self._connection.copy_records_to_table(
                table_name, records=records, columns=columns, schema_name=schema_name, timeout=timeout
            ),
            f"COPY {table_name}",
        )


@lru_cache(maxsize=1000)
def _short(query: str) -> str:
    """The beginning of a statement, as a name for its seam."""
    return " ".join(query.split()[:3])
