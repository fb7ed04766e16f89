"""Statements as a generator: it yields (SQL, arguments), and is sent the rows of a SELECT, or how many rows changed.

So what is to be said is written once, and spoken through a DB-API cursor or through asyncpg.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

R = TypeVar("R")
Speak: TypeAlias = Generator[tuple[str, tuple[object, ...]], Any, R]


def drive(cursor: Any, talk: Speak[R]) -> R:
    """Through a DB-API cursor."""
    answer: Any = None
    while True:
        try:
            query, arguments = talk.send(answer)
        except StopIteration as end:
            result: R = end.value
            return result
        cursor.execute(query, arguments)
        answer = _in_order(cursor.fetchall()) if query.startswith("SELECT") else cursor.rowcount


def _in_order(rows: Sequence[Any]) -> list[Any]:
    """Whatever the cursor makes of a row: those of many frameworks make a dict."""
    return [tuple(row.values()) if isinstance(row, Mapping) else row for row in rows]


async def drive_async(connection: Any, talk: Speak[R]) -> R:
    """Through an asyncpg connection."""
    answer: Any = None
    while True:
        try:
            query, arguments = talk.send(answer)
        except StopIteration as end:
            result: R = end.value
            return result
        if query.startswith("SELECT"):
            answer = await connection.fetch(query, *arguments)
        else:
            answer = _changed(await connection.execute(query, *arguments))


def _changed(status: str) -> int:
    """Of "UPDATE 1"; -1 where it says nothing of rows."""
    number = status.rpartition(" ")[2]
    return int(number) if number.isdigit() else -1
