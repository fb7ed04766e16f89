"""The database's statements that run, and those that wait for a lock which another actor holds.

PostgreSQL is asked who waits for whom, so that this does not depend on timing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from paidup.simulator.actors import Actor

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
    """All of a run. who_waits: of these server processes, those that wait for a lock. note: writes down that one
    does."""

    def __init__(self, who_waits: Callable[[list[int]], Awaitable[set[int]]], note: Callable[[str], None]) -> None:
        self._who_waits = who_waits
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
            waiting = await self._who_waits([statement.pid for statement in self.running])
            for statement in [s for s in self.running if s.pid in waiting and not s.done]:
                statement.blocked = True
                self.running.remove(statement)
                self.blocked.append(statement)
                self._note(f"{statement.actor.name}: waits for a lock")

    async def until_released_are_done(self) -> None:
        """Wait until each that waited for a lock is done, or waits for it still."""
        while pending := [s for s in self.blocked if not s.done]:
            still = await self._who_waits([statement.pid for statement in pending])
            if all(statement.done or statement.pid in still for statement in pending):
                return
            await asyncio.sleep(MOMENT_S / 10)

    async def released(self) -> "list[tuple[Actor, asyncio.Future[None]]]":
        """Who waits for a lock no more, each with the turn that he waits for now."""
        await self.until_released_are_done()
        found = [(statement.actor, statement.turn) for statement in self.blocked if statement.turn is not None]
        self.blocked = [statement for statement in self.blocked if statement.turn is None]
        return found
