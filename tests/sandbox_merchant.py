"""A merchant in small: signs requests to the sandbox and checks what it says, with `cryptography` and the standard
library alone. It shares no code with the sandbox or with Paidup's channels."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from urllib.parse import parse_qsl, urlencode

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

from paidup.sandbox.faults import Dice, Faults
from paidup.sandbox.keys import Keys, make_keys
from paidup.sandbox.wire import Ask, News, Notice, Tell
from paidup.sandbox.world import Manners, World

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
PAIDUP = "http://127.0.0.1:9"
BEIJING = timezone(timedelta(hours=8))


@cache
def keys() -> Keys:
    return make_keys(NOW)


def world(faults: Faults | None = None, *, seed: int = 1, **manners) -> World:
    """A world with one account called main."""
    return World({"main": keys()}, Dice(seed), Manners(faults=faults or Faults(), **manners), PAIDUP)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def notices(a_world: World, now: datetime = NOW) -> list[tuple[News, Notice]]:
    """What the merchant is told, signed now; it is told once."""
    news, a_world.news = a_world.news, []
    return [(one, a_world.provider(one.channel, one.account).notice(one, now)) for one in news]


def rsa_sign(key: RSAPrivateKey, message: bytes) -> str:
    return base64.b64encode(key.sign(message, PKCS1v15(), SHA256())).decode()


def rsa_check(key: RSAPublicKey, message: bytes, signature: str) -> None:
    """Raises InvalidSignature."""
    key.verify(base64.b64decode(signature), message, PKCS1v15(), SHA256())


# WeChat Pay ----------------------------------------------------------------------------------------------------------


def wechat_ask(
    method: str, target: str, body: object = None, *, now: datetime = NOW, key=None, serial: str = "", **headers: str
) -> Ask:
    mine = keys().wechat
    data = b"" if body is None else json.dumps(body).encode()
    timestamp, nonce = str(int(now.timestamp())), "0123456789abcdef"
    signed = f"{method}\n{target}\n{timestamp}\n{nonce}\n".encode() + data + b"\n"
    claims = (
        f'nonce_str="{nonce}",timestamp="{timestamp}",mchid="{mine.mchid}",'
        f'serial_no="{serial or mine.merchant_serial}",'
        f'signature="{rsa_sign(key or mine.merchant, signed)}"'
    )
    return Ask(method, target, {"authorization": f"WECHATPAY2-SHA256-RSA2048 {claims}", **headers}, data)


def wechat_open(ref: str, total: int = 1250, *, method: str = "native", now: datetime = NOW, **more) -> Ask:
    body = {
        "mchid": keys().wechat.mchid,
        "appid": keys().wechat.appid,
        "description": "two tickets",
        "out_trade_no": ref,
        "notify_url": f"{PAIDUP}/callbacks/wechat/main",
        "amount": {"total": total, "currency": "CNY"},
        **more,
    }
    return wechat_ask("POST", f"/v3/pay/transactions/{method}", body, now=now)


def wechat_query(ref: str, *, now: datetime = NOW, **headers: str) -> Ask:
    target = f"/v3/pay/transactions/out-trade-no/{ref}?mchid={keys().wechat.mchid}"
    return wechat_ask("GET", target, now=now, **headers)


def wechat_close(ref: str, *, now: datetime = NOW) -> Ask:
    body = {"mchid": keys().wechat.mchid}
    return wechat_ask("POST", f"/v3/pay/transactions/out-trade-no/{ref}/close", body, now=now)


def wechat_refund(ref: str, refund_ref: str, amount: int, total: int = 1250, *, now: datetime = NOW) -> Ask:
    amounts = {"refund": amount, "total": total, "currency": "CNY"}
    body = {"out_trade_no": ref, "out_refund_no": refund_ref, "amount": amounts}
    return wechat_ask("POST", "/v3/refund/domestic/refunds", body, now=now)


def wechat_check(message: Tell | Notice) -> None:
    """The signature, by the key its serial names. Raises InvalidSignature."""
    headers, theirs = message.headers, keys().wechat
    public = {
        theirs.public_key_id: theirs.public.public_key(),
        format(theirs.certificate.serial_number, "X"): theirs.certificate.public_key(),
    }[headers["wechatpay-serial"]]
    head = f"{headers['wechatpay-timestamp']}\n{headers['wechatpay-nonce']}\n".encode()
    rsa_check(public, head + message.body + b"\n", headers["wechatpay-signature"])


def wechat_read(tell: Tell) -> dict:
    """The answer's object, after its signature was checked."""
    wechat_check(tell)
    return json.loads(tell.body) if tell.body else {}


def wechat_opened(notice: Notice) -> tuple[dict, dict]:
    """The envelope and what is inside, after the signature was checked."""
    wechat_check(notice)
    envelope = json.loads(notice.body)
    box = envelope["resource"]
    sealed, beside = base64.b64decode(box["ciphertext"]), box["associated_data"].encode()
    plain = AESGCM(keys().wechat.apiv3).decrypt(box["nonce"].encode(), sealed, beside)
    return envelope, json.loads(plain)


# Alipay --------------------------------------------------------------------------------------------------------------


def alipay_ask(
    method: str, *, key=None, app_id: str | None = None, notify_url: str = f"{PAIDUP}/callbacks/alipay/main", **biz: str
) -> Ask:
    fields = {
        "app_id": app_id or keys().alipay.app_id,
        "method": method,
        "charset": "utf-8",
        "sign_type": "RSA2",
        "timestamp": f"{NOW.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}",
        "version": "1.0",
        "notify_url": notify_url,
        "biz_content": json.dumps(biz),
    }
    signed = "&".join(f"{name}={fields[name]}" for name in sorted(fields) if fields[name]).encode()
    fields["sign"] = rsa_sign(key or keys().alipay.app, signed)
    body = urlencode({"biz_content": fields.pop("biz_content")}).encode()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return Ask("POST", f"/gateway.do?{urlencode(fields)}", headers, body)


def alipay_open(ref: str, amount: str = "12.50", **more: str) -> Ask:
    return alipay_ask("alipay.trade.precreate", out_trade_no=ref, total_amount=amount, subject="50% off + more", **more)


def alipay_read(tell: Tell) -> dict:
    """The answer's own member, after the signature over its raw bytes was checked."""
    text = tell.body.decode()
    inner = text[text.index(":") + 1 : text.rindex(',"sign":')]
    rsa_check(keys().alipay.platform.public_key(), inner.encode(), json.loads(text)["sign"])
    return json.loads(inner)


def alipay_fields(notice: Notice) -> dict[str, str]:
    """The form's fields, after its signature was checked."""
    fields = dict(parse_qsl(notice.body.decode(), keep_blank_values=True, strict_parsing=True))
    signed = "&".join(f"{name}={fields[name]}" for name in sorted(fields) if name not in ("sign", "sign_type"))
    rsa_check(keys().alipay.platform.public_key(), signed.encode(), fields["sign"])
    return fields


# Stripe --------------------------------------------------------------------------------------------------------------


def stripe_ask(method: str, target: str, *, key: str = "", secret: str | None = None, **fields: str) -> Ask:
    """`key` is the idempotency key; names of fields write ``__`` for a bracket: metadata__order is metadata[order]."""
    headers = {"authorization": f"Bearer {keys().stripe.secret if secret is None else secret}"}
    form = {f"{name.replace('__', '[', 1)}]" if "__" in name else name: value for name, value in fields.items()}
    return Ask(method, target, headers | ({"idempotency-key": key} if key else {}), urlencode(form).encode())


def stripe_open(ref: str, amount: str = "1250", *, key: str = "") -> Ask:
    return stripe_ask("POST", "/v1/payment_intents", key=key, amount=amount, currency="usd", metadata__order=ref)


def stripe_read(tell: Tell) -> dict:
    return json.loads(tell.body)


def stripe_check(notice: Notice, secret: str | None = None) -> bool:
    """Whether the event is signed by the endpoint's secret."""
    stated = dict(part.split("=", 1) for part in notice.headers["stripe-signature"].split(","))
    signed = stated["t"].encode() + b"." + notice.body
    expected = hmac.new((secret or keys().stripe.webhook).encode(), signed, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, stated["v1"])
