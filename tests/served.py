"""An ASGI application served over real HTTP on the loopback address, in the test's own loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import uvicorn

from paidup.sandbox.http import QuietServer


@contextlib.asynccontextmanager
async def served(application: Any, listener: socket.socket | None = None, **options: Any) -> AsyncIterator[str]:
    """Serve until the block ends; gives the base URL. The application's lifespan is run.

    listener: where to listen, for those who must know the address before; any free port otherwise. options: of uvicorn,
    where they matter to the test.
    """
    options = {"log_level": "warning", "ws": "none"} | options | {"timeout_graceful_shutdown": 2}
    # The socket listens already: a request that comes before the server has started waits in its backlog.
    with listener or _listening() as listener:
        server = QuietServer(uvicorn.Config(application, **options))
        task = asyncio.create_task(server.serve([listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.told.set()
            await task


def _listening() -> socket.socket:
    # Named as TCP, or asyncio does not switch Nagle's algorithm off, and some answers wait 40 ms for an ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    return listener
