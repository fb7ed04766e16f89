"""The only caller of the shop's endpoints: one signed POST over a checked connection, and what came back."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from paidup import __version__
from paidup.clock import monotonic_s
from paidup.delivery import address
from paidup.delivery.names import Names
from paidup.delivery.plan import DEADLINE_S, MAX_ANSWER_BYTES, Answer
from paidup.errors import InvalidRequest

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""A host name and port to IP addresses as text. Raises OSError."""

_CONNECTIONS = 320  # as many as a courier has under way at most (worker.MAX_UNDER_WAY and SPARE)
_IDLE_S = 10.0  # shorter than receivers keep an idle connection, so that we seldom write to one that is closing
_MAX_HEADER_CHARS = 100
_MAX_WHY_CHARS = 300


class Send(Protocol):
    """How the worker sends. Never raises for what the network or the receiver does: that is an Answer."""

    async def __call__(self, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """POST once and wait for the answer, at most plan.DEADLINE_S seconds."""
        ...


class Sender:
    """Sends to endpoints: checked addresses only, no redirects, no proxies, no cookies, everything bounded.

    Whoever has many calls under way uses one of his own: its connections and threads are bounded, and shared by all.

    allow_loopback: also call this machine, over http as well, for development. resolve: instead of the operating
    system. tls: whom to trust, the usual authorities unless given.
    """

    def __init__(
        self,
        *,
        allow_loopback: bool = False,
        resolve: Resolve | None = None,
        deadline_s: float = DEADLINE_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_loopback = allow_loopback
        self._names = Names()
        self._resolve = resolve or self._names
        self._deadline_s = deadline_s
        self._tls = tls
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def __call__(
        self, url: str, headers: Sequence[tuple[str, str]], body: bytes, *, deadline_s: float | None = None
    ) -> Answer:
        """See `Send`. deadline_s: instead of the usual one."""
        began_s = monotonic_s()
        got, within_s = _Got(), deadline_s or self._deadline_s
        try:
            async with asyncio.timeout(within_s):
                await self._post(url, headers, body, got)
        except (InvalidRequest, address.Forbidden, aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            # ValueError: what the HTTP library says of a URL or a host that it cannot use.
            if got.status is None:
                return Answer(
                    status=None,
                    elapsed_ms=_ms_since(began_s),
                    failure=_what(error, within_s),
                    connected=got.connected,
                )
            # The status is the answer; a body that stalls or breaks off takes nothing back.
        return Answer(
            status=got.status,
            elapsed_ms=_ms_since(began_s),
            body=bytes(got.body),
            retry_after=got.retry_after,
            applied=got.applied,
        )

    async def aclose(self) -> None:
        """Close every connection. Nothing may be sent afterwards."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()
        self._names.close()

    async def _post(self, url: str, headers: Sequence[tuple[str, str]], body: bytes, got: "_Got") -> None:
        to = read_url(url, allow_loopback=self._allow_loopback)
        _under_way.set(got)
        async with self._session(to.scheme).post(to, headers=headers, data=body, allow_redirects=False) as answer:
            got.status = answer.status
            got.retry_after = _header(answer, "Retry-After")
            got.applied = _header(answer, "Paidup-Applied")
            while len(got.body) < MAX_ANSWER_BYTES and not answer.content.at_eof():
                chunk = await answer.content.read(MAX_ANSWER_BYTES - len(got.body))
                if not chunk:
                    return
                got.body += chunk

    def _session(self, scheme: str) -> aiohttp.ClientSession:
        if scheme not in self._sessions:
            resolver = _CheckedResolver(scheme, self._resolve, allow_loopback=self._allow_loopback)
            self._sessions[scheme] = _new_session(resolver, self._tls)
        return self._sessions[scheme]


@lru_cache(maxsize=1000)  # a few endpoints get all the events
def read_url(url: str, *, allow_loopback: bool) -> URL:
    """The URL as the HTTP library reads it. Raises InvalidRequest when it may not be called or was read otherwise."""
    target = address.parse(url, allow_loopback=allow_loopback)
    to = URL(url, encoded=True)
    # As it is written, not `.host`: that puts xn--… into its own script, and raises where nothing stands behind it.
    if (to.scheme, (to.raw_host or "").lower(), to.port) != (target.scheme, target.host, target.port):
        raise InvalidRequest("two readers of this URL see two hosts in it: write it plainly")
    return to


class _Got:
    """What has come back so far; it survives a deadline that passes half-way."""

    def __init__(self) -> None:
        self.connected = False
        self.status: int | None = None
        self.retry_after: str | None = None
        self.applied: str | None = None
        self.body = bytearray()


_under_way: ContextVar[_Got] = ContextVar("under_way")
"""The call that this task makes."""


class _Connector(aiohttp.TCPConnector):
    """Notes that a call has been given a connection, before its first byte is written.

    aiohttp's own way, a TraceConfig, costs each call a seventh of its time.
    """

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: "list[Trace]",
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  its signature
    ) -> "Connection":
        connection = await super().connect(req, traces, timeout)
        _under_way.get().connected = True
        return connection


class _CheckedResolver(AbstractResolver):
    """Hands the connector checked addresses only; the name stays what TLS and the Host header are about."""

    def __init__(self, scheme: str, resolve: Resolve, *, allow_loopback: bool) -> None:
        self._scheme = scheme
        self._resolve = resolve
        self._allow_loopback = allow_loopback

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002  aiohttp's signature; both families are wanted
    ) -> list[ResolveResult]:
        """Raises address.Forbidden, and OSError when the name cannot be resolved."""
        target = address.Target("", self._scheme, host, port)
        found = await self._resolve(host, port)
        return [
            ResolveResult(
                hostname=host,
                host=ip,
                port=port,
                family=socket.AF_INET6 if ":" in ip else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for ip in address.check(target, found, allow_loopback=self._allow_loopback)
        ]

    async def close(self) -> None:
        """Nothing is held."""


def _new_session(resolver: AbstractResolver, tls: ssl.SSLContext | None) -> aiohttp.ClientSession:
    connector = _Connector(
        resolver=resolver,
        use_dns_cache=False,  # each connection is made to what was checked for it
        limit=_CONNECTIONS,
        keepalive_timeout=_IDLE_S,
        ssl=tls or True,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,  # a small answer must not grow into a large one
        timeout=aiohttp.ClientTimeout(total=None),  # ours is around the whole call
        headers={"User-Agent": f"paidup/{__version__}", "Accept-Encoding": "identity"},
    )


def _header(answer: aiohttp.ClientResponse, name: str) -> str | None:
    value = answer.headers.get(name)
    return value[:_MAX_HEADER_CHARS] if value is not None else None


def _ms_since(began_s: float) -> int:
    return round((monotonic_s() - began_s) * 1000)


def _what(error: Exception, deadline_s: float) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return f"nothing came within {deadline_s:g} s"
    if isinstance(error, InvalidRequest | address.Forbidden):
        return str(error)[:_MAX_WHY_CHARS]
    return f"{type(error).__name__}: {error}"[:_MAX_WHY_CHARS]
