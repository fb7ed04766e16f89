"""PostgreSQL's own processes, one for each connection: which of them wait for a lock, and which may go on.

A commit may free two at once that waited for it, and PostgreSQL promises no order: the machine's load decides which of
them has the row first. So whoever waits for a lock stands still in the operating system's sense, too, until it is told
to go on.
"""

import asyncio
import os
from contextlib import suppress
from signal import SIGCONT, SIGSTOP
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncpg import Connection, Record

# Of the asked processes those that wait for a lock. One that waits for nothing goes on, or would if it were let.
WAITING = "SELECT pid FROM unnest($1::int[]) AS p (pid) WHERE cardinality(pg_blocking_pids(pid)) > 0"


class Backends:
    """The processes of a server on this machine that this account may stop: an embedded one. admin: a connection that
    no run uses."""

    def __init__(self, admin: "Connection[Record]") -> None:
        self._admin = admin
        self._asking = asyncio.Lock()
        self.held: set[int] = set()
        """Those that stand still."""

    async def waiting(self, pids: list[int]) -> set[int]:
        """Of these, those that wait for somebody's lock."""
        async with self._asking:
            return {row["pid"] for row in await self._admin.fetch(WAITING, pids)}

    def hold(self, pid: int) -> None:
        """It stands still where it is: in its wait for a lock, where it keeps nobody from anything."""
        os.kill(pid, SIGSTOP)
        self.held.add(pid)

    def let_go(self, pid: int) -> None:
        """It goes on if it was held."""
        if pid in self.held:
            self.held.discard(pid)
            with suppress(ProcessLookupError):  # its server was stopped meanwhile
                os.kill(pid, SIGCONT)

    def let_all_go(self) -> None:
        """None is held any more: a server cannot end while one of its processes stands still."""
        for pid in list(self.held):
            self.let_go(pid)
