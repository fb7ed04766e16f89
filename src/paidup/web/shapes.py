"""The bodies of orders, payments and refunds that the API takes and gives. The OpenAPI document is made from these."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from paidup.settle.book import Verdict
from paidup.web.fields import (
    Buyer,
    ChannelNumber,
    Currency,
    Extra,
    Id,
    Lifetime,
    Line,
    Minor,
    Name,
    Number,
    Said,
    SkuName,
    Strict,
)

_DIES = "when its code or page dies at the channel (time_expire, at most 30 days ahead); the order's end unless given"


class ItemIn(Strict, frozen=True, kw_only=True):
    """So many units of an article."""

    sku: SkuName
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)]


class PlaceOrder(Strict, frozen=True, kw_only=True):
    """Place an order. The shop's own number names it: placing it twice gives the same order."""

    shop_order_no: Annotated[Number, Meta(description="the shop's own number of the order")]
    amount_minor: Minor
    currency: Currency
    description: Line = ""
    expires_in_s: Lifetime | None = None
    buyer_ref: Buyer = ""
    items: Annotated[
        tuple[ItemIn, ...],
        Meta(
            max_length=100,
            description="units to set aside until it is paid or closed: all of them, or the order is 409",
        ),
    ] = ()


class OpenPayment(Strict, frozen=True, kw_only=True):
    """Offer the order to the customer."""

    channel: Annotated[Name, Meta(description="wechat, alipay or stripe")]
    account: Annotated[Name, Meta(description="which of the shop's accounts at the channel")] = "main"
    method: Annotated[Line, Meta(description="one of the channel's methods; its first unless given")] = ""
    extra: Extra = msgspec.field(default_factory=dict)


class RegisterPayment(Strict, frozen=True, kw_only=True):
    """Guard a payment of this order that the shop opened at the channel by itself."""

    channel: Annotated[Name, Meta(description="wechat, alipay or stripe")]
    merchant_ref: Annotated[
        ChannelNumber,
        Meta(description="the number it was opened under: out_trade_no; for Stripe the PaymentIntent's id"),
    ]
    account: Annotated[Name, Meta(description="which of the shop's accounts at the channel")] = "main"
    method: Annotated[Line, Meta(description="one of the channel's methods; its first unless given")] = ""
    channel_txn_id: (
        Annotated[ChannelNumber, Meta(description="the channel's own number, if it is known already")] | None
    ) = None
    expires_at: Annotated[datetime, Meta(tz=True, description=_DIES)] | None = None


class RegisterOrderPayment(RegisterPayment, frozen=True, kw_only=True):
    """Guard a payment that the shop opened at the channel by itself, and place its order in the same call."""

    shop_order_no: Annotated[Number, Meta(description="the shop's own number of the order")]
    amount_minor: Minor
    currency: Currency
    description: Line = ""
    expires_in_s: Lifetime | None = None
    buyer_ref: Buyer = ""


class CloseOrder(Strict, frozen=True, kw_only=True):
    """Give an order up."""

    reason: Line = "closed by the shop"


class AskRefund(Strict, frozen=True, kw_only=True):
    """Give money back; without an amount, all that is left."""

    amount_minor: Minor | None = None
    reason: Line = ""


class Release(Strict, frozen=True, kw_only=True):
    """Decide about held money. decision: accept (it pays the order as it came) or give_back (all of it goes back)."""

    decision: Verdict
    reason: Said


class Testify(Strict, frozen=True, kw_only=True):
    """A person says that a payment was paid, with the channel's number as proof and a reason for the record."""

    payment_id: Id
    channel_txn_id: Annotated[str, Meta(min_length=6, max_length=64, pattern=r"^[!-~]+$(?!\n)")]
    amount_minor: Minor
    currency: Currency
    reason: Said


class ItemOut(msgspec.Struct, frozen=True, kw_only=True):
    """Units of an order. state: held, sold, released or returned."""

    sku: str
    quantity: int
    state: str


class OrderOut(msgspec.Struct, frozen=True, kw_only=True):
    """An order. state: unpaid, paid, closing, closed or refunded. items: what is set aside for it."""

    id: str
    shop_order_no: str
    amount_minor: int
    currency: str
    description: str
    state: str
    paid_by: str | None
    created_at: datetime
    expires_at: datetime
    items: list[ItemOut] = []
    buyer_ref: Annotated[str, Meta(description="masked; GET /v1/orders/{id}/buyer shows it")] = ""


class BuyerOut(msgspec.Struct, frozen=True, kw_only=True):
    """Whose order it is, in the shop's own words."""

    order_id: str
    buyer_ref: str


class PaymentOut(msgspec.Struct, frozen=True, kw_only=True):
    """A payment. pay_with: what the customer's device needs. refunded_minor: what succeeded refunds gave back."""

    id: str
    order_id: str
    channel: str
    account: str
    method: str
    merchant_ref: str
    channel_txn_id: str | None
    amount_minor: int
    currency: str
    state: str
    refunded_minor: int
    registered: bool
    pay_with: dict[str, str]
    created_at: datetime
    expires_at: datetime
    paid_at: datetime | None


class TestifiedOut(PaymentOut, frozen=True, kw_only=True):
    """The payment after a person's word. says: what became of it; approval_id: that it waits for a second person."""

    says: str
    approval_id: str | None = None


class StatusOut(msgspec.Struct, frozen=True, kw_only=True):
    """For the waiting buyer's page. asked: whether the channel was asked just now."""

    payment_id: str
    state: str
    paid: bool
    asked: bool
    next_question_at: datetime | None


class RefundOut(msgspec.Struct, frozen=True, kw_only=True):
    """A refund. state: requested, pending, succeeded or failed."""

    id: str
    payment_id: str
    order_id: str
    amount_minor: int
    currency: str
    state: str
    cause: str
    reason: str
    created_at: datetime
    settled_at: datetime | None


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; `next` goes into `before` (None: that was all)."""

    items: list[OrderOut]
    next: str | None = None
