"""Ask for a refund: row and job are durable at once; the repair worker sends it and asks until it is settled."""

from datetime import datetime

from paidup import ids
from paidup.apply import Item, apply
from paidup.db.transaction import Tx
from paidup.errors import Conflict, InvalidRequest, NotFound
from paidup.handlers import Handlers
from paidup.money import Money
from paidup.payments import store as payments
from paidup.payments.payment import Payment
from paidup.refunds import store as refunds
from paidup.refunds.refund import Cause, Refund
from paidup.refunds.states import State
from paidup.settle.book import AskRefund, Weighed
from paidup.settle.payments import new_refund


async def request_refund(
    tx: Tx, handlers: Handlers, *, shop: str, payment_id: str, money: Money | None, reason: str, key: str, now: datetime
) -> Refund:
    """Give money of a paid payment back. The same key asks for the same refund: never two.

    money None: all that is left, as it was when the key was first used.
    Raises NotFound, InvalidRequest, or Conflict when the payment is not paid or too little of it is left.
    """
    payment = await payments.get(tx, payment_id)
    if payment is None or payment.shop != shop:
        raise NotFound(f"there is no payment {payment_id}")
    refund_id = refund_id_of(payment.id, key)
    known = await refunds.get(tx, refund_id)
    asked = money or (known.money if known else await _left(tx, payment))
    if asked.amount_minor <= 0:
        raise InvalidRequest("amount_minor must be at least 1")
    refund = new_refund(payment, refund_id, asked.amount_minor, Cause.REQUESTED, reason[:80], now)
    ask = AskRefund(payment.order_id, refund)
    results = await apply(tx, [Item(what=ask, shop=shop, road="shop")], now, handlers)
    if results[0].outcome is Weighed.REJECTED:
        raise Conflict(results[0].why)
    written = await refunds.get(tx, refund_id)
    if written is None or written.money != asked:
        raise Conflict(f"the same key was used for a refund of {written.money if written else 'nothing'}")
    return written


def refund_id_of(payment_id: str, key: str) -> str:
    """The id of the refund that this key asks for."""
    return ids.derived_id(ids.REFUND, payment_id, f"requested/{key}")


async def _left(tx: Tx, payment: Payment) -> Money:
    """What no refund has taken yet. Raises Conflict when that is nothing; the door weighs it again under its lock."""
    theirs = [r for r in await refunds.of_orders(tx, [payment.order_id]) if r.payment_id == payment.id]
    left = payment.amount_minor - sum(r.amount_minor for r in theirs if r.state is not State.FAILED)
    if left <= 0:
        raise Conflict(f"nothing of payment {payment.id} is left to refund")
    return Money(left, payment.currency)
