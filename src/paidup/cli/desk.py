"""The desk of the command line: what `payments`, `approvals`, `cases` … do by hand, the console does the same way."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from paidup.cli.application import quiet
from paidup.hand.desk import Desk
from paidup.settings import load

T = TypeVar("T")


def at_desk(work: Callable[[Desk], Awaitable[T]]) -> T:
    """Run a command's work with everything that a deed needs, without any worker; PAIDUP_APP's handlers hear of it."""

    async def with_desk() -> T:
        async with quiet(load()) as paidup:
            return await work(
                Desk(paidup.db, paidup.asker, paidup.accounts, paidup.handlers, paidup.clock, paidup.settings)
            )

    return asyncio.run(with_desk())
