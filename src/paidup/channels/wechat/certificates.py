"""Fetching WeChat Pay's platform certificates: they come encrypted with the APIv3 key, old and new side by side.

Never done inside a callback: whoever sends forged callbacks would make us call WeChat Pay for each.
"""

from datetime import datetime

import msgspec

from paidup.channels.channel import Exchange, Outcome, Success
from paidup.channels.wechat.api import get, no_to_a_question
from paidup.channels.wechat.keys import WechatAccount, certificate_key
from paidup.channels.wechat.objects import Resource
from paidup.channels.wechat.sign import decrypt
from paidup.errors import CallbackRefused, Verdict


class _Sealed(msgspec.Struct, frozen=True):
    serial_no: str
    encrypt_certificate: Resource


class Certificates(msgspec.Struct, frozen=True):
    """The answer of GET /v3/certificates."""

    data: tuple[_Sealed, ...]


def fetch_certificates(account: WechatAccount, now: datetime) -> Exchange:
    """Success carries the certificates in `pay_with`: PEM by serial."""

    def told(answer: Certificates, _: datetime) -> Outcome:
        return Success(pay_with=open_certificates(answer, account))

    return get("/v3/certificates", {}, account, now, Certificates, told, no_to_a_question)


def open_certificates(answer: Certificates, account: WechatAccount) -> dict[str, str]:
    """Decrypt each certificate; its serial must be the one it was announced under. Raises CallbackRefused."""
    found = {}
    for sealed in answer.data:
        box = sealed.encrypt_certificate
        pem = decrypt(box.ciphertext, box.nonce, box.associated_data, account.apiv3_keys)
        try:
            serial = certificate_key(pem).serial
        except ValueError:
            raise CallbackRefused(Verdict.MALFORMED, f"{sealed.serial_no[:60]} is no RSA certificate") from None
        if serial != sealed.serial_no.upper().lstrip("0"):
            raise CallbackRefused(Verdict.UNKNOWN_KEY, f"announced as {sealed.serial_no[:60]}, but it is {serial}")
        found[serial] = pem.decode("ascii", "replace")
    return found
