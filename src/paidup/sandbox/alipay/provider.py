"""Alipay's v2 gateway (RSA2) as the merchant sees it: signed JSON answers, notices as signed forms.

Source: Alipay's open platform documents and the official easysdk's Signer.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from urllib.parse import urlencode

import msgspec

from paidup.errors import InvalidRequest
from paidup.money import Money, from_major
from paidup.sandbox.alipay import bill_desk
from paidup.sandbox.alipay.answers import INVALID, answer, cashier, no, ok, unsigned
from paidup.sandbox.alipay.bill_desk import AlipayDesk
from paidup.sandbox.alipay.forms import Wanted, expiry, fields_of, signed_text
from paidup.sandbox.alipay.objects import CURRENCY, given_back, notice_fields, refund_fields, trade_fields, yuan
from paidup.sandbox.bills import Bills
from paidup.sandbox.faults import Dice
from paidup.sandbox.keys import AlipayKeys, is_signed, sign
from paidup.sandbox.ledger import Ledger, Refund, RefundState, Trade, TradeState
from paidup.sandbox.wire import NONSENSE, Ask, News, Notice, Tell

NAME = "alipay"
RETRIES_S = (240, 600, 600, 3600, 7200, 21600, 54000)
"""Eight sendings within 24 hours and 24 minutes."""
MAX_MINOR = 100_000_000_00

_BEIJING = timezone(timedelta(hours=8))
_OPENING = ("alipay.trade.precreate", "alipay.trade.page.pay")
_ABOUT_A_TRADE = tuple(
    f"alipay.trade.{what}" for what in ("query", "close", "cancel", "refund", "fastpay.refund.query")
)
_UNSPOKEN = "the sandbox speaks precreate, page.pay, query, close, cancel, refund, its query, and bills"
_SIGNED_WITH = "app_id, sign_type=RSA2, charset utf-8, and the app's private key"
_NOTICE_HEADERS = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}


class Alipay:
    """One app of one seller at Alipay. webhook_url is where notices go that no request named an address for."""

    channel = NAME
    retries_s = RETRIES_S
    ack_within_s = 15.0

    def __init__(
        self, account: str, keys: AlipayKeys, ledger: Ledger, dice: Dice, *, bills: Bills, webhook_url: str
    ) -> None:
        self.account = account
        self.identity = keys.app_id
        self._keys = keys
        self._ledger = ledger
        self._dice = dice
        self._webhook_url = webhook_url
        self._app = keys.app.public_key()
        self._desk = AlipayDesk(bills, account, keys)

    def subject(self, ask: Ask) -> str:
        """The method, and the numbers that biz_content names."""
        fields = fields_of(ask)
        try:
            wanted = msgspec.json.decode(fields.get("biz_content", "{}"), type=Wanted)
        except NONSENSE:
            return fields.get("method", "")
        return f"{fields.get('method', '')} {wanted.out_trade_no or wanted.trade_no} {wanted.out_request_no}"

    def respond(self, ask: Ask, now: datetime) -> tuple[Tell, Trade | Refund | None]:
        """Answer one request; the second value is what it changed."""
        if ask.path == bill_desk.DOWNLOAD:
            return self._desk.file(ask, now), None
        fields = fields_of(ask)
        method = fields.get("method", "")
        if not self._is_genuine(fields):
            why = {"sub_code": "isv.invalid-signature", "sub_msg": f"验签出错: check {_SIGNED_WITH}"}
            return unsigned(method, INVALID | why), None
        try:
            told, changed = self._act(method, fields, ask, now)
        except NONSENSE as wrong:
            told, changed = no("ACQ.INVALID_PARAMETER", f"参数无效: {wrong}"), None
        if method == "alipay.trade.page.pay" and told["code"] == "10000":
            return cashier(told["out_trade_no"]), changed
        return self._tell(method, told), changed

    def limited(self) -> Tell:
        """HTTP 200 and code 40005, unsigned."""
        told = {"code": "40005", "msg": "Call Limited", "sub_code": "isv.app-call-limited", "sub_msg": "调用频次超限"}
        return unsigned("", told)

    def news(self, what: Trade | Refund, now: datetime) -> tuple[News, ...]:
        """Payments are told of when they succeed, and refunds as soon as the money moved; nothing else."""
        if isinstance(what, Trade):
            if what.state is not TradeState.PAID:
                return ()
            told, about = notice_fields(what, self._keys, now) | {"trade_status": "TRADE_SUCCESS"}, what.number
        elif what.state is RefundState.SUCCEEDED:
            told, about = notice_fields(what.trade, self._keys, now) | given_back(what), what.number
        else:
            return ()
        trade = what if isinstance(what, Trade) else what.trade
        key = self._dice.letters(34, "notice", about)
        return (
            News(
                channel=NAME,
                account=self.account,
                about=trade.merchant_ref,
                key=key,
                kind=told["trade_status"],
                url=trade.notify_url or self._webhook_url,
                at=now,
                content=msgspec.json.encode(told | {"notify_id": key}),
            ),
        )

    def notice(self, news: News, now: datetime) -> Notice:  # noqa: ARG002 - nothing in Alipay's signature is fresh
        """A form, signed over its decoded fields but for sign and sign_type."""
        fields = msgspec.json.decode(news.content, type=dict[str, str])
        key = self._keys.stranger if news.forged else self._keys.platform
        fields |= {"sign": sign(key, signed_text(fields)), "sign_type": "RSA2"}
        return Notice(_NOTICE_HEADERS, urlencode(fields).encode())

    def is_acknowledged(self, status: int, body: bytes) -> bool:
        """Exactly the seven bytes `success`."""
        return status == 200 and body == b"success"

    def happened(self, news: News) -> None:
        """The channel keeps no list of its notices."""

    def acknowledged(self, news: News) -> None:
        """Nothing depends on it."""

    # Requests --------------------------------------------------------------------------------------------------------

    def _act(
        self, method: str, fields: Mapping[str, str], ask: Ask, now: datetime
    ) -> tuple[dict[str, str], Trade | Refund | None]:
        wanted = msgspec.json.decode(fields.get("biz_content", "{}"), type=Wanted)
        if method == bill_desk.METHOD:
            found = self._desk.where(wanted.bill_type, wanted.bill_date, ask, now)
            return ok(found) if found else no("isp.bill_not_exist", "账单不存在"), None
        if method in _OPENING:
            return self._open(method, fields, wanted, now)
        if method not in _ABOUT_A_TRADE:
            # Before anything is looked for: that a trade is not there would be a word about money.
            return INVALID | {"sub_code": "isv.invalid-method", "sub_msg": f"不存在的方法名: {_UNSPOKEN}"}, None
        # Where both are named, Alipay goes by its own number.
        find, name = (
            (self._ledger.numbered, wanted.trade_no) if wanted.trade_no else (self._ledger.named, wanted.out_trade_no)
        )
        trade = find(NAME, self.account, name, now)
        if trade is not None and method == "alipay.trade.cancel":
            return self._cancel(trade, now)
        if trade is None or not _is_made(trade, now):
            return no("ACQ.TRADE_NOT_EXIST", "交易不存在"), None
        match method:
            case "alipay.trade.query":
                return ok(trade_fields(trade) | {"buyer_logon_id": "san***@sandbox.example"}), None
            case "alipay.trade.close":
                return self._close(trade, now)
            case "alipay.trade.refund":
                return self._refund(trade, wanted, now)
            case _:
                return _query_refund(trade, wanted), None

    def _open(
        self, method: str, fields: Mapping[str, str], wanted: Wanted, now: datetime
    ) -> tuple[dict[str, str], Trade | None]:
        if not 1 <= len(wanted.out_trade_no) <= 64 or not wanted.subject:
            raise InvalidRequest("out_trade_no (at most 64 characters) and subject are needed")
        money = from_major(str(wanted.total_amount), CURRENCY)
        if not 1 <= money.amount_minor <= MAX_MINOR:
            raise InvalidRequest("total_amount must be from 0.01 to 100000000")
        trade, opened = self._ledger.named(NAME, self.account, wanted.out_trade_no, now), None
        if trade is None:
            trade = opened = self._ledger.enter(self._new_trade(method, fields, wanted, money, now))
        if trade.state is TradeState.PAID:
            return no("ACQ.TRADE_HAS_SUCCESS", "交易已被支付"), None
        if trade.state is TradeState.CLOSED:
            return no("ACQ.TRADE_HAS_CLOSE", "交易已经关闭"), None
        if trade.amount_minor != money.amount_minor:
            return no("ACQ.CONTEXT_INCONSISTENT", "交易信息被篡改: same number, other amount"), None
        if method == "alipay.trade.page.pay":
            trade.seen_at = trade.seen_at or now  # the buyer's browser stands before it
        return ok(
            {"out_trade_no": trade.merchant_ref, "qr_code": f"https://qr.alipay.com/bax{trade.number[-12:]}"}
        ), opened

    def _new_trade(self, method: str, fields: Mapping[str, str], wanted: Wanted, money: Money, now: datetime) -> Trade:
        digits = self._dice.digits(14, "trade", self.account, wanted.out_trade_no)
        return Trade(
            channel=NAME,
            account=self.account,
            merchant_ref=wanted.out_trade_no,
            number=f"{now.astimezone(_BEIJING):%Y%m%d}220014{digits}",
            amount_minor=money.amount_minor,
            currency=CURRENCY,
            method=method.removeprefix("alipay.trade."),
            opened_at=now,
            expires_at=expiry(wanted, now),
            notify_url=fields.get("notify_url", ""),
            extra={"subject": wanted.subject},
        )

    def _close(self, trade: Trade, now: datetime) -> tuple[dict[str, str], Trade | None]:
        """Knows only trades that were scanned; never moves money."""
        if trade.state is not TradeState.WAITING:
            return no("ACQ.TRADE_STATUS_ERROR", "交易状态不合法"), None
        self._ledger.close(trade, now)
        return ok({"out_trade_no": trade.merchant_ref, "trade_no": trade.number}), trade

    def _cancel(self, trade: Trade, now: datetime) -> tuple[dict[str, str], Trade | Refund | None]:
        """Kills the code, scanned or not; what was paid already goes back at once."""
        told = {"out_trade_no": trade.merchant_ref, "retry_flag": "N"}
        if not _is_made(trade, now):
            self._ledger.close(trade, now)
            return ok(told), trade
        told |= {"trade_no": trade.number}
        if self._ledger.close(trade, now):
            return ok(told | {"action": "close"}), trade
        left = trade.amount_minor - trade.refunded_minor()
        if left == 0:
            return ok(told | {"action": "refund"}), None
        return ok(told | {"action": "refund"}), self._give_back(trade, trade.merchant_ref, left, now)

    def _refund(self, trade: Trade, wanted: Wanted, now: datetime) -> tuple[dict[str, str], Refund | None]:
        ref = wanted.out_request_no or trade.merchant_ref
        amount_minor = from_major(str(wanted.refund_amount), CURRENCY).amount_minor
        known = trade.refund_named(ref)
        if known and known.amount_minor != amount_minor:
            return no("ACQ.REASON_TRADE_REFUND_FEE_ERR", "退款金额无效: same out_request_no, other amount"), None
        if trade.state is not TradeState.PAID:
            return no("ACQ.TRADE_STATUS_ERROR", "交易状态不合法"), None
        refund = None if known else self._give_back(trade, ref, amount_minor, now)
        if not known and not refund:
            return no("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "退款金额超限"), None
        told = {
            "out_trade_no": trade.merchant_ref,
            "trade_no": trade.number,
            "fund_change": "Y" if refund else "N",
            "refund_fee": yuan(trade.refunded_minor()),
        }
        return ok(told), refund

    def _give_back(self, trade: Trade, ref: str, amount_minor: int, now: datetime) -> Refund | None:
        number = f"{trade.number}/{ref}"
        refund = Refund(trade, ref, number, amount_minor, RefundState.SUCCEEDED, made_at=now, settled_at=now)
        return refund if self._ledger.refund(trade, refund) else None

    # Signatures ------------------------------------------------------------------------------------------------------

    def _is_genuine(self, fields: Mapping[str, str]) -> bool:
        signed = {name: value for name, value in fields.items() if name != "sign" and value}
        known = fields.get("app_id") == self._keys.app_id and fields.get("sign_type") == "RSA2"
        return known and is_signed(self._app, signed_text(signed), fields.get("sign", ""))

    def _tell(self, method: str, told: Mapping[str, str]) -> Tell:
        """The signature covers the bytes of the answer's own member as they stand."""
        inner = msgspec.json.encode(told)
        return answer(method, inner, sign(self._keys.platform, inner))


def _query_refund(trade: Trade, wanted: Wanted) -> dict[str, str]:
    """A success without refund_status: there is no such refund."""
    refund = trade.refund_named(wanted.out_request_no)
    return ok(refund_fields(refund) if refund else {})


def _is_made(trade: Trade, now: datetime) -> bool:
    """Alipay makes the trade of a code when the buyer scans it, and not before."""
    return trade.paid_at is not None or (trade.seen_at is not None and trade.seen_at <= now)
