"""A person decides about money that is held because it came otherwise than agreed."""

from datetime import datetime

from paidup.apply import Item, apply
from paidup.cases import store as cases
from paidup.db.transaction import Tx
from paidup.errors import Conflict, NotFound
from paidup.handlers import Handlers
from paidup.payments import store as payments
from paidup.payments.payment import Payment
from paidup.payments.states import State
from paidup.settle.book import Release, Verdict, Weighed

CASE = "mismatch"


async def release_payment(
    tx: Tx, handlers: Handlers, *, shop: str | None, payment_id: str, verdict: Verdict, why: str, now: datetime
) -> Payment:
    """Take held money as it came, or give it back; the case is closed with the decision.

    shop None: of any shop. Raises NotFound, or Conflict when nothing is held (any more) or nothing came that could be
    taken; that must undo the transaction.
    """
    payment = await payments.get(tx, payment_id)
    if payment is None or (shop is not None and payment.shop != shop):
        raise NotFound(f"there is no payment {payment_id}")
    if payment.state is not State.HELD:
        raise Conflict(f"payment {payment_id} is {payment.state}; only a held one waits for a decision")
    item = Release(order_id=payment.order_id, payment_id=payment_id, verdict=verdict, why=why)
    (result,) = await apply(tx, [Item(what=item, shop=payment.shop, road="operator")], now, handlers)
    if result.outcome is not Weighed.APPLIED:  # somebody else may have decided while we waited for the order
        raise Conflict(f"nothing was decided about payment {payment_id}: {result.why}")
    await cases.resolve_kind(tx, CASE, [payment_id], f"{verdict}: {why}", now)
    released = await payments.get(tx, payment_id)
    return released or payment
