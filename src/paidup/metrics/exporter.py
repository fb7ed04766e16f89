"""Answers scrapes: the database is read at most every few seconds, once for all who ask."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

import asyncpg

from paidup import log
from paidup.clock import monotonic_s
from paidup.db.transaction import Database
from paidup.metrics import database
from paidup.metrics import families as f
from paidup.metrics.process import Vitals
from paidup.metrics.readings import Readings
from paidup.metrics.tallies import Account, Tallies

KEPT_S = 5.0
"""How long a reading of the database is told again, to whoever asks."""
_AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


class Exporter:
    """One process's answers to Prometheus."""

    def __init__(
        self,
        db: Database,
        vitals: Vitals,
        *,
        now_of: Callable[[], datetime],
        accounts_of: Callable[[], Sequence[Account]],
        kept_s: float = KEPT_S,
    ) -> None:
        self._db = db
        self._vitals = vitals
        self._now_of = now_of
        self._accounts_of = accounts_of
        self._kept_s = kept_s
        self._tallies = Tallies()
        self._reading: asyncio.Task[Readings] | None = None
        self._read_at_s = 0.0

    async def read(self) -> Readings:
        """The business as the database has it, and this process. Without the database: paidup_database_up 0."""
        return (await self._of_database()).plus(self._vitals.read(monotonic_s()))

    async def _of_database(self) -> Readings:
        """A reading that is under way or young enough, or else a new one."""
        task = self._reading
        if task is None or (task.done() and monotonic_s() - self._read_at_s >= self._kept_s):
            task = self._reading = asyncio.create_task(self._read())
        return await asyncio.shield(task)  # whoever scrapes may give up; the others still want it

    async def _read(self) -> Readings:
        began_s = monotonic_s()
        try:
            async with self._db.session() as tx:
                now, accounts = self._now_of(), sorted(self._accounts_of())
                found = (await self._tallies.read(tx, now, accounts)).plus(await database.read(tx, now, accounts))
            found.count(f.UP, 1)
        except _AWAY as error:
            log.warning("metrics.unread", why=f"{type(error).__name__}: {error}"[:300])
            found = Readings()
            found.count(f.UP, 0)
        self._read_at_s = monotonic_s()
        found.count(f.READ_TOOK, self._read_at_s - began_s)
        return found

    async def aclose(self) -> None:
        """Give up a reading that is under way."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
