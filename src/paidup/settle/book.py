"""What is weighed as one: an order with its payments and refunds; the commands; and what weighing yields."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from paidup.events import Event
from paidup.evidence import Evidence
from paidup.inventory.sku import Movement, Reservation, Shelf
from paidup.orders.order import Order
from paidup.payments.payment import Payment
from paidup.refunds.refund import Refund
from paidup.refunds.states import State as RefundState


class Weighed(StrEnum):
    """How a piece of evidence fared."""

    APPLIED = "applied"  # it changed something
    REPEATED = "repeated"  # it told nothing new
    PARKED = "parked"  # it came before what it speaks of; tried again when that is there
    REJECTED = "rejected"  # it contradicts what was agreed; a case is open
    IGNORED = "ignored"  # it says nothing about money we follow


class CloseOrder(msgspec.Struct, frozen=True, tag="close_order"):
    """The shop, or the expiry, gives the order up."""

    order_id: str
    why: str


class ClosePayment(msgspec.Struct, frozen=True, tag="close_payment"):
    """One offer is withdrawn, for example because it expired."""

    order_id: str
    payment_id: str
    why: str


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """The channel accepted our offer. pay_with is what the customer's device needs."""

    order_id: str
    payment_id: str
    channel_txn_id: str | None
    pay_with: Mapping[str, str]


class AskRefund(msgspec.Struct, frozen=True, tag="ask_refund"):
    """Somebody wants money given back."""

    order_id: str
    refund: Refund


class RefundDeclined(msgspec.Struct, frozen=True, tag="refund_declined"):
    """The channel refuses to take the refund."""

    order_id: str
    refund_id: str
    why: str


class NeedPerson(msgspec.Struct, frozen=True, tag="need_person"):
    """Our means are exhausted: a person must look at this payment, refund or transaction."""

    order_id: str
    subject_id: str
    kind: str
    why: str


class Verdict(StrEnum):
    """What a person decides about held money."""

    ACCEPT = "accept"  # it pays the order, although it came otherwise than agreed
    GIVE_BACK = "give_back"  # it goes back to the customer, all of it


class Release(msgspec.Struct, frozen=True, tag="release"):
    """A person decides about money that is held."""

    order_id: str
    payment_id: str
    verdict: Verdict
    why: str


class TransactionEnded(msgspec.Struct, frozen=True, tag="transaction_ended"):
    """The services that take part in this order agree: everything is done, or nothing is left of it."""

    order_id: str
    xid: str
    name: str
    undone: bool
    why: str


Command = CloseOrder | ClosePayment | Opened | AskRefund | RefundDeclined | NeedPerson | Release | TransactionEnded


class NewCase(msgspec.Struct, frozen=True):
    """Something a person must decide. One open case per kind and subject."""

    kind: str
    subject_id: str
    why: str


class Book(msgspec.Struct, frozen=True, gc=False):
    """An order with all its payments and refunds, and its units: what is locked, weighed and written as one.

    stock: None for an order without items. shelf: the articles of `stock`, where units may have to be taken once more.
    """

    order: Order
    payments: Mapping[str, Payment]
    refunds: Mapping[str, Refund]
    stock: Reservation | None = None
    shelf: Shelf = {}

    def put(self, *rows: Order | Payment | Refund) -> "Book":
        """The book with these rows in place of the old ones."""
        order, payments, refunds = self.order, self.payments, self.refunds
        for row in rows:
            if isinstance(row, Order):
                order = row
            elif isinstance(row, Payment):
                payments = {**payments, row.id: row}
            else:
                refunds = {**refunds, row.id: row}
        return Book(order, payments, refunds, self.stock, self.shelf)


class Settled(msgspec.Struct, frozen=True, gc=False):
    """The book afterwards, what is announced, who must look, which units move, and why, word for word for people."""

    book: Book
    outcome: Weighed
    why: str
    events: tuple[Event, ...] = ()
    cases: tuple[NewCase, ...] = ()
    movements: tuple[Movement, ...] = ()
    payment_id: str | None = None
    refund_id: str | None = None


def find_payment(book: Book, evidence: Evidence) -> Payment | None:
    """The payment that the evidence speaks of: by our number first, then by the channel's, else by the other one."""
    mine = [p for p in book.payments.values() if (p.channel, p.account) == (evidence.channel, evidence.account)]
    by_ref = [p for p in mine if evidence.merchant_ref is not None and p.merchant_ref == evidence.merchant_ref]
    by_txn = [p for p in mine if evidence.channel_txn_id is not None and p.channel_txn_id == evidence.channel_txn_id]
    other = evidence.other_ref
    by_other = [p for p in mine if other is not None and other in (p.merchant_ref, p.channel_txn_id)]
    return next(iter(by_ref + by_txn + by_other), None)


def weighed(changed: bool, has_case: bool, moved: bool) -> Weighed:
    if has_case and not moved:
        return Weighed.REJECTED
    if has_case and moved:
        return Weighed.APPLIED
    return Weighed.APPLIED if changed else Weighed.REPEATED


def refunds_minor(book: Book, payment_id: str, *, states: Iterable[RefundState] | None = None) -> int:
    """Minor units of this payment's refunds in these states (by default: all that have not failed)."""
    wanted = set(states or (RefundState.REQUESTED, RefundState.PENDING, RefundState.SUCCEEDED))
    return sum(r.amount_minor for r in book.refunds.values() if r.payment_id == payment_id and r.state in wanted)
