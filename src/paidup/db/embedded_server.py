"""Starting and stopping one PostgreSQL server with its own programs. Nothing here knows of owners."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Literal

from paidup.clock import SystemClock
from paidup.db.embedded_account import Outcome, run_as
from paidup.db.embedded_binaries import Binaries
from paidup.db.embedded_cluster import configure, initialise
from paidup.db.embedded_site import Site, prepare_socket
from paidup.errors import ConfigError

StopMode = Literal["fast", "immediate"]

_START_TIMEOUT_S = 600  # a recovery after a crash may have much to replay
_STOP_TIMEOUT_S = 120
_ATTEMPTS = 20
_PAUSE_S = 0.25
# What the children of a killed server, or one whose start was interrupted, still hold for a moment.
_PASSING = ("pre-existing shared memory block", "already exists")


@dataclass(frozen=True)
class Server:
    """A server that may or may not run. Without `tcp_port` it listens on its socket only."""

    site: Site
    binaries: Binaries
    tcp_port: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Postmaster:
    """What a server that runs has written down about itself."""

    pid: int
    port: int


class _Ping(IntEnum):
    """pg_isready's answers."""

    READY = 0
    STARTING = 1  # or stopping: it is there and refuses connections
    NOBODY = 2


async def running(server: Server) -> Postmaster | None:
    """The server, if it accepts connections now."""
    postmaster = _read_pid_file(server.site.cluster)
    if postmaster and await _ping(server, postmaster) == _Ping.READY:
        return postmaster
    return None


def has_ended(server: Server) -> bool:
    """Whether the server is gone: a cheap look, which another process that was given its number would deceive."""
    postmaster = _read_pid_file(server.site.cluster)
    try:
        if postmaster:
            os.kill(postmaster.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # it lives, under another account
    return postmaster is None or _is_zombie(postmaster.pid)


def _is_zombie(pid: int) -> bool:
    """Whether it has ended and nobody waited for it: not every container has an init that does."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:  # a system without /proc has an init; or it is gone by now, as the next look will find
        return False


async def start(server: Server) -> Postmaster:
    """Start the server if it does not run, making its data the first time, and wait until it accepts connections.

    Raises ConfigError with the end of its log when it does not start.
    """
    await asyncio.to_thread(initialise, server.site, server.binaries)
    said = ""
    for _ in range(_ATTEMPTS):
        postmaster = await _settled(server)
        if postmaster:
            return postmaster
        said = await _try_to_start(server)
        await asyncio.to_thread(_must_be_no_copy, server.site.cluster, said)
        if said and not any(sign in said for sign in _PASSING):
            break
        if said:
            await SystemClock().sleep(_PAUSE_S)
    raise ConfigError(f"PostgreSQL did not start in {server.site.home}. The end of its log says:\n{said}")


def _must_be_no_copy(cluster: Path, said: str) -> None:
    """Raises ConfigError when PostgreSQL stumbled over the mark of a server that runs elsewhere."""
    mark = cluster / "postmaster.pid"
    try:
        elsewhere = mark.read_text().splitlines()[1]
    except (OSError, IndexError):
        return
    if "postmaster.pid" in said and Path(elsewhere).resolve() != cluster.resolve():
        raise ConfigError(
            f"{cluster} was copied from {elsewhere} while the server ran there, and such a copy is not whole: end the "
            f"process that uses {elsewhere}, and copy again. If it has ended and never starts again, delete {mark}"
        )


async def stop(server: Server, mode: StopMode = "fast") -> None:
    """Stop the server if it runs: ``fast`` breaks off transactions and writes everything out; ``immediate`` is a crash.

    Raises ConfigError when it does not stop.
    """
    postmaster = _read_pid_file(server.site.cluster)
    if postmaster is None or await _ping(server, postmaster) == _Ping.NOBODY:
        return
    outcome = await _pg_ctl(server, "stop", "-m", mode, timeout_s=_STOP_TIMEOUT_S)
    if outcome.code != 0:
        raise ConfigError(f"PostgreSQL in {server.site.home} did not stop: {outcome.said}")


async def _settled(server: Server) -> Postmaster | None:
    """The server once it is ready, or None once there is none. It may be in the middle of starting or stopping."""
    for _ in range(int(_START_TIMEOUT_S / _PAUSE_S)):
        postmaster = _read_pid_file(server.site.cluster)
        ping = await _ping(server, postmaster) if postmaster else _Ping.NOBODY
        if ping != _Ping.STARTING:
            return postmaster if ping == _Ping.READY else None
        await SystemClock().sleep(_PAUSE_S)
    raise ConfigError(f"PostgreSQL in {server.site.home} neither starts nor stops; read {server.site.log}")


async def _try_to_start(server: Server) -> str:
    """Empty when it started, otherwise the end of the log."""
    site = server.site
    prepare_socket(site)
    configure(site, server.tcp_port, server.options)
    start_log = site.log / "start.log"
    await _run(server, ["rm", "-f", start_log])
    said = await _pg_ctl(server, "start", "-l", start_log, "-o", _postgres_options(site), timeout_s=_START_TIMEOUT_S)
    if said.code == 0:
        return ""
    # Read as the account that wrote it: root must not follow a link that somebody laid there.
    last = await _run(server, ["/bin/sh", "-c", 'cd "$1" && tail -q -c 1500 $(ls -tr | tail -n 2)', "sh", site.log])
    return f"{said.said}\n{last.said}"


def _postgres_options(site: Site) -> str:
    # pg_ctl hands this text to a shell.
    path = str(site.conf).replace("'", "'\\''")
    return f"-c config_file='{path}'"


async def _pg_ctl(server: Server, command: str, *args: str | Path, timeout_s: int) -> Outcome:
    told = [server.binaries.program("pg_ctl"), command, "-D", server.site.cluster, "-w", "-t", str(timeout_s), *args]
    return await _run(server, told, timeout_s + 10)


async def _ping(server: Server, postmaster: Postmaster) -> _Ping:
    at = ["-h", str(server.site.socket), "-p", str(postmaster.port)]
    outcome = await _run(server, [server.binaries.program("pg_isready"), "-q", "-t", "5", *at])
    try:
        return _Ping(outcome.code)
    except ValueError:
        raise ConfigError(f"pg_isready does not run: {outcome.said}") from None


async def _run(server: Server, args: list[str | Path], timeout_s: float = 60) -> Outcome:
    return await asyncio.to_thread(run_as, server.site.account, args, timeout_s)


def _read_pid_file(cluster: Path) -> Postmaster | None:
    # https://www.postgresql.org/docs/current/storage-file-layout.html: process id, data folder, start time, port …
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        return Postmaster(int(lines[0]), int(lines[3]))
    except (FileNotFoundError, IndexError, ValueError):
        return None
