"""A break (差异): one difference between the channel's bill and our books. Both sides, its money, what to do next."""

from datetime import date, datetime
from enum import StrEnum

import msgspec

from paidup.channels.bill import ON_ITS_WAY, LineKind
from paidup.reconcile.states import State


class Kind(StrEnum):
    """In which way the two sides differ."""

    LONG = "long"  # 长款: the bill has money that our books do not have as received
    SHORT = "short"  # 短款: our books have money that the bill does not have
    AMOUNT = "amount"  # both have it, with different amounts
    CURRENCY = "currency"  # both have it, in different currencies
    STATUS = "status"  # both have it, and tell different things of how far it is
    FEE = "fee"  # the channel kept another fee than agreed
    DUPLICATE = "duplicate"  # the bill has it more than once
    WRONG_DAY = "wrong_day"  # booked so near to midnight that the other side may have it on the next day
    REFUND_UNKNOWN = "refund_unknown"  # the bill has a refund that our books do not have
    REFUND_WITHOUT_PAYMENT = "refund_without_payment"  # the bill has a refund of a payment that nobody knows as paid
    UNKNOWN_LINE = "unknown_line"  # a line of a type that Paidup does not know
    BALANCE = "balance"  # what moved on the balance is not what the trades add up to
    PAYOUT = "payout"  # a payout took what the bills do not have, or what left in payouts is not explained


NEXT_STEP: dict[Kind, str] = {
    Kind.LONG: (
        "Money came that is not booked here. A known payment is asked about and repaired by itself; for an unknown "
        "number find the order (see the suggestion), and link it or give the money back."
    ),
    Kind.SHORT: (
        "Paid here, but not in the bill. The channel is asked, and the next bills are looked at; if it stays, ask "
        "the channel's support with the transaction number before you ship more."
    ),
    Kind.AMOUNT: (
        "The amounts differ. Compare the order with the channel's console; refund or collect the difference, and "
        "resolve this with what was done."
    ),
    Kind.CURRENCY: (
        "The currencies differ. Compare the order with the channel's console, and resolve this with what was done."
    ),
    Kind.STATUS: (
        "The two sides tell different things. The channel is asked, and its answer is booked; if it stays, compare "
        "with the channel's console."
    ),
    Kind.FEE: (
        "The fee is not the agreed one. Check the rate in the rules file against your contract, then claim the "
        "difference from the channel."
    ),
    Kind.DUPLICATE: (
        "The bill has it more than once. If the customer paid twice, give one payment back in the channel's "
        "console; if it is the bill that is wrong, ask the channel for a corrected one."
    ),
    Kind.WRONG_DAY: "Booked near midnight: nothing to do. The next day's bill clears it, or it becomes a short.",
    Kind.REFUND_UNKNOWN: (
        "Money went back to a customer without a refund here. The channel is asked, and the refund is booked; find "
        "out who made it in the channel's console."
    ),
    Kind.REFUND_WITHOUT_PAYMENT: (
        "Money was given back for a payment that is not paid here. Find the payment first: it is a long of this or "
        "of an earlier day."
    ),
    Kind.UNKNOWN_LINE: "A line of a type that is not known. Read it in the bill, and resolve this with what it is.",
    Kind.BALANCE: (
        "The fund flow and the trades do not add up to the same. Look at this day's other breaks first; what then "
        "is left moved without a trade: ask the channel."
    ),
    Kind.PAYOUT: (
        "The payout and the bills do not tie. Compare the payout with your bank account; if the bills of its days were "
        "corrected since, fetch this day's payout report again, else ask the channel what the payout took."
    ),
}
"""What a finance person does about it, in plain words."""


class BillSide(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The bill's side of a break. line: its number in the file, from 1. Amounts as in BillLine."""

    bill_id: str
    line: int
    kind: str
    word: str
    currency: str
    amount_minor: int
    fee_minor: int
    at: datetime
    channel_txn_id: str | None = None
    merchant_ref: str | None = None
    channel_refund_id: str | None = None
    merchant_refund_ref: str | None = None

    @property
    def is_on_its_way(self) -> bool:
        """Whether it is a refund that had left, and not arrived, when the bill was made."""
        return self.kind == LineKind.REFUND and self.word.endswith(ON_ITS_WAY)


class OurSide(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Our side of a break: a payment, or (refund_id) a refund of it. Amounts are positive, as in our books.

    changed_at: when our row was touched last; a bill that was read before did not meet it as it is.
    """

    payment_id: str
    order_id: str
    shop: str
    state: str
    currency: str
    amount_minor: int
    at: datetime | None = None
    refund_id: str | None = None
    channel_txn_id: str | None = None
    merchant_ref: str | None = None
    channel_refund_id: str | None = None
    merchant_refund_ref: str | None = None
    shop_order_no: str | None = None
    changed_at: datetime | None = None

    @property
    def subject_id(self) -> str:
        """What it is about."""
        return self.refund_id or self.payment_id

    @property
    def signed_minor(self) -> int:
        """As a bill counts: what was given back is negative."""
        return -self.amount_minor if self.refund_id else self.amount_minor


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A difference as one run finds it. `key` says what it is about: found again, it has the same.

    what: payment, refund … (LineKind's words), or balance. differs_minor: the bill's money less ours.
    """

    key: str
    kind: Kind
    what: str
    state: State
    currency: str
    bill_minor: int | None
    ours_minor: int | None
    why: str
    line: BillSide | None = None
    ours: OurSide | None = None
    suggestion: OurSide | None = None
    wait_until: datetime | None = None

    @property
    def differs_minor(self) -> int:
        """What would have to be booked here for the two to agree; the fee's difference for a fee break."""
        return (self.bill_minor or 0) - (self.ours_minor or 0)

    @property
    def money(self) -> tuple[str, int | None, int | None]:
        """What must be the same for it to be the same difference still."""
        return self.currency, self.bill_minor, self.ours_minor


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `breaks`."""

    id: str
    shop: str
    channel: str
    account: str
    day: date
    key: str
    kind: Kind
    what: str
    state: State
    version: int
    currency: str
    bill_minor: int | None
    ours_minor: int | None
    differs_minor: int
    line: BillSide | None
    ours: OurSide | None
    suggestion: OurSide | None
    payment_id: str | None
    refund_id: str | None
    order_id: str | None
    channel_txn_id: str | None
    number: str | None
    why: str
    next_step: str
    run_id: str
    first_seen_at: datetime
    changed_at: datetime
    wait_until: datetime | None
    tries: int
    cleared_by: str | None

    @property
    def money(self) -> tuple[str, int | None, int | None]:
        """See Found.money."""
        return self.currency, self.bill_minor, self.ours_minor
