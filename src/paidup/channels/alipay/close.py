"""Making a trade unpayable: alipay.trade.close, or alipay.trade.cancel for a QR code that may still be scanned.

The choice matters. Close never moves money, but knows only trades that exist, and a trade exists only once the code
was scanned, or the page followed. Cancel also kills the code, but gives the money BACK if the customer paid in the
meantime; so it is used only while the code may be alive, and what it did is told. How long a code lives that the shop
opened by itself, nobody knows for sure but the shop. A signed page that nobody has followed can be killed by neither:
it is closed when its time_expire has come.
"""

from datetime import datetime

from paidup.channels.alipay.gateway import TRADE_NOT_EXIST, Answer, ask, matching, no_to_a_deed
from paidup.channels.alipay.keys import AlipayAccount
from paidup.channels.alipay.query import said
from paidup.channels.channel import PaymentName
from paidup.channels.messages import Exchange, Outcome, Success, Unknown
from paidup.evidence import PaymentSays, RefundEvidence, RefundSays, Road


def close_payment(payment: PaymentName, account: AlipayAccount, now: datetime) -> Exchange:
    """Success carries CLOSED, or NOT_FOUND for a page that may still be followed. A paid trade answers close with
    Declined (ACQ.TRADE_STATUS_ERROR) and is queried."""
    biz = {"out_trade_no": payment.merchant_ref}
    if payment.method == "precreate" and (payment.registered or now < payment.reopen.expires_at):
        return ask(
            "alipay.trade.cancel", biz, account, now, lambda answer, at: _cancelled(answer, payment, account, at)
        )
    return ask("alipay.trade.close", biz, account, now, lambda answer, at: _closed(answer, payment, account, at))


def _closed(answer: Answer, payment: PaymentName, account: AlipayAccount, now: datetime) -> Outcome:
    if answer.says_no(TRADE_NOT_EXIST):
        if now < payment.reopen.expires_at:
            note = f"{TRADE_NOT_EXIST}: its page may be followed until its time_expire, and cannot be closed before"
            return Success((said(payment, account, now, PaymentSays.NOT_FOUND, note),))
        note = f"{TRADE_NOT_EXIST}: nothing to close; its page or code died at its time_expire"
        return Success((said(payment, account, now, PaymentSays.CLOSED, note),))
    if not answer.ok:
        return no_to_a_deed(answer)
    matching(answer, "out_trade_no", payment.merchant_ref)
    trade_no = answer.fields.get("trade_no")
    return Success((said(payment, account, now, PaymentSays.CLOSED, "alipay.trade.close", trade_no=trade_no),))


def _cancelled(answer: Answer, payment: PaymentName, account: AlipayAccount, now: datetime) -> Outcome:
    """`action` tells what the cancel did: close, refund, or nothing at all (nobody had scanned the code)."""
    if answer.says_no(TRADE_NOT_EXIST):
        return Success((said(payment, account, now, PaymentSays.CLOSED, f"alipay.trade.cancel: {TRADE_NOT_EXIST}"),))
    if not answer.ok:
        return no_to_a_deed(answer)
    if answer.fields.get("retry_flag") == "Y":
        return Unknown("Alipay asks to send the cancel again (retry_flag=Y)")
    matching(answer, "out_trade_no", payment.merchant_ref)
    action = answer.fields.get("action", "no trade")
    note = f"alipay.trade.cancel: {action}"
    trade_no = answer.fields.get("trade_no")
    if action == "refund":
        paid = said(payment, account, now, PaymentSays.GIVEN_BACK, note, trade_no=trade_no)
        return Success((paid, _given_back(payment, account, now, trade_no)))
    return Success((said(payment, account, now, PaymentSays.CLOSED, note, trade_no=trade_no),))


def _given_back(payment: PaymentName, account: AlipayAccount, now: datetime, trade_no: str | None) -> RefundEvidence:
    """The customer had paid while we closed, and Alipay gave all of it back at once. Nobody named this refund, and such
    a one bears the payment's own number at Alipay (alipay.trade.fastpay.refund.query, out_request_no)."""
    return RefundEvidence(
        road=Road.QUERY,
        channel=account.channel,
        account=account.name,
        key=f"query:{payment.merchant_ref}:cancel-refund",
        received_at=now,
        merchant_ref=payment.merchant_ref,
        channel_txn_id=trade_no,
        amount=payment.money,
        note="alipay.trade.cancel: it had been paid; Alipay gave all of it back",
        says=RefundSays.SUCCEEDED,
        merchant_refund_ref=payment.merchant_ref,
    )
