"""Give money back by hand; above a limit a second person must agree."""

import msgspec

from paidup.checkout.refund import request_refund
from paidup.db.transaction import Tx
from paidup.errors import Conflict, InvalidRequest
from paidup.hand.desk import ABOVE, Desk, a_reason, the_payment
from paidup.hand.done import Done
from paidup.money import Money
from paidup.payments.payment import Payment
from paidup.payments.states import State
from paidup.people import approvals, audit
from paidup.people.approvals import Approval, new_approval_id
from paidup.people.audit import Actor
from paidup.refunds import store as refunds
from paidup.refunds.states import State as RefundState

ACTION = "refund"


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
        payment = await the_payment(tx, payment_id, shop)
        theirs = [r for r in await refunds.of_orders(tx, [payment.order_id]) if r.payment_id == payment_id]
    taken = sum(r.amount_minor for r in theirs if r.state is not RefundState.FAILED)
    if payment.state is not State.PAID:
        raise Conflict(f"the payment is {payment.state}; only a paid one is refunded")
    left = payment.amount_minor - taken
    if left <= 0:
        raise Conflict("nothing of it is left to refund")
    wanted = money or Money(left, payment.currency)
    if wanted.currency != payment.currency or not 1 <= wanted.amount_minor <= left:
        raise InvalidRequest(f"at most {Money(left, payment.currency)} can be given back")
    because = ABOVE if desk.needs_second(wanted) else ""
    return Foreseen(payment, Money(left, payment.currency), because)


async def refund(desk: Desk, actor: Actor, wanted: GiveBack, *, key: str, shop: str | None = None) -> Done:
    """Refund, or ask a second person to. The same key does it once."""
    a_reason(wanted.why)
    if not desk.needs_second(wanted.money):
        async with desk.db.transaction() as tx:
            await the_payment(tx, wanted.payment_id, shop)
            return await give_back(tx, desk, actor, wanted, key=key)
    foreseen = await foresee(desk, wanted.payment_id, wanted.money, shop=shop)
    payment = foreseen.payment
    async with desk.db.transaction() as tx:
        now = desk.now()
        asked = await approvals.ask(
            tx,
            Approval(
                id=new_approval_id(now), asked_at=now, asked_by=actor.who, action=ACTION, key=key, shop=payment.shop,
                order_id=payment.order_id, subject_id=payment.id, amount_minor=wanted.amount_minor,
                currency=wanted.currency, because=foreseen.because, request=msgspec.json.encode(wanted).decode(),
                why=wanted.why,
            ),
        )  # fmt: skip
        await audit.write(
            tx, actor, "refund.asked", now, shop=payment.shop, subject_id=payment.id, order_id=payment.order_id,
            why=wanted.why, before=f"payment {payment.state}", after=f"{wanted.money}: {foreseen.because}",
        )  # fmt: skip
        return Done("waiting", foreseen.because, asked.id)


async def give_back(tx: Tx, desk: Desk, actor: Actor, wanted: GiveBack, *, key: str) -> Done:
    """Write the refund down; the worker sends it, and asks until it is settled."""
    payment = await the_payment(tx, wanted.payment_id, None)
    made = await request_refund(
        tx, desk.handlers, shop=payment.shop, payment_id=payment.id, money=wanted.money, reason=wanted.why,
        key=f"hand/{key}", now=desk.now(),
    )  # fmt: skip
    await audit.write(
        tx, actor, "refund.requested", desk.now(), shop=payment.shop, subject_id=made.id, order_id=payment.order_id,
        why=wanted.why, before=f"payment {payment.state}", after=f"refund {made.state}: {made.money}",
    )  # fmt: skip
    return Done("done", f"{made.money} is sent back through {payment.channel}", subject_id=made.id)
