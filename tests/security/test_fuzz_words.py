"""Every other parser under nonsense: settings, clocks, money, accounts, addresses, endpoints' answers, request bodies.
Each raises what its docstring names, and nothing else."""

import base64
import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from mutants import NASTY_NUMBERS, NASTY_TEXTS, nasty_text, spoiled, tries

import alipay_side
import stripe_side
import wechat_side
from paidup import ids
from paidup.channels.account_toml import AccountToml
from paidup.channels.accounts import load_accounts
from paidup.channels.registry import CHANNELS
from paidup.clock import parse_clock
from paidup.delivery import address, sign
from paidup.delivery.plan import SCHEDULE, Answer, Step, decide, retry_after_s, says_applied
from paidup.errors import ConfigError, InvalidRequest
from paidup.money import MAX_AMOUNT_MINOR, Money, from_major, major
from paidup.settings import describe, load
from paidup.web import body
from paidup.web.api import ROUTES
from paidup.web.examples import example_of

pytestmark = pytest.mark.fuzz

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
CLOCKS = ("system", "2026-11-23T08:00:00+00:00*20", "0001-01-01T00:00:00+14:00*1", "2026-11-23T08:00:00+00:00*nan")
RETRY_AFTER = (
    "5",
    "Mon, 23 Nov 2026 08:05:00 GMT",
    "Mon, 01 Jan 0001 00:00:00 +2359",
    "Fri, 31 Dec 9999 23:59:59 -2359",
)
URLS = (
    "https://shop.example.com/paidup?a=b",
    "https://[2606:4700:4700::1111]:444/",
    "https://8.8.8.8:8443/x",
    "http://a/",
)
SETTINGS = [setting.name for setting in describe() if setting.name != "PAIDUP_CONFIG"]
ACCOUNTS = {
    "wechat": (wechat_side.TABLE, wechat_side.files()),
    "alipay": (alipay_side.TABLE, alipay_side.files()),
    "stripe": (stripe_side.TABLE, stripe_side.FILES),
}
_scalars = st.sampled_from(NASTY_TEXTS) | st.integers() | st.booleans() | st.floats()
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(nasty_text(), inner, max_size=3)
)


@contextlib.contextmanager
def only(*errors: type[Exception]) -> Iterator[None]:
    """These errors are documented; any other fails the test."""
    with contextlib.suppress(*errors):
        yield


def complaint(call: Callable[[], object]) -> str:
    """What the ConfigError says that a call ends in; empty when it ends well."""
    try:
        call()
    except ConfigError as wrong:
        return str(wrong) or "nothing"
    return ""


@tries(150)
@given(
    st.sampled_from(SETTINGS),
    nasty_text() | st.sampled_from(NASTY_NUMBERS) | spoiled(*map(str.encode, CLOCKS)).map(repr),
)
def test_a_setting_is_read_or_told_to_be_wrong(name: str, value: str) -> None:
    """ConfigError that names the setting, whatever it holds; a secret is not quoted."""
    told = complaint(lambda: load({"PAIDUP_DATA": "d", name: value}))
    assert not told or name in told
    assert name != "PAIDUP_DATABASE_URL" or len(value) < 4 or value not in told


@tries(80)
@given(spoiled(b'port = 8400\nhost = "127.0.0.1"\nroles = ["web", "intake"]\n', b"data = " + b"[" * 9000))
def test_a_settings_file_is_read_or_told_to_be_wrong(content: bytes) -> None:
    """Broken TOML, of any depth, is an error of whoever wrote it."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        with only(ConfigError):
            load({"PAIDUP_CONFIG": file.name})


@tries(150)
@given(spoiled(*map(str.encode, CLOCKS)).map(lambda data: data.decode("latin-1")) | nasty_text())
def test_a_clock_is_read_or_told_to_be_wrong(text: str) -> None:
    """A clock that was accepted can tell the time."""
    with only(ConfigError):
        clock = parse_clock(text)
        assert clock.now().tzinfo is UTC
        assert 0 < clock.rate <= 1_000_000


@tries(200)
@given(nasty_text() | st.sampled_from(NASTY_NUMBERS) | st.decimals().map(str), nasty_text(max_size=4) | st.just("CNY"))
def test_money_is_whole_and_bounded(text: str, currency: str) -> None:
    """What is accepted as money lies within the bounds, and is written back as the same amount."""
    with only(InvalidRequest):
        money = from_major(text, currency)
        assert 0 <= money.amount_minor <= MAX_AMOUNT_MINOR
        assert money == from_major(major(money), money.currency)


@tries(100)
@given(st.integers(), nasty_text(max_size=4))
def test_an_amount_of_any_size_is_money_or_refused(minor: int, currency: str) -> None:
    """No amount of minor units and no currency makes anything but InvalidRequest."""
    with only(InvalidRequest):
        assert minor == Money(minor, currency).amount_minor


@tries(150)
@given(nasty_text(), nasty_text(), nasty_text())
def test_ids_derived_from_anything_are_ids(kind: str, of: str, cause: str) -> None:
    """The part that is made of a hostile cause keeps to the alphabet; a shard is read from an id, or ValueError."""
    made = ids.derived_id(kind, of, cause)
    assert set(made[-16:]) <= set("0123456789abcdefghjkmnpqrstvwxyz")
    with only(ValueError):
        assert 0 <= ids.shard_of(of) <= ids.MAX_SHARD


@tries(200)
@given(spoiled(*map(str.encode, RETRY_AFTER)).map(lambda data: data.decode("latin-1")) | nasty_text())
def test_a_receiver_cannot_make_us_wait_for_long(value: str) -> None:
    """Retry-After of any kind: seconds or nothing, and the plan stays within its longest wait."""
    asked = retry_after_s(value, NOW)
    assert asked is None or asked >= 0
    plan = decide(Answer(status=429, elapsed_ms=1, retry_after=value), 1, NOW, 1.0)
    longest = max(SCHEDULE.longest_s, *SCHEDULE.steps_s) if SCHEDULE.longest_s else max(SCHEDULE.steps_s)
    assert plan.due_at is not None
    assert (Step.AGAIN, True) == (plan.step, 0 < (plan.due_at - NOW).total_seconds() <= longest)


@tries(150)
@given(spoiled(b'{"applied": true}', b'{"applied":false,"x":[]}'), nasty_text())
def test_a_receivers_body_says_applied_or_nothing(answer: bytes, header: str) -> None:
    """Whatever an endpoint answers, reading it never raises."""
    assert says_applied(Answer(status=200, elapsed_ms=1, body=answer[:4096], applied=header)) in (True, False)


@tries(150)
@given(nasty_text() | spoiled(sign.secret_text(bytes(32)).encode()).map(lambda data: data.decode("latin-1")))
def test_a_signing_secret_is_a_key_or_refused_unquoted(secret: str) -> None:
    """ConfigError that does not repeat the secret; what is accepted has a fit size."""
    told = complaint(lambda: sign.key_of(secret))
    assert len(secret) < 8 or secret not in told
    assert told or sign.MIN_KEY_BYTES <= len(sign.key_of(secret)) <= sign.MAX_KEY_BYTES


@tries(250)
@given(spoiled(*map(str.encode, URLS)).map(lambda data: data.decode("utf-8", "replace")) | nasty_text(), st.booleans())
def test_an_endpoints_url_is_parsed_or_refused(url: str, allow_loopback: bool) -> None:
    """InvalidRequest, or a target whose host and port stand in the URL as they are called."""
    with only(InvalidRequest):
        target = address.parse(url, allow_loopback=allow_loopback)
        assert target.host in url.lower()
        assert 0 < target.port < 65536


@tries(200)
@given(st.sampled_from([route.body for route in ROUTES if route.body]), st.data())
def test_a_request_body_is_read_or_refused(shape: type[msgspec.Struct], data: st.DataObject) -> None:
    """A 4xx of the documented kinds for any bytes; the answer's pointers are bounded by the request's size."""
    honest = json.dumps(example_of(shape), ensure_ascii=False).encode()
    with only(InvalidRequest):
        read = body.decode(data.draw(spoiled(honest)), shape)
        assert isinstance(read, shape)
        assert [] == [text for text in _texts_in(msgspec.to_builtins(read)) if "\x00" in text]


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for pair in value.items() for part in pair for text in _texts_in(part))
    elif isinstance(value, list | tuple):
        yield from (text for item in value for text in _texts_in(item))


@pytest.mark.parametrize("channel", ACCOUNTS)
def test_an_account_is_read_or_told_to_be_wrong(channel: str) -> None:
    """Any value under any name of account.toml, and any bytes in a key file: an account, or a ConfigError."""
    table, files = ACCOUNTS[channel]

    @tries(120)
    @given(st.dictionaries(st.sampled_from(sorted(table)), _values | st.none(), max_size=3), st.data())
    def holds(changes: dict[str, object], data: st.DataObject) -> None:
        changed = {name: value for name, value in {**table, **changes}.items() if value is not None}
        which = data.draw(st.sampled_from(sorted(files)))
        beside = {**files, which: data.draw(st.just(files[which]) | spoiled(files[which]))}
        with only(ConfigError):
            account = CHANNELS[channel].parse_account("main", changed, beside)
            assert (channel, "main") == (account.channel, account.name)

    holds()


@tries(60)
@given(spoiled(b'shop = "a"\nlivemode = false\nsecret_key = "k"\nwebhook_secrets = ["w"]\n', b"x = " + b"[" * 9000))
def test_an_accounts_folder_is_read_or_told_to_be_wrong(content: bytes) -> None:
    """Broken TOML in one account, of any depth, is a ConfigError that names the file."""
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder) / "stripe" / "main"
        where.mkdir(parents=True)
        toml = where / "account.toml"
        toml.write_bytes(content)
        toml.chmod(0o600)
        told = complaint(lambda: load_accounts(Path(folder)))
        assert not told or "stripe/main" in told


@tries(100)
@given(st.dictionaries(nasty_text(), _values, max_size=3), nasty_text())
def test_a_table_is_asked_safely(table: dict[str, object], name: str) -> None:
    """Each way of asking an account.toml gives a value of its kind, or a ConfigError."""
    with only(ConfigError):
        toml = AccountToml("wechat/main", table, {}, [*table, name])
        for ask in (toml.text, toml.texts, toml.flag, toml.url, toml.file, toml.file_list):
            with only(ConfigError):
                ask(name)


_RSA_OID, _NO_OID = bytes.fromhex("06092a864886f70d010101"), bytes.fromhex("06092a864886f70d010163")


def _foreign(pem: bytes) -> bytes:
    """The same file, of an algorithm that nobody knows (SM2's certificates look so to us)."""
    lines = pem.strip().splitlines()
    der = base64.b64decode(b"".join(lines[1:-1])).replace(_RSA_OID, _NO_OID)
    return b"\n".join([lines[0], base64.encodebytes(der).strip(), lines[-1], b""])


def _other_keys() -> dict[str, bytes]:
    encrypted = BestAvailableEncryption(b"secret")
    private = (
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP256R1()),
        x25519.X25519PrivateKey.generate(),
    )
    made = {type(key).__name__: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) for key in private}
    public = {
        f"public {type(key).__name__}": key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        for key in private
    }
    weak = rsa.generate_private_key(65537, 1024)
    return {
        **made,
        **public,
        "encrypted": weak.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encrypted),
        "weak": weak.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "weak public": weak.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "foreign private": _foreign(wechat_side.private_pem("merchant")),
        "foreign public": _foreign(wechat_side.public_pem("wechat")),
        "foreign certificate": _foreign(wechat_side.certificate("platform")),
        "two at once": wechat_side.public_pem("wechat") + wechat_side.private_pem("merchant"),
    }


@pytest.mark.parametrize("channel", ["wechat", "alipay"])
def test_a_key_of_another_kind_is_told_to_be_wrong(channel: str) -> None:
    """Encrypted, weak, of another algorithm or of one that nobody knows: ConfigError that names the file."""
    table, files = ACCOUNTS[channel]
    for name in (name for name in files if name.endswith(".pem")):
        for kind, content in _other_keys().items():
            told = complaint(partial(CHANNELS[channel].parse_account, "main", table, {**files, name: content}))
            assert name in told or "two at once" == kind, kind
