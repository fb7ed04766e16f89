"""Claims about the signature, with the public `standardwebhooks` package as the receiver."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from paidup.delivery import sign
from paidup.errors import ConfigError

NOW = datetime(2026, 11, 23, 8, 0, 0, 123456, tzinfo=UTC)
KEY = bytes(range(32))
SECRET = sign.secret_text(KEY)
MESSAGE = sign.Message(
    id="evt00x",
    type="order.paid",
    created_at=NOW,
    shop="teahouse",
    order_id="ord00x",
    seq=2,
    data='{"amount_minor":100,"note":"茶"}',
)
BODY = sign.body(MESSAGE)


def _received_now(secrets: list[str], body: bytes = BODY) -> dict[str, str]:
    """Headers as of the machine's own clock, which the receiving package reads."""
    return dict(sign.headers("evt00x", datetime.now(UTC), body, secrets))


def test_the_body_is_one_line_of_json_in_a_fixed_order():
    """The same event gives the same bytes, its data as they were written."""
    expected = (
        '{"id":"evt00x","type":"order.paid","created_at":"2026-11-23T08:00:00.123456Z","shop":"teahouse",'
        '"order_id":"ord00x","seq":2,"data":{"amount_minor":100,"note":"茶"}}'
    ).encode()
    assert expected == sign.body(MESSAGE)


def test_the_signature_is_that_of_the_specification():
    """The example of the specification's reference libraries comes out to the letter."""
    key = sign.key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign.signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" == signature


@given(st.binary(min_size=24, max_size=64), st.text(st.characters(codec="utf-8"), max_size=200))
def test_a_receiver_accepts_what_we_sign(key: bytes, text: str):
    """Whatever key and text: the public package verifies it."""
    body = text.encode()
    secret = sign.secret_text(key)
    headers = _received_now([secret], body)
    assert Webhook(secret).verify(body, headers, json_parse=False) is None
    assert Webhook(key).sign("evt00x", NOW, text) == sign.signature(key, "evt00x", int(NOW.timestamp()), body)


def test_during_a_rotation_both_secrets_verify():
    """The header carries one signature per secret, with a blank between them."""
    other = sign.secret_text(bytes(24))
    headers = _received_now([other, SECRET])
    assert 2 == len(headers["webhook-signature"].split(" "))
    assert ["evt00x", "evt00x"] == [Webhook(secret).verify(BODY, headers)["id"] for secret in (SECRET, other)]


def test_another_body_does_not_verify():
    """One changed byte is refused by the receiver."""
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY.replace(b"100", b"900"), _received_now([SECRET]))


def test_the_id_stays_and_the_timestamp_is_that_of_the_attempt():
    """Two attempts differ in timestamp and signature only."""
    first = dict(sign.headers("evt00x", NOW, BODY, [SECRET]))
    second = dict(sign.headers("evt00x", NOW.replace(hour=9), BODY, [SECRET]))
    assert {"webhook-timestamp", "webhook-signature"} == {name for name in first if first[name] != second[name]}
    assert ("evt00x", str(int(NOW.timestamp()))) == (first["webhook-id"], first["webhook-timestamp"])


def test_a_body_of_twenty_thousand_bytes_is_not_sent():
    """Less than 20 kB passes, 20 kB does not."""
    spare = sign.MAX_BODY_BYTES - len(sign.body(_with_note("")))
    assert sign.MAX_BODY_BYTES == len(sign.body(_with_note("x" * spare)))
    with pytest.raises(sign.TooLarge, match="20000 bytes"):
        sign.body(_with_note("x" * (spare + 1)))


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_not base64!",
        base64.b64encode(KEY).decode(),
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
    ],
)
def test_a_bad_secret_is_refused_without_quoting_it(secret: str):
    """A secret that is none, too short or too long raises ConfigError that does not contain it."""
    with pytest.raises(ConfigError) as refused:
        sign.key_of(secret)
    assert len(secret) < 7 or secret[6:] not in str(refused.value)


def test_without_any_secret_nothing_is_signed():
    """An endpoint that lost its secrets is an error, not an unsigned delivery."""
    with pytest.raises(ConfigError, match="rotate"):
        sign.headers("evt00x", NOW, BODY, [])


def _with_note(note: str) -> sign.Message:
    return sign.Message(
        id="evt00x",
        type="order.paid",
        created_at=NOW,
        shop="teahouse",
        order_id="ord00x",
        seq=2,
        data=f'{{"note":"{note}"}}',
    )


def test_a_secret_that_is_not_wholly_base64_is_refused() -> None:
    """Read leniently, two shops' programs would make two keys of it."""
    secret = sign.secret_text(b"k" * 24)
    assert b"k" * 24 == sign.key_of(secret)
    with pytest.raises(ConfigError):
        sign.key_of(f"{secret[:10]}!{secret[10:]}")


@pytest.mark.parametrize("size", [23, 65])
def test_a_key_of_another_size_is_never_shown_as_a_secret(size: int) -> None:
    """Nobody could sign with it afterwards."""
    with pytest.raises(ConfigError):
        sign.secret_text(b"k" * size)
