"""Asking WeChat Pay what became of a payment."""

from datetime import datetime

from paidup.channels.channel import PaymentName
from paidup.channels.messages import Exchange, Outcome, Success
from paidup.channels.wechat.api import ApiError, get, no_to_a_question, segment
from paidup.channels.wechat.keys import WechatAccount
from paidup.channels.wechat.objects import Transaction, payment_says
from paidup.errors import InvalidRequest
from paidup.evidence import PaymentEvidence, PaymentSays, Road

NOT_EXIST = frozenset({"ORDER_NOT_EXIST", "ORDERNOTEXIST"})


def query_payment(payment: PaymentName, account: WechatAccount, now: datetime) -> Exchange:
    """Asked by our number: unpaid trades are known by no other."""

    def told(transaction: Transaction, at: datetime) -> Outcome:
        matching(transaction.out_trade_no, payment.merchant_ref)
        key = f"query:{payment.merchant_ref}:{transaction.trade_state}"
        evidence = payment_says(transaction, account, road=Road.QUERY, key=key, now=at)
        return Success(evidence, channel_txn_id=transaction.transaction_id or None)

    def no(error: ApiError, at: datetime) -> Outcome:
        if error.code in NOT_EXIST:
            return Success((said(payment, account, at, PaymentSays.NOT_FOUND, error.code),))
        return no_to_a_question(error, at)

    path = trade_path(payment)
    return get(path, {"mchid": account.mchid}, account, now, Transaction, told, no)


def trade_path(payment: PaymentName) -> str:
    """The path of a trade by our number."""
    return f"/v3/pay/transactions/out-trade-no/{segment(payment.merchant_ref)}"


def matching(stated: str, expected: str) -> None:
    """Raises InvalidRequest when the answer speaks of another trade or refund than the one we asked about."""
    if stated != expected:
        raise InvalidRequest(f"asked about {expected}, answered about {stated[:64]}")


def said(payment: PaymentName, account: WechatAccount, now: datetime, says: PaymentSays, note: str) -> PaymentEvidence:
    """Evidence out of an answer that carries no trade."""
    return PaymentEvidence(
        road=Road.QUERY,
        channel=account.channel,
        account=account.name,
        key=f"query:{payment.merchant_ref}:{note}",
        received_at=now,
        merchant_ref=payment.merchant_ref,
        says=says,
        note=note,
    )
