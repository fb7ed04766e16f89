"""An order: what the shop wants paid once."""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from paidup.money import Money
from paidup.orders.states import State

MASK = "•••"


class LatePayment(StrEnum):
    """What a shop does with money that arrives for a closed order."""

    REOPEN = "reopen"
    REFUND = "refund"


class Order(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A row of `orders`. paid_by is the payment that paid it, once one did; event_seq counts its events;
    chain is the head of the chain of decisions that changed it; buyer_ref is the shop's own number of its customer."""

    id: str
    shop: str
    shop_order_no: str
    amount_minor: int
    currency: str
    description: str = ""
    state: State
    late_payment: LatePayment
    paid_by: str | None = None
    event_seq: int = 0
    chain: bytes = b""
    created_at: datetime
    expires_at: datetime
    updated_at: datetime
    buyer_ref: str = ""

    @property
    def since(self) -> datetime:
        """A moment before which nothing was written down about it: clocks of several machines differ, but by no day."""
        return self.created_at - timedelta(days=1)

    @property
    def buyer_masked(self) -> str:
        """Enough of buyer_ref to tell one from another on the phone; a short one shows nothing."""
        return f"{MASK}{self.buyer_ref[-3:] if len(self.buyer_ref) > 6 else ''}" if self.buyer_ref else ""

    @property
    def money(self) -> Money:
        """What the customer owes."""
        return Money(self.amount_minor, self.currency)
