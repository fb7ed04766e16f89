"""WeChat Pay's notices: verified on the raw body, decrypted, then read by their event type.

Decided once, where implementations differ:

| question                       | we decide                                                                         |
| ------------------------------ | --------------------------------------------------------------------------------- |
| how old may a notice be?       | less than 300 s, both ways, like the official Go SDK (its Java SDK does not look) |
| no Wechatpay-Signature-Type    | it is the usual type; any other is refused before its signature is looked at      |
| a serial that we do not know   | refused; no other key is tried, and nothing is fetched                            |
| a SIGNTEST probe               | goes the ordinary way, is refused with 401 and counted by its own name            |
| a kind that we do not follow   | decrypted all the same, so that a lost APIv3 key shows; then it says nothing      |
| another merchant or app inside | evidence: the door compares and opens a case; the notice itself is good           |
| a state that is not documented | refused and kept; it is replayed once the parser is mended                        |
"""

from datetime import datetime

import msgspec

from paidup.channels.messages import CallbackRequest, Reading, Reply
from paidup.channels.wechat.keys import WechatAccount
from paidup.channels.wechat.objects import Notice, Refund, Transaction, payment_says, refund_says
from paidup.channels.wechat.sign import decrypt, verify
from paidup.errors import CallbackRefused, InvalidRequest, Verdict
from paidup.evidence import Evidence, Road

ALGORITHM = "AEAD_AES_256_GCM"
MAX_NOTICE_BYTES = 256 << 10
"""An honest notice has some two kilobytes."""

_notice = msgspec.json.Decoder(Notice)
_transaction = msgspec.json.Decoder(Transaction)
_refund = msgspec.json.Decoder(Refund)


def read_callback(request: CallbackRequest, account: WechatAccount, now: datetime) -> Reading:
    """Raises CallbackRefused and nothing else, whatever the bytes are."""
    if len(request.body) > MAX_NOTICE_BYTES:
        raise CallbackRefused(Verdict.MALFORMED, f"longer than {MAX_NOTICE_BYTES} bytes")
    verify(request.header, request.body, account, now)
    try:
        notice = _notice.decode(request.body)
        return Reading(notice.id, notice.event_type, _evidence(notice, account, now))
    except (msgspec.MsgspecError, InvalidRequest, ValueError, RecursionError) as wrong:
        raise CallbackRefused(Verdict.MALFORMED, f"verified, but not readable: {str(wrong)[:300]}") from None


def accepted() -> Reply:
    """200 or 204 within 5 s; the body is not read."""
    return Reply(200, "application/json", b'{"code":"SUCCESS"}')


def refused(refusal: CallbackRefused) -> Reply:
    """WeChat Pay sends it again after any 4xx; a signature that is wrong is answered with 401."""
    unverified = (Verdict.INVALID_SIGNATURE, Verdict.PROBE, Verdict.UNKNOWN_KEY, Verdict.EXPIRED)
    status = 401 if refusal.verdict in unverified else 400
    return Reply(status, "application/json", '{"code":"FAIL","message":"失败"}'.encode())


def _evidence(notice: Notice, account: WechatAccount, now: datetime) -> tuple[Evidence, ...]:
    resource = notice.resource
    if resource.algorithm != ALGORITHM:
        raise CallbackRefused(Verdict.UNSUPPORTED_ALGORITHM, f"algorithm {resource.algorithm[:60]!r}")
    plain = decrypt(resource.ciphertext, resource.nonce, resource.associated_data or "", account.apiv3_keys)
    if notice.event_type.startswith("TRANSACTION."):
        return payment_says(_transaction.decode(plain), account, road=Road.CALLBACK, key=notice.id, now=now)
    if notice.event_type.startswith("REFUND."):
        refund = _refund.decode(plain)
        return refund_says(refund, account, road=Road.CALLBACK, key=notice.id, now=now, told_at=notice.created_at)
    return ()
