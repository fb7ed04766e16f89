"""What a change of a payment means for its order. Pure."""

import msgspec

from paidup.orders.order import LatePayment, Order
from paidup.orders.states import TABLE, GiveBack, Happening, Move


class Decision(msgspec.Struct, frozen=True, gc=False):
    """The order as it is afterwards, and the move that led there."""

    order: Order
    move: Move


def payment_paid(order: Order, payment_id: str, *, units_are_gone: bool = False) -> Decision:
    """A payment of this order was paid: the first one pays it, any other is given back.

    units_are_gone: the order was closed, and what it had set aside has been sold to others since.
    """
    if order.paid_by not in (None, payment_id):
        return happen(order, Happening.SECOND_PAYMENT_PAID)
    if order.late_payment is not LatePayment.REOPEN:
        decision = happen(order, Happening.PAYMENT_PAID_UNWELCOME)
    elif units_are_gone:
        decision = happen(order, Happening.PAYMENT_PAID_TOO_LATE)
    else:
        decision = happen(order, Happening.PAYMENT_PAID)
    if decision.move.give_back is not GiveBack.NO:
        return decision
    return Decision(msgspec.structs.replace(decision.order, paid_by=payment_id), decision.move)


def happen(order: Order, happening: Happening) -> Decision:
    """Look the happening up in the table."""
    move = TABLE[order.state, happening]
    return Decision(msgspec.structs.replace(order, state=move.to), move)
