"""A process that can die at any of its uses of the database.

A step is a moment at which the process may be gone: before a statement reaches the server, after it ran and before
its answer is read, before a commit, and after the commit with its answer lost. Whoever dies leaves its transaction
open, as a killed process does, and the server undoes it.
"""

# ruff: noqa: ASYNC109 - the timeouts are asyncpg's
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from paidup.db.transaction import Database, Tx


class Died(BaseException):
    """Not an Exception: nothing in the code may catch it and live on."""


class Fate:
    """Dies at one step; counts them all."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.steps = 0

    def step(self) -> None:
        """One more moment at which it may happen."""
        self.steps += 1
        if self.steps == self.at:
            raise Died(f"at step {self.at}")


class MortalTx:
    """A transaction whose every statement is two steps."""

    def __init__(self, tx: Tx, fate: Fate) -> None:
        self._tx, self._fate = tx, fate

    async def _run(self, call: Callable[[], Awaitable[Any]]) -> Any:
        self._fate.step()
        answer = await call()
        self._fate.step()
        return answer

    async def fetch(self, query: str, *args: object, timeout: float | None = None) -> Any:
        return await self._run(lambda: self._tx.fetch(query, *args, timeout=timeout))

    async def fetchrow(self, query: str, *args: object, timeout: float | None = None) -> Any:
        return await self._run(lambda: self._tx.fetchrow(query, *args, timeout=timeout))

    async def fetchval(self, query: str, *args: object, column: int = 0, timeout: float | None = None) -> Any:
        return await self._run(lambda: self._tx.fetchval(query, *args, column=column, timeout=timeout))

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> Any:
        return await self._run(lambda: self._tx.execute(query, *args, timeout=timeout))

    async def executemany(self, command: str, args: Iterable[Sequence[object]], *, timeout: float | None = None) -> Any:
        return await self._run(lambda: self._tx.executemany(command, args, timeout=timeout))

    async def copy_records_to_table(self, table_name: str, **options: Any) -> Any:
        return await self._run(lambda: self._tx.copy_records_to_table(table_name, **options))


class MortalDatabase(Database):
    """The same database, used by somebody who dies. `fate` may be changed between rounds."""

    fate = Fate(0)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        async with super().transaction() as tx:
            yield MortalTx(tx, self.fate)
            self.fate.step()
        self.fate.step()
