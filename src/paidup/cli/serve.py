"""`paidup serve`: all roles in one process, or some of them."""

import asyncio
import contextlib
import gc
import resource
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import click
import msgspec
import uvicorn

from paidup import log
from paidup.app import Paidup
from paidup.cli.application import handlers_of
from paidup.cli.output import say
from paidup.clock import SystemClock
from paidup.db.doctor import Severity, examine
from paidup.db.transaction import Database
from paidup.errors import PaidupError
from paidup.settings import Settings, load
from paidup.web.body import MAX_BODY_BYTES
from paidup.web.callbacks import Receive, Scope, Send
from paidup.web.upload import MAX_FIELDS_BYTES, PATHS
from paidup.web.wire import MAX_CONNECTIONS, Files, bounded
from paidup.written import ROLES

OTHER_FILES = 256
"""What else we open at once: the database, channels, receivers, files."""
LINGER_S = 0.5
"""So long the rest of a request may be on its way to us when we are told to end."""


@click.command()
@click.option("--roles", help=f"which parts of the work this process does, of {', '.join(ROLES)}")
@click.option("--host", help="address to listen on (loopback by default)")
@click.option("--port", type=click.IntRange(0, 65535), help="port to listen on; 0 takes a free one")
def command(roles: str | None, host: str | None, port: int | None) -> None:
    """Receive callbacks, ask channels, tell the shop.

    \b
    paidup serve                          everything in one process, embedded PostgreSQL
    paidup serve --roles web,intake       a process that only takes callbacks in and applies them
    """
    settings = load()
    if roles is not None:
        settings = msgspec.structs.replace(settings, roles=_roles(roles))
    if host is not None:
        settings = msgspec.structs.replace(settings, host=load({"PAIDUP_HOST": host}).host)
    if port is not None:
        settings = msgspec.structs.replace(settings, port=port)
    log.set_up()
    serve(settings)


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT: stop taking requests, finish what was begun, then end."""
    paidup = Paidup(settings, handlers_of(settings))

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await paidup(scope, receive, send)
            return
        await receive()
        try:
            await paidup.start()
        except PaidupError as error:  # it says what to do; a traceback would only hide that
            say(f"paidup: {log.one_line(str(error))}")
            await send({"type": "lifespan.startup.failed"})
            return
        await _say_what_is_unsafe(paidup.db)
        calm_collector()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await paidup.stop()
        await send({"type": "lifespan.shutdown.complete"})

    server = _LingeringServer(uvicorn.Config(application, **server_options(settings)), ending=paidup.drain)
    # uvicorn listens to it while it runs, and raises it once more when all is done; to us that is a clean end.
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(3)  # as uvicorn.run does: it could not start, and has said why


async def _say_what_is_unsafe(db: Database) -> None:
    """What `doctor` refuses of the database: nobody may have asked it since somebody changed a setting."""
    for finding in await examine(db, SystemClock()):
        if finding.severity is Severity.REFUSE:
            log.error("database.unsafe", topic=finding.topic, says=finding.says)


def calm_collector() -> None:
    """Let Python's collector of cycles walk over what is new only, and not at each seven hundredth object.

    What was loaded at the start stays until the end, and walking over all of it holds up every callback meanwhile; a
    batch makes thousands of objects, nearly none of them in a cycle.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def server_options(settings: Settings) -> dict[str, Any]:
    """How uvicorn is run: bounded in every direction, and saying nothing of itself."""
    connections = room_for_connections()
    return {
        "host": settings.host,
        "port": settings.port,
        "loop": "uvloop",
        "http": bounded(
            max(settings.callback_max_bytes, MAX_BODY_BYTES),
            files=Files(paths=PATHS, max_bytes=(settings.upload_max_mb << 20) + MAX_FIELDS_BYTES),
            most=connections * 9 // 10,
        ),
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "log_config": None,  # what it has to say is a line among ours
        "log_level": "warning",
        "server_header": False,
        "timeout_graceful_shutdown": 15,
        "limit_concurrency": connections,
    }


def room_for_connections() -> int:
    """How many connections there may be at once, so that files are left for the rest of the work.

    Most systems give a process 1024 files and let it ask for more; without any left, the system hangs up on whoever
    calls, and the database cannot be reached either.
    """
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + OTHER_FILES
    if files != resource.RLIM_INFINITY and files < wanted:
        raised = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        with contextlib.suppress(ValueError, OSError):  # some systems promise more than they give
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, most))
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, max(files - OTHER_FILES, files // 2))


class _LingeringServer(uvicorn.Server):
    """uvicorn, when told to end, resets each connection whose request it has not read yet, though the sender has sent
    it, and may not send it again. This one takes no new connections, and reads what is on its way, before it goes on.
    """

    def __init__(self, config: uvicorn.Config, *, ending: Callable[[], None]) -> None:
        super().__init__(config)
        self._ending = ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does; then say where we listen, for with port 0 nobody else knows."""
        try:
            await super().startup(sockets)
        except SystemExit:  # something could not start, and has said why
            if not self.lifespan.should_exit:
                where = f"{self.config.host}:{self.config.port}"
                say(f"paidup: cannot listen on {where}; name another with --port or PAIDUP_PORT, --host or PAIDUP_HOST")
            raise
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        log.info("paidup.listening", url=url, docs=f"{url}/docs")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Linger, then end as uvicorn does."""
        self._ending()
        for server in self.servers:
            server.close()
        await asyncio.sleep(LINGER_S)
        await super().shutdown(sockets)


def _roles(text: str) -> tuple[str, ...]:
    return load({"PAIDUP_ROLES": text}).roles
