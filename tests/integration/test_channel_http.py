"""The only caller of providers, against real servers on loopback that misbehave."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime

import msgspec
import pytest

from paidup.channels.channel import Account
from paidup.channels.http import MAX_ANSWER_BYTES, MAX_JOURNAL_BYTES, ChannelHttp, Sent
from paidup.channels.messages import Declined, Exchange, Outcome, Request, Response, Retryable, Success, Unknown
from paidup.clock import SystemClock
from paidup.resilience.breaker import Rules, State

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
NOW_OF = SystemClock().now
NEVER_OPENS = Rules(min_calls=1000)


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A raw TCP server; yields its base URL. Every connection that is still open at the end is cut."""
    open_now: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_now[task] = writer
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):  # the caller hung up: often the point
            await handler(reader, writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task, writer in open_now.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*open_now, return_exceptions=True)
        await asyncio.gather(*(writer.wait_closed() for writer in open_now.values()), return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """The head and the body as they came over the wire."""
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head + await reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)


def answering(answer: bytes, seen: list[bytes] | None = None) -> Handler:
    """Reads a request, sends these bytes, closes (and says so, where the answer has a head)."""
    answer = answer.replace(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\n")

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        if seen is not None:
            seen.append(request)
        writer.write(answer)
        await writer.drain()
        writer.close()

    return handle


def ok(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def account(base_url: str, name: str = "main") -> Account:
    return Account(channel="wechat", name=name, shop="s", payee="1900", base_url=base_url, notify_url="https://n")


def read_as_success(response: Response, now: datetime) -> Outcome:
    assert now.tzinfo is not None
    return Success(channel_txn_id=f"{response.status}:{response.body.decode()}")


def exchange(
    base_url: str,
    *,
    method: str = "POST",
    target: str = "/pay",
    body: bytes = b"{}",
    headers: tuple[tuple[str, str], ...] = (),
    read: Callable[[Response, datetime], Outcome] = read_as_success,
) -> Exchange:
    return Exchange(Request(method, base_url, target, headers, body), read)


@contextlib.asynccontextmanager
async def calling(rules: Rules = NEVER_OPENS) -> AsyncIterator[ChannelHttp]:
    http = ChannelHttp(rules)
    try:
        yield http
    finally:
        await http.aclose()


async def send(base_url: str, exchange_: Exchange | None = None, deadline_s: float = 5.0) -> Sent:
    async with calling() as http:
        return await http.send(account(base_url), exchange_ or exchange(base_url), now_of=NOW_OF, deadline_s=deadline_s)


async def test_an_answer_is_read_and_noted() -> None:
    """Outcome from the channel's reader; status, line and body for the journal."""
    async with serving(answering(ok(b'{"a":1}'))) as url:
        sent = await send(url)
    assert sent.outcome == Success(channel_txn_id='200:{"a":1}')
    assert (sent.status, sent.request_line, sent.answer) == (200, f"POST {url}/pay", b'{"a":1}')


async def test_what_was_signed_is_sent_byte_for_byte() -> None:
    """Target, body and given headers arrive as the channel's code made them; nothing is quoted again."""
    seen: list[bytes] = []
    target = "/v3/pay/%E8%AE%A2%7e?a=%2B+b&b=1%202&mchid=1900"
    body = '{"描述":"a\\/b"}\n'.encode()
    async with serving(answering(ok(b""), seen)) as url:
        await send(url, exchange(url, target=target, body=body, headers=(("Authorization", "X y"), ("X-Odd", "1"))))
    head, _, sent_body = seen[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == f"POST {target} HTTP/1.1"
    assert sent_body == body
    assert [line for line in lines if line.startswith(("Authorization", "X-Odd"))] == ["Authorization: X y", "X-Odd: 1"]


async def test_nothing_is_added_but_what_http_needs() -> None:
    """No cookies, no content type that was not asked for; no compression, which would change signed bytes."""
    seen: list[bytes] = []
    async with serving(answering(ok(b""), seen)) as url:
        await send(url, exchange(url, method="GET", body=b""))
    names = {line.split(":")[0].lower() for line in seen[0].decode().split("\r\n")[1:] if line}
    assert names <= {"host", "accept", "user-agent", "accept-encoding", "connection"}
    assert b"accept-encoding: identity" in seen[0].lower()


async def test_the_channels_own_user_agent_stays() -> None:
    """Ours is only for requests that have none."""
    seen: list[bytes] = []
    async with serving(answering(ok(b""), seen)) as url:
        await send(url, exchange(url, headers=(("user-agent", "theirs"),)))
    assert seen[0].lower().count(b"user-agent") == 1
    assert b"user-agent: theirs" in seen[0]


async def test_cookies_are_not_kept() -> None:
    """What one answer sets is not sent along with the next request."""
    seen: list[bytes] = []
    async with serving(answering(ok(b"", "Set-Cookie: a=b; Path=/"), seen)) as url, calling() as http:
        for _ in range(2):
            await http.send(account(url), exchange(url), now_of=NOW_OF, deadline_s=5)
    assert [b"cookie" in request.lower() for request in seen] == [False, False]


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy variable left in a shell must not lead money calls elsewhere."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    async with serving(answering(ok(b"direct"))) as url:
        sent = await send(url)
    assert sent.outcome == Success(channel_txn_id="200:direct")


async def test_redirects_are_not_followed() -> None:
    """A redirect is an answer like any other: the channel's reader judges it, and nobody else is called."""
    elsewhere: list[bytes] = []
    async with serving(answering(ok(b"stolen"), elsewhere)) as other:
        redirect = f"HTTP/1.1 307 Go\r\nLocation: {other}/x\r\nContent-Length: 0\r\n\r\n".encode()
        async with serving(answering(redirect)) as url:
            sent = await send(url)
    assert (sent.status, elsewhere) == (307, [])


# Certainly not sent ---------------------------------------------------------------------------------------------------


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def test_a_refused_connection_is_retryable() -> None:
    """Nobody listens: nothing can have happened."""
    sent = await send(f"http://127.0.0.1:{closed_port()}")
    assert isinstance(sent.outcome, Retryable)
    assert sent.status is None
    assert sent.outcome.why.startswith("not sent: ClientConnectorError")


async def test_a_name_that_does_not_resolve_is_retryable() -> None:
    """Nobody has a name under .invalid (RFC 6761)."""
    sent = await send("http://nowhere.invalid")
    assert isinstance(sent.outcome, Retryable)


async def test_a_failed_tls_handshake_is_retryable() -> None:
    """The other side does not speak TLS: the request was never written."""
    seen: list[bytes] = []

    async def speak_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(4096))
        writer.write(ok(b"plain"))
        writer.close()

    async with serving(speak_plainly) as url:
        sent = await send(url.replace("http:", "https:"))
    assert isinstance(sent.outcome, Retryable)
    assert [b"/pay" in data for data in seen] == [False]


async def test_a_full_connection_pool_is_retryable() -> None:
    """Whoever waits for a connection until the deadline has sent nothing."""
    async with serving(silent_after_reading()) as url, calling() as http:
        holding = [
            asyncio.create_task(http.send(account(url), exchange(url), now_of=NOW_OF, deadline_s=30)) for _ in range(20)
        ]
        await asyncio.sleep(0)
        waiting = await http.send(account(url), exchange(url), now_of=NOW_OF, deadline_s=0.3)
        for task in holding:
            task.cancel()
        await asyncio.gather(*holding, return_exceptions=True)
    assert isinstance(waiting.outcome, Retryable)
    assert waiting.status is None


# Perhaps sent ---------------------------------------------------------------------------------------------------------


def silent_after_reading() -> Handler:
    """Reads the request and never answers."""

    async def handle(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await read_request(reader)

    return handle


def resetting_after_reading() -> Handler:
    """Reads the request, then resets the connection."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        linger_0 = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # close sends RST
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_0)
        writer.close()

    return handle


def dripping() -> Handler:
    """Answers one byte at a time, faster than any read timeout and slower than any patience."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        drip(writer)

    def drip(writer: asyncio.StreamWriter) -> None:
        if not writer.transport.is_closing():
            writer.write(b"x")
            asyncio.get_running_loop().call_later(0.02, drip, writer)

    return handle


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BROKEN = {
    "nothing at all": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    "half a chunk": CHUNKED + b"64\r\nhalf",
    "no last chunk": CHUNKED + b"4\r\nhalf\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "an endless header": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    "a body that is too long": ok(b"x" * (MAX_ANSWER_BYTES + 1)),
    "a compressed body": ok(b"\x1f\x8b", "Content-Encoding: gzip"),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_answer_is_unknown(answer: bytes) -> None:
    """The request was written; what became of it nobody can tell from this."""
    async with serving(answering(answer)) as url:
        sent = await send(url)
    assert isinstance(sent.outcome, Unknown)
    assert sent.outcome.why.startswith("no usable answer: ")


@pytest.mark.parametrize(
    "handler", [silent_after_reading(), resetting_after_reading(), dripping()], ids=["silent", "reset", "drip"]
)
async def test_silence_reset_and_dripping_are_unknown(handler: Handler) -> None:
    """Within the deadline, however the other side behaves."""
    async with serving(handler) as url:
        sent = await send(url, deadline_s=0.3)
    assert isinstance(sent.outcome, Unknown)
    assert sent.elapsed_ms < 2000


async def test_an_answer_after_the_deadline_is_unknown_and_does_not_reach_the_next_call() -> None:
    """The late answer belongs to a connection that is gone: the next call gets its own."""
    numbers = iter((b"first", b"second"))
    released = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        word = next(numbers)
        if word == b"first":
            await released.wait()
        writer.write(ok(word))
        await writer.drain()

    async with serving(handler=handle) as url, calling() as http:
        late = await http.send(account(url), exchange(url), now_of=NOW_OF, deadline_s=0.3)
        released.set()
        following = await http.send(account(url), exchange(url), now_of=NOW_OF, deadline_s=5)
    assert isinstance(late.outcome, Unknown)
    assert following.outcome == Success(channel_txn_id="200:second")


async def test_a_money_moving_request_is_never_sent_twice_by_the_client() -> None:
    """A kept connection that the server closes under the second request: one try, Unknown, no silent repeat."""
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(ok(b"one"))
        seen.append(await read_request(reader))
        writer.close()

    async with serving(handle) as url, calling() as http:
        sent = [await http.send(account(url), exchange(url), now_of=NOW_OF, deadline_s=5) for _ in range(2)]
    assert [type(one.outcome) for one in sent] == [Success, Unknown]
    assert len(seen) == 2


# The breaker ----------------------------------------------------------------------------------------------------------


async def test_an_open_breaker_answers_retryable_without_calling() -> None:
    """After enough failures nobody is called, and the reason says until when."""
    seen: list[bytes] = []
    async with serving(answering(b"", seen)) as url, calling(Rules(min_calls=2)) as http:
        for _ in range(2):
            await http.send(account(url), exchange(url), now_of=NOW_OF, deadline_s=5)
        refused = await http.send(account(url), exchange(url), now_of=NOW_OF, deadline_s=5)
        other = await http.send(account(url, "other"), exchange(url), now_of=NOW_OF, deadline_s=5)
        state = http.breaker(account(url)).state
    assert isinstance(refused.outcome, Retryable)
    assert refused.outcome.why.startswith("wechat/main: breaker open until 2")
    assert isinstance(other.outcome, Unknown), "another account has a breaker of its own"
    assert (state, len(seen)) == (State.OPEN, 3)


async def test_a_declined_answer_keeps_the_breaker_closed() -> None:
    """'Not enough money' is a channel that works."""
    async with serving(answering(ok(b"no"))) as url, calling(Rules(min_calls=2)) as http:
        declined = exchange(url, read=lambda _response, _now: Declined("NOTENOUGH", "not enough money"))
        for _ in range(4):
            await http.send(account(url), declined, now_of=NOW_OF, deadline_s=5)
        assert http.breaker(account(url)).state is State.CLOSED


async def test_a_call_that_is_cancelled_is_not_held_against_the_channel() -> None:
    """We went away, not they; and the cancellation is not swallowed."""
    arrived = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        arrived.set()

    async with serving(handle) as url, calling(Rules(min_calls=1)) as http:
        call = asyncio.create_task(http.send(account(url), exchange(url), now_of=NOW_OF, deadline_s=30))
        await arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert http.breaker(account(url)).state is State.CLOSED


# The journal ----------------------------------------------------------------------------------------------------------


async def test_nothing_secret_reaches_the_journal() -> None:
    """Not the headers, not a signature in the target, not a secret that the channel answers with."""
    answer = b'{"id":"pi_1","client_secret":"pi_1_secret_x"}'
    async with serving(answering(ok(answer))) as url:
        asked = exchange(url, target="/g?a=1&sign=hunter2", headers=(("Authorization", "Bearer hunter2"),))
        sent = await send(url, asked)
    assert sent.request_line == f"POST {url}/g?a=1&sign=***"
    assert sent.answer == b'{"id":"pi_1","client_secret":"***"}'
    assert b"hunter2" not in msgspec.json.encode(sent)


async def test_a_long_answer_is_cut_for_the_journal_only() -> None:
    """The channel's reader sees all of it."""
    async with serving(answering(ok(b"y" * 100_000))) as url:
        sent = await send(
            url, exchange(url, read=lambda response, _now: Success(channel_txn_id=str(len(response.body))))
        )
    assert sent.outcome == Success(channel_txn_id="100000")
    assert len(sent.answer) == MAX_JOURNAL_BYTES
