"""The other side in small: what Alipay would send, really signed with keys made for the test."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from urllib.parse import parse_qsl, urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from paidup.channels.alipay import ALIPAY, AlipayAccount
from paidup.channels.alipay.sign import FOR_NOTICE, FOR_REQUEST, sign, signed_text, verify
from paidup.channels.channel import PaymentName, RefundName, ToOpen
from paidup.channels.messages import CallbackRequest, Request, Response
from paidup.errors import Verdict
from paidup.money import Money

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
APP_ID, SELLER_ID = "2021000000000001", "2088000000000001"

TABLE: Mapping[str, object] = {
    "shop": "shop1",
    "notify_url": "https://pay.example/callbacks/alipay/main",
    "app_id": APP_ID,
    "seller_id": SELLER_ID,
    "private_key": "app_key.pem",
    "alipay_public_keys": ["alipay_public.pem"],
}
PAID: Mapping[str, str] = {
    "notify_id": "2026112300222160000000000000001",
    "notify_type": "trade_status_sync",
    "notify_time": "2026-11-23 16:00:05",
    "charset": "utf-8",
    "sign_type": "RSA2",
    "app_id": APP_ID,
    "seller_id": SELLER_ID,
    "out_trade_no": "pay1",
    "trade_no": "2026112322001400000000000001",
    "trade_status": "TRADE_SUCCESS",
    "total_amount": "12.50",
    "gmt_create": "2026-11-23 15:59:50",
    "gmt_payment": "2026-11-23 16:00:00",
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


def files() -> dict[str, bytes]:
    return {"app_key.pem": private_pem("app"), "alipay_public.pem": public_pem("alipay")}


@cache
def account() -> AlipayAccount:
    return ALIPAY.parse_account("main", TABLE, files())


def notice(
    fields: Mapping[str, str] = PAID, *, signer: str = "alipay", charset: str = "utf-8", sign_blanks: bool = True
) -> CallbackRequest:
    """A notice about a trade, as a signed form."""
    pairs = [(name.encode(charset), value.encode(charset)) for name, value in fields.items()]
    signed = signed_text([pair for pair in pairs if sign_blanks or pair[1]], FOR_NOTICE)
    form = urlencode([*pairs, (b"sign", sign(signed, key(signer)).encode())])
    headers = (("content-type", "application/x-www-form-urlencoded"),)
    return CallbackRequest("POST", "/callbacks/alipay/main", headers, form.encode())


def changed(**fields: str) -> dict[str, str]:
    """The paid notice with other fields."""
    return {**PAID, **fields}


def answer(method: str, fields: Mapping[str, object], *, signer: str | None = "alipay", status: int = 200) -> Response:
    """The gateway's answer; unsigned when there is no signer."""
    content = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    name = f"{method.replace('.', '_')}_response"
    signature = f',"sign":"{sign(content.encode(), key(signer))}"' if signer else ""
    return Response(status, (), f'{{"{name}":{content}{signature}}}'.encode())


def parameters(request: Request) -> dict[str, str]:
    """All parameters of a request, once its signature is found good."""
    text = f"{urlsplit(request.target).query}&{request.body.decode()}".strip("&")
    return checked(text)


def checked(query: str) -> dict[str, str]:
    """The parameters of a query whose signature is good."""
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    text = signed_text([(name.encode(), value.encode()) for name, value in pairs], FOR_REQUEST)
    assert Verdict.VALID == verify(text, dict(pairs)["sign"].encode(), [key("app").public_key()])
    return dict(pairs)


def to_open(method: str = "precreate", *, amount_minor: int = 1250, currency: str = "CNY", **more: str) -> ToOpen:
    return ToOpen(
        merchant_ref="pay1",
        money=Money(amount_minor, currency),
        method=method,
        description="two tickets",
        expires_at=NOW + timedelta(minutes=30),
        extra=more,
    )


def name_of(method: str = "precreate") -> PaymentName:
    return PaymentName(
        merchant_ref="pay1",
        channel_txn_id=None,
        money=Money(1250, "CNY"),
        method=method,
        created_at=NOW,
        reopen=to_open(method),
    )


def refund_of(amount_minor: int = 500) -> RefundName:
    return RefundName(
        payment=name_of(),
        merchant_refund_ref="ref1",
        channel_refund_id=None,
        money=Money(amount_minor, "CNY"),
        reason="one ticket back",
    )
