"""The only caller of the shop's endpoints: one signed POST over a checked connection, and what came back."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pycurl

from paidup.clock import monotonic_s
from paidup.delivery import address
from paidup.delivery.line import Line
from paidup.delivery.names import Names
from paidup.delivery.plan import DEADLINE_S, Answer
from paidup.delivery.route import KEPT_S, Resolve, Routes
from paidup.errors import InvalidRequest

_CONNECTIONS = 320  # as many as a courier has under way at most (courier.MAX_UNDER_WAY and SPARE)
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
    system. kept_s: how long the addresses of a name are used. trusted: a file of authorities, instead of the system's.
    """

    def __init__(
        self,
        *,
        allow_loopback: bool = False,
        resolve: Resolve | None = None,
        kept_s: float = KEPT_S,
        deadline_s: float = DEADLINE_S,
        trusted: Path | None = None,
    ) -> None:
        self._names = Names()
        self._allow_loopback = allow_loopback
        self._routes = Routes(resolve or self._names, allow_loopback=allow_loopback, kept_s=kept_s)
        self._deadline_s = deadline_s
        self._trusted = trusted
        self._idle: list[Line] = []
        self._multi = pycurl.AsyncCurlMulti()
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, _CONNECTIONS)
        self._multi.setopt(pycurl.M_MAXCONNECTS, _CONNECTIONS)

    async def __call__(
        self, url: str, headers: Sequence[tuple[str, str]], body: bytes, *, deadline_s: float | None = None
    ) -> Answer:
        """See `Send`. deadline_s: instead of the usual one.

        Where a receiver has closed an idle connection without having answered anything on it, libcurl sends once more
        over a new one.
        """
        began_s, within_s = monotonic_s(), deadline_s or self._deadline_s
        try:
            route = await self._routes.to(url, within_s)
        except (InvalidRequest, address.Forbidden, OSError, TimeoutError, ValueError) as error:
            # ValueError: what resolvers say of a name that they cannot even ask for.
            return Answer(
                status=None, elapsed_ms=_ms_since(began_s), failure=_why_not_sent(error, within_s), connected=False
            )
        line = self._idle.pop() if self._idle else Line(self._may_be, self._trusted)
        left_s = within_s - (monotonic_s() - began_s)
        try:
            await self._multi.perform(line.asked(url, headers, body, route=route, within_s=left_s))
            failure = "the answer breaks off within its headers"  # which libcurl lets pass
        except pycurl.error as error:
            failure = _why(error, within_s)
            self._routes.forget(url)
        answer = _answer(line, failure, _ms_since(began_s))
        self._idle.append(line)  # a call that was cancelled keeps its line: libcurl is still at it
        return answer

    async def aclose(self) -> None:
        """Close every connection. Nothing may be sent afterwards."""
        await self._multi.aclose()
        self._idle.clear()
        self._names.close()

    def _may_be(self, ip: str) -> bool:
        return address.refusal(ip, allow_loopback=self._allow_loopback) is None


def _answer(line: Line, failure: str, elapsed_ms: int) -> Answer:
    """The status is the answer; a body that stalls, breaks off or is too long takes nothing back."""
    head = line.head()
    if head is None:
        return Answer(status=None, elapsed_ms=elapsed_ms, failure=failure, connected=line.connected)
    return Answer(
        status=head.status,
        elapsed_ms=elapsed_ms,
        body=bytes(line.body),
        retry_after=head.retry_after,
        applied=head.applied,
    )


def _ms_since(began_s: float) -> int:
    return round((monotonic_s() - began_s) * 1000)


def _why(error: pycurl.error, within_s: float) -> str:
    code, words = error.args
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return f"nothing came within {within_s:g} s"
    return _fit(str(words or f"libcurl's error {code}"))


def _why_not_sent(error: Exception, within_s: float) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return f"nothing came within {within_s:g} s"
    if isinstance(error, InvalidRequest | address.Forbidden):
        return _fit(str(error))
    return _fit(f"{type(error).__name__}: {error}")


def _fit(why: str) -> str:
    """As it can be written down: libcurl quotes receivers, and their bytes need not be text (pycurl then gives lone
    surrogates, which no database takes: the whole batch would be lost with it)."""
    return why.encode(errors="replace").decode()[:_MAX_WHY_CHARS]
