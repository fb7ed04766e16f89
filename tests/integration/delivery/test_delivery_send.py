"""Claims about one request: where it goes, whom it trusts, and how little it reads."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from delivery_side import Receiver, answering

from paidup.delivery import sign
from paidup.delivery.plan import MAX_ANSWER_BYTES
from paidup.delivery.route import read_url
from paidup.delivery.send import Sender

NAME = "shop.example.com"
HEADERS = sign.headers("evt1", datetime(2026, 11, 23, tzinfo=UTC), b"{}", [sign.secret_text(bytes(32))])


class Names:
    """A resolver that answers what it is told, in turn, and counts the questions."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0)


async def post(sender: Sender, url: str) -> str:
    """Send once; the status, or why there was none."""
    answer = await sender(url, HEADERS, b"{}")
    return str(answer.status) if answer.status else answer.failure


def url_of(receiver: Receiver, name: str = NAME) -> str:
    return receiver.url.replace("127.0.0.1", name)


@pytest.fixture
async def closing() -> AsyncIterator[list[Sender]]:
    senders: list[Sender] = []
    yield senders
    for sender in senders:
        await sender.aclose()


async def test_a_name_is_resolved_once_and_the_connection_goes_to_what_was_checked(
    receiver: Receiver, closing: list[Sender]
):
    """The name leads here by our resolver only, and is not asked for a second time while connecting."""
    names = Names(["127.0.0.1"])
    closing.append(Sender(allow_loopback=True, resolve=names))
    assert "200" == await post(closing[0], url_of(receiver))
    assert ([NAME], 1) == (names.asked, len(receiver.got))


@pytest.mark.parametrize("inside", ["10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fd00::1"])
async def test_a_name_that_leads_inside_is_not_called(receiver: Receiver, closing: list[Sender], inside: str):
    """One inner address among those of the name is enough, even in development."""
    closing.append(Sender(allow_loopback=True, resolve=Names(["127.0.0.1", inside])))
    why = await post(closing[0], url_of(receiver))
    assert (f"{NAME} leads to {inside}", 0) == (why.partition(",")[0], len(receiver.got))


async def test_a_name_that_turns_inside_later_is_not_called(receiver: Receiver, closing: list[Sender]):
    """DNS rebinding: each new connection is checked anew."""
    receiver.answers = answering(200, headers={"Connection": "close"})
    closing.append(Sender(allow_loopback=True, resolve=Names(["127.0.0.1"], ["192.168.0.1"]), kept_s=0))
    assert "200" == await post(closing[0], url_of(receiver))
    assert f"{NAME} leads to 192.168.0.1" == (await post(closing[0], url_of(receiver))).partition(",")[0]
    assert 1 == len(receiver.got)


async def test_this_machine_is_not_called_unless_allowed(receiver: Receiver, closing: list[Sender]):
    """In production neither its address nor a name for it works, over either scheme."""
    closing.append(Sender(resolve=Names(["127.0.0.1"])))
    https = receiver.url.replace("http:", "https:")
    whys = [await post(closing[0], url) for url in (receiver.url, https, https.replace("127.0.0.1", NAME))]
    assert ["events are delivered", "127.0.0.1 is an addr", f"{NAME} lea"] == [why[:20] for why in whys]
    assert [] == receiver.got


async def test_an_unknown_name_is_a_failure_with_its_reason(closing: list[Sender]):
    """A resolver's error becomes an answer, not an exception."""

    async def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    closing.append(Sender(allow_loopback=True, resolve=unknown))
    assert "Name or service not known" in await post(closing[0], f"https://{NAME}/")


@pytest.mark.parametrize("host", ["xn--bcher-kva.example", "xn--er-kva.example", "Shop.Example.com."])
async def test_a_host_is_called_as_it_is_written(receiver: Receiver, closing: list[Sender], host: str):
    """In another script as xn--…, though nothing stood behind it (the second one): it is a name like any other."""
    names = Names(["127.0.0.1"])
    closing.append(Sender(allow_loopback=True, resolve=names))
    assert "200" == await post(closing[0], url_of(receiver, host))
    assert [host.lower()] == [name.lower() for name in names.asked]


def test_an_address_in_capitals_is_read_as_one():
    """Two spellings of an IPv6 address are one host, to whoever checks it and to whoever calls it."""
    url = "https://[2606:4700:4700::ABCD]:8443/hook"
    assert "2606:4700:4700::abcd" == read_url(url, allow_loopback=False).host


@pytest.mark.parametrize("host", ["2606:4700:4700:0:0:0:0:1111", "2606:4700:4700::0:1111", "2606:4700:4700::8.8.8.8"])
def test_an_address_is_one_host_however_long_it_is_written(host: str):
    """An endpoint that is accepted with such a URL is called as well."""
    assert host == read_url(f"https://[{host}]/hook", allow_loopback=False).host


async def test_a_host_that_the_library_refuses_is_a_failure_with_its_reason(closing: list[Sender]):
    """Names that only the connection finds impossible end as an answer, not as an exception."""

    async def impossible(host: str, port: int) -> Sequence[str]:
        raise UnicodeError("label empty or too long")

    closing.append(Sender(allow_loopback=True, resolve=impossible))
    assert "label empty" in await post(closing[0], f"https://{NAME}/")


async def test_a_long_answer_is_read_only_in_part(receiver: Receiver, closing: list[Sender]):
    """The first 4 KiB are kept, the rest is never read."""
    receiver.answers = answering(200, body=b"x" * 10_000_000)
    closing.append(Sender(allow_loopback=True))
    answer = await closing[0](receiver.url, HEADERS, b"{}")
    assert (200, MAX_ANSWER_BYTES) == (answer.status, len(answer.body))


async def test_an_answer_that_stalls_after_its_status_counts_as_given(closing: list[Sender]):
    """The status line is the answer: a 200 whose body never ends is an acknowledgement."""
    over = asyncio.Event()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst")
        await over.wait()
        writer.close()

    server = await asyncio.start_server(stall, "127.0.0.1", 0)
    closing.append(Sender(allow_loopback=True, deadline_s=0.3))
    async with server:
        answer = await closing[0](f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", HEADERS, b"{}")
        over.set()
    assert (200, b"first") == (answer.status, answer.body)


@pytest.mark.parametrize("noise", [b"", b"not http\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000])
async def test_what_is_no_http_is_a_failure(closing: list[Sender], noise: bytes):
    """Silence, noise and endless headers are failed attempts with a reason."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(noise)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    closing.append(Sender(allow_loopback=True))
    async with server:
        got = await closing[0](f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", HEADERS, b"{}")
    assert got.status is None
    assert "" != got.failure


async def test_tls_and_host_keep_the_name_though_the_address_is_given(tmp_path: Path, closing: list[Sender]):
    """The certificate is checked against the name, and the Host header names it."""
    server_tls, trusted = a_certificate(tmp_path, NAME)
    hosts: list[str] = []

    async def take(request: web.Request) -> web.StreamResponse:
        hosts.append(request.headers["Host"])
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_tls).start()
    port = runner.addresses[0][1]
    resolve = Names(["127.0.0.1"], ["127.0.0.1"])
    closing.append(Sender(allow_loopback=True, resolve=resolve, trusted=trusted))
    assert "200" == await post(closing[0], f"https://{NAME}:{port}/")
    assert "SSL: no alternative certificate subject name" in await post(closing[0], f"https://other.example:{port}/")
    assert [f"{NAME}:{port}"] == hosts
    await runner.cleanup()


def a_certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """A server that shows a certificate for this name, and a file that makes a client trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "server.pem"
    path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    trusted = folder / "trusted.pem"
    trusted.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, trusted
