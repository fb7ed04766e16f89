"""The database servers of a run, and what befalls them: two embedded PostgreSQL, the second one a standby."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg

from paidup.db.embedded import DATABASE, Embedded, start_embedded
from paidup.db.embedded_account import run_as, unprivileged_account
from paidup.db.embedded_binaries import readable_binaries, wheel_binaries
from paidup.db.embedded_cluster import SUPERUSER
from paidup.db.embedded_site import SYSTEM_STATE_DIR, Site, empty_folder, find_site, write_file
from paidup.demo.processes import free_port
from paidup.errors import OurError

T = TypeVar("T")

STANDBY = "standby"
# A small write-ahead log: the disk that is to be filled is small, too.
OPTIONS = {"max_wal_size": "64MB", "min_wal_size": "32MB", "shared_buffers": "32MB"}

CUT = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"""

FOLLOWS = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = $1 AND sync_state = 'sync')"

_FOLLOWS_WITHIN_S = 60
_ENDS_WITHIN_S = 20
_COPY_WITHIN_S = 300


class Servers:
    """A primary on TCP, later a standby beside it. `url` names both, so that who connects finds the one that writes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = (free_port(), free_port())
        self._standby: Embedded | None = None
        self._stack = contextlib.AsyncExitStack()
        self.primary: Embedded

    async def start(self) -> None:
        """Start the primary, with its data in the folder `data`."""
        self.primary = await _to_the_end(self._start("data", self._ports[0]))

    async def _start(self, name: str, port: int) -> Embedded:
        server = await start_embedded(self._folder / name, port=port, options=OPTIONS)
        self._stack.push_async_callback(server.close)
        return server

    async def close(self) -> None:
        """Stop both."""
        await self._stack.aclose()

    @property
    def url(self) -> str:
        """Where Paidup connects to, with the password: not for logs."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        attributes = "sslmode=disable&target_session_attrs=read-write"
        return f"postgresql://{SUPERUSER}:{_password(self.primary)}@{hosts}/{DATABASE}?{attributes}"

    async def restart(self) -> None:
        """A clean restart: connections break, and nothing is to be recovered."""
        await _to_the_end(self.primary.restart("fast"))

    async def kill(self) -> None:
        """SIGKILL for the server and all its processes; gone when this returns."""
        await _kill(self.primary)

    async def revive(self) -> None:
        """Start the primary again if it does not run; it recovers what was committed."""
        if not (await self.primary.status()).running:
            await _to_the_end(self.primary.restart("immediate"))

    async def cut(self) -> int:
        """End every connection; returns how many there were."""
        async with _connection(self.primary) as connection:
            cut: int = await connection.fetchval(CUT)
            return cut

    async def add_standby(self) -> None:
        """Copy the primary, start the copy as its standby, and let no commit be answered before the standby has it."""
        await _to_the_end(asyncio.to_thread(_copy, self._folder / STANDBY, self._ports[0], _password(self.primary)))
        self._standby = await _to_the_end(self._start(STANDBY, self._ports[1]))
        async with _connection(self.primary) as connection:
            await connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'")
            await connection.execute("SELECT pg_reload_conf()")
            for _ in range(_FOLLOWS_WITHIN_S * 10):
                if await connection.fetchval(FOLLOWS, STANDBY):
                    return
                await asyncio.sleep(0.1)
        raise OurError(f"the standby does not follow after {_FOLLOWS_WITHIN_S} s; see {self._folder / STANDBY}")

    def primary_frozen(self) -> contextlib.AbstractAsyncContextManager[None]:
        """SIGSTOP for the primary and all its processes, until the block ends: connections stay, nothing answers."""
        return _frozen(self.primary)

    def standby_frozen(self) -> contextlib.AbstractAsyncContextManager[None]:
        """The same for the standby."""
        return _frozen(self._require_standby())

    async def fail_over(self) -> None:
        """The standby becomes the primary. The old one must be dead, and is not started again."""
        async with _connection(self._require_standby()) as connection:
            if not await connection.fetchval("SELECT pg_promote(true, 60)"):
                raise OurError("the standby was not promoted within 60 s")

    def _require_standby(self) -> Embedded:
        if self._standby is None:
            raise OurError("there is no standby yet")
        return self._standby


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Also when we are told to stop meanwhile: a server that is just starting would be left behind."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


@contextlib.asynccontextmanager
async def _connection(server: Embedded) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(server.dsn, timeout=30)
    try:
        yield connection
    finally:
        await connection.close()


def _password(server: Embedded) -> str:
    return urlsplit(server.dsn).password or ""


async def _kill(server: Embedded) -> None:
    pids = await _processes(server)
    _signal(pids, signal.SIGKILL)
    for _ in range(_ENDS_WITHIN_S * 20):
        if not any(map(_lives, pids)):
            return
        await asyncio.sleep(0.05)
    raise OurError(f"PostgreSQL's processes {pids} do not end")


@contextlib.asynccontextmanager
async def _frozen(server: Embedded) -> AsyncIterator[None]:
    pids = await _processes(server)
    try:
        _signal(pids, signal.SIGSTOP)
        yield
    finally:
        _signal(pids, signal.SIGCONT)


async def _processes(server: Embedded) -> list[int]:
    """The server's process ids, its first process first."""
    postmaster = (await server.status()).pid
    if postmaster is None:
        raise OurError("the database does not run, so that it cannot be hit")
    return [postmaster, *_children(postmaster)]


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _children(parent: int) -> Iterator[int]:
    """Where there is no /proc they see by themselves that their parent is gone, and end."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # a process that has just ended
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                yield int(stat.parent.name)


def _lives(pid: int) -> bool:
    """A zombie does not: whoever should wait for it may take its time."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _copy(folder: Path, port: int, password: str) -> None:
    """pg_basebackup from the primary into a home of the standby's own. Raises OurError with what it said."""
    account = unprivileged_account()
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    site: Site = find_site(folder, account)
    write_file(site.home / "password", f"{password}\n", 0o600, account)
    passfile = site.home / "passfile"
    write_file(passfile, f"127.0.0.1:{port}:*:{SUPERUSER}:{password}\n", 0o600, account)
    binaries = readable_binaries(wheel_binaries(), account, SYSTEM_STATE_DIR)
    fresh = empty_folder(site, "cluster.new")
    source = f"host=127.0.0.1 port={port} user={SUPERUSER} passfile={passfile} application_name={STANDBY}"
    told: list[str | Path] = [binaries.program("pg_basebackup"), "-d", source, "-D", fresh]
    outcome = run_as(account, [*told, "-X", "stream", "-c", "fast", "-R"], _COPY_WITHIN_S)
    if outcome.code != 0:
        shutil.rmtree(fresh, ignore_errors=True)
        raise OurError(f"pg_basebackup failed: {outcome.said}")
    fresh.rename(site.cluster)
