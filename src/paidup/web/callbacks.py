"""POST /callbacks/{channel}/{account}: a raw ASGI handler, because this one route must stay cheap under a flood."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

import asyncpg

from paidup import log
from paidup.channels.messages import CallbackRequest, Reply
from paidup.clock import Clock, monotonic_s
from paidup.errors import NotFound, OurError, Overloaded, SenderError
from paidup.intake.receive import Receiver
from paidup.metrics.process import Vitals
from paidup.spans.context import caller_of
from paidup.spans.tell import Spans

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PREFIX = "/callbacks/"
MAX_HEADERS = 100
MAX_HEADER_BYTES = 16 << 10
BODY_WITHIN_S = 10
"""A channel sends its few kilobytes at once; whoever trickles them is not a channel."""

_TRY_AGAIN = Reply(503, "text/plain; charset=utf-8", b"not stored; send it again")


class _Refusal(SenderError):
    """The request is refused before any channel looks at it."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.reply = Reply(status, "text/plain; charset=utf-8", why.encode())


class Callbacks:
    """The ASGI handler. `stored` is called after a callback became durable, to wake the worker; `vitals` count."""

    def __init__(
        self,
        receiver: Receiver,
        clock: Clock,
        *,
        max_bytes: int,
        stored: Callable[[], None],
        vitals: Vitals | None = None,
        spans: Spans | None = None,
    ) -> None:
        self._receiver = receiver
        self._clock = clock
        self._max_bytes = max_bytes
        self._stored = stored
        self._vitals = vitals or Vitals()
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; nothing a sender does makes it raise."""
        began_s = monotonic_s()
        try:
            reply = await self._answer(scope, receive)
        except _Refusal as refusal:
            reply = refusal.reply
        except NotFound as error:
            reply = Reply(404, "text/plain; charset=utf-8", str(error).encode())
        except (Overloaded, OurError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.error("callback.not_stored", why=f"{type(error).__name__}: {error}"[:300])
            reply = _TRY_AGAIN
        await _respond(send, reply)
        self._vitals.acknowledged(reply.status, monotonic_s() - began_s)

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        channel, account = _address(scope)
        request = CallbackRequest(
            method=scope["method"],
            target=_target(scope),
            headers=_headers(scope),
            body=await _body(scope, receive, self._max_bytes),
        )
        now = self._clock.now()
        got = await self._receiver.receive(request, channel, account, source=_source(scope), now=now)
        if got.callback_id is not None:
            self._stored()
            if self._spans:
                caller = caller_of(request.headers)
                self._spans.received(got.callback_id, caller, now, self._clock.now(), f"{channel}/{account}")
        return got.reply


def _address(scope: Scope) -> tuple[str, str]:
    """Channel and account from the path. Raises _Refusal for other paths and methods."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    parts = path.removeprefix(PREFIX).split("/")
    if len(parts) != 2 or not all(parts):
        raise _Refusal(404, "callbacks go to /callbacks/{channel}/{account}")
    if scope["method"] != "POST":
        raise _Refusal(405, "callbacks are sent with POST")
    channel, account = unquote(parts[0]), unquote(parts[1])
    if not (channel + account).isprintable():  # nobody has such a name; and no table could hold it
        raise _Refusal(404, "no channel or account has such a name")
    return channel, account


def _source(scope: Scope) -> str:
    """Who sent it: an address, or what a proxy in front of us says it is."""
    client = scope.get("client")
    return client[0] if client and client[0].isprintable() else "unknown"


def _target(scope: Scope) -> str:
    raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
    query: bytes = scope.get("query_string", b"")
    return (raw + b"?" + query if query else raw).decode("latin-1").replace("\x00", "%00")[:2000]


def _headers(scope: Scope) -> tuple[tuple[str, str], ...]:
    headers = scope["headers"]
    if len(headers) > MAX_HEADERS or sum([len(name) + len(value) for name, value in headers]) > MAX_HEADER_BYTES:
        raise _Refusal(431, f"more than {MAX_HEADERS} headers or {MAX_HEADER_BYTES} bytes of them")
    return tuple([(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers])


async def _body(scope: Scope, receive: Receive, max_bytes: int) -> bytes:
    """The whole body. Raises _Refusal when it is too long, too slow, or ends half-way."""
    too_long = _Refusal(413, f"a callback has at most {max_bytes} bytes")
    length = next((value for name, value in scope["headers"] if name.lower() == b"content-length"), b"0")
    if length.isdigit() and (len(length) > 18 or int(length) > max_bytes):
        raise too_long
    body = bytearray()
    more = True
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Refusal(400, "the request ended half-way")
                body += message.get("body", b"")
                if len(body) > max_bytes:
                    raise too_long
                more = message.get("more_body", False)
    except TimeoutError:
        raise _Refusal(408, f"the body did not come within {BODY_WITHIN_S} s") from None
    return bytes(body)


async def _respond(send: Send, reply: Reply) -> None:
    headers = [(b"content-type", reply.content_type.encode()), (b"content-length", str(len(reply.body)).encode())]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
