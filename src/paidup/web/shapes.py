"""The bodies that the API takes and gives. The OpenAPI document is made from these."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from paidup.settle.book import Verdict

# PostgreSQL keeps no NUL in a text; a line keeps no control characters at all. Python's $ would let a line end pass at
# the very end; the same pattern stands in the OpenAPI document, whose readers know no \Z.
Minor = Annotated[int, Meta(gt=0, le=10**15, description="minor units: fen, cents; yen has none")]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)", description="ISO 4217, such as CNY")]
Line = Annotated[str, Meta(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
Name = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[a-z0-9_-]+$(?!\n)")]
Number = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
Buyer = Annotated[
    str,
    Meta(
        max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)",
        description="the shop's own number of its customer: personal data, shown masked, found by the search",
    ),
]  # fmt: skip
Id = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[0-9A-Za-z_-]+$(?!\n)")]
Said = Annotated[str, Meta(min_length=3, max_length=1000, pattern=r"^[^\x00]*$")]
Extra = Annotated[
    dict[Line, Annotated[str, Meta(max_length=2048, pattern=r"^[^\x00]*$")]],
    Meta(max_length=20, description="what the method needs, such as openid or return_url"),
]
SkuName = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)", description="the shop's own name of an article")
]
Units = Annotated[int, Meta(ge=0, le=10**12)]
Lifetime = Annotated[int, Meta(ge=60, le=2_592_000, description="seconds until it expires unpaid")]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Unknown fields are refused: a misspelt one would be silently without effect."""


class ItemIn(_Strict, frozen=True, kw_only=True):
    """So many units of an article."""

    sku: SkuName
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)]


class PlaceOrder(_Strict, frozen=True, kw_only=True):
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


class OpenPayment(_Strict, frozen=True, kw_only=True):
    """Offer the order to the customer."""

    channel: Annotated[Name, Meta(description="wechat, alipay or stripe")]
    account: Annotated[Name, Meta(description="which of the shop's accounts at the channel")] = "main"
    method: Annotated[Line, Meta(description="one of the channel's methods; its first unless given")] = ""
    extra: Extra = {}


class RegisterPayment(_Strict, frozen=True, kw_only=True):
    """Guard a payment of this order that the shop opened at the channel by itself."""

    channel: Annotated[Name, Meta(description="wechat, alipay or stripe")]
    merchant_ref: Annotated[
        Number, Meta(description="the number it was opened under: out_trade_no; for Stripe the PaymentIntent's id")
    ]
    account: Annotated[Name, Meta(description="which of the shop's accounts at the channel")] = "main"
    method: Annotated[Line, Meta(description="one of the channel's methods; its first unless given")] = ""
    channel_txn_id: Annotated[Number, Meta(description="the channel's own number, if it is known already")] | None = (
        None
    )


class RegisterOrderPayment(RegisterPayment, frozen=True, kw_only=True):
    """Guard a payment that the shop opened at the channel by itself, and place its order in the same call."""

    shop_order_no: Annotated[Number, Meta(description="the shop's own number of the order")]
    amount_minor: Minor
    currency: Currency
    description: Line = ""
    expires_in_s: Lifetime | None = None
    buyer_ref: Buyer = ""


class CloseOrder(_Strict, frozen=True, kw_only=True):
    """Give an order up."""

    reason: Line = "closed by the shop"


class AskRefund(_Strict, frozen=True, kw_only=True):
    """Give money back; without an amount, all that is left."""

    amount_minor: Minor | None = None
    reason: Line = ""


class Resolve(_Strict, frozen=True, kw_only=True):
    """Close a case with what was decided."""

    resolution: Said


class Release(_Strict, frozen=True, kw_only=True):
    """Decide about held money. decision: accept (it pays the order as it came) or give_back (all of it goes back)."""

    decision: Verdict
    reason: Said


class Testify(_Strict, frozen=True, kw_only=True):
    """A person says that a payment was paid, with the channel's number as proof and a reason for the record."""

    payment_id: Id
    channel_txn_id: Annotated[str, Meta(min_length=6, max_length=64, pattern=r"^[!-~]+$(?!\n)")]
    amount_minor: Minor
    currency: Currency
    reason: Said


class AddEndpoint(_Strict, frozen=True, kw_only=True):
    """Where the shop listens. types: event types, or * for all."""

    url: Annotated[str, Meta(min_length=8, max_length=2000, pattern=r"^[^\x00-\x20\x7f]+$(?!\n)")]
    types: Annotated[tuple[Line, ...], Meta(min_length=1, max_length=50)] = ("*",)


class Redrive(_Strict, frozen=True, kw_only=True):
    """Send dead letters again: these, all of one endpoint, or what an order's shop never said to have applied."""

    delivery_ids: Annotated[list[Annotated[int, Meta(ge=1, le=2**63 - 1)]], Meta(max_length=5000)] = []
    endpoint_id: Id | None = None
    order_id: Id | None = None
    reason: Said = "asked through the API"


class PutSku(_Strict, frozen=True, kw_only=True):
    """Make an article, or change what was decided about it; its units stay."""

    name: Line = ""
    unlimited: Annotated[bool, Meta(description="never sold out, such as a download")] = False
    preorder_limit: Annotated[Units, Meta(description="so many more units than are here may be ordered")] = 0
    ships_at: Annotated[datetime, Meta(tz=True, description="when a pre-ordered one leaves")] | None = None
    low_at: Annotated[Units, Meta(description="tell me (stock.low) when so few are left")] | None = None


class Restock(_Strict, frozen=True, kw_only=True):
    """Put units in."""

    quantity: Annotated[int, Meta(ge=1, le=10**12)]
    reason: Line = ""


class Adjust(_Strict, frozen=True, kw_only=True):
    """Correct the number of units after a count: above zero puts some in, below zero takes some away."""

    by: Annotated[int, Meta(ge=-(10**12), le=10**12)]
    reason: Annotated[Line, Meta(min_length=3, description="why, for the record")]


class ItemOut(msgspec.Struct, frozen=True, kw_only=True):
    """Units of an order. state: held, sold, released or returned."""

    sku: str
    quantity: int
    state: str


class SkuOut(msgspec.Struct, frozen=True, kw_only=True):
    """An article. left: how many may still be ordered, pre-orders included; null: as many as anybody wants.

    available + reserved + sold = all units that were ever put in; available is below zero while pre-orders wait.
    """

    sku: str
    name: str
    unlimited: bool
    preorder_limit: int
    ships_at: datetime | None
    low_at: int | None
    left: int | None
    available: int
    reserved: int
    sold: int
    updated_at: datetime


class Skus(msgspec.Struct, frozen=True, kw_only=True):
    """In the order they were made; `next` goes into `after` (None: that was all)."""

    items: list[SkuOut]
    next: str | None = None


class MovementOut(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the journal. kind: reserve, confirm, release, return, restock or adjust."""

    id: int
    at: datetime
    kind: str
    quantity: int
    order_id: str | None
    reason: str
    operator: str


class Movements(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; `next` goes into `before` (None: that was all)."""

    items: list[MovementOut]
    next: str | None = None


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


class CaseOut(msgspec.Struct, frozen=True, kw_only=True):
    """Something a person must decide."""

    id: str
    kind: str
    subject_id: str
    order_id: str | None
    why: str
    opened_at: datetime
    resolved_at: datetime | None
    resolution: str | None


class EventOut(msgspec.Struct, frozen=True, kw_only=True):
    """What the shop was, or is being, told. seq counts per order."""

    id: str
    type: str
    order_id: str
    seq: int
    subject_id: str
    created_at: datetime
    data: dict[str, str | int | bool | None]


class EndpointOut(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint. secret is given once, when it is made or rotated."""

    id: str
    url: str
    types: list[str]
    enabled: bool
    disabled_why: str
    secret: str | None = None


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; `next` goes into `before` (None: that was all)."""

    items: list[OrderOut]
    next: str | None = None


class Events(msgspec.Struct, frozen=True, kw_only=True):
    """Oldest first; `next` goes into `after`, and stays valid when there is nothing new."""

    items: list[EventOut]
    next: str | None = None


class Cases(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; `next` goes into `before` (None: that was all)."""

    items: list[CaseOut]
    next: str | None = None


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """All of the shop's endpoints."""

    items: list[EndpointOut]


class DeliveryOut(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that was given up (dead), or skipped because its endpoint was disabled. seq: of its order."""

    id: int
    event_id: str
    type: str
    endpoint_id: str
    order_id: str
    seq: int
    state: str
    attempts: int
    why: str


class Deliveries(msgspec.Struct, frozen=True, kw_only=True):
    """Oldest first; `next` goes into `after` (None: that was all)."""

    items: list[DeliveryOut]
    next: str | None = None


class Redriven(msgspec.Struct, frozen=True, kw_only=True):
    """How many deliveries are sent again."""

    deliveries: int
