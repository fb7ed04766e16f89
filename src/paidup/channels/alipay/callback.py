"""Alipay's notices about trades: a signed form, answered with the bare word ``success``.

Nothing in the signature is fresh, so an old notice verifies for ever; repeats are harmless because weighing the same
evidence twice changes nothing.
"""

from collections.abc import Mapping
from datetime import datetime

from paidup.channels.alipay.form import as_text, parse_form
from paidup.channels.alipay.keys import AlipayAccount
from paidup.channels.alipay.sign import FOR_NOTICE, Pairs, signed_text, verify
from paidup.channels.alipay.trade import is_refunded, moment, payment_says, yuan
from paidup.channels.messages import CallbackRequest, Reading, Reply
from paidup.errors import CallbackRefused, InvalidRequest, Verdict
from paidup.evidence import Evidence, PaymentEvidence, PaymentSays, RefundEvidence, RefundSays, Road

_TRADE_NOTICE = "trade_status_sync"
_OCCURRED = {
    PaymentSays.PAID: "gmt_payment",
    PaymentSays.WAITING: "gmt_create",
    PaymentSays.CLOSED: "gmt_close",
    PaymentSays.GIVEN_BACK: "gmt_payment",
}
MAX_KEY_CHARS = 200


def read_callback(request: CallbackRequest, account: AlipayAccount, now: datetime) -> Reading:
    """Verify the form's bytes, then say what it means. Raises CallbackRefused and nothing else.

    Only the body counts: arguments of the notify URL are not signed and never mixed in.
    """
    pairs = parse_form(request.body)
    verified(pairs, account)
    fields = as_text(pairs)
    try:
        return _reading(fields, account, now)
    except InvalidRequest as wrong:
        raise CallbackRefused(Verdict.MALFORMED, f"verified, but {wrong}") from None


def verified(pairs: Pairs, account: AlipayAccount) -> None:
    """Raises CallbackRefused unless one of Alipay's keys signed the fields.

    Alipay's Java code signs blank values (``k=``), its old PHP code leaves them out; who reads them as absent, as we
    do, may safely try both.
    """
    named = dict(pairs)
    if named.get(b"sign_type", b"RSA2") != b"RSA2":
        raise CallbackRefused(Verdict.UNSUPPORTED_ALGORITHM, "sign_type is not RSA2; RSA signs with SHA-1")
    signature = named.get(b"sign", b"")
    verdict = verify(signed_text(pairs, FOR_NOTICE), signature, account.public_keys)
    if verdict is Verdict.VALID:
        return
    filled = tuple(pair for pair in pairs if pair[1])
    if filled != pairs and verify(signed_text(filled, FOR_NOTICE), signature, account.public_keys) is Verdict.VALID:
        return
    if verdict is Verdict.MALFORMED:
        raise CallbackRefused(verdict, "there is no sign in strict base64")
    raise CallbackRefused(
        verdict, "none of alipay_public_keys signed this; compare their fingerprints with the console's 支付宝公钥"
    )


def accepted() -> Reply:
    """Exactly the seven bytes Alipay waits for; anything else is sent again, 8 times in 25 hours."""
    return Reply(200, "text/plain; charset=utf-8", b"success")


def refused(refusal: CallbackRefused) -> Reply:  # noqa: ARG001 - the Protocol hands it over; Alipay reads no reason
    """Anything but ``success`` asks Alipay to send it again."""
    return Reply(400, "text/plain; charset=utf-8", b"fail")


def _reading(fields: Mapping[str, str], account: AlipayAccount, now: datetime) -> Reading:
    notify_type = _needed(fields, "notify_type")
    if notify_type != _TRADE_NOTICE:
        return Reading(_needed(fields, "notify_id"), notify_type, ())
    key = _key(fields)
    says = payment_says(fields)
    evidence: tuple[Evidence, ...] = ()
    if says is not None:
        evidence = (_payment(fields, says, account, key, now),)
        if is_refunded(fields):
            evidence = (*evidence, _refund(fields, says, account, key, now))
    return Reading(key, fields.get("trade_status", notify_type), evidence)


def _payment(
    fields: Mapping[str, str], says: PaymentSays, account: AlipayAccount, key: str, now: datetime
) -> PaymentEvidence:
    return PaymentEvidence(
        road=Road.CALLBACK,
        channel=account.channel,
        account=account.name,
        key=key,
        received_at=now,
        occurred_at=moment(fields.get(_OCCURRED[says])),
        merchant_ref=_needed(fields, "out_trade_no"),
        channel_txn_id=fields.get("trade_no"),
        amount=yuan(_needed(fields, "total_amount")),
        payee=_payee(fields, account),
        note=fields["trade_status"],
        says=says,
    )


def _refund(
    fields: Mapping[str, str], says: PaymentSays, account: AlipayAccount, key: str, now: datetime
) -> RefundEvidence:
    """refund_fee sums up all refunds of the trade so far, so this one's own amount is not stated and stays None. Only
    when everything went back the sum is told on, for then the status says so, too."""
    total = fields.get("refund_fee", "an unstated part")
    so_far = yuan(fields.get("refund_fee", fields["total_amount"])) if says is PaymentSays.GIVEN_BACK else None
    return RefundEvidence(
        road=Road.CALLBACK,
        channel=account.channel,
        account=account.name,
        key=f"{key}:refund",
        received_at=now,
        occurred_at=moment(fields.get("gmt_refund")),
        merchant_ref=_needed(fields, "out_trade_no"),
        channel_txn_id=fields.get("trade_no"),
        payee=_payee(fields, account),
        note=f"{fields['trade_status']}, {total} of {fields['total_amount']} given back so far",
        says=RefundSays.SUCCEEDED,
        merchant_refund_ref=fields.get("out_biz_no"),
        so_far=so_far,
    )


def _payee(fields: Mapping[str, str], account: AlipayAccount) -> str | None:
    """Who was paid, as far as the notice says. Of app_id and seller_id the missing half is taken from the account:
    the verifying key belongs to the app, so the notice is authentic by it, and only what is stated can differ."""
    app_id, seller_id = fields.get("app_id"), fields.get("seller_id")
    if app_id is None and seller_id is None:
        return None
    return f"{app_id or account.app_id}/{seller_id or account.seller_id}"


def _key(fields: Mapping[str, str]) -> str:
    """notify_id stays the same over the repeats of one notice; status and refund stand beside it in case it is ever
    the same for two."""
    parts = (_needed(fields, "notify_id"), *(fields.get(name) for name in ("trade_status", "out_biz_no", "refund_fee")))
    key = ":".join(part for part in parts if part)
    if len(key) > MAX_KEY_CHARS:
        raise InvalidRequest(f"notify_id and out_biz_no are longer than {MAX_KEY_CHARS} characters")
    return key


def _needed(fields: Mapping[str, str], name: str) -> str:
    if name not in fields:
        raise InvalidRequest(f"there is no {name}")
    return fields[name]
