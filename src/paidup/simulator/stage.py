"""One step at a time: whoever runs holds the only turn, and gives it up at seams. So the seed decides who overtakes
whom, and neither sockets nor the machine's load do.

An actor is a coroutine with all the tasks it starts; most belong to a process. At a seam (`point`) it goes on, is
overtaken, or is found dead. A statement of the database keeps the turn while it runs. One that waits for a lock which
another actor holds gives the turn up, and takes part again when the lock was released: PostgreSQL is asked who waits
for whom, so that this, too, does not depend on timing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, TypeVar

from paidup.simulator.fates import Fates
from paidup.simulator.threads import without_overlap

T = TypeVar("T")
MOMENT_S = 0.003
"""So long a statement may take, in real time, before PostgreSQL is asked whether it waits for a lock."""
RARE = 4.0
"""Requests and deliveries are few beside other steps, and matter as much: faults befall each so much oftener."""
QUIET = 2
"""So often in a row the event loop has nothing to run before it is believed: a timer without delay takes one look."""
MAX_STEPS = 300_000


class Died(BaseException):
    """The process is gone. Not an Exception: nothing in the code may catch it and live on."""


class Stuck(Exception):
    """Nothing can go on, although nothing sleeps: a deadlock, or a round that never ends."""


@dataclass(eq=False)
class Life:
    """Whether a process still lives; all that belongs to it shares one."""

    name: str
    alive: bool = True


@dataclass(eq=False)
class Actor:
    """One round, request or delivery."""

    name: str
    life: Life | None


@dataclass(eq=False)
class _Parked:
    actor: Actor
    until: datetime | None
    turn: "asyncio.Future[None]"


@dataclass(eq=False)
class _Statement:
    """A statement that runs. pid: the server process that runs it."""

    pid: int
    actor: Actor
    blocked: bool = False
    done: bool = False
    turn: "asyncio.Future[None] | None" = None


_ACTOR: ContextVar[Actor] = ContextVar("actor")


def _said(moment: datetime) -> str:
    return f"{moment:%d %H:%M:%S.%f}"


class Clock:
    """The run's time. It stands still while anybody runs."""

    rate = 1.0

    def __init__(self, start: datetime) -> None:
        self._now = start
        self.text = _said(start)
        """The time, for people."""
        self.pause: Callable[[float], Awaitable[None]] | None = None

    def now(self) -> datetime:
        """The time it was moved to."""
        return self._now

    def move(self, to: datetime) -> None:
        """Time passes; it never goes back."""
        self._now = max(self._now, to)
        self.text = _said(self._now)

    async def sleep(self, seconds: float) -> None:
        """Wait for so many simulated seconds."""
        if self.pause:
            await self.pause(seconds)


@dataclass
class _Counts:
    steps: int = 0
    open_transactions: int = 0
    open_sessions: int = 0
    io: list[_Statement] = field(default_factory=list)


class Stage:
    """Where everything happens. who_waits: of these server processes, those that wait for a lock."""

    def __init__(self, clock: Clock, fates: Fates, who_waits: Callable[[list[int]], Awaitable[set[int]]]) -> None:
        self.clock = clock
        self.fates = fates
        self._who_waits = who_waits
        self._parked: list[_Parked] = []
        self._blocked: list[_Statement] = []
        self._holder: asyncio.Task[Any] | None = None
        self._counts = _Counts()
        self._io_over = asyncio.Event()
        self._digest = blake2b(digest_size=16)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ended: list[tuple[asyncio.Task[Any], Actor]] = []
        self.failures: list[tuple[str, BaseException]] = []
        """Actors that ended with an exception other than death."""
        self._closed = False
        self.commits = 0
        """Transactions that were committed so far. While it stays, the tables do."""
        self.told: list[str] | None = None
        """When a list, every step is written down for people."""
        clock.pause = self.pause

    @property
    def steps(self) -> int:
        """Seams passed so far."""
        return self._counts.steps

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
            _ACTOR.set(actor)
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
        actor = _ACTOR.get(None)
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
        task, actor = asyncio.Task(work, loop=loop, **options), _ACTOR.get(None)
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
        actor = _ACTOR.get()
        self._must_live(actor)
        self._counts.steps += 1
        if self._counts.steps > MAX_STEPS:
            raise Stuck(f"more than {MAX_STEPS} steps: something goes round in circles at {actor.name}")
        if self._holder is not asyncio.current_task() or self._is_overtaken(actor, seam):
            await self._park(actor, None)
        self.note(f"{actor.name}: {seam}")
        if self.befalls("stall", seam):
            await self.pause(self._stall_s(actor.name))

    async def pause(self, seconds: float) -> None:
        """Wait for so many simulated seconds. Raises Died."""
        await self._park(_ACTOR.get(), self.clock.now() + timedelta(seconds=max(0.0, seconds)))

    def befalls(self, kind: str, seam: str) -> bool:
        """Whether this fault hits whoever runs, at this seam."""
        if not self.fates.may_hit(kind):
            return False
        actor = _ACTOR.get()
        is_rare = actor.name.startswith(("api", "callback", "desk")) or actor.name.endswith(("delivery", "checkout"))
        weight = RARE if is_rare else 1.0
        return self.fates.hits(kind, f"{actor.name} {seam}", self.clock.now(), weight)

    def dies(self, seam: str) -> None:
        """Perhaps the process of whoever runs is killed here. Raises Died."""
        actor = _ACTOR.get()
        if actor.life and self.befalls("process.dies", seam):
            self.note(f"{actor.life.name} is killed")
            actor.life.alive = False
        self._must_live(actor)

    async def io(self, work: Awaitable[T], pid: int) -> T:
        """Wait for the database; a wait for somebody's lock gives the turn up. What this releases somebody else from
        is done before the turn goes on: otherwise he would run beside it, and come first or second by chance."""
        statement = _Statement(pid, _ACTOR.get())
        self._counts.io.append(statement)
        try:
            return await work
        finally:
            statement.done = True
            if not statement.blocked and not self._closed:
                await self._until_released_are_done()
            if not statement.blocked:
                self._counts.io.remove(statement)
            if not self._counts.io:
                self._io_over.set()
            if statement.blocked and not self._closed:
                statement.turn = asyncio.get_running_loop().create_future()
                await statement.turn
                self._holder = asyncio.current_task()

    def opened(self, change: int) -> None:
        """One transaction more, or one less, is open."""
        self._counts.open_transactions += change

    def opened_session(self, change: int) -> None:
        """One session more, or one less, is open: its statements may wait for a transaction's locks, too."""
        self._counts.open_sessions += change

    def _stall_s(self, name: str) -> float:
        longest = 20.0 if self._counts.open_transactions else 200.0
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
        return not self._parked and not self._blocked

    async def play(self) -> None:
        """Give turns until all who are left sleep. Raises Stuck when some wait for each other for ever."""
        with self._adopting():
            await self._until_quiet()
            while entry := self._next():
                self._parked.remove(entry)
                entry.turn.set_result(None)
                await self._until_quiet()
        if self._blocked and self.wakes_at is None:
            names = ", ".join(sorted(statement.actor.name for statement in self._blocked))
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
        self._blocked.clear()
        self._ended.clear()

    def _may_run(self, entry: _Parked) -> bool:
        return self._is_gone(entry.actor) or entry.until is None or entry.until <= self.clock.now()

    def _next(self) -> _Parked | None:
        """Whose turn it is: the dead end first; one who was overtaken comes after somebody else."""
        ready = [entry for entry in self._parked if self._may_run(entry)]
        dead = [entry for entry in ready if self._is_gone(entry.actor)]
        if dead or len(ready) < 2:
            return next(iter(dead or ready), None)
        overlaps = self._counts.open_transactions > 0
        return ready[self.fates.pick(len(ready) - 1, "turn")] if overlaps else ready[0]

    async def _until_quiet(self) -> None:
        """Until nothing runs: each task waits for a turn, for another task, or for a lock."""
        quiet = 0
        while quiet < QUIET:
            while self._counts.io:
                quiet = 0
                await self._wait_for_io()
            ready = len(asyncio.get_running_loop()._ready)  # type: ignore[attr-defined]  # there is no public way to ask whether anything is left to run
            quiet = 0 if ready else quiet + 1
            await asyncio.sleep(0)
        if self._blocked:
            await self._look_at_blocked()

    async def _wait_for_io(self) -> None:
        self._io_over.clear()
        if self._counts.open_transactions + self._counts.open_sessions < 2:
            await self._io_over.wait()
            return
        try:
            async with asyncio.timeout(MOMENT_S):
                await self._io_over.wait()
        except TimeoutError:
            waiting = await self._who_waits([statement.pid for statement in self._counts.io])
            for statement in [s for s in self._counts.io if s.pid in waiting and not s.done]:
                statement.blocked = True
                self._counts.io.remove(statement)
                self._blocked.append(statement)
                self.note(f"{statement.actor.name}: waits for a lock")

    async def _until_released_are_done(self) -> None:
        while pending := [s for s in self._blocked if not s.done]:
            still = await self._who_waits([statement.pid for statement in pending])
            if all(statement.done or statement.pid in still for statement in pending):
                return
            await asyncio.sleep(MOMENT_S / 10)

    async def _look_at_blocked(self) -> None:
        """Those whose lock was released take part again."""
        await self._until_released_are_done()
        for statement in [*self._blocked]:
            if statement.turn is not None:
                self._blocked.remove(statement)
                self._parked.append(_Parked(statement.actor, None, statement.turn))
