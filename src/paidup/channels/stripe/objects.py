"""The parts of Stripe's objects that say something about money; everything else in them is skipped."""

from typing import Annotated

import msgspec

Seconds = Annotated[int, msgspec.Meta(ge=0, lt=1 << 34)]
Amount = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Metadata = dict[str, str]

PAYMENT_REF = "paidup_payment"
REFUND_REF = "paidup_refund"
"""The metadata names under which our numbers travel."""


class _Object(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    metadata: Metadata | None = None

    def ref(self, name: str) -> str | None:
        """Our own number, if the object carries it."""
        return (self.metadata or {}).get(name)


class PaymentIntent(_Object, frozen=True, kw_only=True):
    """One payment, whatever number of attempts it takes."""

    status: str
    amount: Amount
    currency: str
    livemode: bool
    amount_received: Amount | None = None
    client_secret: str | None = None


class Session(_Object, frozen=True, kw_only=True):
    """A hosted Checkout page. It has a PaymentIntent only once the customer has submitted it; the answer to a question
    that asks for it shows the PaymentIntent whole."""

    status: str | None
    payment_status: str
    livemode: bool
    mode: str = "payment"
    amount_total: Amount | None = None
    currency: str | None = None
    payment_intent: str | PaymentIntent | None = None
    client_reference_id: str | None = None
    url: str | None = None

    @property
    def intent_id(self) -> str | None:
        """The PaymentIntent's id, if there is one yet."""
        return self.payment_intent.id if isinstance(self.payment_intent, PaymentIntent) else self.payment_intent

    @property
    def txn_id(self) -> str:
        """The id to ask by, and to close by. While the page is open that is its own: Stripe cancels no PaymentIntent
        of a page, only the page can be expired."""
        return self.id if self.status == "open" else self.intent_id or self.id


class SessionList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of Checkout pages."""

    data: list[Session]


class Refund(_Object, frozen=True, kw_only=True):
    """One refund; the object does not say whether it is live."""

    status: str | None
    amount: Amount
    currency: str
    created: Seconds | None = None
    payment_intent: str | None = None
    charge: str | None = None


class RefundList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of refunds."""

    data: list[Refund]
    has_more: bool


class Charge(_Object, frozen=True, kw_only=True):
    """One successful attempt. Its refunds are listed only in old API versions, the newest first."""

    amount: Amount
    currency: str
    captured: bool
    amount_captured: Amount | None = None
    amount_refunded: Amount = 0
    payment_intent: str | None = None
    refunds: RefundList | None = None

    @property
    def given_back(self) -> list[Refund]:
        """The refunds that are listed. What was authorised and never captured is listed as one, too, the first of all;
        it gave nobody money."""
        if self.refunds is None:
            return []
        never_captured = self.amount - (self.amount if self.amount_captured is None else self.amount_captured)
        oldest = None if self.refunds.has_more or not self.refunds.data else self.refunds.data[-1]
        is_one = oldest is not None and 0 < oldest.amount == never_captured and oldest.ref(REFUND_REF) is None
        return self.refunds.data[:-1] if is_one else self.refunds.data


class Dispute(_Object, frozen=True, kw_only=True):
    """A customer's bank asks for the money back (or, with a status ``warning_…``, asks a question)."""

    status: str
    amount: Amount
    currency: str
    charge: str | None = None
    payment_intent: str | None = None


class EventData(msgspec.Struct, frozen=True):
    """The object as it was when the event happened; it may be older than what we know. What thin events have here is
    laid out by each kind for itself, and carries no object."""

    object: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    previous_attributes: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET

    def is_about(self, name: str) -> bool:
        """Whether this field of the object is what changed; it may be, where the event does not say."""
        if self.previous_attributes is msgspec.UNSET:
            return True
        return name in (msgspec.json.decode(self.previous_attributes, type=dict[str, msgspec.Raw] | None) or (name,))


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook event. Thin events (``v2.core.event``) have no data and a textual `created`."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    type: str
    livemode: bool
    created: Seconds | str
    account: str | None = None
    data: EventData | None = None
