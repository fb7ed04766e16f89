"""A balancer on loopback before the web processes, and the witness: it sees every callback and every answer.

A request goes to one process, over a connection of its own, so that it is certain what became of it: answered, refused
(nobody listens: another process is tried), reset (the process had taken it and the connection broke), or silent (no
answer in time). The bodies that were acknowledged are remembered; each of them must be in the database.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator

import aiohttp
import msgspec
from aiohttp import web
from yarl import URL

from paidup.clock import monotonic_s

ANSWER_WITHIN_S = 12.0
MAX_BYTES = 1 << 20
_ONE_HOP = frozenset({"host", "connection", "content-length", "transfer-encoding", "keep-alive"})
_NOT_ADDED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


class Tally(msgspec.Struct):
    """What became of requests: sent = answered + refused + reset + silent. acknowledged and unavailable (5xx) are
    among the answered."""

    sent: int = 0
    answered: int = 0
    acknowledged: int = 0
    unavailable: int = 0
    refused: int = 0
    reset: int = 0
    silent: int = 0

    def plus(self, other: "Tally") -> "Tally":
        """Both together."""
        return Tally(
            *(mine + theirs for mine, theirs in zip(*map(msgspec.structs.astuple, (self, other)), strict=True))
        )


class Silence:
    """The longest time in which callbacks were sent and none was answered (5xx is no answer). Times are monotonic."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._since: float | None = None
        self._under_way = 0

    def asked(self, at_s: float) -> None:
        """A callback was sent."""
        self._under_way += 1
        self._since = at_s if self._since is None else self._since

    def ended(self, at_s: float, *, answered: bool) -> None:
        """It was answered, or will not be."""
        self._under_way -= 1
        if answered and self._since is not None:
            self.longest_s = max(self.longest_s, at_s - self._since)
            self._since = at_s if self._under_way else None


class Backend:
    """One web process. `takes`: whether it is given new requests."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.takes = True
        self.answered = 0


class Balancer:
    """Hands requests to the backends in turn and counts. `begin` starts the counts of a phase."""

    def __init__(self) -> None:
        self.backends: dict[str, Backend] = {}
        self.acknowledged: Counter[bytes] = Counter()
        self.begin()
        self._turn = 0
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    def begin(self) -> None:
        """Count anew."""
        self.callbacks, self.api, self.silence = Tally(), Tally(), Silence()

    async def listen(self, port: int) -> None:
        """Begin to take requests on this port of the loopback address."""
        application = web.Application(client_max_size=MAX_BYTES)
        application.router.add_route("*", "/{anything:.*}", self._hear)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=0),
            timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN_S),
            auto_decompress=False,
            skip_auto_headers=_NOT_ADDED,
        )
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()

    async def close(self) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()
        if self._session:
            await self._session.close()

    async def _hear(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not request.path.startswith("/callbacks/"):
            return await self._pass_on(request, body, self.api)
        tally, silence = self.callbacks, self.silence
        silence.asked(monotonic_s())
        answer = await self._pass_on(request, body, tally)
        silence.ended(monotonic_s(), answered=answer.status < 500)
        if _is_acknowledged(request.path, answer):
            tally.acknowledged += 1
            self.acknowledged[hashlib.sha256(body).digest()] += 1
        return answer

    async def _pass_on(self, request: web.Request, body: bytes, tally: Tally) -> web.Response:
        tally.sent += 1
        for backend in self._in_turn():
            try:
                answer = await self._ask(backend, request, body)
            except aiohttp.ClientConnectorError:
                continue  # nobody took it, so that another may
            except TimeoutError:
                tally.silent += 1
                return web.Response(status=504, text="no answer in time")
            except (aiohttp.ClientError, OSError):
                tally.reset += 1
                return web.Response(status=502, text="the connection broke")
            tally.answered += 1
            tally.unavailable += answer.status >= 500
            backend.answered += 1
            return answer
        tally.refused += 1
        return web.Response(status=503, text="nobody listens")

    def _in_turn(self) -> Iterator[Backend]:
        """Those who take requests, the next in turn first; judged anew after each refusal."""
        backends = list(self.backends.values())
        self._turn += 1
        first = self._turn  # others take their turns while this one is tried
        for place in range(len(backends)):
            backend = backends[(first + place) % len(backends)]
            if backend.takes:
                yield backend

    async def _ask(self, backend: Backend, request: web.Request, body: bytes) -> web.Response:
        assert self._session is not None
        url = URL(f"http://127.0.0.1:{backend.port}{request.raw_path}", encoded=True)
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _ONE_HOP]
        async with self._session.request(
            request.method, url, data=body, headers=headers, allow_redirects=False
        ) as answer:
            text = await answer.read()
            kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in _ONE_HOP]
            return web.Response(status=answer.status, body=text, headers=dict(kept))


def _is_acknowledged(path: str, answer: web.Response) -> bool:
    """As the channels judge it: Alipay wants the word, the others the status."""
    return 200 <= answer.status < 300 and (not path.startswith("/callbacks/alipay/") or answer.body == b"success")
