"""Signatures and encryption of WeChat Pay's API v3. One rule signs notices and answers alike.

Source: WeChat Pay's 签名与验签规则 and the official Go SDK's validators.
"""

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

from paidup import ids
from paidup.channels.wechat.keys import Secret, VerifyKey, WechatAccount
from paidup.errors import CallbackRefused, Verdict

TOLERANCE_S = 300
SIGNATURE_TYPE = "WECHATPAY2-SHA256-RSA2048"
PROBE_PREFIX = "WECHATPAY/SIGNTEST/"

_TIMESTAMP = re.compile(r"[0-9]{1,12}")
# Were a nonce allowed to hold a line feed, the start of a signed body could be moved into it.
_WORD = re.compile(r"[!-~]{1,1024}")
_NONCE_BYTES = 12
_TAG_BYTES = 16


def verify(header: Callable[[str], str | None], body: bytes, account: WechatAccount, now: datetime) -> None:
    """Check a notice or an answer on its raw body. Raises CallbackRefused.

    SIGNTEST probes go the ordinary way, which they fail, and are then named as what they are: WeChat wants to see
    them refused, and nobody needs to be woken.
    """
    timestamp = _stated(header, "wechatpay-timestamp", _TIMESTAMP)
    nonce, signature, serial = (
        _stated(header, f"wechatpay-{name}", _WORD) for name in ("nonce", "signature", "serial")
    )
    try:
        _must_be_of_our_type(header("wechatpay-signature-type"))
        key = _known(serial, account)
        _must_be_fresh(int(timestamp), now)
        check_signature(signature, b"%b\n%b\n%b\n" % (timestamp.encode(), nonce.encode(), body), key)
    except CallbackRefused as refusal:
        if signature.startswith(PROBE_PREFIX):
            raise CallbackRefused(Verdict.PROBE, f"a SIGNTEST probe, refused as it should be ({refusal})") from None
        raise


def check_signature(signature: str, signed: bytes, key: VerifyKey) -> None:
    """RSA PKCS#1 v1.5 with SHA-256 over `signed`. Raises CallbackRefused."""
    try:
        raw = base64.b64decode(signature, validate=True)
    except ValueError:
        raise CallbackRefused(Verdict.MALFORMED, "the signature is not base64") from None
    if not raw:
        raise CallbackRefused(Verdict.MALFORMED, "the signature is empty")
    try:
        key.public.verify(raw, signed, PKCS1v15(), SHA256())
    except InvalidSignature:
        raise CallbackRefused(Verdict.INVALID_SIGNATURE, "the signature does not fit the body") from None


def decrypt(ciphertext: str, nonce: str, associated_data: str, secrets: tuple[Secret, ...]) -> bytes:
    """AES-256-GCM with each APIv3 key in turn: around a reset, both may be in use. Raises CallbackRefused."""
    try:
        sealed = base64.b64decode(ciphertext, validate=True)
        number_once, beside = nonce.encode(), associated_data.encode()
    except ValueError:  # also text that is no UTF-8
        raise CallbackRefused(Verdict.MALFORMED, "the ciphertext is not base64") from None
    fits = len(number_once) == _NONCE_BYTES and len(sealed) >= _TAG_BYTES
    for secret in secrets if fits else ():
        try:
            return AESGCM(secret.value).decrypt(number_once, sealed, beside)
        except InvalidTag:
            continue
    raise CallbackRefused(Verdict.DECRYPT_FAILED, "no APIv3 key opens it: was the key reset in the merchant console?")


def authorization(method: str, target: str, body: bytes, account: WechatAccount, now: datetime) -> str:
    """The Authorization header of a request."""
    timestamp, nonce = str(int(now.timestamp())), ids.new_secret(16).hex()
    signed = f"{method}\n{target}\n{timestamp}\n{nonce}\n".encode() + body + b"\n"
    signature = _sign(signed, account.private_key)
    return (
        f'{SIGNATURE_TYPE} mchid="{account.mchid}",nonce_str="{nonce}",signature="{signature}",'
        f'timestamp="{timestamp}",serial_no="{account.certificate_serial}"'
    )


def pay_sign(account: WechatAccount, package: str, now: datetime) -> dict[str, str]:
    """What a page inside WeChat hands to WeixinJSBridge (JSAPI 调起支付)."""
    timestamp, nonce = str(int(now.timestamp())), ids.new_secret(16).hex()
    signed = f"{account.appid}\n{timestamp}\n{nonce}\n{package}\n".encode()
    return {
        "appId": account.appid,
        "timeStamp": timestamp,
        "nonceStr": nonce,
        "package": package,
        "signType": "RSA",
        "paySign": _sign(signed, account.private_key),
    }


def _sign(message: bytes, key: RSAPrivateKey) -> str:
    return base64.b64encode(key.sign(message, PKCS1v15(), SHA256())).decode()


def _stated(header: Callable[[str], str | None], name: str, form: re.Pattern[str]) -> str:
    value = header(name)
    if value is None or not form.fullmatch(value):
        raise CallbackRefused(Verdict.MALFORMED, f"header {name} is missing, repeated, too long or no such thing")
    return value


def _must_be_of_our_type(stated: str | None) -> None:
    """The header may be absent; the type is then the only one there was when it was introduced."""
    if stated not in (None, SIGNATURE_TYPE):
        raise CallbackRefused(Verdict.UNSUPPORTED_ALGORITHM, f"signature type {str(stated)[:60]!r}")


def _known(serial: str, account: WechatAccount) -> VerifyKey:
    """The key that the message names; no other is tried. Raises CallbackRefused."""
    key = account.verify_key(serial)
    if key is None:
        raise CallbackRefused(Verdict.UNKNOWN_KEY, f"no key {serial[:80]!r}: add it if WeChat Pay changed its key")
    return key


def _must_be_fresh(sent_s: int, now: datetime) -> None:
    """Each retry is signed anew, so an old timestamp is a replay, or a clock that is wrong."""
    off_s = abs(now.timestamp() - sent_s)
    if off_s >= TOLERANCE_S:
        why = f"signed {off_s:.0f} s from our {now.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC; {TOLERANCE_S} s is the limit"
        raise CallbackRefused(Verdict.EXPIRED, why)
