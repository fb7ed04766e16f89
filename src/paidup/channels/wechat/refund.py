"""Sending and asking about a refund at WeChat Pay."""

from collections.abc import Callable
from datetime import UTC, datetime

from paidup.channels.channel import Exchange, Outcome, RefundName, Retryable, Success
from paidup.channels.wechat.api import ApiError, get, no_to_a_deed, no_to_a_question, post, segment
from paidup.channels.wechat.keys import WechatAccount
from paidup.channels.wechat.objects import Refund, refund_says
from paidup.evidence import RefundEvidence, RefundSays, Road

MAX_REASON_CHARS = 80


def refund_payment(refund: RefundName, account: WechatAccount, now: datetime) -> Exchange:
    """Send a refund; the same out_refund_no is refunded once, however often it is sent."""
    total = refund.payment.money
    body: dict[str, object] = {
        "out_trade_no": refund.payment.merchant_ref,
        "out_refund_no": refund.merchant_refund_ref,
        "notify_url": account.notify_url,
        "amount": {
            "refund": refund.money.amount_minor,
            "total": total.amount_minor,
            "currency": refund.money.currency,
        },
    }
    if refund.reason:
        body["reason"] = refund.reason[:MAX_REASON_CHARS]
    return post("/v3/refund/domestic/refunds", body, account, now, Refund, _told(refund, account), no_to_a_deed)


def query_refund(refund: RefundName, account: WechatAccount, now: datetime) -> Exchange:
    """Ask by our number."""

    def no(error: ApiError, at: datetime) -> Outcome:
        if error.status == 404:
            return Success((_not_found(refund, account, error.code, at),))
        return no_to_a_question(error, at)

    path = f"/v3/refund/domestic/refunds/{segment(refund.merchant_refund_ref)}"
    return get(path, {}, account, now, Refund, _told(refund, account), no)


def _told(refund: RefundName, account: WechatAccount) -> Callable[[Refund, datetime], Outcome]:
    def told(answer: Refund, at: datetime) -> Outcome:
        if answer.out_refund_no != refund.merchant_refund_ref:
            return Retryable(f"WeChat Pay answered about {answer.out_refund_no[:40]!r}")
        key = f"query:{refund.merchant_refund_ref}:{answer.status or answer.refund_status}"
        return Success(refund_says(answer, account, road=Road.QUERY, key=key, now=at))

    return told


def _not_found(refund: RefundName, account: WechatAccount, note: str, at: datetime) -> RefundEvidence:
    return RefundEvidence(
        road=Road.QUERY,
        channel="wechat",
        account=account.name,
        key=f"query:{refund.merchant_refund_ref}:not_found",
        received_at=at.astimezone(UTC),
        merchant_ref=refund.payment.merchant_ref,
        says=RefundSays.NOT_FOUND,
        merchant_refund_ref=refund.merchant_refund_ref,
        note=note,
    )
