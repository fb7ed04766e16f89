"""Alipay's open platform, signed with RSA2: notices as forms, the v2 gateway, QR codes and web pages."""
# ruff: noqa: ARG002 - the Protocol hands `account` over; all its accounts keep Beijing time

from collections.abc import Mapping
from datetime import date, datetime, tzinfo
from typing import BinaryIO

from paidup.channels.alipay.bill import read_bill
from paidup.channels.alipay.bill_request import ask_bill, ready_at
from paidup.channels.alipay.callback import accepted, read_callback, refused
from paidup.channels.alipay.close import close_payment
from paidup.channels.alipay.keys import AlipayAccount, keys, parse_account
from paidup.channels.alipay.open import METHODS, open_payment
from paidup.channels.alipay.query import query_payment
from paidup.channels.alipay.refund import query_refund, refund_payment
from paidup.channels.alipay.trade import BEIJING
from paidup.channels.bill import Bill, BillKind, BillName, BillProof
from paidup.channels.channel import Channel, KeyInfo, PaymentName, RefundName, ToOpen
from paidup.channels.messages import CallbackRequest, Exchange, Reading, Reply, Success
from paidup.errors import CallbackRefused

__all__ = ["ALIPAY", "AlipayAccount"]


class _Alipay:
    """Each method's promise stands in the Protocol; what is particular to Alipay stands in the module it calls."""

    name: str = "alipay"
    methods: tuple[str, ...] = METHODS
    bills: tuple[BillKind, ...] = (BillKind.TRADES, BillKind.FUNDS)

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

    def bill_zone(self, account: AlipayAccount) -> tzinfo:
        return BEIJING

    def bill_ready_at(self, day: date, account: AlipayAccount) -> datetime:
        return ready_at(day)

    def ask_bill(self, name: BillName, account: AlipayAccount, now: datetime) -> Exchange:
        return ask_bill(name, account, now)

    def read_bill(self, file: BinaryIO, name: BillName, account: AlipayAccount, proof: BillProof) -> Bill:
        return read_bill(file, name, account, proof)


ALIPAY: Channel[AlipayAccount] = _Alipay()
