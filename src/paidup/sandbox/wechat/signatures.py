"""WeChat Pay's signature under what it says, and the merchant's under what he asks.

Source: 签名与验签规则.
"""

import re
from datetime import datetime

import msgspec

from paidup import ids
from paidup.sandbox.keys import WechatKeys, is_signed, sign
from paidup.sandbox.wechat.forms import SCHEME, claims_of
from paidup.sandbox.wire import Ask, Tell

TOLERANCE_S = 300

_SECONDS = re.compile(r"[0-9]{1,12}")


class Signatures:
    """Those that one merchant makes and gets."""

    def __init__(self, keys: WechatKeys) -> None:
        self._keys = keys
        self._merchant = keys.merchant.public_key()

    def is_genuine(self, ask: Ask, now: datetime) -> bool:
        """The merchant's Authorization header, verified as WeChat Pay does."""
        claims = claims_of(ask)
        timestamp = claims.get("timestamp", "")
        if (claims.get("mchid"), claims.get("serial_no")) != (self._keys.mchid, self._keys.merchant_serial):
            return False
        if not _SECONDS.fullmatch(timestamp) or abs(now.timestamp() - int(timestamp)) > TOLERANCE_S:
            return False
        head = f"{ask.method}\n{ask.target}\n{timestamp}\n{claims.get('nonce_str', '')}\n"
        return is_signed(self._merchant, head.encode() + ask.body + b"\n", claims.get("signature", ""))

    def error(self, ask: Ask, status: int, code: str, message: str, now: datetime) -> Tell:
        """A refusal, signed."""
        return self.tell(ask, status, {"code": code, "message": message}, now)

    def tell(self, ask: Ask, status: int, told: object, now: datetime) -> Tell:
        """An answer, signed by the key that the request's Wechatpay-Serial names, or by the certificate's."""
        body = b"" if told is None else msgspec.json.encode(told)
        by_public_key = ask.headers.get("wechatpay-serial", "") == self._keys.public_key_id
        signature = self.headers(body, now, by_public_key=by_public_key)
        return Tell(status, {**signature, "content-type": "application/json; charset=utf-8"}, body)

    def headers(self, body: bytes, now: datetime, *, by_public_key: bool, stranger: bool = False) -> dict[str, str]:
        """The signature of this body, made now. stranger: it is a forgery."""
        timestamp, nonce = str(int(now.timestamp())), ids.new_secret(16).hex()
        key = self._keys.public if by_public_key else self._keys.platform
        message = f"{timestamp}\n{nonce}\n".encode() + body + b"\n"
        return {
            "wechatpay-timestamp": timestamp,
            "wechatpay-nonce": nonce,
            "wechatpay-signature": sign(self._keys.stranger if stranger else key, message),
            "wechatpay-serial": self._keys.public_key_id if by_public_key else self._keys.certificate_serial,
            "wechatpay-signature-type": SCHEME,
        }


def unsigned(status: int, code: str, message: str) -> Tell:
    """A refusal of somebody who gets no signature."""
    body = msgspec.json.encode({"code": code, "message": message})
    return Tell(status, {"content-type": "application/json; charset=utf-8"}, body)
