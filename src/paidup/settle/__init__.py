"""What one happening means for an order as a whole: its payments, its refunds, itself. Pure.

The door (apply.py) loads and locks a Book, calls `settle` per item in arrival order, and writes what changed. Rules
that concern one payment, refund or order stand in their own `decide`; here stands only what ties them together:

- the first paid payment pays the order, any other is given back and linked to the first;
- when the order is paid, its other offers are withdrawn;
- when the last offer of an order that is being closed is gone, the order is closed;
- what was refunded of a payment is the sum of its succeeded refunds;
- the units of an order are sold when it is paid, and on sale again when nobody can pay it any more.
"""

from datetime import datetime

from paidup.evidence import DisputeEvidence, Evidence, PaymentEvidence, RefundEvidence
from paidup.settle.announce import transaction_event
from paidup.settle.book import (
    AskRefund,
    Book,
    CloseOrder,
    ClosePayment,
    Command,
    NeedPerson,
    Opened,
    RefundDeclined,
    Release,
    Settled,
    TransactionEnded,
    Weighed,
)
from paidup.settle.payments import close_order, close_payment, need_person, opened, payment_evidence, release
from paidup.settle.refunds import ask_refund, refund_declined, refund_evidence
from paidup.settle.stock import stock_follows


def settle(book: Book, item: Evidence | Command, now: datetime) -> Settled:
    """Weigh one item against the book. Settling the same item again changes nothing."""
    return stock_follows(book, _settle(book, item, now), now)


def _settle(book: Book, item: Evidence | Command, now: datetime) -> Settled:
    match item:
        case PaymentEvidence() | DisputeEvidence():
            return payment_evidence(book, item, now)
        case RefundEvidence():
            return refund_evidence(book, item, now)
        case CloseOrder():
            return close_order(book, item, now)
        case ClosePayment():
            return close_payment(book, item, now)
        case Opened():
            return opened(book, item, now)
        case AskRefund():
            return ask_refund(book, item, now)
        case RefundDeclined():
            return refund_declined(book, item, now)
        case NeedPerson() | TransactionEnded():
            return _only_told(book, item)
        case Release():
            return release(book, item, now)


def _only_told(book: Book, item: NeedPerson | TransactionEnded) -> Settled:
    """What changes nothing of the order's money, and somebody hears of it."""
    if isinstance(item, NeedPerson):
        return need_person(book, item)
    return Settled(book, Weighed.APPLIED, item.why, events=(transaction_event(book.order, item),))
