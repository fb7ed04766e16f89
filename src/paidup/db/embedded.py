"""A PostgreSQL of our own, started from a wheel: nothing to install, no password to choose.

One data folder has one server, and one process owns it: the one that holds the lock. Others that ask for the same
folder attach to it, so that several Paidup processes share one server.

The owner stops the server when it ends cleanly. When the owner is killed, the server goes on, the attached processes
keep working, and whoever asks next takes ownership. A server that was itself killed recovers at the next start, which
the owner sees to; without one, whoever notices first.
"""

import asyncio
import fcntl
import os
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import asyncpg

from paidup.clock import SystemClock
from paidup.db.embedded_account import unprivileged_account
from paidup.db.embedded_binaries import readable_binaries, wheel_binaries
from paidup.db.embedded_cluster import SUPERUSER, cluster_major
from paidup.db.embedded_server import Postmaster, Server, StopMode, has_ended, running, start, stop
from paidup.db.embedded_site import SYSTEM_STATE_DIR, find_site
from paidup.errors import ConfigError

DATABASE = "paidup"
_ATTEMPTS = 3000
_PAUSE_S = 0.2

T = TypeVar("T")


@dataclass(frozen=True)
class Status:
    """What can be said of the server now. `owned`: this process is the one that stops it."""

    running: bool
    owned: bool
    pid: int | None
    home: Path
    major: int


class Embedded:
    """A server that runs, and whether this process owns it. Leaving ``async with`` closes it."""

    def __init__(self, server: Server, port: int, lock: "_Lock | None", *, detached: bool) -> None:
        self._server = server
        self._port = port
        self._lock = lock
        self._detached = detached

    def __repr__(self) -> str:
        return f"Embedded({self.home}, owned={self.owned})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def owned(self) -> bool:
        """Whether this process started the server or took it over."""
        return self._lock is not None

    @property
    def home(self) -> Path:
        """The folder that holds the cluster, the log and the password."""
        return self._server.site.home

    @property
    def dsn(self) -> str:
        """Where to connect, with the password: not for logs."""
        return _dsn(self._server, self._port, DATABASE)

    async def status(self) -> Status:
        """Ask the server whether it answers."""
        postmaster = await running(self._server)
        return Status(
            postmaster is not None, self.owned, postmaster.pid if postmaster else None, self.home,
            self._server.binaries.major,
        )  # fmt: skip

    async def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server, also a detached one, and give up ownership.

        ``immediate`` is a crash: the next start recovers. Raises ConfigError in a process that does not own it.
        """
        lock = self._require_ownership()
        await _whole(stop(self._server, mode))
        lock.release()
        self._lock = None

    async def restart(self, mode: StopMode = "fast") -> None:
        """Stop and start the server; connections break. Raises ConfigError in a process that does not own it."""
        self._require_ownership()
        self._port = (await _whole(self._again(mode))).port

    async def _again(self, mode: StopMode) -> Postmaster:
        await stop(self._server, mode)
        return await start(self._server)

    async def revive(self) -> bool:
        """Start the server again if it ended and nobody told it to through us; whether it had to be. In a process that
        does not own it, only when no other does. Raises ConfigError when it does not start."""
        if not has_ended(self._server):
            return False
        self._lock = self._lock or _Lock.try_take(self._server.site.lock)
        if self._lock is None:
            return False  # its owner starts it, or is stopping it
        self._port = (await _whole(start(self._server))).port
        return True

    async def close(self) -> None:
        """End cleanly: the owner stops the server unless it was asked for `detached`; others leave it alone."""
        if self._lock and not self._detached:
            await self.stop()
        elif self._lock:
            self._lock.release()
            self._lock = None

    def _require_ownership(self) -> "_Lock":
        if self._lock is None:
            raise ConfigError(f"another process owns the server in {self.home}: stop that process instead")
        return self._lock


async def start_embedded(
    data_dir: Path,
    *,
    port: int | None = None,
    detached: bool = False,
    options: Mapping[str, str] | None = None,
    state_dir: Path = SYSTEM_STATE_DIR,
) -> Embedded:
    """Start the server of a data folder and own it, or attach to the one that runs.

    port: also listen on this TCP port of 127.0.0.1; by default there is only a private socket. detached: a clean end
    of this process leaves the server running. options: settings for postgresql.conf, such as shared_buffers. state_dir:
    where root puts what the unprivileged account could not reach. What runs already keeps its port and options.

    Raises ConfigError when the data cannot be used or the server does not start; the message says what to do.
    """
    server = await asyncio.to_thread(_find_server, data_dir, port, options or {}, state_dir)
    for _ in range(_ATTEMPTS):
        lock = _Lock.try_take(server.site.lock)
        if lock:
            try:
                return await _embedded(server, await _whole(start(server)), lock, detached=detached)
            except BaseException:  # whoever waited was told to end, too: nobody would stop the server later
                with suppress(ConfigError):  # what was wrong first is what is told
                    await _whole(stop(server))
                lock.release()
                raise
        postmaster = await running(server)
        if postmaster:
            with suppress(OSError, asyncpg.CannotConnectNowError):  # it went away while we came
                return await _embedded(server, postmaster, None, detached=detached)
        await SystemClock().sleep(_PAUSE_S)  # the owner is starting or stopping it
    raise ConfigError(f"another process holds {server.site.lock} and its server does not answer: end that process")


async def _whole(work: Coroutine[Any, Any, T]) -> T:
    """PostgreSQL's programs cannot be broken off halfway: whoever is cancelled meanwhile waits for their end first."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


class _Lock:
    """Held on an open file, so the system gives it back however its holder ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def try_take(cls, path: Path) -> "Self | None":
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return cls(descriptor)

    def release(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # closing alone would not do if a fork holds a copy
        os.close(self._descriptor)


def _find_server(data_dir: Path, port: int | None, options: Mapping[str, str], state_dir: Path) -> Server:
    account = unprivileged_account()
    site = find_site(data_dir, account, state_dir)
    binaries = readable_binaries(wheel_binaries(cluster_major(site)), account, state_dir)
    return Server(site, binaries, port, options)


async def _embedded(server: Server, postmaster: Postmaster, lock: _Lock | None, *, detached: bool) -> Embedded:
    try:
        await _ensure_database(_dsn(server, postmaster.port, "postgres"))
    except asyncpg.InvalidPasswordError:
        raise ConfigError(
            f"the server does not accept the password in {server.site.home / 'password'}: "
            "put that file back from your backup"
        ) from None
    return Embedded(server, postmaster.port, lock, detached=detached)


async def _ensure_database(dsn: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=30)
    try:
        if not await connection.fetchval("select exists (select from pg_database where datname = $1)", DATABASE):
            await connection.execute(f'create database "{DATABASE}"')
    except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
        return  # another process was quicker
    finally:
        await connection.close()


def _dsn(server: Server, port: int, database: str) -> str:
    site = server.site
    return f"postgresql://{SUPERUSER}:{site.password}@/{database}?host={quote(str(site.socket), safe='')}&port={port}"
