"""Which events a change is announced by, and what they tell."""

from paidup.events import Event, EventType
from paidup.orders.order import Order
from paidup.payments.payment import Payment
from paidup.payments.states import MONEY_ARRIVED
from paidup.payments.states import State as PaymentState
from paidup.refunds.refund import Refund
from paidup.refunds.states import State as RefundState
from paidup.settle.book import TransactionEnded

_PAYMENT_EVENTS: dict[PaymentState, EventType] = {
    PaymentState.PAID: EventType.PAYMENT_PAID,
    PaymentState.CLOSED: EventType.PAYMENT_CLOSED,
    PaymentState.HELD: EventType.PAYMENT_HELD,
    PaymentState.DISPUTED: EventType.PAYMENT_DISPUTED,
    PaymentState.CHARGED_BACK: EventType.PAYMENT_CHARGED_BACK,
}


def payment_events(order: Order, before: Payment, after: Payment) -> tuple[Event, ...]:
    if before.state is after.state or after.state not in _PAYMENT_EVENTS:
        return ()
    kind = _PAYMENT_EVENTS[after.state]
    if kind is EventType.PAYMENT_PAID and before.state in MONEY_ARRIVED:
        kind = EventType.PAYMENT_DISPUTE_WON
    return (event(kind, order, after),)


_REFUND_EVENTS: dict[RefundState, EventType] = {
    RefundState.SUCCEEDED: EventType.REFUND_SUCCEEDED,
    RefundState.FAILED: EventType.REFUND_FAILED,
}


def refund_events(order: Order, before: Refund, after: Refund) -> tuple[Event, ...]:
    if before.state is after.state or after.state not in _REFUND_EVENTS:
        return ()
    return (refund_event(_REFUND_EVENTS[after.state], order, after),)


def event(kind: EventType, order: Order, payment: Payment | None) -> Event:
    data: dict[str, str | int | bool | None] = {
        "order_id": order.id,
        "shop_order_no": order.shop_order_no,
        "amount_minor": order.amount_minor,
        "currency": order.currency,
        "order_state": order.state.value,
    }
    if payment is not None:
        data |= {
            "payment_id": payment.id,
            "channel": payment.channel,
            "account": payment.account,
            "merchant_ref": payment.merchant_ref,
            "channel_txn_id": payment.channel_txn_id,
            "payment_amount_minor": payment.amount_minor,
            "payment_state": payment.state.value,
            "paid_at": payment.paid_at.isoformat() if payment.paid_at else None,
        }
    subject = payment.id if payment is not None and kind.startswith("payment.") else order.id
    return Event(type=kind, shop=order.shop, order_id=order.id, subject_id=subject, data=data)


def refund_event(kind: EventType, order: Order, refund: Refund) -> Event:
    data: dict[str, str | int | bool | None] = {
        "order_id": order.id,
        "shop_order_no": order.shop_order_no,
        "payment_id": refund.payment_id,
        "refund_id": refund.id,
        "channel": refund.channel,
        "amount_minor": refund.amount_minor,
        "currency": refund.currency,
        "refund_state": refund.state.value,
        "cause": refund.cause.value,
        "reason": refund.reason,
    }
    return Event(type=kind, shop=order.shop, order_id=order.id, subject_id=refund.id, data=data)


def transaction_event(order: Order, ended: TransactionEnded) -> Event:
    data: dict[str, str | int | bool | None] = {
        "order_id": order.id,
        "shop_order_no": order.shop_order_no,
        "order_state": order.state.value,
        "transaction_id": ended.xid,
        "name": ended.name,
        "why": ended.why,
    }
    kind = EventType.TRANSACTION_UNDONE if ended.undone else EventType.TRANSACTION_DONE
    return Event(type=kind, shop=order.shop, order_id=order.id, subject_id=ended.xid, data=data)
