"""A batch in which one item is bad: halve it until the bad one stands alone."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import asyncpg

from paidup.db.migrate import pending
from paidup.db.transaction import Database
from paidup.errors import HandlersMissing, PaidupError

POISON = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,
    PaidupError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,  # msgspec's errors are ValueErrors
)
"""What one bad item may raise. A lost connection or a deadlock is nobody's fault: it passes through, all is retried."""

T = TypeVar("T")


async def bad_ones(
    db: Database, items: Sequence[T], attempt: Callable[[Sequence[T]], Awaitable[None]]
) -> list[tuple[T, BaseException]]:
    """As in_halves; but raises ConfigError instead of blaming an item, when the schema does not fit this code."""
    bad = await in_halves(items, attempt)
    if bad:
        await must_fit(db)
    return bad


async def must_fit(db: Database) -> None:
    """Asked before an item is blamed: a newer version may have changed the tables under us, and it takes them all.

    Raises ConfigError, as `pending` does.
    """
    await pending(db)


async def in_halves(
    items: Sequence[T], attempt: Callable[[Sequence[T]], Awaitable[None]]
) -> list[tuple[T, BaseException]]:
    """Run `attempt` (one transaction) on all; a failing batch is halved until the poisoned items stand alone.

    Returns those with what they raised; everything else was committed. Raises HandlersMissing as it comes.
    """
    if not items:
        return []
    try:
        await attempt(items)
    except HandlersMissing:
        raise  # no item is at fault: this process is, and another one takes them all
    except POISON as error:
        if len(items) == 1:
            return [(items[0], error)]
        middle = len(items) // 2
        return await in_halves(items[:middle], attempt) + await in_halves(items[middle:], attempt)
    return []
