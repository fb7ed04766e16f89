"""WeChat Pay's vectors, each judged as its source says, at the time it was made for.

| the vector says  | we call it  | because                                                                     |
| ---------------- | ----------- | --------------------------------------------------------------------------- |
| unknown_serial   | UNKNOWN_KEY | the same word for all channels                                              |
| go-signtest-probe| PROBE       | it is an invalid signature that WeChat sends on purpose; refused all the same |
"""

from datetime import UTC, datetime

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from vector_files import Vector, body_of, vectors

from paidup.channels.messages import CallbackRequest, Response
from paidup.channels.wechat import WECHAT
from paidup.channels.wechat.certificates import Certificates, open_certificates
from paidup.channels.wechat.keys import Secret, VerifyKey, WechatAccount, certificate_key
from paidup.channels.wechat.sign import check_signature, decrypt, verify
from paidup.errors import CallbackRefused, ConfigError, Verdict

KEYS, VECTORS = vectors("wechat")
OUR_WORDS = {"unknown_serial": Verdict.UNKNOWN_KEY}
DECIDED = {"go-signtest-probe": Verdict.PROBE}
MERCHANT_KEY = generate_private_key(65537, 2048)


@pytest.mark.parametrize("vector", VECTORS)
def test_a_vector_is_judged_as_its_source_says(vector: Vector) -> None:
    """Each vector gets the verdict its source states."""
    stated = vector["expected"]
    expected = DECIDED.get(vector["name"]) or OUR_WORDS.get(stated) or Verdict(stated)
    assert expected == judged(vector)


def test_production_refuses_the_short_key_of_upstream_unit_tests() -> None:
    """A 16-byte APIv3 key, which would silently mean AES-128, is a ConfigError that states the right length."""
    table = {
        "shop": "s", "notify_url": "https://shop.example/callbacks/wechat/main", "mchid": "1", "appid": "wx1",
        "certificate_serial": "AB", "private_key": "k.pem", "apiv3_keys": ["v3.key"],
        "public_keys": {"PUB_KEY_ID_1": "p.pem"},
    }  # fmt: skip
    files = {"p.pem": KEYS["gunsluo-pub"]["value"].encode(), "k.pem": pem(), "v3.key": b"testMchAPIv3Key0"}
    with pytest.raises(ConfigError, match=r"'v3\.key' has 16 bytes; an APIv3 key has 32"):
        WECHAT.parse_account("main", table, files)


def judged(vector: Vector) -> Verdict:
    try:
        _JUDGES[vector["kind"]](vector)
    except CallbackRefused as refusal:
        return refusal.verdict
    return Verdict.VALID


def _notify(vector: Vector) -> None:
    headers = tuple((name.lower(), value) for name, value in vector["headers"].items())
    request = CallbackRequest("POST", "/callbacks/wechat/main", headers, body_of(vector))
    reading = WECHAT.read_callback(request, account(vector), datetime.fromtimestamp(vector["now"], UTC))
    assert vector.get("fields", {}).get("event_type", reading.kind) == reading.kind


def _response(vector: Vector) -> None:
    headers = tuple((name.lower(), value) for name, value in vector["headers"].items())
    answer = Response(200, headers, body_of(vector))
    verify(answer.header, answer.body, account(vector), datetime.fromtimestamp(vector["now"], UTC))


def _raw_signature(vector: Vector) -> None:
    signed = body_of({"body_b64": vector["signed_content_b64"]})
    named = vector["headers"].get("Wechatpay-Serial", KEYS[vector["key"]]["serial"])
    key = account(vector).verify_key(named)
    if key is None:
        raise CallbackRefused(Verdict.UNKNOWN_KEY, named)
    check_signature(vector["signature"], signed, key)


def _aead(vector: Vector) -> None:
    box = vector["resource"]
    plain = decrypt(box["ciphertext"], box["nonce"], box["associated_data"], account(vector).apiv3_keys)
    assert body_of({"body_b64": vector["plaintext_b64"]}) == plain


def _certificates(vector: Vector) -> None:
    answer = msgspec.json.decode(body_of(vector), type=Certificates)
    assert [vector["fields"]["serial_no"]] == list(open_certificates(answer, account(vector)))


_JUDGES = {
    "notify": _notify,
    "response": _response,
    "raw_signature": _raw_signature,
    "aead": _aead,
    "certificates_response": _certificates,
}


def account(vector: Vector) -> WechatAccount:
    """Built past parse_account, which refuses the short keys that upstream tests use."""
    name, aead = vector.get("key"), vector.get("aead_key")
    named = vector["headers"].get("Wechatpay-Serial")
    return WechatAccount(
        channel="wechat",
        name="main",
        shop="s",
        payee="1/wx1",
        base_url="https://api.mch.weixin.qq.com",
        notify_url="https://shop.example/callbacks/wechat/main",
        mchid="1",
        appid="wx1",
        private_key=MERCHANT_KEY,
        certificate_serial="AB",
        apiv3_keys=(Secret(KEYS[aead]["value"].encode()),) if aead else (),
        verify_keys=(verify_key(KEYS[name], named),) if name else (),
    )


def verify_key(key: Vector, named: str | None) -> VerifyKey:
    if key["type"] == "x509_pem":
        return certificate_key(key["value"].encode())
    public = load_pem_public_key(key["value"].encode())
    assert isinstance(public, RSAPublicKey)
    return VerifyKey((key["serial"] or named or "").lstrip("0"), public)


def pem() -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return MERCHANT_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
