"""A payment: one offer to one customer through one channel account."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from paidup.money import Money
from paidup.payments.states import State


class Payment(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A row of `payments`. Amounts are minor units of `currency`; times are aware.

    merchant_ref: the number we (or the shop, when registered) gave it at the channel.
    channel_txn_id: the channel's own number, once known. refunded_minor: what succeeded refunds gave back.
    received_minor, received_currency: what came instead of what was agreed, while it is held and afterwards.
    dispute_id, dispute_says: the dispute that was told of last. disputes: what each other one said last, by its id.
    """

    id: str
    shop: str
    order_id: str
    channel: str
    account: str
    method: str
    merchant_ref: str
    channel_txn_id: str | None = None
    payee: str
    amount_minor: int
    currency: str
    state: State
    refunded_minor: int = 0
    received_minor: int = 0
    received_currency: str = ""
    dispute_id: str | None = None
    dispute_says: str | None = None
    registered: bool = False
    extra: Mapping[str, str] = {}
    pay_with: Mapping[str, str] = {}
    created_at: datetime
    expires_at: datetime
    paid_at: datetime | None = None
    updated_at: datetime
    disputes: Mapping[str, str] = {}

    @property
    def all_disputes(self) -> Mapping[str, str]:
        """What each dispute of it said last, by its id."""
        if self.dispute_id is None or self.dispute_says is None:
            return self.disputes
        return {**self.disputes, self.dispute_id: self.dispute_says}

    @property
    def money(self) -> Money:
        """What the customer was asked for."""
        return Money(self.amount_minor, self.currency)

    @property
    def received(self) -> Money:
        """What came instead, where the channel stated an amount (then received_currency is not empty)."""
        return Money(self.received_minor, self.received_currency)

    @property
    def came(self) -> Money:
        """What is held: what the channel stated, also when that is nothing; else what was agreed came, to somebody
        else."""
        return self.received if self.received_currency else self.money
