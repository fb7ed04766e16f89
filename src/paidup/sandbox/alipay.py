"""Alipay's v2 gateway (RSA2) as the merchant sees it: signed JSON answers, notices as signed forms."""

import base64
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl, urlencode

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from paidup.clock import Clock
from paidup.money import Money, from_major, major
from paidup.sandbox.faults import Dice
from paidup.sandbox.keys import AlipayKeys, sign
from paidup.sandbox.ledger import Ledger, Refund, Trade
from paidup.sandbox.wire import Ask, Notice, Tell

NAME = "alipay"
RETRIES_S = (240, 600, 600, 3600, 7200, 21600, 54000)
"""Eight sendings in 25 hours."""
ACK_WITHIN_S = 15.0

_BEIJING = timezone(timedelta(hours=8))
_STATES = {"waiting": "WAIT_BUYER_PAY", "paid": "TRADE_SUCCESS", "closed": "TRADE_CLOSED"}
_OPENING = {"alipay.trade.precreate", "alipay.trade.page.pay"}


class Alipay:
    """Answers requests and writes notices."""

    def __init__(self, keys: AlipayKeys, ledger: Ledger, clock: Clock, dice: Dice) -> None:
        self._keys = keys
        self._ledger = ledger
        self._clock = clock
        self._dice = dice

    def respond(self, ask: Ask) -> tuple[Tell, Trade | Refund | None]:
        """Answer one request; the second value is what it changed and callbacks tell of."""
        fields = dict(parse_qsl(ask.body.decode(), keep_blank_values=True)) | ask.query()
        method = fields.get("method", "")
        if not self._is_genuine(fields):
            return self._tell(
                method, {"code": "40002", "msg": "Invalid Arguments", "sub_code": "isv.invalid-signature"}
            ), None
        wanted = msgspec.json.decode(fields.get("biz_content", "{}"))
        if method in _OPENING:
            return self._open(method, fields, wanted)
        trade = self._ledger.find(NAME, wanted.get("out_trade_no"), wanted.get("trade_no"))
        if trade is None or not self._is_made(trade):
            return self._tell(method, _no("ACQ.TRADE_NOT_EXIST", "交易不存在")), None
        match method:
            case "alipay.trade.query":
                return self._tell(method, _ok(self._trade(trade))), None
            case "alipay.trade.close" | "alipay.trade.cancel":
                return self._close(method, trade), None
            case "alipay.trade.refund":
                return self._refund(method, trade, wanted)
            case "alipay.trade.fastpay.refund.query":
                return self._query_refund(method, trade, wanted), None
            case _:
                return self._tell(method, _no("isv.invalid-method", "unknown method")), None

    def notice(self, trade: Trade, refund: Refund | None = None, *, key: str) -> Notice:
        """The callback about a payment or a refund, as a signed form; `key` is its notify_id."""
        fields = {
            "notify_id": key,
            "notify_type": "trade_status_sync",
            "notify_time": _beijing(self._clock.now()),
            "charset": "utf-8",
            "version": "1.0",
            "app_id": self._keys.app_id,
            "auth_app_id": self._keys.app_id,
            "seller_id": self._keys.seller_id,
            "subject": trade.extra.get("subject", ""),
            "buyer_id": "2088000000000000",
            **self._trade(trade, notice=True),
        }
        if refund:
            refunded = Money(trade.refunded_minor(), trade.currency)
            fields |= {
                "refund_fee": major(refunded),
                "gmt_refund": _beijing(refund.settled_at or refund.made_at) + ".000",
                "out_biz_no": refund.merchant_ref,
            }
            if refunded.amount_minor == trade.amount_minor:
                fields |= {"trade_status": "TRADE_CLOSED", "gmt_close": _beijing(refund.made_at)}
        signed = "&".join(f"{name}={value}" for name, value in sorted(fields.items()))
        fields |= {"sign": sign(self._keys.platform, signed.encode()), "sign_type": "RSA2"}
        headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
        return Notice(headers, urlencode(fields).encode())

    @staticmethod
    def is_acknowledged(status: int, body: bytes) -> bool:
        """Exactly the seven bytes `success`."""
        return status == 200 and body == b"success"

    def _open(self, method: str, fields: dict[str, str], wanted: dict[str, str]) -> tuple[Tell, Trade | None]:
        ref = wanted["out_trade_no"]
        now = self._clock.now()
        money = from_major(wanted["total_amount"], "CNY")
        known = self._ledger.find(NAME, ref)
        trade = self._ledger.open(
            Trade(
                channel=NAME,
                account=self._keys.app_id,
                merchant_ref=ref,
                number=f"2026112322001{self._ledger.next_number():015}",
                amount_minor=money.amount_minor,
                currency="CNY",
                method=method.removeprefix("alipay.trade."),
                opened_at=now,
                expires_at=_expiry(wanted, now),
                extra={"notify_url": fields.get("notify_url", ""), "subject": wanted.get("subject", "")},
            )
        )
        if method == "alipay.trade.page.pay":
            return Tell(200, {"content-type": "text/html; charset=utf-8"}, b"<h1>Sandbox cashier</h1>"), trade
        told = _ok({"out_trade_no": ref, "qr_code": f"https://qr.alipay.com/bax{trade.number[-12:]}"})
        return self._tell(method, told), None if known else trade

    def _close(self, method: str, trade: Trade) -> Tell:
        if not self._ledger.close(trade):
            return self._tell(method, _no("ACQ.TRADE_STATUS_ERROR", "交易状态不合法"))
        told = {"out_trade_no": trade.merchant_ref, "trade_no": trade.number}
        return self._tell(
            method, _ok(told | ({"retry_flag": "N", "action": "close"} if method.endswith("cancel") else {}))
        )

    def _refund(self, method: str, trade: Trade, wanted: dict[str, str]) -> tuple[Tell, Refund | None]:
        ref = wanted.get("out_request_no") or trade.merchant_ref
        known = ref in trade.refunds
        amount = from_major(str(wanted["refund_amount"]), trade.currency)
        refund = self._ledger.refund(trade, ref, amount.amount_minor, ref)
        if refund is None:
            return self._tell(method, _no("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "退款金额超限")), None
        told = {
            "out_trade_no": trade.merchant_ref,
            "trade_no": trade.number,
            "fund_change": "N" if known else "Y",
            "refund_fee": major(Money(trade.refunded_minor(), trade.currency)),
        }
        return self._tell(method, _ok(told)), None if known else refund

    def _query_refund(self, method: str, trade: Trade, wanted: dict[str, str]) -> Tell:
        refund = trade.refunds.get(wanted.get("out_request_no", ""))
        if refund is None:
            return self._tell(method, _ok({}))
        told = {
            "out_trade_no": trade.merchant_ref,
            "trade_no": trade.number,
            "out_request_no": refund.merchant_ref,
            "total_amount": major(Money(trade.amount_minor, trade.currency)),
            "refund_amount": major(Money(refund.amount_minor, trade.currency)),
            "refund_status": "REFUND_SUCCESS" if refund.state == "succeeded" else "REFUND_FAIL",
        }
        if refund.settled_at:
            told["gmt_refund_pay"] = _beijing(refund.settled_at)
        return self._tell(method, _ok(told))

    def _trade(self, trade: Trade, *, notice: bool = False) -> dict[str, str]:
        refunded_whole = trade.refunded_minor() == trade.amount_minor
        told = {
            "out_trade_no": trade.merchant_ref,
            "trade_no": trade.number,
            "total_amount": major(Money(trade.amount_minor, trade.currency)),
            "trade_status": "TRADE_CLOSED" if trade.paid_at and refunded_whole else _STATES[trade.state],
        }
        if trade.paid_at:
            told["gmt_payment" if notice else "send_pay_date"] = _beijing(trade.paid_at)
        return told

    def _is_made(self, trade: Trade) -> bool:
        """Alipay makes the trade of a code when the buyer scans it."""
        seen = trade.seen_at is not None and trade.seen_at <= self._clock.now()
        return seen or trade.state != "waiting" or trade.method == "page.pay"

    def _is_genuine(self, fields: dict[str, str]) -> bool:
        signed = "&".join(f"{name}={value}" for name, value in sorted(fields.items()) if name != "sign" and value)
        try:
            signature = base64.b64decode(fields.get("sign", ""))
            self._keys.app.public_key().verify(signature, signed.encode(), PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError):
            return False
        return fields.get("app_id") == self._keys.app_id

    def _tell(self, method: str, told: dict[str, str]) -> Tell:
        inner = msgspec.json.encode(told).decode()
        name = method.replace(".", "_") + "_response"
        signature = sign(self._keys.platform, inner.encode())
        body = f'{{"{name}":{inner},"sign":"{signature}"}}'
        return Tell(200, {"content-type": "text/html;charset=utf-8"}, body.encode())


def _ok(told: dict[str, str]) -> dict[str, str]:
    return {"code": "10000", "msg": "Success", **told}


def _no(sub_code: str, sub_msg: str) -> dict[str, str]:
    return {"code": "40004", "msg": "Business Failed", "sub_code": sub_code, "sub_msg": sub_msg}


def _expiry(wanted: dict[str, str], now: datetime) -> datetime:
    if "time_expire" in wanted:
        return datetime.fromisoformat(wanted["time_expire"]).replace(tzinfo=_BEIJING)
    minutes = wanted.get("timeout_express", "120m").removesuffix("m")
    return now + timedelta(minutes=int(minutes) if minutes.isdigit() else 120)


def _beijing(moment: datetime) -> str:
    return f"{moment.astimezone(_BEIJING):%Y-%m-%d %H:%M:%S}"
