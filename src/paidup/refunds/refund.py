"""A refund: money on its way back to the customer of one payment."""

from datetime import datetime
from enum import StrEnum

import msgspec

from paidup.money import Money
from paidup.refunds.states import State


class Cause(StrEnum):
    """Why a refund exists."""

    REQUESTED = "requested"  # the shop asked for it
    SECOND_PAYMENT = "second_payment"  # the order was already paid by another payment
    LATE_PAYMENT = "late_payment"  # the order was closed, and the shop's policy is to give the money back
    HELD = "held"  # it was not paid as agreed, and a person gave it back
    AT_CHANNEL = "at_channel"  # made in the channel's own console; we heard of it


class Refund(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A row of `refunds`. merchant_ref is the number under which we send it; sent twice, it pays once."""

    id: str
    shop: str
    order_id: str
    payment_id: str
    channel: str
    account: str
    merchant_ref: str
    channel_refund_id: str | None = None
    amount_minor: int
    currency: str
    state: State
    cause: Cause
    reason: str = ""
    settled_at: datetime | None = None
    created_at: datetime
    updated_at: datetime

    @property
    def money(self) -> Money:
        """What the customer gets back."""
        return Money(self.amount_minor, self.currency)
