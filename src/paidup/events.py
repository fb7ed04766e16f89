"""What the shop is told. An event is written in the transaction of the change it announces."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class EventType(StrEnum):
    """`noun.past`, the same words in the log, the timeline and the documents."""

    ORDER_PAID = "order.paid"  # ship it: the order's money is ours
    ORDER_CLOSED = "order.closed"  # the channel confirmed that nobody can pay it any more
    ORDER_REOPENED = "order.reopened"  # money came for a closed order, and the shop's policy welcomes it
    ORDER_REFUNDED = "order.refunded"  # the whole amount went back to the customer
    PAYMENT_PAID = "payment.paid"  # this payment's money came; it may go back at once, so ship on order.paid
    PAYMENT_CLOSED = "payment.closed"  # this payment can no longer be paid
    PAYMENT_HELD = "payment.held"  # money moved, but not as agreed: a person decides
    PAYMENT_DISPUTED = "payment.disputed"  # the customer's bank asks for the money back
    PAYMENT_DISPUTE_WON = "payment.dispute_won"
    PAYMENT_CHARGED_BACK = "payment.charged_back"  # the bank took the money back
    REFUND_REQUESTED = "refund.requested"
    REFUND_SUCCEEDED = "refund.succeeded"  # the customer has the money
    REFUND_FAILED = "refund.failed"  # the money stayed with, or came back to, the shop
    TRANSACTION_DONE = "transaction.done"  # every service that takes part has done its step
    TRANSACTION_UNDONE = "transaction.undone"  # nothing of it is left anywhere
    CASE_OPENED = "case.opened"  # a person must decide something
    STOCK_LOW = "stock.low"  # few units of an article are left: buy more
    STOCK_SOLD_OUT = "stock.sold_out"  # none is left
    STOCK_AVAILABLE = "stock.available"  # none was left, and now some are
    RECONCILE_FINISHED = "reconcile.finished"  # a day was laid beside its bill, and something is new
    RECONCILE_REFUSED = "reconcile.refused"  # the bill of a day is wrong somewhere: nothing of it is used
    RECONCILE_PUT_OFF = "reconcile.put_off"  # no room here to read the bill of a day, which is sound: tried again
    RECONCILE_BREAK_OPENED = "reconcile.break_opened"  # the bill and our books differ, and somebody must look at it
    RECONCILE_BREAK_SETTLED = "reconcile.break_settled"  # they agree now, or a person settled it


Scalar = str | int | bool | None


class Event(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One thing that happened to an order. `seq` is given by the door: 1, 2, 3 … per order.

    What happens to an article (stock.…) has the article's id in place of the order's: 1, 2, 3 … per article. A day's
    reconciliation (reconcile.…) has ``channel/account/day`` there: 1, 2, 3 … per account and day."""

    type: EventType
    shop: str
    order_id: str
    subject_id: str
    data: Mapping[str, Scalar]
