"""Slow, oversized, malformed and smuggled requests on real sockets: the server answers others meanwhile, and forgets
whoever it was."""

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from entrance import Entrance, running

import stripe_side
from paidup.cli.serve import server_options
from paidup.shops import store as shops
from paidup.shops.store import Scope
from paidup.web.wire import MAX_AHEAD, Patience
from served import served

PATIENCE_S = 0.4
LIMIT = 40  # connections; serve has 2000
PATH = b"/callbacks/stripe/main"
TO_FILES = b"POST /v1/bills HTTP/1.1"


@dataclass
class Wire:
    """A served Paidup, and raw connections to it. ended: the callers whose connections the server has forgotten."""

    entrance: Entrance
    url: str
    ended: "asyncio.Queue[tuple[str, int] | None]"

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = urlsplit(self.url)
        return await asyncio.open_connection(parts.hostname, parts.port)

    async def say(self, data: bytes) -> bytes:
        """Everything that comes back for these bytes until the server hangs up."""
        reader, writer = await self.connect()
        writer.write(data)
        answer = await asyncio.wait_for(until_closed(reader), 10)
        writer.close()
        return answer

    async def honest(self) -> int:
        """The status that an honest callback gets, on a connection of its own."""
        request = stripe_side.callback(stripe_side.event("payment_intent.succeeded", stripe_side.INTENT))
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            url = self.url + request.target
            async with session.post(url, data=request.body, headers=dict(request.headers)) as answer:
                return answer.status


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """All bytes; a connection that is cut off has said what it said."""
    got = bytearray()
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(65536):
            got += chunk
    return bytes(got)


@pytest.fixture
async def wire(db_dsn: str, tmp_path: Path) -> AsyncIterator[Wire]:
    """As `paidup serve` runs it, but for less patience and fewer connections."""
    async with running(db_dsn, tmp_path) as entrance:
        settings, ended = entrance.paidup.settings, asyncio.Queue()

        class Told(server_options(settings)["http"]):
            patience = Patience(*[PATIENCE_S] * 3)
            most = LIMIT - 4

            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                ended.put_nowait(self.client)

        impatient = {"http": Told, "limit_concurrency": LIMIT, "timeout_keep_alive": PATIENCE_S}
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)  # what is not taken stands before us soon
        async with served(entrance.paidup, listener, **server_options(settings) | impatient) as url:
            yield Wire(entrance, url, ended)


def head(*lines: bytes, start: bytes = b"POST " + PATH + b" HTTP/1.1") -> bytes:
    return b"\r\n".join([start, b"host: x", *lines, b"", b""])


SLOW = (b"", b"POST /callb", b"POST " + PATH + b" HTTP/1.1\r\nhost: x\r\nx-a: b")


async def trickle(wire: Wire, sent: bytes) -> None:
    """Send a byte now and then until the server hangs up; it answers nothing."""
    reader, writer = await wire.connect()
    writer.write(sent)
    with contextlib.suppress(ConnectionError):  # cut off; a reader that has met it would say so again for ever
        while not reader.at_eof():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S / 4):
                    assert b"" == await reader.read(1), sent
            writer.write(b"a" if sent else b"")
    writer.close()


async def test_whoever_trickles_a_head_is_cut_off(wire: Wire) -> None:
    """A byte now and then does not help: the whole head has to come in time. Others are served meanwhile."""
    async with asyncio.timeout(PATIENCE_S * 10), asyncio.TaskGroup() as crowd:
        for sent in SLOW:
            crowd.create_task(trickle(wire, sent))
        assert 200 == await wire.honest()


STARTS = (b"", b"POST /callb", head(b"content-length: 99") + b"{", b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
"""What a connection may have sent that then says nothing more: nothing, part of a head or body, a whole request."""


@pytest.mark.parametrize("start", STARTS)
async def test_connections_without_number_shut_nobody_out(wire: Wire, start: bytes) -> None:
    """More connections than the server takes, whose callers let it wait: the oldest makes room, and whoever sends what
    they have at once is answered meanwhile. Afterwards all are gone."""
    crowd = []
    for _ in range(LIMIT + 10):
        crowd.append(await wire.connect())
        crowd[-1][1].write(start)
    assert [200] * 5 == [await wire.honest() for _ in range(5)]
    for reader, writer in crowd:
        await asyncio.wait_for(until_closed(reader), 5)
        writer.close()
    assert 200 == await wire.honest()


def test_connections_leave_files_for_the_rest() -> None:
    """A process that may open 1024 files asks for more, and where it gets none, it takes fewer connections."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (%d, %d));"
        "from paidup.cli.serve import room_for_connections; print(room_for_connections())"
    )
    limits = ((1024, 4096), (1024, 1024), (300, 300))
    said = [subprocess.run([sys.executable, "-c", code % one], capture_output=True, check=True) for one in limits]
    assert [2000, 768, 150] == [int(one.stdout) for one in said]


PIECES = 40_000
"""Of some thousand bytes: more than all buffers on the way hold, on whatever machine."""


def endless_headers() -> Iterator[bytes]:
    yield b"GET / HTTP/1.1\r\nhost: x\r\n"
    yield from (b"x-%d: %b\r\n" % (n, b"y" * 1000) for n in range(PIECES))


def one_endless_header() -> Iterator[bytes]:
    yield b"GET / HTTP/1.1\r\nhost: x\r\nx: "
    yield from (b"y" * 1000 for _ in range(PIECES))


def an_endless_request_line() -> Iterator[bytes]:
    yield b"GET /"
    yield from (b"y" * 1000 for _ in range(PIECES))


def endless_trailers() -> Iterator[bytes]:
    yield head(b"transfer-encoding: chunked") + b"1\r\n{\r\n0\r\n"
    yield from (b"x-%d: %b\r\n" % (n, b"y" * 1000) for n in range(PIECES))


def one_endless_trailer() -> Iterator[bytes]:
    yield head(b"transfer-encoding: chunked") + b"1\r\n{\r\n0\r\nx: "
    yield from (b"y" * 1000 for _ in range(PIECES))


def an_endless_chunk_extension() -> Iterator[bytes]:
    yield head(b"transfer-encoding: chunked") + b"1;x="
    yield from (b"y" * 1000 for _ in range(PIECES))


def chunks_of_one_byte() -> Iterator[bytes]:
    yield head(b"transfer-encoding: chunked")
    yield from (b"1\r\n \r\n" * 200 for _ in range(PIECES))


def a_body_after_the_refusal() -> Iterator[bytes]:
    yield head(b"content-length: %d" % (PIECES * 1000))
    yield from (b" " * 1000 for _ in range(PIECES))


def a_strangers_file() -> Iterator[bytes]:
    yield head(b"content-type: multipart/form-data; boundary=x", b"content-length: 4000000", start=TO_FILES)
    yield from (b" " * 1000 for _ in range(4000))


FLOODS = (
    endless_headers, one_endless_header, an_endless_request_line, endless_trailers, one_endless_trailer,
    an_endless_chunk_extension, chunks_of_one_byte, a_body_after_the_refusal, a_strangers_file,
)  # fmt: skip


async def flooded(wire: Wire, pieces: Iterator[bytes]) -> tuple[int, bytes]:
    """How many bytes the server took before it hung up, and what it said."""
    reader, writer = await wire.connect()
    answer = asyncio.create_task(until_closed(reader))
    taken = 0
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            if answer.done():
                break
            writer.write(piece)
            await writer.drain()
            taken += len(piece)
    got = await asyncio.wait_for(answer, 10)
    writer.close()
    return taken, got


async def test_a_flood_is_cut_off(wire: Wire) -> None:
    """Of forty megabytes the server takes some hundred kilobytes, then hangs up; nothing is stored."""
    for flood in FLOODS:
        taken, got = await flooded(wire, flood())
        assert (True, False) == (taken < PIECES * 1000 / 2, b" 200 " in got), (flood.__name__, taken, got[:200])
    assert (0, 200) == (await wire.entrance.count("inbox"), await wire.honest())


EVENT = stripe_side.callback(stripe_side.event("payment_intent.succeeded", stripe_side.INTENT))
SIGNED = b"stripe-signature: " + dict(EVENT.headers)["stripe-signature"].encode()
HIDDEN = head(SIGNED, b"content-length: %d" % len(EVENT.body)) + EVENT.body
"""A whole honest callback. Hidden in the body of another request it must never be taken for a request of its own."""

SMUGGLED = {
    "two lengths": head(b"content-length: 0", b"content-length: %d" % len(HIDDEN)) + HIDDEN,
    "two lengths in one": head(b"content-length: 0, %d" % len(HIDDEN)) + HIDDEN,
    "length and chunks": head(b"content-length: %d" % len(HIDDEN), b"transfer-encoding: chunked")
    + b"0\r\n\r\n"
    + HIDDEN,
    "chunks and length": head(b"transfer-encoding: chunked", b"content-length: 4") + b"0\r\n\r\n" + HIDDEN,
    "chunks that are none": head(b"transfer-encoding: xchunked", b"content-length: 5") + b"0\r\n\r\n" + HIDDEN,
    "chunks twice": head(b"transfer-encoding: chunked", b"transfer-encoding: identity") + b"0\r\n\r\n" + HIDDEN,
    "chunks, then something": head(b"transfer-encoding: chunked, identity") + b"0\r\n\r\n" + HIDDEN,
    "a blank before the colon": head(b"transfer-encoding : chunked") + b"0\r\n\r\n" + HIDDEN,
    "a tab before chunked": head(b"transfer-encoding:\x0bchunked") + b"0\r\n\r\n" + HIDDEN,
    "a folded header": head(b"transfer-encoding:\r\n chunked") + b"0\r\n\r\n" + HIDDEN,
    "a bare line feed": head(b"x: y\ntransfer-encoding: chunked") + b"0\r\n\r\n" + HIDDEN,
    "a bare carriage return": head(b"x: y\rtransfer-encoding: chunked") + b"0\r\n\r\n" + HIDDEN,
    "a NUL in a header": head(b"x: y\x00z", b"content-length: 0") + HIDDEN,
    "a negative length": head(b"content-length: -1") + HIDDEN,
    "a length with a sign": head(b"content-length: +0") + HIDDEN,
    "a length in hex": head(b"content-length: 0x0") + HIDDEN,
    "a length beyond any": head(b"content-length: " + b"9" * 40) + HIDDEN,
    "a chunk without a size": head(b"transfer-encoding: chunked") + b"\r\n" + HIDDEN,
    "a chunk of negative size": head(b"transfer-encoding: chunked") + b"-1\r\n" + HIDDEN,
    "a chunk beyond any": head(b"transfer-encoding: chunked") + b"f" * 20 + b"\r\n" + HIDDEN,
    "a chunk that ends wrongly": head(b"transfer-encoding: chunked") + b"1\r\nxx0\r\n\r\n" + HIDDEN,
    "a chunk with a bare line feed": head(b"transfer-encoding: chunked") + b"0\n\n" + HIDDEN,
    "no version": b"POST " + PATH + b"\r\n\r\n" + HIDDEN,
    "another version": head(b"content-length: 0", start=b"POST / HTTP/9.9") + HIDDEN,
    "a blank line first, and a bad method": b"\r\n\r\nP\xd6ST / HTTP/1.1\r\n\r\n" + HIDDEN,
}


async def test_no_request_hides_in_another(wire: Wire) -> None:
    """What two readers might cut in two places is refused whole: at most one answer, no success, nothing stored."""
    for name, sent in SMUGGLED.items():
        answer = await wire.say(sent)
        seen = (answer.count(b"HTTP/1.1 ") <= 1, b" 200 " in answer, b"Traceback" in answer)
        assert ((True, False, False), 0) == (seen, await wire.entrance.count("inbox")), (name, answer[:300])


async def test_what_is_hidden_would_be_taken(wire: Wire) -> None:
    """The hidden callback is a good one, also as the second request on a connection: the claim above is not empty."""
    twice = await wire.say(HIDDEN + HIDDEN)
    assert (2, 2) == (twice.count(b"HTTP/1.1 200"), await wire.entrance.count("inbox"))


async def test_requests_ahead_of_the_answers_are_few(wire: Wire) -> None:
    """Thousands of requests in one piece, each of which would take memory, end their connection; a few are answered."""
    few, many = [head(start=b"GET /healthz HTTP/1.1") * n for n in (MAX_AHEAD, 5000)]
    assert MAX_AHEAD == (await wire.say(few)).count(b"HTTP/1.1 200 ")
    assert MAX_AHEAD >= (await wire.say(many)).count(b"HTTP/1.1 200 ")


async def test_an_answer_that_nobody_takes_is_given_up(wire: Wire) -> None:
    """A caller who asks for pages and never reads them loses his connection; the others get theirs."""
    parts, loop = urlsplit(wire.url), asyncio.get_running_loop()
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        await loop.sock_connect(raw, (parts.hostname, parts.port))
        await loop.sock_sendall(raw, head(start=b"GET /docs HTTP/1.1") * MAX_AHEAD)
        assert 200 == await wire.honest()
        async with asyncio.timeout(10):
            while raw.getsockname() != await wire.ended.get():
                pass


async def test_a_slow_body_is_given_up(wire: Wire) -> None:
    """With an API key, too: a body that does not come in time ends the connection, and nothing is done."""
    now = wire.entrance.paidup.clock.now()
    async with wire.entrance.paidup.db.transaction() as tx:
        key = await shops.create_key(tx, "shop1", [Scope.WRITE], now)
    asked = head(b"authorization: Bearer %b" % key.encode(), b"content-length: 99", start=b"POST /v1/orders HTTP/1.1")
    for request in (asked, head(b"content-length: 99")):
        answer = await wire.say(request + b"{")
        assert (b"", 0) == (answer, await wire.entrance.count("orders"))
    assert 200 == await wire.honest()
