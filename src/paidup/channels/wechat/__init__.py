"""WeChat Pay's API v3: encrypted notices, platform certificates and public keys side by side."""
# ruff: noqa: ARG002 - the Protocol hands `account` over; all its accounts keep Beijing time

from collections.abc import Mapping
from datetime import date, datetime, tzinfo
from typing import BinaryIO

from paidup.channels.bill import Bill, BillKind, BillName, BillProof
from paidup.channels.channel import Channel, KeyInfo, PaymentName, RefundName, ToOpen
from paidup.channels.messages import CallbackRequest, Exchange, Reading, Reply, Success
from paidup.channels.wechat.bill import BEIJING, read_bill
from paidup.channels.wechat.bill_request import ask_bill, ready_at
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
    bills: tuple[BillKind, ...] = (BillKind.TRADES, BillKind.FUNDS)

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

    def bill_zone(self, account: WechatAccount) -> tzinfo:
        return BEIJING

    def bill_ready_at(self, day: date, account: WechatAccount) -> datetime:
        return ready_at(day)

    def ask_bill(self, name: BillName, account: WechatAccount, now: datetime) -> Exchange:
        return ask_bill(name, account, now)

    def read_bill(self, file: BinaryIO, name: BillName, account: WechatAccount, proof: BillProof) -> Bill:
        return read_bill(file, name, account, proof)


WECHAT: Channel[WechatAccount] = _Wechat()
