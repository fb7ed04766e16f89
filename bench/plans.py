"""How PostgreSQL carries out the statements of the real code: which tables it reads whole, which partitions it opens,
how many blocks it touches. Unlike times, these are the same on every machine.

`Watched` is a Database whose transactions explain each statement, with the arguments that the code gave, before they
run it: the explained run is rolled back.
"""

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paidup.db.transaction import Database, Tx

if TYPE_CHECKING:
    from asyncpg import Record

_EXPLAINED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


@dataclass(frozen=True)
class Plan:
    """One statement as it was carried out. read_whole: tables scanned from end to end; indexes: those that were used;
    opened: relations that were looked into, a partition being one; blocks: 8 KiB blocks touched, in memory or not."""

    query: str
    read_whole: tuple[str, ...]
    indexes: tuple[str, ...]
    opened: tuple[str, ...]
    blocks: int
    ms: float


class Watched(Database):
    """A Database that notes how each statement is carried out. generic: with plans that were made before the arguments
    were known, as PostgreSQL may keep them for a prepared statement."""

    plans: list[Plan]
    generic: bool = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """As `Database.transaction`, with every statement explained first."""
        async with super().transaction() as tx:
            yield _Explaining(tx, self)


class _Explaining:
    """A Tx that explains."""

    def __init__(self, tx: Tx, watched: Watched) -> None:
        self._tx = tx
        self._watched = watched

    async def _note(self, query: str, args: Sequence[object]) -> None:
        if query.split(maxsplit=1)[0].upper() in _EXPLAINED:
            self._watched.plans.append(await explain(self._tx, query, args, generic=self._watched.generic))

    async def fetch(self, query: str, *args: object, timeout: float | None = None) -> "list[Record]":  # noqa: ASYNC109
        await self._note(query, args)
        return await self._tx.fetch(query, *args, timeout=timeout)

    async def fetchrow(self, query: str, *args: object, timeout: float | None = None) -> "Record | None":  # noqa: ASYNC109
        await self._note(query, args)
        return await self._tx.fetchrow(query, *args, timeout=timeout)

    async def fetchval(self, query: str, *args: object, column: int = 0, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        await self._note(query, args)
        return await self._tx.fetchval(query, *args, column=column, timeout=timeout)

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:  # noqa: ASYNC109
        await self._note(query, args)
        return await self._tx.execute(query, *args, timeout=timeout)

    async def executemany(self, command: str, args: Iterable[Sequence[object]], **options: Any) -> None:
        await self._tx.executemany(command, args, **options)

    async def copy_records_to_table(self, table_name: str, **options: Any) -> str:
        return await self._tx.copy_records_to_table(table_name, **options)


_TYPES = "SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = 'probe'"


async def explain(tx: Tx, query: str, args: Sequence[object] = (), *, generic: bool = False) -> Plan:
    """Carry a statement out, roll it back, and say how it went."""
    await tx.execute("SAVEPOINT probe")
    await tx.execute(f"SET LOCAL plan_cache_mode = force_{'generic' if generic else 'custom'}_plan")
    await tx.execute(f"PREPARE probe AS {query}")
    types = await tx.fetchval(_TYPES)
    given = [
        await tx.fetchval(f"SELECT quote_nullable(${1}::{kind}::text) || '::{kind}'", value)
        for kind, value in zip(types, args, strict=True)
    ]
    call = f"EXECUTE probe({', '.join(given)})" if given else "EXECUTE probe"
    [found] = json.loads(await tx.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {call}"))
    await tx.execute("ROLLBACK TO probe")
    await tx.execute("DEALLOCATE probe")
    nodes = list(_nodes(found["Plan"]))
    return Plan(
        query=query,
        read_whole=tuple(sorted(n["Relation Name"] for n in nodes if n["Node Type"] == "Seq Scan" and _ran(n))),
        indexes=tuple(sorted({n["Index Name"] for n in nodes if "Index Name" in n and _ran(n)})),
        opened=tuple(sorted({n["Relation Name"] for n in nodes if "Relation Name" in n and _ran(n)})),
        blocks=found["Plan"]["Shared Hit Blocks"] + found["Plan"]["Shared Read Blocks"],
        ms=found["Execution Time"],
    )


def _ran(node: dict[str, Any]) -> bool:
    """Partitions that were pruned while the statement ran are in the plan, and were never looked into."""
    return bool(node["Actual Loops"])


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
