"""Stripe: webhooks signed with HMAC, PaymentIntents and hosted Checkout pages over the REST API."""
# ruff: noqa: ARG002 - the Protocol hands `now` over; nothing that Stripe is sent depends on it

from collections.abc import Mapping
from datetime import date, datetime, tzinfo
from typing import BinaryIO

from paidup.channels.bill import Bill, BillKind, BillName, BillProof
from paidup.channels.channel import Channel, KeyInfo, PaymentName, RefundName, ToOpen
from paidup.channels.messages import CallbackRequest, Exchange, Reading, Reply
from paidup.channels.stripe.bill import read_bill
from paidup.channels.stripe.bill_request import ask_bill, ready_at
from paidup.channels.stripe.callback import accepted, read_callback, refused
from paidup.channels.stripe.close import close_payment
from paidup.channels.stripe.keys import StripeAccount, keys, parse_account
from paidup.channels.stripe.open import METHODS, open_payment
from paidup.channels.stripe.query import query_payment
from paidup.channels.stripe.refund import query_refund, refund_payment
from paidup.errors import CallbackRefused

__all__ = ["STRIPE", "StripeAccount"]


class _Stripe:
    """Each method's promise stands in the Protocol; what is particular to Stripe stands in the module it calls."""

    name: str = "stripe"
    methods: tuple[str, ...] = METHODS
    bills: tuple[BillKind, ...] = (BillKind.TRADES, BillKind.FUNDS, BillKind.PAYOUTS)

    def parse_account(self, name: str, table: Mapping[str, object], files: Mapping[str, bytes]) -> StripeAccount:
        return parse_account(name, table, files)

    def keys(self, account: StripeAccount) -> tuple[KeyInfo, ...]:
        return keys(account)

    def read_callback(self, request: CallbackRequest, account: StripeAccount, now: datetime) -> Reading:
        return read_callback(request, account, now)

    def accepted(self) -> Reply:
        return accepted()

    def refused(self, refusal: CallbackRefused) -> Reply:
        return refused(refusal)

    def open(self, payment: ToOpen, account: StripeAccount, now: datetime) -> Exchange:
        return open_payment(payment, account)

    def query(self, payment: PaymentName, account: StripeAccount, now: datetime) -> Exchange:
        return query_payment(payment, account)

    def close(self, payment: PaymentName, account: StripeAccount, now: datetime) -> Exchange:
        return close_payment(payment, account)

    def refund(self, refund: RefundName, account: StripeAccount, now: datetime) -> Exchange:
        return refund_payment(refund, account)

    def query_refund(self, refund: RefundName, account: StripeAccount, now: datetime) -> Exchange:
        return query_refund(refund, account)

    def bill_zone(self, account: StripeAccount) -> tzinfo:
        return account.zone

    def bill_ready_at(self, day: date, account: StripeAccount) -> datetime:
        return ready_at(day, account)

    def ask_bill(self, name: BillName, account: StripeAccount, now: datetime) -> Exchange:
        return ask_bill(name, account)

    def read_bill(self, file: BinaryIO, name: BillName, account: StripeAccount, proof: BillProof) -> Bill:
        return read_bill(file, name, account, proof)


STRIPE: Channel[StripeAccount] = _Stripe()
