"""The only caller of providers: sends one signed exchange and says what is certain about it afterwards.

What is certain is decided by one fact, not by the kind of error: had a connection been given to the request? Before
that, nothing can have reached the channel (Retryable). After it, bytes may have been written, and whatever goes wrong
leaves the outcome Unknown.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace
from typing import BinaryIO

import aiohttp
import msgspec
from yarl import URL

from paidup import __version__
from paidup.channels.channel import Account
from paidup.channels.messages import Declined, Exchange, Outcome, Request, Response, Retryable, Success, Unknown
from paidup.clock import monotonic_s
from paidup.errors import ChannelError
from paidup.log import masked_json, masked_query
from paidup.resilience.breaker import Breaker, Ending, Rules
from paidup.resilience.guard import BreakerOpen, Guard

MAX_ANSWER_BYTES = 1 << 20
"""A longer answer is Unknown. The longest honest one (WeChat's certificates) has some ten kilobytes."""

MAX_JOURNAL_BYTES = 16 << 10
MAX_LINE_CHARS = 1000
CALLS_PER_ACCOUNT = 20
CONNECT_S = 3.0
IDLE_S = 10.0
"""An idle connection is given up sooner than servers do it (15 s and more), for a request that meets a closing
connection ends Unknown."""

_CHUNK_BYTES = 64 << 10
_PLAIN = (None, "identity")
_USER_AGENT = ("User-Agent", f"paidup/{__version__}")  # WeChat Pay refuses requests without one
_NO_ENCODING = ("Accept-Encoding", "identity")  # answers are signed as they stand, so we want them as they stand


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """One call as the call journal keeps it; nothing secret is in it.

    status: the HTTP status, None when no answer came. request_line: method and URL, secret parameters masked.
    answer: the start of the answer's body (at most 16 KiB), secret JSON fields masked.
    """

    outcome: Outcome
    status: int | None
    elapsed_ms: int
    request_line: str
    answer: bytes


class ChannelHttp:
    """Sends to channels over one bounded connection pool, and behind one breaker, per account. seconds: as in Guard."""

    def __init__(self, rules: Rules | None = None, *, seconds: Callable[[], float] = monotonic_s) -> None:
        self._guard = Guard(rules, seconds=seconds)
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def send(
        self, account: Account, exchange: Exchange, *, now_of: Callable[[], datetime], deadline_s: float
    ) -> Sent:
        """Send once and read the answer; deadline_s bounds everything from the connection to the last byte.

        Never raises for what the network or the channel does: that is Retryable or Unknown. Open breakers are
        Retryable without a call.
        """
        key = _key(account)
        try:
            return await self._guard.call(key, lambda: self._try(key, exchange, now_of, deadline_s), _judge, now_of)
        except BreakerOpen as refusal:
            return _sent(exchange.request, Retryable(str(refusal)), monotonic_s())

    async def download(
        self,
        account: Account,
        request: Request,
        into: BinaryIO,
        *,
        max_bytes: int,
        now_of: Callable[[], datetime],
        deadline_s: float,
    ) -> Sent:
        """Fetch a file. Success: all of it stands in `into`; otherwise what stands there is worth nothing.

        Downloading changes nothing at the channel, so whatever goes wrong is Retryable; a file of more than max_bytes
        is Declined. Never raises for what the network or the channel does.
        """
        # Files come from other machines than answers do: neither their failures nor their slowness stop a payment.
        key = f"{_key(account)}/files"
        try:
            return await self._guard.call(
                key, lambda: self._fetch(key, request, into, max_bytes, deadline_s), _judge, now_of
            )
        except BreakerOpen as refusal:
            return _sent(request, Retryable(str(refusal)), monotonic_s())

    def breaker(self, account: Account) -> Breaker:
        """The account's breaker, for health pages."""
        return self._guard.breaker(_key(account))

    async def aclose(self) -> None:
        """Close every connection. Nothing may be sent afterwards."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def _try(self, key: str, exchange: Exchange, now_of: Callable[[], datetime], deadline_s: float) -> Sent:
        began_s, request = monotonic_s(), exchange.request
        way = SimpleNamespace(connected=False)
        try:
            response = await _call(self._session(key), request, way, deadline_s)
        except (ChannelError, aiohttp.ClientError, TimeoutError, OSError) as error:
            why = f"{_what(error)} after {monotonic_s() - began_s:.1f} s"
            failure = Unknown(f"no usable answer: {why}") if way.connected else Retryable(f"not sent: {why}")
            return _sent(request, failure, began_s)
        return _sent(request, exchange.read(response, now_of()), began_s, response)

    async def _fetch(self, key: str, request: Request, into: BinaryIO, max_bytes: int, deadline_s: float) -> Sent:
        began_s, way = monotonic_s(), SimpleNamespace(connected=False)
        try:
            async with asyncio.timeout(deadline_s), _asked(self._session(key), request, way) as answer:
                if answer.status != 200:
                    response = Response(answer.status, (), await _body(answer))
                    return _sent(request, Retryable(f"HTTP {answer.status} instead of the file"), began_s, response)
                whole = await _copied(answer, into, max_bytes)
        except (ChannelError, aiohttp.ClientError, TimeoutError, OSError) as error:
            why = f"the file did not come: {_what(error)} after {monotonic_s() - began_s:.1f} s"
            return _sent(request, Retryable(why), began_s)
        outcome = Success() if whole else Declined("too_large", f"the file has more than {max_bytes} bytes")
        return _sent(request, outcome, began_s, Response(200, (), b""))

    def _session(self, key: str) -> aiohttp.ClientSession:
        if key not in self._sessions:
            self._sessions[key] = _new_session()
        return self._sessions[key]


def _new_session() -> aiohttp.ClientSession:
    """A session that adds nothing of its own: no cookies, no proxies, no decompression, no redirects."""
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(_mark_connected)
    trace.on_connection_reuseconn.append(_mark_connected)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CALLS_PER_ACCOUNT, keepalive_timeout=IDLE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,  # a small answer must not grow into a large one
        timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
        skip_auto_headers=("Content-Type", "Accept-Encoding", "User-Agent"),
        trace_configs=[trace],
    )


async def _mark_connected(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
    """Runs when the request has been given a connection, before its first byte is written."""
    context.trace_request_ctx.connected = True


async def _call(session: aiohttp.ClientSession, request: Request, way: SimpleNamespace, deadline_s: float) -> Response:
    async with asyncio.timeout(deadline_s), _asked(session, request, way) as answer:
        headers = tuple((name.lower(), value) for name, value in answer.headers.items())
        return Response(answer.status, headers, await _body(answer))


def _asked(
    session: aiohttp.ClientSession, request: Request, way: SimpleNamespace
) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
    return session.request(
        request.method,
        # encoded: the target was signed as it stands, so it is sent as it stands.
        URL(request.base_url.rstrip("/") + request.target, encoded=True),
        headers=_headers(request),
        data=request.body or None,
        allow_redirects=False,
        trace_request_ctx=way,
    )


def _headers(request: Request) -> list[tuple[str, str]]:
    given = {name.lower() for name, _ in request.headers}
    ours = (header for header in (_USER_AGENT, _NO_ENCODING) if header[0].lower() not in given)
    return [*request.headers, *ours]


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """The whole body, at most MAX_ANSWER_BYTES. Raises ChannelError when it is longer or came in an encoding."""
    _must_be_plain(answer)
    body = bytearray()
    async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise ChannelError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


async def _copied(answer: aiohttp.ClientResponse, into: BinaryIO, max_bytes: int) -> bool:
    """Whether the whole body stood within max_bytes. Raises ChannelError when it came in an encoding."""
    _must_be_plain(answer)
    size_bytes = 0
    async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
        size_bytes += len(chunk)
        if size_bytes > max_bytes:
            return False
        into.write(chunk)
    return True


def _must_be_plain(answer: aiohttp.ClientResponse) -> None:
    if answer.headers.get("Content-Encoding") not in _PLAIN:
        raise ChannelError(f"the answer came as {answer.headers['Content-Encoding']:.20}, which we did not ask for")


def _judge(sent: Sent) -> Ending:
    """A declined card is a success of the channel; no usable answer is a failure."""
    return Ending.FAILED if isinstance(sent.outcome, Unknown | Retryable) else Ending.WORKED


def _sent(request: Request, outcome: Outcome, began_s: float, response: Response | None = None) -> Sent:
    return Sent(
        outcome=outcome,
        status=response.status if response else None,
        elapsed_ms=round((monotonic_s() - began_s) * 1000),
        request_line=f"{request.method} {request.base_url.rstrip('/')}{masked_query(request.target)}"[:MAX_LINE_CHARS],
        answer=masked_json(response.body[:MAX_JOURNAL_BYTES])[:MAX_JOURNAL_BYTES] if response else b"",
    )


def _what(error: Exception) -> str:
    """The error's kind and words, cut short: they may quote what the other side sent."""
    words = str(error).strip()[:200]
    return f"{type(error).__name__} ({words})" if words else type(error).__name__


def _key(account: Account) -> str:
    return f"{account.channel}/{account.name}"
