"""Addresses that others name: deliveries, downloads and accounts lead to where they were checked, and nowhere else."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from entrance import write_accounts
from hypothesis import given
from mutants import nasty_text, spoiled, tries
from yarl import URL

import alipay_side
from api_side import Api
from paidup.channels.accounts import load_accounts
from paidup.channels.bill_address import address_of
from paidup.channels.http import ChannelHttp
from paidup.channels.messages import Exchange, Request, Unknown
from paidup.clock import SystemClock
from paidup.delivery.plan import Answer, Step, decide
from paidup.delivery.send import Sender
from paidup.errors import ConfigError, InvalidRequest

NAME = "shop.example.com"
INSIDE = (
    "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16",
    "0.0.0.0", "255.255.255.255", "224.0.0.1", "100.64.0.1", "198.18.0.1", "::", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1",
    "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001::1", "fe80::1", "fe80::1%lo", "fd00:ec2::254", "fec0::1", "ff02::1",
    "0x7f000001", "127.1", "2130706433", "0177.0.0.1", "localhost", "",
)  # fmt: skip
LOOPBACK = ("127.0.0.1", "127.255.255.254", "::1")
HIDDEN_HOSTS = (
    "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.1", "127.0.1", "127.0.0.1.", "0",
    "0x0", "1.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
    "[::1%25lo]", "[::1%lo]", "[fe80::1]", "169.254.169.254", "[fd00:ec2::254]", "10.0.0.1", "user@10.0.0.1",
    "user:pass@shop.example.com", "shop.example.com@10.0.0.1", "shop.example.com:443@10.0.0.1",
    "shop.example.com\\@10.0.0.1", "10.0.0.1\\.example.com", "10.0.0.1#.example.com", "10.0.0.1%2f.example.com",
    "%31%30.0.0.1", "①⑩.0.0.1", "127。0。0。1", "ⓛocalhost", "shop.example.com:0", "shop.example.com:65536",
    "shop.example.com:-1", "shop.example.com: 443", "shop.example.com:4٤3", "", ".", "..", "[", "[]",
)  # fmt: skip


class Server:
    """Answers every request on loopback alike, and remembers their first lines."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self.got: list[bytes] = []
        self.port = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            self.got.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
            writer.write(self._answer)
            await writer.drain()
        writer.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def a_server(
    answer: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
) -> AsyncIterator[Server]:
    server = Server(answer)
    async with await asyncio.start_server(server.take, "127.0.0.1", 0) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server


@contextlib.asynccontextmanager
async def a_sender(answers: Sequence[Sequence[str]] = (), *, allow_loopback: bool) -> AsyncIterator[Sender]:
    """Names resolve to these answers in turn, the last of them for ever."""
    left = list(answers)

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    sender = Sender(allow_loopback=allow_loopback, resolve=resolve, kept_s=0, deadline_s=5)
    yield sender
    await sender.aclose()


async def post(sender: Sender, url: str) -> Answer:
    return await sender(url, [("content-type", "application/json")], b"{}")


async def test_a_name_that_leads_inside_is_never_called() -> None:
    """Private, link-local, metadata, mapped and translated addresses, alone or beside an honest one, even in
    development: no connection, and the reason is told."""
    async with a_server() as server:
        for inside in INSIDE:
            for answers in ([inside], ["127.0.0.1", inside], [inside, "127.0.0.1"]):
                async with a_sender([answers], allow_loopback=True) as sender:
                    got = await post(sender, f"http://{NAME}:{server.port}/x")
                    assert (None, True) == (got.status, "leads to" in got.failure), (answers, got.failure)
        assert [] == server.got


async def test_this_machine_is_never_called_in_production() -> None:
    """By its addresses, by a name for them, by localhost, over both schemes: no connection."""
    async with a_server() as server:
        for loopback in LOOPBACK:
            async with a_sender([[loopback]], allow_loopback=False) as sender:
                for host in (loopback if ":" not in loopback else f"[{loopback}]", "localhost", "localhost.", NAME):
                    for scheme in ("https", "http"):
                        got = await post(sender, f"{scheme}://{host}:{server.port}/x")
                        assert (None, True) == (got.status, bool(got.failure)), (scheme, host)
        assert [] == server.got


async def test_rebinding_gains_nothing() -> None:
    """A name that is ours at the first question and another's at the second: each connection goes to what was checked
    for it, or there is none."""
    answers = [["127.0.0.1"], ["169.254.169.254"], ["127.0.0.1"], ["::ffff:10.0.0.1"], ["127.0.0.1", "10.0.0.1"]]
    async with a_server() as server, a_sender(answers, allow_loopback=True) as sender:
        got = [(await post(sender, f"http://{NAME}:{server.port}/x")).status for _ in answers]
        assert ([200, None, 200, None, None], 2) == (got, len(server.got))


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    """Wherever it points: nothing is asked there, and the delivery is told to have failed by it."""
    async with a_server() as inner:
        lines = [
            f"HTTP/1.1 {status} Elsewhere",
            f"location: {inner.url}/latest/meta-data/",
            f"refresh: 0; url={inner.url}",
        ]
        moved = "\r\n".join([*lines, "content-length: 0", "connection: close", "", ""]).encode()
        async with a_server(moved) as outer, a_sender([["127.0.0.1"]], allow_loopback=True) as sender:
            got = await post(sender, f"{outer.url}/hook")
            plan = decide(got, 1, SystemClock().now(), 1.0)
            assert (status, 1, []) == (got.status, len(outer.got), inner.got)
            assert (Step.AGAIN, True) == (plan.step, "redirects are not followed" in plan.why)


async def test_a_channels_redirect_is_not_followed(tmp_path: Path) -> None:
    """An answer of a channel that points elsewhere is no answer, and its request is not sent there."""
    write_accounts(tmp_path)
    account = load_accounts(tmp_path).get("stripe", "main")
    async with a_server() as inner:
        moved = f"HTTP/1.1 307 Elsewhere\r\nlocation: {inner.url}/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        async with a_server(moved.encode()) as outer:
            http = ChannelHttp()
            asked = Request("POST", outer.url, "/v1/refunds", (("authorization", "Bearer sk"),), b"amount=1")
            exchange = Exchange(asked, lambda response, _now: Unknown(str(response.status)))
            sent = await http.send(account, exchange, now_of=SystemClock().now, deadline_s=5)
            await http.aclose()
            assert (Unknown("307"), 1, []) == (sent.outcome, len(outer.got), inner.got)


async def test_no_proxy_of_the_environment_gets_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deliveries go to the checked address, not through whatever HTTP_PROXY names."""
    async with a_server() as proxy, a_server() as shop, a_sender([["127.0.0.1"]], allow_loopback=True) as sender:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert (200, 1, 0) == (
            (await post(sender, f"http://{NAME}:{shop.port}/")).status,
            len(shop.got),
            len(proxy.got),
        )


async def test_hidden_addresses_are_no_endpoints(api: Api) -> None:
    """Numbers that are addresses to some, users before an @, ports that are none, letters that look like others."""
    for host in HIDDEN_HOSTS:
        for url in (f"https://{host}/hook", f"https://{host}", f"http://{host}/hook"):
            status, problem = await api.call("POST", "/v1/endpoints", {"url": url})
            assert 422 == status, (url, problem)


@pytest.mark.fuzz
def test_two_readers_of_an_endpoints_url_see_one_host() -> None:
    """What our check and the client read differently is not called: fuzzed over the parser that the client uses."""

    @tries(200)
    @given(spoiled(*(f"https://{host}/x".encode() for host in (NAME, *HIDDEN_HOSTS))))
    def holds(data: bytes) -> None:
        url = data.decode("utf-8", "replace")
        answer = asyncio.run(_refused(url))
        assert answer.status is None
        assert answer.failure

    holds()


async def _refused(url: str) -> Answer:
    """Names lead to a private address here: whatever gets as far as to be resolved is refused there at the latest."""
    async with a_sender([["10.0.0.1"]], allow_loopback=False) as sender:
        return await post(sender, url)


@pytest.mark.fuzz
def test_a_bill_is_downloaded_from_its_channel_only() -> None:
    """Whatever address an answer names: the account's own, or one of the channel's hosts over TLS, or none."""
    hosts = (".alipay.com", "dwbillcenter.example.net")
    honest = (
        "https://dwbillcenter.alipay.com/download?token=a%2Fb", "http://x.alipay.com:80/y", "https://openapi.alipay.com/z",
    )  # fmt: skip

    @tries(200)
    @given(spoiled(*map(str.encode, honest)).map(lambda data: data.decode("utf-8", "replace")) | nasty_text())
    def holds(url: str) -> None:
        with contextlib.suppress(InvalidRequest):
            base_url, target = address_of(url, alipay_side.account(), hosts)
            called = URL(base_url + target, encoded=True)
            assert ("https", None, 443) == (called.scheme, called.user, called.port)
            assert (called.host or "").endswith(".alipay.com") or called.host in hosts

    holds()


BAD_BASES = (
    "http://api.example.com", "http://10.0.0.1", "http://0.0.0.0:8500", "http://169.254.169.254",
    "http://127.1:8500", "http://2130706433", "http://[::ffff:10.0.0.1]", "http://localhost.example.com",
    "http://127.0.0.1.example.com", "http://127.0.0.1@api.example.com", "https://user:pass@api.example.com",
    "https://user@api.example.com", "https://api.example.com?x=", "https://api.example.com#x",
    "https://api.example.com\\\\@evil.example", "https://a b", "https://api.example.com:99999",
    "https://api.example.com:0", "https://", "https:///x", "https://[::1", "ftp://a", "file:///etc/x",
    "https://a\\u0000b", "https://a\\nb",
)  # fmt: skip


@pytest.mark.parametrize("base_url", BAD_BASES)
def test_an_accounts_address_is_tls_or_this_machine(tmp_path: Path, base_url: str) -> None:
    """Keys travel there: no plain http elsewhere, no password in it, nothing that two readers read in two ways."""
    write_accounts(tmp_path)
    toml = tmp_path / "stripe" / "main" / "account.toml"
    toml.write_text(f'base_url = "{base_url}"\n{toml.read_text()}')
    with pytest.raises(ConfigError, match="base_url"):
        load_accounts(tmp_path)


@pytest.mark.parametrize(
    "base_url", ["https://api.example.com", "https://api.example.com:8443/v", "http://127.0.0.1:8500", "http://[::1]:1"]
)
def test_an_honest_accounts_address_is_taken(tmp_path: Path, base_url: str) -> None:
    """The claim above is not that everything is refused."""
    write_accounts(tmp_path)
    toml = tmp_path / "stripe" / "main" / "account.toml"
    toml.write_text(f'base_url = "{base_url}"\n{toml.read_text()}')
    assert base_url == load_accounts(tmp_path).get("stripe", "main").base_url
