"""POST /callbacks/{channel}/{account} over real sockets: the good is durable, the hostile is refused plainly."""

import asyncio
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from paidup.app import Paidup
from paidup.clock import SystemClock
from paidup.sandbox.accounts import write_accounts
from paidup.sandbox.keys import Keys, make_keys
from paidup.settings import load
from served import served

NOBODY = "http://127.0.0.1:9"


@dataclass
class Entrance:
    """A running Paidup whose workers rest, and the keys of its channels."""

    paidup: Paidup
    url: str
    keys: Keys
    session: aiohttp.ClientSession

    async def post(self, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> tuple[int, str]:
        async with self.session.post(self.url + path, data=body, headers=headers) as answer:
            return answer.status, await answer.text()

    def stripe_event(self, number: int = 1) -> tuple[bytes, dict[str, str]]:
        now = int(SystemClock().now().timestamp())
        body = json.dumps(
            {"id": f"evt_{number}", "type": "customer.created", "created": now, "livemode": False}
        ).encode()
        digest = hmac.digest(self.keys.stripe.webhook.encode(), f"{now}.".encode() + body, hashlib.sha256).hex()
        return body, {"stripe-signature": f"t={now},v1={digest}"}

    async def raw(self, request: bytes, *, half: bool = False) -> bytes:
        """Bytes as they are, on a connection of their own; half closes our side after them."""
        parts = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(request)
        await writer.drain()
        if half:
            writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer

    async def count(self, table: str) -> int:
        async with self.paidup.db.session() as tx:
            return await tx.fetchval(f"SELECT count(*) FROM {table}")


@pytest.fixture
async def entrance(db_dsn: str, tmp_path: Path) -> AsyncIterator[Entrance]:
    keys = make_keys(SystemClock().now())
    write_accounts(tmp_path / "accounts", keys, base_url=NOBODY, paidup_url=NOBODY, shop="acme")
    environ = {
        "PAIDUP_DATABASE_URL": db_dsn,
        "PAIDUP_DATA": str(tmp_path),
        "PAIDUP_ROLES": "web",
        "PAIDUP_CALLBACK_MAX_BYTES": "2048",
        "PAIDUP_QUARANTINE_PER_SOURCE": "5",
    }
    async with contextlib.AsyncExitStack() as stack:
        paidup = await stack.enter_async_context(Paidup(load(environ)))
        url = await stack.enter_async_context(served(paidup))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Entrance(paidup, url, keys, session)


async def test_an_acknowledged_callback_is_in_the_database(entrance: Entrance) -> None:
    """Forty at once, each answered in the channel's form, each with its raw bytes and its place in the queue."""
    sent = [entrance.stripe_event(n) for n in range(40)]
    answers = await asyncio.gather(*(entrance.post("/callbacks/stripe/main", *event) for event in sent))
    async with entrance.paidup.db.session() as tx:
        bodies = {bytes(row["body"]) for row in await tx.fetch("SELECT body FROM inbox")}
    assert ({(200, '{"received":true}')}, {body for body, _ in sent}) == (set(answers), bodies)
    assert 40 == await entrance.count("inbox_queue")


async def test_forgeries_are_refused_and_kept_within_bounds(entrance: Entrance) -> None:
    """Three hundred bad signatures from one source: each refused, five kept, nothing in the inbox."""
    body, _ = entrance.stripe_event()
    forged = {"stripe-signature": f"t={int(SystemClock().now().timestamp())},v1={'0' * 64}"}
    answers = await asyncio.gather(*(entrance.post("/callbacks/stripe/main", body, forged) for _ in range(300)))
    assert {400} == {status for status, _ in answers}
    assert (5, 0) == (await entrance.count("quarantine"), await entrance.count("inbox"))


async def test_an_unknown_account_is_refused_and_its_callback_is_kept(entrance: Entrance) -> None:
    """Perhaps we forgot to add the account: 404 for the channel, the bytes in quarantine."""
    status, text = await entrance.post("/callbacks/stripe/nobody", *entrance.stripe_event())
    assert (404, True, 1) == (status, "no channel account stripe/nobody" in text, await entrance.count("quarantine"))


@pytest.mark.parametrize(
    ("path", "status"), [("/callbacks/stripe", 404), ("/callbacks/stripe/main/more", 404), ("/callbacks//", 404)]
)
async def test_other_paths_are_not_found(entrance: Entrance, path: str, status: int) -> None:
    """The address has exactly a channel and an account."""
    assert status == (await entrance.post(path))[0]


async def test_other_methods_are_refused(entrance: Entrance) -> None:
    """Callbacks are sent with POST, and only with POST."""
    async with entrance.session.get(f"{entrance.url}/callbacks/stripe/main") as answer:
        assert (405, "callbacks are sent with POST") == (answer.status, await answer.text())


async def test_a_long_body_is_refused_before_it_is_read(entrance: Entrance) -> None:
    """By its stated length, and by what really comes when no length is stated."""
    stated, _ = await entrance.post("/callbacks/stripe/main", b"x" * 5000)

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1000

    async with entrance.session.post(f"{entrance.url}/callbacks/stripe/main", data=endless()) as answer:
        assert (413, 413) == (stated, answer.status)


async def test_hostile_headers_are_refused(entrance: Entrance) -> None:
    """A flood of headers gets 431; the next honest callback is taken."""
    flood = {f"x-{n}": "y" for n in range(150)}
    status, _ = await entrance.post("/callbacks/stripe/main", b"{}", flood)
    honest, _ = await entrance.post("/callbacks/stripe/main", *entrance.stripe_event())
    assert (431, 200) == (status, honest)


async def test_a_body_that_ends_half_way_stores_nothing(entrance: Entrance) -> None:
    """The connection closes before the stated length: nobody is told that it was stored, and nothing was."""
    head = b"POST /callbacks/stripe/main HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n"
    answer = await entrance.raw(head + b"{", half=True)
    assert (False, 0) == (b" 200 " in answer, await entrance.count("inbox"))


async def test_bytes_that_are_no_http_harm_nobody(entrance: Entrance) -> None:
    """Rubbish gets 400 and no traceback; the next honest callback is taken."""
    answer = await entrance.raw(b"\x00\xff\x13 rubbish \r\n\r\n", half=True)
    honest, _ = await entrance.post("/callbacks/stripe/main", *entrance.stripe_event())
    assert (True, False, 200) == (answer.startswith(b"HTTP/1.1 400"), b"Traceback" in answer, honest)


async def test_without_a_database_the_channel_is_told_to_send_again(entrance: Entrance) -> None:
    """The database is away: 503, never a success, and no traceback; the channel's retry will come."""
    await entrance.paidup.db.close()
    status, text = await entrance.post("/callbacks/stripe/main", *entrance.stripe_event())
    assert (503, "not stored; send it again") == (status, text)
