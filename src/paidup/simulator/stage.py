"""One step at a time: whoever runs holds the only turn, and gives it up at seams. So the seed decides who overtakes
whom, and neither sockets nor the machine's load do.

An actor is a coroutine with all the tasks it starts; most belong to a process. At a seam (`point`) it goes on, is
overtaken, or is found dead. A statement of the database keeps the turn while it runs. One that waits for a lock which
another actor holds gives the turn up, and takes part again when the lock was released.
"""

import asyncio
from collections.abc import Awaitable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, TypeVar

from paidup.simulator.actors import ACTING, Actor, Died, Life
from paidup.simulator.backends import Backends
from paidup.simulator.clock import Clock
from paidup.simulator.fates import Fates
from paidup.simulator.statements import Statements
from paidup.simulator.threads import without_overlap

T = TypeVar("T")
RARE = 4.0
"""Requests and deliveries are few beside other steps, and matter as much: faults befall each so much oftener."""
QUIET = 2
"""So often in a row the event loop has nothing to run before it is believed: a timer without delay takes one look."""
MAX_STEPS = 300_000


class Stuck(Exception):
    """Nothing can go on, although nothing sleeps: a deadlock, or a round that never ends."""


@dataclass(eq=False)
class _Parked:
    actor: Actor
    until: datetime | None
    turn: "asyncio.Future[None]"


class Stage:
    """Where everything happens. backends: the processes of the server that the statements go to."""

    def __init__(self, clock: Clock, fates: Fates, backends: Backends) -> None:
        self.clock = clock
        self.fates = fates
        self.statements = Statements(backends, self.note)
        self._parked: list[_Parked] = []
        self._holder: asyncio.Task[Any] | None = None
        self._digest = blake2b(digest_size=16)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ended: list[tuple[asyncio.Task[Any], Actor]] = []
        self.failures: list[tuple[str, BaseException]] = []
        """Actors that ended with an exception other than death."""
        self._closed = False
        self.steps = 0
        """Seams passed so far."""
        self.commits = 0
        """Transactions that were committed so far. While it stays, the tables do."""
        self.told: list[str] | None = None
        """When a list, every step is written down for people."""
        clock.pause = self.pause

    @property
    def trace(self) -> str:
        """A fingerprint of all that happened, in order."""
        return self._digest.hexdigest()

    def note(self, what: str) -> None:
        """Something happened: it becomes part of the trace."""
        line = f"{self.clock.text} {what}"
        self._digest.update(line.encode() + b"\n")
        if self.told is not None:
            self.told.append(line)

    def spawn(self, name: str, work: Coroutine[Any, Any, T], life: Life | None = None) -> "asyncio.Task[T]":
        """A new actor; it begins when it gets a turn."""
        actor = Actor(name, life)

        async def begin() -> T:
            ACTING.set(actor)
            await self._park(actor, None)
            return await work

        def ended(task: "asyncio.Task[T]") -> None:
            work.close()  # it may never have begun
            self._tasks.discard(task)
            error = None if task.cancelled() else task.exception()
            if error is not None and not isinstance(error, Died):
                self.failures.append((name, error))

        task = asyncio.Task(begin(), loop=asyncio.get_running_loop(), name=name)
        self._tasks.add(task)
        task.add_done_callback(ended)
        return task

    @property
    def who(self) -> str:
        """The name of the actor that runs; empty when none does."""
        actor = ACTING.get(None)
        return actor.name if actor else ""

    @contextmanager
    def _adopting(self) -> Iterator[None]:
        """Meanwhile every task that an actor starts is known, so that it can be ended."""
        loop = asyncio.get_running_loop()
        before = loop.get_task_factory()
        loop.set_task_factory(self._adopted)
        try:
            with without_overlap(loop):
                yield
        finally:
            loop.set_task_factory(before)

    def _adopted(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> "asyncio.Task[Any]":
        task, actor = asyncio.Task(work, loop=loop, **options), ACTING.get(None)
        if actor is None:
            return task

        def ended(task: "asyncio.Task[Any]") -> None:
            self._tasks.discard(task)
            if not task.cancelled():
                self._ended.append((task, actor))

        self._tasks.add(task)
        task.add_done_callback(ended)
        return task

    # Seams -----------------------------------------------------------------------------------------------------------

    async def point(self, seam: str) -> None:
        """A seam at which somebody else may go first, and at which a process that was killed ends. Raises Died."""
        actor = ACTING.get()
        self._must_live(actor)
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise Stuck(f"more than {MAX_STEPS} steps: something goes round in circles at {actor.name}")
        if self._holder is not asyncio.current_task() or self._is_overtaken(actor, seam):
            await self._park(actor, None)
        self.note(f"{actor.name}: {seam}")
        if self.befalls("stall", seam):
            await self.pause(self._stall_s(actor.name))

    async def pause(self, seconds: float) -> None:
        """Wait for so many simulated seconds. Raises Died."""
        await self._park(ACTING.get(), self.clock.now() + timedelta(seconds=max(0.0, seconds)))

    def befalls(self, kind: str, seam: str) -> bool:
        """Whether this fault hits whoever runs, at this seam."""
        if not self.fates.may_hit(kind):
            return False
        actor = ACTING.get()
        is_rare = actor.name.startswith(("api", "callback", "desk")) or actor.name.endswith(("delivery", "checkout"))
        weight = RARE if is_rare else 1.0
        return self.fates.hits(kind, f"{actor.name} {seam}", self.clock.now(), weight)

    def dies(self, seam: str) -> None:
        """Perhaps the process of whoever runs is killed here. Raises Died."""
        actor = ACTING.get()
        if actor.life and self.befalls("process.dies", seam):
            self.note(f"{actor.life.name} is killed")
            actor.life.alive = False
        self._must_live(actor)

    async def io(self, work: Awaitable[T], pid: int) -> T:
        """Wait for the database; a wait for somebody's lock gives the turn up. What this releases somebody else from
        is done before the turn goes on: otherwise he would run beside it, and come first or second by chance."""
        statement = self.statements.begin(pid, ACTING.get())
        try:
            return await work
        finally:
            statement.done = True
            if not statement.blocked and not self._closed:
                await self.statements.until_released_are_done()
            self.statements.end(statement)
            if statement.blocked and not self._closed:
                statement.turn = asyncio.get_running_loop().create_future()
                await statement.turn
                self._holder = asyncio.current_task()

    def _stall_s(self, name: str) -> float:
        longest = 20.0 if self.statements.open_transactions else 200.0
        return self.fates.between(1, longest, f"stall {name}")

    def _is_overtaken(self, actor: Actor, seam: str) -> bool:
        others = any(self._may_run(other) and other.actor is not actor for other in self._parked)
        return others and self.fates.hits("overlap", f"{actor.name} {seam}", self.clock.now())

    def _is_gone(self, actor: Actor) -> bool:
        return self._closed or (actor.life is not None and not actor.life.alive)

    def _must_live(self, actor: Actor) -> None:
        if self._is_gone(actor):
            raise Died(actor.life.name if actor.life else actor.name)

    async def _park(self, actor: Actor, until: datetime | None) -> None:
        self._must_live(actor)
        entry = _Parked(actor, until, asyncio.get_running_loop().create_future())
        self._parked.append(entry)
        try:
            await entry.turn
        except asyncio.CancelledError:  # by the task that started it; nobody else may give it a turn any more
            if entry in self._parked:
                self._parked.remove(entry)
            raise
        self._holder = asyncio.current_task()
        self._must_live(actor)

    # Turns -----------------------------------------------------------------------------------------------------------

    @property
    def wakes_at(self) -> datetime | None:
        """When the first of those who sleep wakes."""
        return min((entry.until for entry in self._parked if entry.until is not None), default=None)

    @property
    def is_empty(self) -> bool:
        """Whether nobody is left who would go on by himself."""
        return not self._parked and not self.statements.blocked

    async def play(self) -> None:
        """Give turns until all who are left sleep. Raises Stuck when some wait for each other for ever."""
        with self._adopting():
            await self._until_quiet()
            while entry := self._next():
                self._parked.remove(entry)
                entry.turn.set_result(None)
                await self._until_quiet()
        if self.statements.blocked and self.wakes_at is None:
            names = ", ".join(sorted(statement.actor.name for statement in self.statements.blocked))
            raise Stuck(f"deadlock: {names} wait for locks that nobody will give up")

    async def close(self) -> None:
        """End all who are left, with every task they started: nothing may come to its end later, in somebody else's
        time, when it is collected as garbage."""
        self._closed = True
        with self._adopting():
            while self._tasks:
                for task in self._tasks:
                    task.cancel()
                await asyncio.wait(self._tasks)
        for task, actor in self._ended:
            if self._is_gone(actor):
                task.exception()  # whoever would have looked at it is dead, too
        self._parked.clear()
        self.statements.blocked.clear()
        self._ended.clear()

    def _may_run(self, entry: _Parked) -> bool:
        return self._is_gone(entry.actor) or entry.until is None or entry.until <= self.clock.now()

    def _next(self) -> _Parked | None:
        """Whose turn it is: the dead end first; one who was overtaken comes after somebody else."""
        ready = [entry for entry in self._parked if self._may_run(entry)]
        dead = [entry for entry in ready if self._is_gone(entry.actor)]
        if dead or len(ready) < 2:
            return next(iter(dead or ready), None)
        overlaps = self.statements.open_transactions > 0
        return ready[self.fates.pick(len(ready) - 1, "turn")] if overlaps else ready[0]

    async def _until_quiet(self) -> None:
        """Until nothing runs: each task waits for a turn, for another task, or for a lock."""
        quiet = 0
        while quiet < QUIET:
            while self.statements.running:
                quiet = 0
                await self.statements.until_over_or_blocked()
            ready = len(asyncio.get_running_loop()._ready)  # type: ignore[attr-defined]  # there is no public way to ask whether anything is left to run
            quiet = 0 if ready else quiet + 1
            await asyncio.sleep(0)
        if self.statements.blocked:
            for actor, turn in await self.statements.released():
                self._parked.append(_Parked(actor, None, turn))
