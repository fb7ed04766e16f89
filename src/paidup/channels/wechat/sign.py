"""Signatures and encryption of WeChat Pay's API v3. One rule signs notices and answers alike.

Source: WeChat Pay's 签名与验签规则 and the official Go SDK's validators.
"""

import base64
import binascii
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
MAX_HEADER_CHARS = 1024

_NONCE_BYTES = 12
_TAG_BYTES = 16


def verify(header: Callable[[str], str | None], body: bytes, account: WechatAccount, now: datetime | None) -> None:
    """Check a notice or an answer on its raw body. now=None skips the time window.

    Raises CallbackRefused. SIGNTEST probes go the ordinary way, which they fail, and are then named as what they are:
    WeChat wants to see them refused.
    """
    timestamp, nonce = _required(header, "wechatpay-timestamp"), _required(header, "wechatpay-nonce")
    signature, serial = _required(header, "wechatpay-signature"), _required(header, "wechatpay-serial")
    kind = header("wechatpay-signature-type")
    if kind not in (None, SIGNATURE_TYPE):
        raise CallbackRefused(Verdict.UNSUPPORTED_ALGORITHM, f"signature type {kind[:60] if kind else ''!r}")
    probe = signature.startswith(PROBE_PREFIX)
    key = account.verify_key(serial)
    if key is None and not probe:
        raise CallbackRefused(Verdict.UNKNOWN_KEY, f"no key {serial[:80]!r}: add it if WeChat Pay changed its key")
    _must_be_fresh(timestamp, now)
    signed = b"%b\n%b\n%b\n" % (timestamp.encode("latin-1"), nonce.encode("latin-1"), body)
    try:
        if key is None:
            raise CallbackRefused(Verdict.UNKNOWN_KEY, "a probe under an unknown key")
        check_signature(signature, signed, key)
    except CallbackRefused as refusal:
        raise (CallbackRefused(Verdict.PROBE, "a SIGNTEST probe") if probe else refusal) from None


def check_signature(signature: str, signed: bytes, key: VerifyKey) -> None:
    """RSA PKCS#1 v1.5 with SHA-256 over `signed`. Raises CallbackRefused."""
    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
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
    except (binascii.Error, ValueError):
        raise CallbackRefused(Verdict.MALFORMED, "the ciphertext is not base64") from None
    number_once = nonce.encode()
    fits = len(number_once) == _NONCE_BYTES and len(sealed) >= _TAG_BYTES
    for secret in secrets if fits else ():
        try:
            return AESGCM(secret.value).decrypt(number_once, sealed, associated_data.encode())
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


def _required(header: Callable[[str], str | None], name: str) -> str:
    value = header(name)
    if not value or len(value) > MAX_HEADER_CHARS:
        raise CallbackRefused(Verdict.MALFORMED, f"header {name} is missing, repeated or too long")
    return value


def _must_be_fresh(timestamp: str, now: datetime | None) -> None:
    """Each retry is signed anew, so an old timestamp is a replay, or a clock that is wrong."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise CallbackRefused(Verdict.MALFORMED, "wechatpay-timestamp is not a number of seconds")
    if now is not None and abs(now.timestamp() - int(timestamp)) >= TOLERANCE_S:
        sent = datetime.fromtimestamp(int(timestamp), UTC)
        raise CallbackRefused(Verdict.EXPIRED, f"signed at {sent:%Y-%m-%d %H:%M:%S} UTC; more than {TOLERANCE_S} s off")
