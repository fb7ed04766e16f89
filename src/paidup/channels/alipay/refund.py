"""Giving money back, and asking what became of it. out_request_no makes it idempotent: sent twice, it pays once."""

from datetime import datetime

from paidup.channels.alipay.gateway import (
    TRADE_NOT_EXIST,
    Answer,
    ask,
    matching,
    needed,
    no_to_a_deed,
    no_to_a_question,
)
from paidup.channels.alipay.keys import AlipayAccount
from paidup.channels.alipay.trade import moment, yuan
from paidup.channels.channel import RefundName
from paidup.channels.messages import Exchange, Outcome, Success
from paidup.errors import InvalidRequest
from paidup.evidence import RefundEvidence, RefundSays, Road
from paidup.money import Money, major

MAX_REASON_CHARS = 256


def refund_payment(refund: RefundName, account: AlipayAccount, now: datetime) -> Exchange:
    """SUCCEEDED only if Alipay says fund_change=Y. Any other answer tells nothing: the one to a repeat says N, whatever
    became of the first, and so may the first when no money moved. Then query_refund tells; a refund that it does not
    find was not made, and is sent again under its number (the document of alipay.trade.fastpay.refund.query). The
    answer's refund_fee is a running sum, so no amount is read from it."""
    if refund.money.currency != "CNY":
        raise InvalidRequest(f"Alipay gives back CNY, not {refund.money}")

    def read(answer: Answer, now: datetime) -> Outcome:
        if not answer.ok:
            return no_to_a_deed(answer)
        matching(answer, "out_trade_no", refund.payment.merchant_ref)
        if answer.fields.get("fund_change") != "Y":
            return Success()
        return Success((_said(refund, account, now, RefundSays.SUCCEEDED, "fund_change=Y"),))

    biz = {
        "out_trade_no": refund.payment.merchant_ref,
        "out_request_no": refund.merchant_refund_ref,
        "refund_amount": major(refund.money),
        "refund_reason": refund.reason[:MAX_REASON_CHARS],
    }
    return ask("alipay.trade.refund", {name: value for name, value in biz.items() if value}, account, now, read)


def query_refund(refund: RefundName, account: AlipayAccount, now: datetime) -> Exchange:
    """A success without refund_status means that this out_request_no never became a refund: NOT_FOUND."""

    def read(answer: Answer, now: datetime) -> Outcome:
        if answer.says_no(TRADE_NOT_EXIST):
            return Success((_said(refund, account, now, RefundSays.NOT_FOUND, TRADE_NOT_EXIST),))
        if not answer.ok:
            return no_to_a_question(answer)
        return Success((_told(answer, refund, account, now),))

    biz = {
        "out_trade_no": refund.payment.merchant_ref,
        "out_request_no": refund.merchant_refund_ref,
        "query_options": ["gmt_refund_pay"],
    }
    return ask("alipay.trade.fastpay.refund.query", biz, account, now, read)


def _told(answer: Answer, refund: RefundName, account: AlipayAccount, now: datetime) -> RefundEvidence:
    matching(answer, "out_trade_no", refund.payment.merchant_ref)
    matching(answer, "out_request_no", refund.merchant_refund_ref)
    status = answer.fields.get("refund_status")
    if status is None:
        return _said(refund, account, now, RefundSays.NOT_FOUND, "no refund_status")
    if status != "REFUND_SUCCESS":
        return _said(refund, account, now, RefundSays.PENDING, status)
    amount = yuan(needed(answer, "refund_amount"))
    paid_at = moment(answer.fields.get("gmt_refund_pay"))
    return _said(refund, account, now, RefundSays.SUCCEEDED, status, amount=amount, occurred_at=paid_at)


def _said(
    refund: RefundName,
    account: AlipayAccount,
    now: datetime,
    says: RefundSays,
    note: str,
    *,
    amount: Money | None = None,
    occurred_at: datetime | None = None,
) -> RefundEvidence:
    return RefundEvidence(
        road=Road.QUERY,
        channel=account.channel,
        account=account.name,
        key=f"query:{refund.merchant_refund_ref}:{note}",
        received_at=now,
        occurred_at=occurred_at,
        merchant_ref=refund.payment.merchant_ref,
        channel_txn_id=refund.payment.channel_txn_id,
        amount=amount,
        note=note,
        says=says,
        merchant_refund_ref=refund.merchant_refund_ref,
    )
