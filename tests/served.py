"""An ASGI application served over real HTTP on the loopback address, in the test's own loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import uvicorn


@contextlib.asynccontextmanager
async def served(application: Any, listener: socket.socket | None = None) -> AsyncIterator[str]:
    """Serve until the block ends; gives the base URL. The application's lifespan is run.

    listener: where to listen, for those who must know the address before; any free port otherwise.
    """
    # The socket listens already: a request that comes before the server has started waits in its backlog.
    with listener or socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(application, log_level="warning", ws="none", timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server._serve([listener]))  # serve() would take over the signal handlers
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
