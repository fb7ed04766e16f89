"""Giving money back through WeChat Pay, and asking what became of it. out_refund_no makes it idempotent."""

from collections.abc import Callable
from datetime import datetime

from paidup.channels.channel import RefundName
from paidup.channels.messages import Exchange, Outcome, Success
from paidup.channels.wechat.api import ApiError, get, no_to_a_deed, no_to_a_question, post, segment
from paidup.channels.wechat.keys import WechatAccount
from paidup.channels.wechat.objects import Refund, refund_says
from paidup.channels.wechat.open import cut
from paidup.channels.wechat.query import matching
from paidup.errors import InvalidRequest
from paidup.evidence import RefundEvidence, RefundSays, Road

MAX_REASON_BYTES = 80

_NOT_EXIST = frozenset({"RESOURCE_NOT_EXISTS", "RESOURCE_NOT_EXIST"})


def refund_payment(refund: RefundName, account: WechatAccount, now: datetime) -> Exchange:
    """Sent twice under one number it pays once. Too little on the account (NOT_ENOUGH) is Declined: a
    person tops it up."""
    if refund.money.currency != "CNY":
        raise InvalidRequest(f"WeChat Pay gives back CNY, not {refund.money}")
    body: dict[str, object] = {
        "out_trade_no": refund.payment.merchant_ref,
        "out_refund_no": refund.merchant_refund_ref,
        "notify_url": account.notify_url,
        "amount": {
            "refund": refund.money.amount_minor,
            "total": refund.payment.money.amount_minor,
            "currency": refund.money.currency,
        },
    }
    if refund.reason:
        body["reason"] = cut(refund.reason, MAX_REASON_BYTES)
    return post("/v3/refund/domestic/refunds", body, account, now, Refund, _told(refund, account), no_to_a_deed)


def query_refund(refund: RefundName, account: WechatAccount, now: datetime) -> Exchange:
    """Asked by our number."""

    def no(error: ApiError, at: datetime) -> Outcome:
        if error.code in _NOT_EXIST:
            return Success((_not_found(refund, account, error.code, at),))
        return no_to_a_question(error, at)

    path = f"/v3/refund/domestic/refunds/{segment(refund.merchant_refund_ref)}"
    return get(path, {}, account, now, Refund, _told(refund, account), no)


def _told(refund: RefundName, account: WechatAccount) -> Callable[[Refund, datetime], Outcome]:
    def told(answer: Refund, at: datetime) -> Outcome:
        matching(answer.out_refund_no, refund.merchant_refund_ref)
        key = f"query:{refund.merchant_refund_ref}:{answer.status}"
        return Success(refund_says(answer, account, road=Road.QUERY, key=key, now=at))

    return told


def _not_found(refund: RefundName, account: WechatAccount, note: str, now: datetime) -> RefundEvidence:
    return RefundEvidence(
        road=Road.QUERY,
        channel=account.channel,
        account=account.name,
        key=f"query:{refund.merchant_refund_ref}:{note}",
        received_at=now,
        merchant_ref=refund.payment.merchant_ref,
        channel_txn_id=refund.payment.channel_txn_id,
        says=RefundSays.NOT_FOUND,
        merchant_refund_ref=refund.merchant_refund_ref,
        note=note,
    )
