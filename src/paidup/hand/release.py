"""Decide about money that is held because it came otherwise than agreed; above a limit a second person must agree."""

import msgspec

from paidup.checkout.release import release_payment
from paidup.db.transaction import Tx
from paidup.errors import Conflict
from paidup.hand.desk import ABOVE, Desk, a_reason, the_payment
from paidup.hand.done import Done
from paidup.hand.second import Question, ask_second
from paidup.money import Money
from paidup.orders import store as orders
from paidup.payments.payment import Payment
from paidup.payments.states import State
from paidup.people import approvals, audit
from paidup.people.approvals import Approval, new_approval_id
from paidup.people.audit import Actor
from paidup.settle.book import Verdict

ACTIONS = {Verdict.ACCEPT: "release_accept", Verdict.GIVE_BACK: "release_give_back"}
"""What a request is called, so that whoever agrees sees from its name which decision it is."""


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """Which payment's money, what becomes of it, and why."""

    payment_id: str
    decision: Verdict
    why: str


class Foreseen(msgspec.Struct, frozen=True):
    """What releasing will do. came: the money that is held; because: why it takes a second person, empty when not."""

    payment: Payment
    came: Money
    because: str


async def foresee(desk: Desk, payment_id: str, decision: Verdict, *, shop: str | None = None) -> Foreseen:
    """Whether this decision takes a second person. Raises NotFound."""
    async with desk.db.session() as tx:
        await the_payment(tx, payment_id, shop)
        return await _foresee(tx, desk, payment_id, decision)


async def release(desk: Desk, actor: Actor, wanted: Release, *, shop: str | None = None) -> Done:
    """Take held money as it came, or give it back; or ask a second person to agree.

    Asked again while it waits, it is the same request. Raises NotFound, or Conflict when nothing is held.
    """
    a_reason(wanted.why)
    async with desk.db.transaction() as tx:
        payment = await the_payment(tx, wanted.payment_id, shop)
        await orders.lock(tx, [payment.order_id])
        foreseen = await _foresee(tx, desk, wanted.payment_id, wanted.decision)
        if foreseen.because:
            action = ACTIONS[wanted.decision]
            waiting = await approvals.waiting(tx, action, payment.id)
            question = Question(
                action=action, payment=payment, money=foreseen.came, because=foreseen.because, wanted=wanted,
                why=wanted.why, deed="payment.release_asked", after=f"{wanted.decision}: {foreseen.because}",
            )  # fmt: skip
            return await ask_second(tx, desk, actor, question, waiting.key if waiting else new_approval_id(desk.now()))
        return await put_through(tx, desk, actor, wanted)


async def put_through(tx: Tx, desk: Desk, actor: Actor, wanted: Release) -> Done:
    """The decision goes through the door. Raises Conflict when nothing is held any more."""
    payment = await release_payment(
        tx, desk.handlers, shop=None, payment_id=wanted.payment_id, verdict=wanted.decision, why=wanted.why.strip(),
        now=desk.now(),
    )  # fmt: skip
    await audit.write(
        tx, actor, "payment.released", desk.now(), shop=payment.shop, subject_id=payment.id, order_id=payment.order_id,
        why=wanted.why, before="payment held", after=f"{wanted.decision}: payment {payment.state}",
    )  # fmt: skip
    taken = wanted.decision is Verdict.ACCEPT
    return Done("done", "the money is taken as it came" if taken else "all of the money is given back")


async def put_through_agreed(tx: Tx, desk: Desk, actor: Actor, asked: Approval) -> Done:
    """What two people agreed to. Raises Conflict when other money is held by now than they were asked about."""
    await orders.lock(tx, [asked.order_id])
    came = (await the_payment(tx, asked.subject_id, None)).came
    if came != asked.money:
        raise Conflict(f"{came} is held by now, and not {asked.money}; refuse this, and ask again")
    return await put_through(tx, desk, actor, msgspec.json.decode(asked.request, type=Release))


async def _foresee(tx: Tx, desk: Desk, payment_id: str, decision: Verdict) -> Foreseen:
    payment = await the_payment(tx, payment_id, None)
    came, because = payment.came, ""
    if payment.state is State.HELD:  # else there is nothing to decide, and the door says so
        order = await orders.get(tx, payment.order_id)
        if desk.needs_second(came):
            because = ABOVE
        elif decision is Verdict.ACCEPT and order is not None and desk.needs_second(order.money):
            because = "the order that it would pay is above the limit of one person"
    return Foreseen(payment, came, because)
