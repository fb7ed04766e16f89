"""Statements as a generator: it yields (SQL, arguments), and is sent the rows of a SELECT.

So what is to be said is written once, and spoken through a DB-API cursor or through asyncpg.
"""

from collections.abc import Generator
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
        answer = cursor.fetchall() if query.startswith("SELECT") else None


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
            answer = await connection.execute(query, *arguments)
