"""WeChat Pay v3 as the merchant sees it: signed requests and answers, encrypted notices.

Source: WeChat Pay's documents (签名与验签规则, 回调通知处理, 订单状态流转) and the official Go SDK's validators.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import unquote

import msgspec

from paidup.errors import InvalidRequest
from paidup.sandbox.bills import Bills
from paidup.sandbox.faults import Dice
from paidup.sandbox.keys import WechatKeys
from paidup.sandbox.ledger import Ledger, Refund, RefundState, Trade, TradeState
from paidup.sandbox.wechat.bill_desk import WechatDesk
from paidup.sandbox.wechat.envelopes import certificates, envelope
from paidup.sandbox.wechat.forms import Subject, ToClose, ToOpen, ToRefund
from paidup.sandbox.wechat.objects import REFUND_STATES, pay_with, refund_object, transaction
from paidup.sandbox.wechat.signatures import Signatures, unsigned
from paidup.sandbox.wire import NONSENSE, Ask, News, Notice, Tell

NAME = "wechat"
RETRIES_S = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)
"""回调通知处理: fifteen more tries within 24 hours and 4 minutes."""
MAX_REFUNDS = 50
REFUNDABLE = timedelta(days=365)

_BY_REF = re.compile(r"/v3/pay/transactions/out-trade-no/([^/]+)(/close)?")
_METHODS = ("native", "jsapi", "h5", "app")


class Wechat:
    """One merchant (商户) at WeChat Pay.

    webhook_url is where notices go that no request named an address for. public_key_share is the share of notices
    that are signed by the public key and not by the certificate, as while a merchant changes over.
    """

    channel = NAME
    retries_s = RETRIES_S
    ack_within_s = 5.0

    def __init__(
        self,
        account: str,
        keys: WechatKeys,
        ledger: Ledger,
        dice: Dice,
        *,
        bills: Bills,
        webhook_url: str,
        public_key_share: float = 0.5,
    ) -> None:
        self.account = account
        self.identity = keys.mchid
        self._keys = keys
        self._ledger = ledger
        self._dice = dice
        self._webhook_url = webhook_url
        self._public_key_share = public_key_share
        self._signed = Signatures(keys)
        self._desk = WechatDesk(bills, account, keys)

    def subject(self, ask: Ask) -> str:
        """The path, and the numbers that a body names."""
        if ask.method == "GET" or not ask.body:
            return ask.path
        try:
            named = msgspec.json.decode(ask.body, type=Subject)
        except NONSENSE:
            return ask.path
        return f"{ask.path} {named.out_refund_no or named.out_trade_no}"

    def respond(self, ask: Ask, now: datetime) -> tuple[Tell, Trade | Refund | None]:
        """Answer one request; the second value is what it changed."""
        if not self._signed.is_genuine(ask, now):
            # Whom we do not know gets no signature: the merchant must not take this for a word about money.
            return unsigned(
                401, "SIGN_ERROR", "错误的签名，验签失败: check the key, the serial number and the time"
            ), None
        try:
            return self._act(ask, now)
        except NONSENSE as wrong:
            return self._signed.error(ask, 400, "PARAM_ERROR", f"参数错误: {wrong}", now), None

    def limited(self) -> Tell:
        """429, unsigned."""
        return unsigned(429, "FREQUENCY_LIMITED", "频率超限: ask less often")

    def news(self, what: Trade | Refund, now: datetime) -> tuple[News, ...]:
        """Payments are told of when they succeed, refunds when they end; a failure to pay and a close never."""
        if isinstance(what, Trade):
            if what.state is not TradeState.PAID:
                return ()
            told = transaction(what, self._keys.mchid, self._keys.appid) | {
                "trade_state": "SUCCESS",
                "trade_state_desc": "支付成功",
            }
            return (self._told(what, "TRANSACTION.SUCCESS", told, what.notify_url, what.number, now),)
        if what.state is RefundState.PENDING:
            return ()
        told = refund_object(what, "refund_status") | {"mchid": self._keys.mchid}
        kind = f"REFUND.{REFUND_STATES[what.state]}"
        return (self._told(what.trade, kind, told, what.notify_url, what.number, now),)

    def notice(self, news: News, now: datetime) -> Notice:
        """The envelope with its resource encrypted and signed anew, as WeChat Pay does for each retry."""
        body = envelope(news, self._keys.apiv3)
        by_public_key = self._dice.hits(self._public_key_share, "public key", news.key)
        signature = self._signed.headers(body, now, by_public_key=by_public_key, stranger=news.forged)
        return Notice({**signature, "content-type": "application/json"}, body)

    @staticmethod
    def probe(notice: Notice) -> Notice:
        """The same notice as a SIGNTEST probe: wrongly signed on purpose, to see whether it is refused."""
        wrong = "WECHATPAY/SIGNTEST/" + notice.headers["wechatpay-signature"][19:]
        return Notice({**notice.headers, "wechatpay-signature": wrong}, notice.body)

    def is_acknowledged(self, status: int, body: bytes) -> bool:  # noqa: ARG002 - WeChat Pay reads only the status
        """200 or 204."""
        return status in (200, 204)

    def happened(self, news: News) -> None:
        """The channel keeps no list of its notices."""

    def acknowledged(self, news: News) -> None:
        """Nothing depends on it."""

    # Requests --------------------------------------------------------------------------------------------------------

    def _act(self, ask: Ask, now: datetime) -> tuple[Tell, Trade | Refund | None]:
        if found := _BY_REF.fullmatch(ask.path):
            trade = self._ledger.named(NAME, self.account, unquote(found[1]), now)
            if found[2] and ask.method == "POST":
                return self._close(ask, trade, now)
            if not found[2] and ask.method == "GET":
                return self._query(ask, trade, now), None
        match (ask.method, *ask.path.strip("/").split("/")[1:]):
            case ("POST", "pay", "transactions", method) if method in _METHODS:
                return self._open(ask, method, now)
            case ("GET", "pay", "transactions", "id", number):
                trade = self._ledger.numbered(NAME, self.account, unquote(number), now)
                return self._query(ask, trade if trade and trade.paid_at else None, now), None
            case ("POST", "refund", "domestic", "refunds"):
                return self._refund(ask, now)
            case ("GET", "refund", "domestic", "refunds", merchant_ref):
                return self._query_refund(ask, unquote(merchant_ref), now), None
            case ("GET", "bill" | "billdownload", what):
                return self._bill(what, ask, now), None
            case ("GET", "certificates"):
                return self._signed.tell(ask, 200, certificates(self._keys), now), None
            case _:
                return self._signed.error(ask, 404, "RESOURCE_NOT_EXISTS", "no such address", now), None

    def _bill(self, what: str, ask: Ask, now: datetime) -> Tell:
        """Where a bill is, signed; or its file, which is not."""
        if what == "file":
            return self._desk.file(ask, now)
        return self._signed.tell(ask, *self._desk.where(what, ask, now), now)

    def _open(self, ask: Ask, method: str, now: datetime) -> tuple[Tell, Trade | None]:
        wanted = msgspec.json.decode(ask.body, type=ToOpen)
        if (wanted.mchid, wanted.appid) != (self._keys.mchid, self._keys.appid):
            return self._signed.error(ask, 400, "APPID_MCHID_NOT_MATCH", "appid和mch_id不匹配", now), None
        wanted.must_suit(method)
        trade = self._ledger.named(NAME, self.account, wanted.out_trade_no, now)
        if trade is None:
            trade = self._ledger.enter(self._new_trade(wanted, method, now))
            return self._signed.tell(ask, 200, pay_with(trade), now), trade
        if trade.state is TradeState.PAID:
            return self._signed.error(ask, 400, "ORDERPAID", "该订单已支付", now), None
        if trade.state is TradeState.CLOSED:
            return self._signed.error(ask, 400, "ORDER_CLOSED", "该订单已关闭", now), None
        if (trade.amount_minor, trade.method) != (wanted.amount.total, method):
            return self._signed.error(
                ask, 403, "OUT_TRADE_NO_USED", "商户订单号重复: same number, other content", now
            ), None
        return self._signed.tell(ask, 200, pay_with(trade), now), None

    def _new_trade(self, wanted: ToOpen, method: str, now: datetime) -> Trade:
        if wanted.time_expire is not None and wanted.time_expire <= now:
            raise InvalidRequest("time_expire is over already")
        return Trade(
            channel=NAME,
            account=self.account,
            merchant_ref=wanted.out_trade_no,
            number="42000" + self._dice.digits(23, "transaction", self.account, wanted.out_trade_no),
            amount_minor=wanted.amount.total,
            currency=wanted.amount.currency,
            method=method,
            opened_at=now,
            expires_at=wanted.time_expire or now + timedelta(days=7),
            notify_url=wanted.notify_url,
            extra={"description": wanted.description, "attach": wanted.attach} | _payer(wanted),
        )

    def _query(self, ask: Ask, trade: Trade | None, now: datetime) -> Tell:
        if ask.query().get("mchid") != self._keys.mchid:
            raise InvalidRequest("mchid must be in the query, and be the signer's")
        if trade is None:
            return self._signed.error(ask, 404, "ORDER_NOT_EXIST", "订单不存在", now)
        return self._signed.tell(ask, 200, transaction(trade, self._keys.mchid, self._keys.appid), now)

    def _close(self, ask: Ask, trade: Trade | None, now: datetime) -> tuple[Tell, Trade | None]:
        if msgspec.json.decode(ask.body, type=ToClose).mchid != self._keys.mchid:
            raise InvalidRequest("mchid must be the signer's")
        if trade is None:
            return self._signed.error(ask, 404, "ORDER_NOT_EXIST", "订单不存在", now), None
        if not self._ledger.close(trade, now):
            return self._signed.error(ask, 400, "ORDERPAID", "该订单已支付", now), None
        return self._signed.tell(ask, 204, None, now), trade

    def _refund(self, ask: Ask, now: datetime) -> tuple[Tell, Refund | None]:
        wanted = msgspec.json.decode(ask.body, type=ToRefund)
        trade = self._ledger.named(NAME, self.account, wanted.out_trade_no, now)
        trade = trade or self._ledger.numbered(NAME, self.account, wanted.transaction_id, now)
        if trade is None:
            return self._signed.error(ask, 404, "RESOURCE_NOT_EXISTS", "订单不存在", now), None
        known = self._ledger.refund_at(NAME, self.account, wanted.out_refund_no)
        if known:
            if (known.trade, known.amount_minor) != (trade, wanted.amount.refund):
                return self._signed.error(
                    ask, 400, "INVALID_REQUEST", "退款单号重复: same number, other content", now
                ), None
            return self._signed.tell(ask, 200, refund_object(known, "status"), now), None
        refund = Refund(
            trade=trade,
            merchant_ref=wanted.out_refund_no,
            number="50300" + self._dice.digits(23, "refund", self.account, wanted.out_refund_no),
            amount_minor=wanted.amount.refund,
            state=RefundState.PENDING,
            made_at=now,
            notify_url=wanted.notify_url,
        )
        why = self._why_not(trade, wanted, now)
        if why or not self._ledger.refund(trade, refund):
            return self._signed.error(ask, 400, "INVALID_REQUEST", why or "退款金额超过订单可退金额", now), None
        return self._signed.tell(ask, 200, refund_object(refund, "status"), now), refund

    @staticmethod
    def _why_not(trade: Trade, wanted: ToRefund, now: datetime) -> str | None:
        if trade.paid_at is None:
            return "订单未支付"
        if now - trade.paid_at > REFUNDABLE:
            return "交易时间超过一年，无法退款"
        if wanted.amount.total != trade.amount_minor:
            return "订单金额不一致: amount.total is not what was paid"
        return "单笔订单最多退款50次" if len(trade.refunds) >= MAX_REFUNDS else None

    def _query_refund(self, ask: Ask, merchant_ref: str, now: datetime) -> Tell:
        refund = self._ledger.refund_at(NAME, self.account, merchant_ref)
        if refund is None or refund.merchant_ref != merchant_ref:
            return self._signed.error(ask, 404, "RESOURCE_NOT_EXISTS", "退款单不存在", now)
        return self._signed.tell(ask, 200, refund_object(refund, "status"), now)

    # Notices ---------------------------------------------------------------------------------------------------------

    def _told(
        self, trade: Trade, kind: str, content: Mapping[str, object], url: str, number: str, now: datetime
    ) -> News:
        return News(
            channel=NAME,
            account=self.account,
            about=trade.merchant_ref,
            key=self._dice.letters(32, "notice", kind, number),
            kind=kind,
            url=url or self._webhook_url,
            at=now,
            content=msgspec.json.encode(content),
        )


def _payer(wanted: ToOpen) -> dict[str, str]:
    return {"openid": wanted.payer.openid} if wanted.payer else {}
