"""Fetching WeChat Pay's platform certificates: they come encrypted with the APIv3 key, old and new side by side.

Never done inside a callback: whoever sends forged callbacks would make us call WeChat Pay for each. A person or a timer
runs `paidup keys fetch-certificates`.
"""

from datetime import datetime

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding

from paidup.channels.messages import Exchange, Outcome, Response, Retryable, Success
from paidup.channels.wechat.api import get, no_to_a_question, reading
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


def certificates(account: WechatAccount, now: datetime) -> Exchange:
    """Success carries the certificates in `pay_with`: PEM by serial.

    The answer may be signed with the very certificate it brings, which we do not know yet. What opens with our
    APIv3 key came from WeChat Pay, so the certificates inside may verify the answer around them.
    """

    def told(answer: Certificates, _: datetime) -> Outcome:
        return Success(pay_with=open_certificates(answer, account))

    def read(response: Response, at: datetime) -> Outcome:
        try:
            known = _knowing_also(account, response.body)
        except CallbackRefused as refusal:
            return Retryable(f"HTTP {response.status} with certificates that cannot be used: {refusal}")
        return reading(known, Certificates, told, no_to_a_question, Retryable)(response, at)

    asked = get("/v3/certificates", {}, account, now, Certificates, told, no_to_a_question)
    return Exchange(asked.request, read)


def open_certificates(answer: Certificates, account: WechatAccount) -> dict[str, str]:
    """Decrypt each certificate; its serial must be the one it was announced under. Raises CallbackRefused.

    What comes back is the certificate in PEM form and nothing else that may have stood around it.
    """
    from cryptography import x509  # noqa: PLC0415  slow to load, and few accounts have certificates

    found = {}
    for sealed in answer.data:
        box = sealed.encrypt_certificate
        pem = decrypt(box.ciphertext, box.nonce, box.associated_data or "", account.apiv3_keys)
        try:
            serial = certificate_key(pem).serial
        except ValueError:
            raise CallbackRefused(Verdict.MALFORMED, f"{sealed.serial_no[:60]} is no RSA certificate") from None
        if serial != sealed.serial_no.upper().lstrip("0"):
            raise CallbackRefused(Verdict.UNKNOWN_KEY, f"announced as {sealed.serial_no[:60]}, but it is {serial}")
        found[serial] = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.PEM).decode("ascii")
    return found


def _knowing_also(account: WechatAccount, body: bytes) -> WechatAccount:
    """The account with the keys that this answer brings; as it is when it brings none. Raises CallbackRefused."""
    try:
        brought = open_certificates(msgspec.json.decode(body, type=Certificates), account)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return account
    fresh = tuple(certificate_key(pem.encode("ascii", "replace")) for pem in brought.values())
    return msgspec.structs.replace(account, verify_keys=(*account.verify_keys, *fresh))
