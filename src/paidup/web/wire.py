"""HTTP on the wire: uvicorn's protocol, with an end to how long and how much one connection may make us wait and keep.

uvicorn bounds neither the time nor the size of a request's head, of trailers, of a body that nobody reads any more, or
of an answer that is not taken; whoever trickles or floods would hold a connection, or our memory, as long as he likes.
Nor does it make room: whoever holds as many connections as there may be would shut out everybody else. Here the one
that has kept us waiting for longest makes room for the next; a channel sends its callback at once, and is answered.
"""

from asyncio import TimerHandle, Transport
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 << 10
MAX_CONNECTIONS = 2000
MAX_AHEAD = 16
"""Requests that a connection may send before the first of them is answered."""
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 24\r\nconnection: close\r\n\r\nthe request is too large"
)


class Patience(msgspec.Struct, frozen=True):
    """Seconds. head_s: from the connection, or the first byte of a further request, to the end of its head. body_s:
    from there to the end of its body. answer_s: for the caller to take what we say."""

    head_s: float = 10.0
    body_s: float = 15.0
    answer_s: float = 30.0


class Files(msgspec.Struct, frozen=True):
    """Paths to which whole files are sent, of at most so many bytes, for which so long is waited."""

    paths: frozenset[str] = frozenset()
    max_bytes: int = 0
    within_s: float = 600.0


class Bounded(HttpToolsProtocol):
    """One connection. `bounded` makes the class that a server is given.

    most: beyond so many connections, each new one takes the place of the first of `waiting`: those whose caller it is
    that we wait for, in the order in which we began to.
    """

    patience = Patience()
    files = Files()
    max_request_bytes = MAX_HEAD_BYTES
    most = MAX_CONNECTIONS
    waiting: dict["Bounded", None]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._since_head = 0
        self._had_head = False
        self._is_file = False
        self._reading: TimerHandle | None = None
        self._writing: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # asyncio calls it with a Transport
        """Somebody is there: a head is expected now."""
        super().connection_made(transport)
        self._expect(self.patience.head_s)
        if len(self.connections) > self.most:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is expected any more."""
        self._expect(None)
        self._stop_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Counts what comes between one head and the next: the parser keeps heads and trailers in memory."""
        if self._reading is None and (not self._had_head or self.cycle.response_complete):
            self._expect(self.patience.head_s)
        self._since_head += len(data)
        super().data_received(data)
        if self._since_head > self._at_most():
            self._cut_off()

    def on_message_begin(self) -> None:
        """Whoever sends requests on and on, and waits for no answer, is cut off: each one takes some kilobytes of our
        memory, and a single piece of what comes may hold thousands."""
        if len(self.pipeline) >= MAX_AHEAD:
            raise ValueError("too many requests before the first answer")
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is there; the body is expected now."""
        self._had_head, self._since_head = True, 0
        super().on_headers_complete()
        self._is_file = self.scope.get("method") == "POST" and self.scope.get("path") in self.files.paths
        self._expect(self.files.within_s if self._is_file else self.patience.body_s)

    def on_message_complete(self) -> None:
        """The request is there; it is our turn."""
        self._expect(None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The last of an answer is given some time to be taken, where we hang up. A file that was refused before all
        of it was there is not waited for as one."""
        if not self.pipeline:
            self.waiting[self] = None
        super().on_response_complete()
        if self._is_file and self._reading is not None:
            self._is_file, self._since_head = False, 0
            self._expect(self.patience.body_s)
        if self.transport.is_closing():
            self._write_until_taken()

    def timeout_keep_alive_handler(self) -> None:
        """An idle connection is closed; one whose caller has not taken our answer would never end by itself."""
        super().timeout_keep_alive_handler()
        self._write_until_taken()

    def pause_writing(self) -> None:
        """The caller does not take what we say."""
        super().pause_writing()
        self._write_until_taken()

    def resume_writing(self) -> None:
        """Now he does."""
        self._stop_writing()
        super().resume_writing()

    def _expect(self, within_s: float | None) -> None:
        """Hang up unless the next part of the request comes in time; None: nothing is expected."""
        if self._reading is not None:
            self._reading.cancel()
        self.waiting.pop(self, None)
        if within_s is not None:
            self.waiting[self] = None
        self._reading = None if within_s is None else self.loop.call_later(within_s, self.transport.abort)

    def _write_until_taken(self) -> None:
        if self._writing is None and self.transport.get_write_buffer_size():
            self._writing = self.loop.call_later(self.patience.answer_s, self.transport.abort)
            self.waiting[self] = None

    def _stop_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
            if self._reading is None and self._had_head and not self.cycle.response_complete:
                self.waiting.pop(self, None)

    def _make_room(self) -> None:
        oldest = next(iter(self.waiting))
        del self.waiting[oldest]
        oldest.transport.abort()

    def _at_most(self) -> int:
        """Bytes that may come before the next head."""
        if not self._had_head:
            return MAX_HEAD_BYTES
        return 2 * self.files.max_bytes + MAX_HEAD_BYTES if self._is_file else self.max_request_bytes

    def _cut_off(self) -> None:
        if not self._had_head and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
        self.transport.close()


def bounded(
    max_body_bytes: int, patience: Patience | None = None, files: Files | None = None, most: int = MAX_CONNECTIONS
) -> type[Bounded]:
    """The protocol for a server whose bodies have at most so many bytes; their chunks may take as much again.

    files: to which paths larger ones may be sent. most: connections, before those that keep us waiting make room.
    """
    limit = 2 * max_body_bytes + MAX_HEAD_BYTES
    own = {
        "max_request_bytes": limit,
        "patience": patience or Patience(),
        "files": files or Files(),
        "most": most,
        "waiting": {},
    }
    return type("Limited", (Bounded,), own)
