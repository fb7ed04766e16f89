"""What Alipay says of trades and refunds, in its answers and in its notices. Every value is text."""

from datetime import datetime, timedelta, timezone

from paidup.money import Money, major
from paidup.sandbox.keys import AlipayKeys
from paidup.sandbox.ledger import Refund, Trade, TradeState

CURRENCY = "CNY"

_BEIJING = timezone(timedelta(hours=8))
_STATES = {
    TradeState.WAITING: "WAIT_BUYER_PAY",
    TradeState.PAID: "TRADE_SUCCESS",
    TradeState.CLOSED: "TRADE_CLOSED",
}


def trade_fields(trade: Trade) -> dict[str, str]:
    """A trade, as queries answer it and notices carry it."""
    refunded_whole = trade.paid_at is not None and trade.refunded_minor() == trade.amount_minor
    told = {
        "out_trade_no": trade.merchant_ref,
        "trade_no": trade.number,
        "total_amount": yuan(trade.amount_minor),
        "trade_status": "TRADE_CLOSED" if refunded_whole else _STATES[trade.state],
    }
    if trade.paid_at:
        told["send_pay_date"] = beijing(trade.paid_at)
    return told


def refund_fields(refund: Refund) -> dict[str, str]:
    """A refund, as queries answer it."""
    trade = refund.trade
    return {
        "out_trade_no": trade.merchant_ref,
        "trade_no": trade.number,
        "out_request_no": refund.merchant_ref,
        "total_amount": yuan(trade.amount_minor),
        "refund_amount": yuan(refund.amount_minor),
        "refund_status": "REFUND_SUCCESS",
        "gmt_refund_pay": beijing(refund.settled_at or refund.made_at),
    }


def notice_fields(trade: Trade, keys: AlipayKeys, now: datetime) -> dict[str, str]:
    """What every notice about a trade says."""
    amount = yuan(trade.amount_minor)
    return {
        "gmt_create": beijing(trade.seen_at or trade.opened_at),
        "charset": "utf-8",
        "notify_type": "trade_status_sync",
        "notify_time": beijing(now),
        "version": "1.0",
        "app_id": keys.app_id,
        "auth_app_id": keys.app_id,
        "seller_id": keys.seller_id,
        "buyer_id": "2088000000000000",
        "subject": trade.extra.get("subject", ""),
        "fund_bill_list": f'[{{"amount":"{amount}","fundChannel":"ALIPAYACCOUNT"}}]',
        "invoice_amount": amount,
        "receipt_amount": amount,
        "buyer_pay_amount": amount,
        "point_amount": "0.00",
        "gmt_payment": beijing(trade.paid_at or now),
        **{name: value for name, value in trade_fields(trade).items() if name != "send_pay_date"},
    }


def given_back(refund: Refund) -> dict[str, str]:
    """A notice's refund_fee is the sum so far; the status alone does not tell a part from the whole."""
    trade = refund.trade
    told = {
        "refund_fee": yuan(trade.refunded_minor()),
        "gmt_refund": f"{beijing(refund.made_at)}.{refund.made_at.microsecond // 1000:03}",
        "out_biz_no": refund.merchant_ref,
    }
    if trade.refunded_minor() == trade.amount_minor:
        told["gmt_close"] = beijing(refund.made_at)
    return told


def yuan(amount_minor: int) -> str:
    """With two decimals."""
    return major(Money(amount_minor, CURRENCY))


def beijing(moment: datetime) -> str:
    """The time in Beijing, to the second."""
    return f"{moment.astimezone(_BEIJING):%Y-%m-%d %H:%M:%S}"
