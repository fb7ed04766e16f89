"""HTTP around a sandbox: reads requests, sends answers, and breaks them off where it was ordered."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import uvicorn

from paidup.sandbox.control import Control
from paidup.sandbox.server import Ending, Sandbox
from paidup.sandbox.wire import Ask, Tell

MAX_BODY_BYTES = 256 << 10

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Http:
    """The sandbox as an ASGI application."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._control = Control(sandbox)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        try:
            ask = await _read(scope, receive)
        except _GoneError:
            return
        if ask is None:
            await _send(send, Tell(413, {"content-type": "text/plain"}, f"at most {MAX_BODY_BYTES} bytes".encode()))
        elif ask.path.startswith("/sandbox/"):
            await _send(send, self._control.answer(ask))
        else:
            tell, ending = await self._sandbox.answer(ask)
            if ending is Ending.SILENT:
                await _gone(receive)
            else:
                await _send(send, tell, whole=ending is Ending.WHOLE)


class QuietServer(uvicorn.Server):
    """A server that leaves the process's signals to whoever started it, and ends when it is told to, after the answers
    that are under way; the original looks ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.told = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def main_loop(self) -> None:
        """Until it is told to end. The headers of all answers are made once."""
        await self.on_tick(0)
        await self.told.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Nobody new; then the answers that are under way, for so long as is granted; then the application."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in [*self.server_state.connections]:
            connection.shutdown()
        if self.server_state.tasks:
            _, late = await asyncio.wait(self.server_state.tasks, timeout=self.config.timeout_graceful_shutdown)
            for answer in late:
                answer.cancel()
        await self.lifespan.shutdown()


async def _send(send: Send, tell: Tell, *, whole: bool = True) -> None:
    """A broken answer promises more bytes than come: the server then cuts the connection."""
    body = tell.body if whole else tell.body[: len(tell.body) // 2]
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in tell.headers.items()]
    headers.append((b"content-length", b"%d" % (len(tell.body) + (not whole))))
    await send({"type": "http.response.start", "status": tell.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": not whole})


async def _gone(receive: Receive) -> None:
    """Wait until the merchant hangs up."""
    while (await receive())["type"] != "http.disconnect":
        pass


class _GoneError(Exception):
    """Whoever asked hung up in the middle of his words."""


async def _read(scope: Scope, receive: Receive) -> Ask | None:
    """The request; None when it is too long. Raises _GoneError: half of a form may read as a whole one."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _GoneError
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_BODY_BYTES:
            return None
    query = scope["query_string"]
    target = scope["raw_path"] + (b"?" + query if query else b"")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Ask(scope["method"], target.decode("latin-1"), headers, bytes(body))
