"""Claims about one call: what counts as its answer, and what becomes of connections, names and handles afterwards."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pycurl
import pytest
from delivery_side import Receiver

from paidup.delivery import address
from paidup.delivery.address import Target
from paidup.delivery.line import Line
from paidup.delivery.route import Routes, read_url
from paidup.delivery.send import Sender
from paidup.errors import InvalidRequest

HEADERS = (("content-type", "application/json"),)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

Hear = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(hear: Hear) -> AsyncIterator[str]:
    """A server that speaks bytes; its URL."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await hear(reader, writer)
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def saying(*pieces: bytes) -> Hear:
    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return hear


async def test_only_the_last_head_that_comes_whole_is_the_answer(sender: Sender) -> None:
    """What is said on the way (1xx) is none, and trailers add nothing to it."""
    early = b"HTTP/1.1 103 Early Hints\r\nretry-after: 1\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    head = b"HTTP/1.1 503 Busy\r\nRetry-After:  7 \r\nPaidup-Applied: true\r\ntransfer-encoding: chunked\r\n\r\n"
    async with listening(saying(early, head, b"2\r\nok\r\n0\r\nretry-after: 99\r\n\r\n")) as url:
        answer = await sender(url, HEADERS, b"{}")
    assert (503, "7", "true", b"ok") == (answer.status, answer.retry_after, answer.applied, answer.body)


@pytest.mark.parametrize(
    "said",
    [b"HTTP/1.1 200 OK\r\ncontent-le", b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" * 9],
)
async def test_a_head_that_breaks_off_or_announces_another_is_no_answer(sender: Sender, said: bytes) -> None:
    """The receiver may have it: it was connected."""
    async with listening(saying(said)) as url:
        answer = await sender(url, HEADERS, b"{}")
    assert (None, True, True) == (answer.status, bool(answer.failure), answer.connected)


async def test_what_is_quoted_of_a_receiver_is_text(sender: Sender) -> None:
    """libcurl names the encoding that it does not know, whatever its bytes; why a call failed can be written down."""
    async with listening(saying(b"HTTP/1.1 200 OK\r\ntransfer-encoding: \xff\x80gzip\r\n\r\nxx")) as url:
        answer = await sender(url, HEADERS, b"{}")
    assert (None, "Unsolicited Transfer-Encoding (??gzip) found") == (answer.status, answer.failure)


async def test_hints_without_an_end_are_given_up(sender: Sender) -> None:
    """What a receiver says before its answer is bounded as a whole, not each of it alone."""

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while True:
            writer.write(b"HTTP/1.1 103 Early Hints\r\nx: " + b"x" * 1000 + b"\r\n\r\n")
            await writer.drain()

    async with listening(flood) as url:
        answer = await sender(url, HEADERS, b"{}")
    assert (None, "Too large response headers") == (answer.status, answer.failure.split(":")[0])


async def test_an_idle_connection_that_was_closed_costs_no_attempt(sender: Sender) -> None:
    """A receiver that closes it as we write has answered nothing on it: it is told over a new one, in the same call."""
    heard: list[int] = []

    async def once_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(0)
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n{}")
            heard[-1] += 1
            if heard == [2]:
                return
            writer.write(OK)

    async with listening(once_each) as url:
        answers = [await sender(url, HEADERS, b"{}") for _ in range(2)]
    assert ([200, 200], [2, 1]) == ([answer.status for answer in answers], heard)


async def test_a_busy_connection_is_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name may have moved since: calls that never pause come to the new address all the same."""
    monkeypatch.setattr("paidup.delivery.line.LIFE_S", 1)  # libcurl counts in seconds
    heard: list[int] = []

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(0)
        while True:
            await reader.readuntil(b"\r\n\r\n{}")
            heard[-1] += 1
            writer.write(OK)

    sender = Sender(allow_loopback=True)
    async with listening(keep) as url, asyncio.timeout(15):
        while len(heard) < 2:
            assert 200 == (await sender(url, HEADERS, b"{}")).status
    await sender.aclose()
    assert heard[0] > 1


async def test_a_connection_that_never_answered_is_not_tried_twice(sender: Sender) -> None:
    """A new connection that breaks off is a failed attempt, which the receiver may have taken."""
    heard: list[bytes] = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))

    async with listening(hang_up) as url:
        answer = await sender(url, HEADERS, b"{}")
    assert (None, True, 1) == (answer.status, answer.connected, len(heard))


async def test_a_call_that_was_cancelled_does_not_answer_the_next(receiver: Receiver) -> None:
    """Its handle may still be at work: it is not used again."""
    silent = asyncio.Event()

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        silent.set()
        await reader.read()

    sender = Sender(allow_loopback=True)
    async with listening(never) as url:
        call = asyncio.create_task(sender(url, HEADERS, b"{}"))
        await silent.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        webhook = (("webhook-id", "e"), ("webhook-timestamp", "1"), ("webhook-signature", "s"))
        assert 200 == (await sender(receiver.url, webhook, b'{"seq":1,"order_id":"o"}')).status
    await sender.aclose()


async def test_a_long_body_waits_for_nobodys_consent(sender: Sender) -> None:
    """libcurl would ask first with Expect: 100-continue, and wait a second for receivers that do not know it."""
    body, heads = b"x" * 2_000_000, []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).lower())
        await reader.readexactly(len(body))
        writer.write(OK)

    async with listening(take) as url:
        assert 200 == (await sender(url, HEADERS, body)).status
    assert (1, False, True) == (len(heads), b"expect" in heads[0], b"user-agent: paidup/" in heads[0])


async def test_a_url_is_called_as_it_is_written_and_the_answer_taken_as_it_comes(sender: Sender) -> None:
    """Dots, empty questions and escapes stay; nothing is unpacked: small answers must not grow into large ones."""
    heads = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc")

    async with listening(take) as url:
        answer = await sender(f"{url}a/../b/./%7E?x=a+b%2F", HEADERS, b"{}")
    assert (200, b"abc") == (answer.status, answer.body)
    assert (b"POST /a/../b/./%7E?x=a+b%2F HTTP/1.1", True) == (
        heads[0].split(b"\r\n")[0],
        b"Accept-Encoding: identity\r\n" in heads[0],
    )


async def test_a_handle_is_used_again(receiver: Receiver, sender: Sender) -> None:
    """As many are made as were needed at once."""
    webhook = (("webhook-id", "e"), ("webhook-timestamp", "1"), ("webhook-signature", "s"))
    for _ in range(3):
        await asyncio.gather(*(sender(receiver.url, webhook, b'{"seq":1,"order_id":"o"}') for _ in range(2)))
    assert (6, 2) == (len(receiver.got), len(sender._idle))


def test_a_url_in_which_libcurl_sees_another_host_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """No such URL is known; should our reading of it ever differ, it is refused."""
    for other in (Target("", "https", "shop.example.org", 443), Target("", "https", "shop.example.com", 444)):
        monkeypatch.setattr(address, "parse", lambda _url, other=other, **_how: other)
        with pytest.raises(InvalidRequest, match="two readers"):
            read_url("https://shop.example.com/", allow_loopback=False)


async def test_nothing_is_sent_to_an_address_that_may_not_be_called_whatever_led_there(receiver: Receiver) -> None:
    """The last question before the first byte, should the client ever have come to an address by itself."""
    line, multi = Line(may_be=lambda _ip: False), pycurl.AsyncCurlMulti()
    with pytest.raises(pycurl.error):
        await multi.perform(line.asked(receiver.url, HEADERS, b"{}", route=[], within_s=5))
    await multi.aclose()
    assert (False, None, []) == (line.connected, line.head(), receiver.got)


class Names:
    """A resolver that counts its questions."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return ["127.0.0.1"]


async def test_a_names_addresses_are_kept_for_a_while_and_no_longer() -> None:
    """One question serves all calls of ten seconds."""
    names, moments = Names(), iter([0.0, 0.0, 9.9, 10.0, 10.0])
    routes = Routes(names, allow_loopback=True, seconds=lambda: next(moments))
    led = [await routes.to("http://shop.example.com:81/", 5) for _ in range(3)]
    assert (3 * [["+shop.example.com:81:127.0.0.1"]], 2) == (led, names.asked)


async def test_a_name_is_asked_for_again_after_a_call_that_failed() -> None:
    """Perhaps the shop has moved."""
    names = Names()
    sender = Sender(allow_loopback=True, resolve=names)
    for _ in range(2):
        assert not (await sender("http://shop.example.com:1/", HEADERS, b"{}")).connected
    await sender.aclose()
    assert 2 == names.asked


async def test_an_address_is_called_without_asking_anybody(receiver: Receiver) -> None:
    """There is nothing to look up in it."""
    names = Names()
    routes = Routes(names, allow_loopback=True)
    assert ([], 0) == (await routes.to("http://127.0.0.1:81/", 5), names.asked)


async def test_more_names_than_are_kept_cost_questions_and_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shops name the URLs."""
    monkeypatch.setattr("paidup.delivery.route._MOST_KEPT", 3)
    routes = Routes(Names(), allow_loopback=True)
    for n in range(10):
        await routes.to(f"http://shop{n}.example.com/", 5)
        assert len(routes._kept) <= 3
