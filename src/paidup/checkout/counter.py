"""The sales counter of one process: buyers wait in line, and whoever has gathered is served by one transaction.

One line per shard of articles, and one transaction at a time in each: two that want the same hot row only wait for each
other. The order of a line is the order in which buyers came. A full line answers Overloaded.
"""

import zlib
from collections.abc import Callable, Sequence
from datetime import datetime

import asyncpg

from paidup.checkout.sell import Answer, Wanted, checked, sell
from paidup.db.flusher import Flusher
from paidup.db.transaction import Database
from paidup.errors import OurError
from paidup.orders.order import Order

SHARDS = 4
MAX_WAITING = 4096
"""Buyers in each line; at some thousand a second, the last of them waits for a second or two."""
MAX_BATCH = 500


class _Buyer:
    """Somebody in the line, with the answer once there is one."""

    __slots__ = ("answer", "wanted")

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.answer: Answer | OurError = OurError("nobody answered")


class Counter:
    """Places orders with items. now_of: the clock."""

    def __init__(self, db: Database, now_of: Callable[[], datetime], *, max_waiting: int = MAX_WAITING) -> None:
        self._db = db
        self._now_of = now_of
        full = "too many buyers at once; try again in a moment"
        self._lines = [
            Flusher(self._serve, max_waiting=max_waiting, max_batch=MAX_BATCH, lanes=1, full=full)
            for _ in range(SHARDS)
        ]

    async def place(self, wanted: Wanted) -> Order:
        """The order, once it and its units are durable; the one that has this number already is given back as it is.

        Raises OutOfStock, Conflict, InvalidRequest, or Overloaded when too many wait.
        """
        buyer = _Buyer(checked(wanted))
        line = self._lines[shard_of(buyer.wanted)]
        try:
            await line.put(buyer)
        except (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError):
            # Another process placed it in the same moment: now it is there. Or it was sent there with other articles,
            # and PostgreSQL ended a circle by undoing our part of it: whoever else was in it has gone on.
            await line.put(buyer)
        if isinstance(buyer.answer, Order):
            return buyer.answer
        raise buyer.answer

    async def close(self) -> None:
        """Wait until everybody in line is served."""
        for line in self._lines:
            await line.close()

    async def _serve(self, buyers: Sequence[_Buyer]) -> None:
        async with self._db.transaction() as tx:
            answers = await sell(tx, [buyer.wanted for buyer in buyers], self._now_of())
        for buyer, answer in zip(buyers, answers, strict=True):
            buyer.answer = answer


def shard_of(wanted: Wanted) -> int:
    """The line for this order: orders for the same article stand in the same one, by the first of their articles."""
    return zlib.crc32(f"{wanted.shop}/{wanted.items[0].sku}".encode()) % SHARDS
