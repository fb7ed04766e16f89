"""Asking Alipay what became of a trade."""

from datetime import datetime

from paidup.channels.alipay.gateway import TRADE_NOT_EXIST, Answer, ask, matching, needed, no_to_a_question
from paidup.channels.alipay.keys import AlipayAccount
from paidup.channels.alipay.trade import moment, payment_says, yuan
from paidup.channels.channel import PaymentName
from paidup.channels.messages import Exchange, Outcome, Success, Unknown
from paidup.evidence import PaymentEvidence, PaymentSays, RefundEvidence, RefundSays, Road
from paidup.money import Money


def query_payment(payment: PaymentName, account: AlipayAccount, now: datetime) -> Exchange:
    """Asked by out_trade_no, which names the trade from the first moment on.

    A signed ACQ.TRADE_NOT_EXIST is NOT_FOUND: nobody has scanned the code or followed the page yet. An unsigned one
    is Retryable, for it could be anybody's word.
    """

    def read(answer: Answer, now: datetime) -> Outcome:
        if answer.says_no(TRADE_NOT_EXIST):
            return Success((said(payment, account, now, PaymentSays.NOT_FOUND, TRADE_NOT_EXIST),))
        if not answer.ok:
            return no_to_a_question(answer)
        matching(answer, "out_trade_no", payment.merchant_ref)
        says = payment_says(answer.fields)
        if says is None:
            return Unknown(f"trade_status {answer.fields.get('trade_status', 'absent')!r} is none that Paidup knows")
        return _told(answer, says, payment, account, now)

    return ask("alipay.trade.query", {"out_trade_no": payment.merchant_ref}, account, now, read)


def said(
    payment: PaymentName,
    account: AlipayAccount,
    now: datetime,
    says: PaymentSays,
    note: str,
    *,
    trade_no: str | None = None,
    amount: Money | None = None,
    occurred_at: datetime | None = None,
) -> PaymentEvidence:
    """Evidence out of an answer. It names no payee: answers state none, they are authentic by the account asked."""
    return PaymentEvidence(
        road=Road.QUERY,
        channel=account.channel,
        account=account.name,
        key=f"query:{payment.merchant_ref}:{note}",
        received_at=now,
        occurred_at=occurred_at,
        merchant_ref=payment.merchant_ref,
        channel_txn_id=trade_no,
        amount=amount,
        note=note,
        says=says,
    )


def _told(answer: Answer, says: PaymentSays, payment: PaymentName, account: AlipayAccount, now: datetime) -> Success:
    """TRADE_CLOSED after everything was given back differs here from one that nobody paid by the time of the payment
    alone: an answer has no refund fields. So it may not be forgotten: the notice that it was paid may still come."""
    paid_at = moment(answer.fields.get("send_pay_date"))
    status = answer.fields["trade_status"]
    trade_no, amount = needed(answer, "trade_no"), yuan(needed(answer, "total_amount"))
    if says is PaymentSays.CLOSED and paid_at is not None:
        says, status = PaymentSays.GIVEN_BACK, f"{status}, given back after it had been paid"
    evidence = said(
        payment,
        account,
        now,
        says,
        status,
        trade_no=trade_no,
        amount=amount,
        occurred_at=paid_at if says in (PaymentSays.PAID, PaymentSays.GIVEN_BACK) else None,
    )
    if says is not PaymentSays.GIVEN_BACK:
        return Success((evidence,), channel_txn_id=trade_no)
    return Success((evidence, _given_back(evidence, amount)), channel_txn_id=trade_no)


def _given_back(paid: PaymentEvidence, amount: Money) -> RefundEvidence:
    """All of it, by one or several refunds that the answer does not name."""
    return RefundEvidence(
        road=paid.road,
        channel=paid.channel,
        account=paid.account,
        key=f"{paid.key}:refund",
        received_at=paid.received_at,
        merchant_ref=paid.merchant_ref,
        channel_txn_id=paid.channel_txn_id,
        note=paid.note,
        says=RefundSays.SUCCEEDED,
        so_far=amount,
    )
