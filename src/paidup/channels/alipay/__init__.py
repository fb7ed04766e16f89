"""Alipay's open platform, signed with RSA2: notices as forms, the v2 gateway, QR codes and web pages."""

from collections.abc import Mapping
from datetime import datetime

from paidup.channels.alipay.callback import accepted, read_callback, refused
from paidup.channels.alipay.close import close_payment
from paidup.channels.alipay.keys import AlipayAccount, keys, parse_account
from paidup.channels.alipay.open import METHODS, open_payment
from paidup.channels.alipay.query import query_payment
from paidup.channels.alipay.refund import query_refund, refund_payment
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
from paidup.errors import CallbackRefused

__all__ = ["ALIPAY", "AlipayAccount"]


class _Alipay:
    """Each method's promise stands in the Protocol; what is particular to Alipay stands in the module it calls."""

    name: str = "alipay"
    methods: tuple[str, ...] = METHODS

    def parse_account(self, name: str, table: Mapping[str, object], files: Mapping[str, bytes]) -> AlipayAccount:
        return parse_account(name, table, files)

    def keys(self, account: AlipayAccount) -> tuple[KeyInfo, ...]:
        return keys(account)

    def read_callback(self, request: CallbackRequest, account: AlipayAccount, now: datetime) -> Reading:
        return read_callback(request, account, now)

    def accepted(self) -> Reply:
        return accepted()

    def refused(self, refusal: CallbackRefused) -> Reply:
        return refused(refusal)

    def open(self, payment: ToOpen, account: AlipayAccount, now: datetime) -> Exchange | Success:
        return open_payment(payment, account, now)

    def query(self, payment: PaymentName, account: AlipayAccount, now: datetime) -> Exchange:
        return query_payment(payment, account, now)

    def close(self, payment: PaymentName, account: AlipayAccount, now: datetime) -> Exchange:
        return close_payment(payment, account, now)

    def refund(self, refund: RefundName, account: AlipayAccount, now: datetime) -> Exchange:
        return refund_payment(refund, account, now)

    def query_refund(self, refund: RefundName, account: AlipayAccount, now: datetime) -> Exchange:
        return query_refund(refund, account, now)


ALIPAY: Channel[AlipayAccount] = _Alipay()
