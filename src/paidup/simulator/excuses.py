"""What excuses a difference between the two sides: what nobody ever told us, and money that could not stay."""

from collections.abc import Sequence

from paidup.payments.payment import Payment
from paidup.payments.states import State as PaymentState
from paidup.refunds.refund import Cause
from paidup.refunds.states import State as RefundState
from paidup.sandbox.ledger import RefundState as TheirRefundState
from paidup.sandbox.ledger import Trade
from paidup.simulator.books import Books, Sides
from paidup.simulator.pages import BY_THE_SHOP


def came_too_late(books: Books, payments: Sequence[Payment]) -> bool:
    """Whether the order's units had been sold to others, so that each payment of it was given back, or was tried to."""
    return all(
        payment.order_id in books.units_given_up
        and Cause.LATE_PAYMENT in {refund.cause for refund in books.refunds_of(payment.id)}
        for payment in payments
    )


def sent_back_unheard(sides: Sides, payment: Payment, trade: Trade) -> int:
    """What went back, as we were told, and was sent back by the bank since, whose notice has not reached us."""
    if trade.merchant_ref not in sides.untold:
        return 0
    believed = {r.merchant_ref for r in sides.books.refunds_of(payment.id) if r.state is RefundState.SUCCEEDED}
    sent_back = [r for r in trade.refunds if r.state is TheirRefundState.FAILED and r.merchant_ref in believed]
    return sum(refund.amount_minor for refund in sent_back)


def is_gone(sides: Sides, trade: Trade, payment: Payment) -> bool:
    """Whether it was paid otherwise than agreed, and our close of it gave all of it back. The answer to that close
    names no amount: a person is called when a notice does, and the bill shows it."""
    is_known = sides.books.asks_a_person(payment.id) or trade.merchant_ref in sides.untold
    is_known |= payment.id in sides.differing
    is_otherwise = trade.amount_minor != payment.amount_minor and trade.refunded_minor() == trade.amount_minor
    return is_otherwise and payment.state is PaymentState.PAID and is_known


def is_registered(sides: Sides, trade: Trade) -> bool:
    """A trade that we opened, or that the shop told us of, must be known here; another one need not."""
    return not trade.merchant_ref.startswith(BY_THE_SHOP) or trade.merchant_ref in sides.witness.registered


def was_cancelled(trade: Trade | None) -> bool:
    """Alipay's cancel gave back what was paid in the very moment of closing: nothing of it is held on either side."""
    return trade is not None and trade.refund_named(trade.merchant_ref) is not None


def refunded_there(trade: Trade) -> int:
    """What the customer has back, in minor units."""
    return sum(r.amount_minor for r in trade.refunds if r.state is TheirRefundState.SUCCEEDED)
