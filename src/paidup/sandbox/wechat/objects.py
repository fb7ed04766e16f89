"""WeChat Pay's objects as JSON: what queries answer and what notices carry, before it is encrypted."""

from datetime import datetime, timedelta, timezone

from paidup.sandbox.ledger import Refund, RefundState, Trade, TradeState

_BEIJING = timezone(timedelta(hours=8))
_STATES = {TradeState.WAITING: "NOTPAY", TradeState.PAID: "SUCCESS", TradeState.CLOSED: "CLOSED"}
_DESCRIPTIONS = {TradeState.WAITING: "订单未支付", TradeState.PAID: "支付成功", TradeState.CLOSED: "订单已关闭"}
REFUND_STATES = {
    RefundState.PENDING: "PROCESSING",
    RefundState.SUCCEEDED: "SUCCESS",
    RefundState.FAILED: "ABNORMAL",  # the bank refused it: a person must find another way
}


def transaction(trade: Trade, mchid: str, appid: str) -> dict[str, object]:
    """A payment, as queries answer it and notices carry it."""
    amount: dict[str, object] = {"total": trade.amount_minor, "currency": trade.currency}
    told: dict[str, object] = {
        "mchid": mchid,
        "appid": appid,
        "out_trade_no": trade.merchant_ref,
        # REFUND means that a refund was begun, and nothing else: 订单状态流转.
        "trade_state": "REFUND" if trade.refunds else _STATES[trade.state],
        "trade_state_desc": _DESCRIPTIONS[trade.state] if not trade.refunds else "订单发生过退款",
        "amount": amount,
    }
    if trade.paid_at:
        amount |= {"payer_total": trade.amount_minor, "payer_currency": trade.currency}
        told |= {
            "transaction_id": trade.number,
            "trade_type": {"h5": "MWEB"}.get(trade.method, trade.method.upper()),
            "bank_type": "OTHERS",
            "attach": trade.extra.get("attach", ""),
            "success_time": beijing(trade.paid_at),
            "payer": {"openid": trade.extra.get("openid", "oSandboxBuyer0000000000000")},
        }
    return told


def refund_object(refund: Refund, state_name: str) -> dict[str, object]:
    """A refund. state_name: ``status`` in answers, ``refund_status`` in notices, which say less."""
    trade = refund.trade
    amount: dict[str, object] = {
        "total": trade.amount_minor,
        "refund": refund.amount_minor,
        "payer_total": trade.amount_minor,
        "payer_refund": refund.amount_minor,
    }
    told: dict[str, object] = {
        "refund_id": refund.number,
        "out_refund_no": refund.merchant_ref,
        "transaction_id": trade.number,
        "out_trade_no": trade.merchant_ref,
        state_name: REFUND_STATES[refund.state],
        "user_received_account": "支付用户零钱",
        "amount": amount,
    }
    if state_name == "status":
        told |= {"channel": "ORIGINAL", "create_time": beijing(refund.made_at), "funds_account": "AVAILABLE"}
        amount |= {
            "settlement_refund": refund.amount_minor,
            "settlement_total": trade.amount_minor,
            "discount_refund": 0,
            "currency": trade.currency,
        }
    if refund.state is RefundState.SUCCEEDED and refund.settled_at:
        told["success_time"] = beijing(refund.settled_at)
    return told


def pay_with(trade: Trade) -> dict[str, str]:
    """What the customer's device needs, by method."""
    if trade.method == "native":
        return {"code_url": f"weixin://wxpay/bizpayurl?pr={trade.number[-9:]}"}
    prepay_id = f"wx{trade.number}"
    if trade.method == "h5":
        return {"h5_url": f"https://wx.tenpay.com/cgi-bin/mmpayweb-bin/checkmweb?prepay_id={prepay_id}"}
    return {"prepay_id": prepay_id}


def beijing(moment: datetime) -> str:
    """RFC 3339 with Beijing's offset."""
    return moment.astimezone(_BEIJING).isoformat(timespec="seconds")
