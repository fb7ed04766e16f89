"""Give money back by hand; above a limit a second person must agree."""

import msgspec

from paidup.checkout.refund import refund_id_of, request_refund
from paidup.db.transaction import Tx
from paidup.errors import Conflict, InvalidRequest
from paidup.hand.desk import ABOVE, Desk, a_reason, the_payment
from paidup.hand.done import Done
from paidup.hand.second import Question, ask_second
from paidup.money import Money
from paidup.orders import store as orders
from paidup.payments.payment import Payment
from paidup.payments.states import State
from paidup.people import audit
from paidup.people.audit import Actor
from paidup.refunds import store as refunds
from paidup.refunds.states import State as RefundState

ACTION = "refund"
REQUESTED = "refund.requested"


class GiveBack(msgspec.Struct, frozen=True, kw_only=True):
    """How much of which payment, and why."""

    payment_id: str
    amount_minor: int
    currency: str
    why: str

    @property
    def money(self) -> Money:
        """How much."""
        return Money(self.amount_minor, self.currency)


class Foreseen(msgspec.Struct, frozen=True):
    """What refunding will do. left: what no refund has taken yet."""

    payment: Payment
    left: Money
    because: str


async def foresee(desk: Desk, payment_id: str, money: Money | None, *, shop: str | None = None) -> Foreseen:
    """What could be given back, and whether it takes a second person; money None: all that is left.

    Raises NotFound, InvalidRequest, or Conflict when nothing can be given back.
    """
    async with desk.db.session() as tx:
        return await _foresee(tx, desk, await the_payment(tx, payment_id, shop), money)


async def _foresee(tx: Tx, desk: Desk, payment: Payment, money: Money | None) -> Foreseen:
    theirs = [r for r in await refunds.of_orders(tx, [payment.order_id]) if r.payment_id == payment.id]
    moved = {r.id: r.amount_minor for r in theirs if r.state is not RefundState.FAILED}
    if payment.state is not State.PAID:
        raise Conflict(f"the payment is {payment.state}; only a paid one is refunded")
    left = payment.amount_minor - sum(moved.values())
    if left <= 0:
        raise Conflict("nothing of it is left to refund")
    wanted = money or Money(left, payment.currency)
    if wanted.currency != payment.currency or not 1 <= wanted.amount_minor <= left:
        raise InvalidRequest(f"at most {Money(left, payment.currency)} can be given back")
    by_hand = sum(moved.get(refund_id, 0) for refund_id in await _made_by_hand(tx, payment))
    because = ABOVE if desk.needs_second(wanted) else ""
    if not because and desk.needs_second(Money(wanted.amount_minor + by_hand, payment.currency)):
        because = "together with what was given back by hand before, it is above the limit of one person"
    return Foreseen(payment, Money(left, payment.currency), because)


async def _made_by_hand(tx: Tx, payment: Payment) -> set[str]:
    """Which refunds people asked for: the audit has each, and is for ever."""
    deeds = await audit.of_order(tx, payment.order_id)
    return {deed.subject_id for deed in deeds if deed.action == REQUESTED}


async def refund(desk: Desk, actor: Actor, wanted: GiveBack, *, key: str, shop: str | None = None) -> Done:
    """Refund, or ask a second person to. The same key does it once; pieces count together, whoever asks for them."""
    a_reason(wanted.why)
    async with desk.db.transaction() as tx:
        payment = await the_payment(tx, wanted.payment_id, shop)
        await orders.lock(tx, [payment.order_id])  # two pieces in one moment are weighed one after the other
        if await refunds.get(tx, refund_id_of(payment.id, f"hand/{key}")) is not None:
            return await give_back(tx, desk, actor, wanted, key=key)
        foreseen = await _foresee(tx, desk, await the_payment(tx, payment.id, None), wanted.money)
        if foreseen.because:
            question = Question(
                action=ACTION, payment=payment, money=wanted.money, because=foreseen.because, wanted=wanted,
                why=wanted.why, deed="refund.asked", after=f"{wanted.money}: {foreseen.because}",
            )  # fmt: skip
            return await ask_second(tx, desk, actor, question, key)
        return await give_back(tx, desk, actor, wanted, key=key)


async def give_back(tx: Tx, desk: Desk, actor: Actor, wanted: GiveBack, *, key: str) -> Done:
    """Write the refund down; the worker sends it, and asks until it is settled."""
    payment = await the_payment(tx, wanted.payment_id, None)
    is_new = await refunds.get(tx, refund_id_of(payment.id, f"hand/{key}")) is None
    made = await request_refund(
        tx, desk.handlers, shop=payment.shop, payment_id=payment.id, money=wanted.money, reason=wanted.why,
        key=f"hand/{key}", now=desk.now(),
    )  # fmt: skip
    if is_new:
        await audit.write(
            tx, actor, REQUESTED, desk.now(), shop=payment.shop, subject_id=made.id, order_id=payment.order_id,
            why=wanted.why, before=f"payment {payment.state}", after=f"refund {made.state}: {made.money}",
        )  # fmt: skip
    return Done("done", f"{made.money} is sent back through {payment.channel}", subject_id=made.id)
