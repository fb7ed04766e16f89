"""WeChat Pay's API v3: encrypted notices, platform certificates and public keys side by side."""

from collections.abc import Mapping
from datetime import datetime

from paidup.channels.channel import (
    CallbackRequest,
    Channel,
    Exchange,
    KeyInfo,
    PaymentName,
    Reading,
    RefundName,
    Reply,
    Success,
    ToOpen,
)
from paidup.channels.wechat.callback import accepted, read_callback, refused
from paidup.channels.wechat.close import close_payment
from paidup.channels.wechat.keys import WechatAccount, keys, parse_account
from paidup.channels.wechat.open import METHODS, open_payment
from paidup.channels.wechat.query import query_payment
from paidup.channels.wechat.refund import query_refund, refund_payment
from paidup.errors import CallbackRefused

__all__ = ["WECHAT", "WechatAccount"]


class _Wechat:
    """Each method's promise stands in the Protocol; what is particular to WeChat Pay stands in the module it calls."""

    name: str = "wechat"
    methods: tuple[str, ...] = METHODS

    def parse_account(self, name: str, table: Mapping[str, object], files: Mapping[str, bytes]) -> WechatAccount:
        return parse_account(name, table, files)

    def keys(self, account: WechatAccount) -> tuple[KeyInfo, ...]:
        return keys(account)

    def read_callback(self, request: CallbackRequest, account: WechatAccount, now: datetime) -> Reading:
        return read_callback(request, account, now)

    def accepted(self) -> Reply:
        return accepted()

    def refused(self, refusal: CallbackRefused) -> Reply:
        return refused(refusal)

    def open(self, payment: ToOpen, account: WechatAccount, now: datetime) -> Exchange | Success:
        return open_payment(payment, account, now)

    def query(self, payment: PaymentName, account: WechatAccount, now: datetime) -> Exchange:
        return query_payment(payment, account, now)

    def close(self, payment: PaymentName, account: WechatAccount, now: datetime) -> Exchange:
        return close_payment(payment, account, now)

    def refund(self, refund: RefundName, account: WechatAccount, now: datetime) -> Exchange:
        return refund_payment(refund, account, now)

    def query_refund(self, refund: RefundName, account: WechatAccount, now: datetime) -> Exchange:
        return query_refund(refund, account, now)


WECHAT: Channel[WechatAccount] = _Wechat()
