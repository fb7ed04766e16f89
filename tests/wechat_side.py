"""The other side in small: what WeChat Pay would send, really signed and encrypted with keys made for the test."""

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from paidup.channels.channel import PaymentName, RefundName, ToOpen
from paidup.channels.messages import CallbackRequest, Request, Response
from paidup.channels.wechat import WECHAT, WechatAccount
from paidup.money import Money

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
NOW_S = int(NOW.timestamp())
MCHID, APPID = "1900000001", "wx0000000000000001"
PUBLIC_KEY_ID = "PUB_KEY_ID_0119000000012026112300000000000001"
CERTIFICATE_SERIAL = "0A1B2C3D4E5F"
APIV3_KEY, OLD_APIV3_KEY = b"k3y-for-tests-of-exactly-32bytes", b"0ld-key-tests-of-exactly-32bytes"

TABLE: Mapping[str, object] = {
    "shop": "shop1",
    "notify_url": "https://pay.example/callbacks/wechat/main",
    "mchid": MCHID,
    "appid": APPID,
    "private_key": "merchant_key.pem",
    "certificate_serial": "3775B6A45ACD588826D15E583A95F5DD00000000",
    "apiv3_keys": ["apiv3.key", "apiv3_old.key"],
    "platform_certificates": ["platform.pem"],
    "public_keys": {PUBLIC_KEY_ID: "wechat_public.pem"},
}
TRANSACTION: Mapping[str, object] = {
    "mchid": MCHID,
    "appid": APPID,
    "out_trade_no": "pay1",
    "transaction_id": "4200000000202611230000000001",
    "trade_type": "NATIVE",
    "trade_state": "SUCCESS",
    "trade_state_desc": "支付成功",
    "bank_type": "OTHERS",
    "success_time": "2026-11-23T15:59:58+08:00",
    "payer": {"openid": "o-1"},
    "amount": {"total": 1250, "payer_total": 1250, "currency": "CNY", "payer_currency": "CNY"},
}
REFUND_NOTICE: Mapping[str, object] = {
    "mchid": MCHID,
    "out_trade_no": "pay1",
    "transaction_id": "4200000000202611230000000001",
    "out_refund_no": "ref1",
    "refund_id": "50000000002026112300000000001",
    "refund_status": "SUCCESS",
    "success_time": "2026-11-23T16:00:00+08:00",
    "user_received_account": "支付用户零钱",
    "amount": {"total": 1250, "refund": 500, "payer_total": 1250, "payer_refund": 500},
}
REFUND: Mapping[str, object] = {
    "refund_id": "50000000002026112300000000001",
    "out_refund_no": "ref1",
    "transaction_id": "4200000000202611230000000001",
    "out_trade_no": "pay1",
    "channel": "ORIGINAL",
    "create_time": "2026-11-23T15:59:59+08:00",
    "status": "SUCCESS",
    "success_time": "2026-11-23T16:00:00+08:00",
    "amount": {"total": 1250, "refund": 500, "currency": "CNY"},
}


@cache
def key(name: str) -> RSAPrivateKey:
    """A private key of this name, made once."""
    del name
    return generate_private_key(65537, 2048)


def private_pem(name: str) -> bytes:
    return key(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(name: str) -> bytes:
    return key(name).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@cache
def certificate(name: str, serial: str = CERTIFICATE_SERIAL, days: int = 5 * 365) -> bytes:
    """A platform certificate over the key of this name, in PEM form, for five years unless told otherwise."""
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tenpay.com sign")])
    builder = x509.CertificateBuilder(who, who, key(name).public_key(), int(serial, 16))
    builder = builder.not_valid_before(NOW - timedelta(days=9)).not_valid_after(NOW + timedelta(days=days))
    return builder.sign(key(name), SHA256()).public_bytes(Encoding.PEM)


def files() -> dict[str, bytes]:
    return {
        "merchant_key.pem": private_pem("merchant"),
        "apiv3.key": APIV3_KEY + b"\n",
        "apiv3_old.key": OLD_APIV3_KEY,
        "platform.pem": certificate("platform"),
        "wechat_public.pem": public_pem("wechat"),
    }


@cache
def account() -> WechatAccount:
    """Old and new side by side: a platform certificate and a public key, two APIv3 keys."""
    return WECHAT.parse_account("main", TABLE, files())


def signed_headers(
    body: bytes, *, signer: str = "wechat", serial: str = PUBLIC_KEY_ID, at_s: int = NOW_S, nonce: str = "n0nce"
) -> tuple[tuple[str, str], ...]:
    """The four headers, by the rule of 签名与验签规则."""
    signature = key(signer).sign(f"{at_s}\n{nonce}\n".encode() + body + b"\n", PKCS1v15(), SHA256())
    return (
        ("wechatpay-timestamp", str(at_s)),
        ("wechatpay-nonce", nonce),
        ("wechatpay-signature", base64.b64encode(signature).decode()),
        ("wechatpay-serial", serial),
    )


def sealed(plain: bytes, *, with_key: bytes = APIV3_KEY, beside: str = "transaction") -> dict[str, str]:
    """A resource as WeChat Pay encrypts it."""
    number_once = "0123456789ab"
    ciphertext = AESGCM(with_key).encrypt(number_once.encode(), plain, beside.encode())
    return {
        "original_type": beside,
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": base64.b64encode(ciphertext).decode(),
        "associated_data": beside,
        "nonce": number_once,
    }


def event(of: Mapping[str, object], kind: str = "TRANSACTION.SUCCESS", *, number: int = 1, **resource: object) -> bytes:
    """A notice's body. `resource` replaces fields of the encrypted resource."""
    whole = {
        "id": f"EV-{number}",
        "create_time": "2026-11-23T15:59:59+08:00",
        "resource_type": "encrypt-resource",
        "event_type": kind,
        "summary": "支付成功",
        "resource": {**sealed(json.dumps(of, ensure_ascii=False).encode()), **resource},
    }
    return json.dumps(whole, ensure_ascii=False).encode()


def callback(body: bytes, headers: tuple[tuple[str, str], ...] | None = None) -> CallbackRequest:
    """The notice as it is sent; signed now with the public key unless headers are given."""
    content = ("content-type", "application/json")
    return CallbackRequest("POST", "/callbacks/wechat/main", (content, *(headers or signed_headers(body))), body)


def notice(
    of: Mapping[str, object] = TRANSACTION, kind: str = "TRANSACTION.SUCCESS", number: int = 1
) -> CallbackRequest:
    return callback(event(of, kind, number=number))


def changed(**fields: object) -> dict[str, object]:
    """The paid transaction with other fields."""
    return {**TRANSACTION, **fields}


def answer(of: object, status: int = 200) -> Response:
    """The API's signed answer; None is an empty body."""
    body = b"" if of is None else json.dumps(of, ensure_ascii=False).encode()
    return Response(status, (("content-type", "application/json"), *signed_headers(body)), body)


def error(status: int, code: str) -> Response:
    """The API's signed refusal."""
    return answer({"code": code, "message": "不行"}, status)


def authorized(request: Request) -> Mapping[str, str]:
    """The parts of the Authorization header, once its signature is found good."""
    kind, _, rest = dict(request.headers)["authorization"].partition(" ")
    assert "WECHATPAY2-SHA256-RSA2048" == kind
    parts = dict(re.findall(r'(\w+)="([^"]*)"', rest))
    text = f"{request.method}\n{request.target}\n{parts['timestamp']}\n{parts['nonce_str']}\n".encode()
    signature = base64.b64decode(parts["signature"], validate=True)
    key("merchant").public_key().verify(signature, text + request.body + b"\n", PKCS1v15(), SHA256())
    return parts


def sent(request: Request) -> dict[str, object]:
    """The JSON of a request whose signature is good."""
    authorized(request)
    return json.loads(request.body)  # type: ignore[no-any-return]


def to_open(method: str = "native", *, amount_minor: int = 1250, currency: str = "CNY", **extra: str) -> ToOpen:
    return ToOpen(
        merchant_ref="pay1",
        money=Money(amount_minor, currency),
        method=method,
        description="two tickets",
        expires_at=NOW + timedelta(minutes=30),
        extra=extra,
    )


def name_of() -> PaymentName:
    return PaymentName(
        merchant_ref="pay1",
        channel_txn_id=None,
        money=Money(1250, "CNY"),
        method="native",
        created_at=NOW,
        reopen=to_open(),
    )


def refund_of(reason: str = "one ticket back") -> RefundName:
    return RefundName(
        payment=name_of(),
        merchant_refund_ref="ref1",
        channel_refund_id=None,
        money=Money(500, "CNY"),
        reason=reason,
    )
