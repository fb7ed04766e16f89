"""The database's statements that run, and those that wait for a lock which another actor holds.

PostgreSQL is asked who waits for whom, and of several whom one commit frees each goes on alone, so that this does not
depend on timing.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from paidup.simulator.actors import Actor
from paidup.simulator.backends import Backends

MOMENT_S = 0.003
"""So long a statement may take, in real time, before PostgreSQL is asked whether it waits for a lock."""


@dataclass(eq=False)
class Statement:
    """A statement that runs. pid: the server process that runs it."""

    pid: int
    actor: Actor
    blocked: bool = False
    done: bool = False
    turn: "asyncio.Future[None] | None" = None


class Statements:
    """All of a run, on this server's processes. note: writes down that one waits for a lock."""

    def __init__(self, backends: Backends, note: Callable[[str], None]) -> None:
        self._backends = backends
        self._note = note
        self.running: list[Statement] = []
        self.blocked: list[Statement] = []
        self.open_transactions = 0
        self._open_sessions = 0
        self._over = asyncio.Event()

    def begin(self, pid: int, actor: Actor) -> Statement:
        """One statement more runs."""
        statement = Statement(pid, actor)
        self.running.append(statement)
        return statement

    def end(self, statement: Statement) -> None:
        """It runs no more."""
        self._backends.let_go(statement.pid)  # one that is given up in its wait must hear of it
        if not statement.blocked:
            self.running.remove(statement)
        if not self.running:
            self._over.set()

    def opened(self, change: int) -> None:
        """One transaction more, or one less, is open."""
        self.open_transactions += change

    def opened_session(self, change: int) -> None:
        """One session more, or one less, is open: its statements may wait for a transaction's locks, too."""
        self._open_sessions += change

    async def until_over_or_blocked(self) -> None:
        """Wait for all that run, or a moment, after which those that wait for a lock are known."""
        self._over.clear()
        if self.open_transactions + self._open_sessions < 2:
            await self._over.wait()
            return
        try:
            async with asyncio.timeout(MOMENT_S):
                await self._over.wait()
        except TimeoutError:
            waiting = await self._backends.waiting([statement.pid for statement in self.running])
            for statement in [s for s in self.running if s.pid in waiting and not s.done]:
                self._backends.hold(statement.pid)
                statement.blocked = True
                self.running.remove(statement)
                self.blocked.append(statement)
                self._note(f"{statement.actor.name}: waits for a lock")

    async def until_released_are_done(self) -> None:
        """Whoever waits for a lock no more goes on, one after the other in the order in which they began to wait, until
        each is done or waits again."""
        while pending := [s for s in self.blocked if not s.done]:
            still = await self._backends.waiting([statement.pid for statement in pending])
            free = next((s for s in pending if s.pid not in still and not s.done), None)
            if free is None:
                return
            self._backends.let_go(free.pid)
            await self._until_done_or_blocked(free)

    async def _until_done_or_blocked(self, statement: Statement) -> None:
        while not statement.done:
            if statement.pid in await self._backends.waiting([statement.pid]):
                self._backends.hold(statement.pid)
                return
            await asyncio.sleep(MOMENT_S / 10)

    async def released(self) -> "list[tuple[Actor, asyncio.Future[None]]]":
        """Who waits for a lock no more, each with the turn that he waits for now."""
        await self.until_released_are_done()
        found = [(statement.actor, statement.turn) for statement in self.blocked if statement.turn is not None]
        self.blocked = [statement for statement in self.blocked if statement.turn is None]
        return found
