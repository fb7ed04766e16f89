"""A second person agrees to what the first one asked for, or refuses it."""

import msgspec

from paidup.errors import Conflict
from paidup.hand import confirm, refund, release
from paidup.hand.confirm import Confirm
from paidup.hand.desk import Desk, a_reason
from paidup.hand.done import Done
from paidup.hand.refund import GiveBack
from paidup.people import approvals, audit
from paidup.people.audit import Actor
from paidup.people.user import Right


async def approve(desk: Desk, actor: Actor, approval_id: str, why: str, *, shop: str | None = None) -> Done:
    """Agree: it is done now, in the same transaction. The channel was asked once more before.

    Raises NotFound, and Conflict for one's own request, one that is decided, or what can no longer be done.
    """
    a_reason(why)
    actor.must_have(Right.APPROVE)
    actor.must_be_themselves()
    async with desk.db.session() as tx:
        asked = await approvals.lock(tx, approval_id, shop)
    if asked.state == "waiting" and asked.asked_by != actor.who and asked.action == confirm.ACTION:
        wanted = msgspec.json.decode(asked.request, type=Confirm)
        if (await confirm.foresee(desk, wanted, shop=shop)).is_paid_already:
            return await _overtaken(desk, actor, approval_id)
    async with desk.db.transaction() as tx:
        asked = await approvals.lock(tx, approval_id, shop)
        await approvals.decide(tx, asked, "approved", actor.who, why, desk.now())
        await audit.write(
            tx, actor, "approval.given", desk.now(), shop=asked.shop, subject_id=asked.id, order_id=asked.order_id,
            why=why, before=f"{asked.action} asked by {asked.asked_by}", after="approved",
        )  # fmt: skip
        if asked.action == confirm.ACTION:
            wanted = msgspec.json.decode(asked.request, type=Confirm)
            return await confirm.put_through(tx, desk, actor, wanted, with_whom=asked.asked_by)
        if asked.action in release.ACTIONS.values():
            return await release.put_through_agreed(tx, desk, actor, asked)
        give = msgspec.json.decode(asked.request, type=GiveBack)
        return await refund.give_back(tx, desk, actor, give, key=asked.key)


async def refuse(desk: Desk, actor: Actor, approval_id: str, why: str, *, shop: str | None = None) -> None:
    """Nothing is done. Whoever asked may take it back this way, too."""
    a_reason(why)
    async with desk.db.transaction() as tx:
        asked = await approvals.lock(tx, approval_id, shop)
        if asked.asked_by != actor.who:
            actor.must_have(Right.APPROVE)
        await approvals.decide(tx, asked, "refused", actor.who, why, desk.now())
        await audit.write(
            tx, actor, "approval.refused", desk.now(), shop=asked.shop, subject_id=asked.id, order_id=asked.order_id,
            why=why, before=f"{asked.action} asked by {asked.asked_by}", after="refused",
        )  # fmt: skip


async def _overtaken(desk: Desk, actor: Actor, approval_id: str) -> Done:
    """The channel itself says by now that it is paid: nothing is left to agree to."""
    says = "the channel itself says by now that it is paid: nothing is left to confirm"
    async with desk.db.transaction() as tx:
        asked = await approvals.lock(tx, approval_id)
        if asked.state != "waiting":
            raise Conflict(f"{asked.decided_by} has decided this already: {asked.state}")
        await approvals.decide(tx, asked, "refused", actor.who, says, desk.now())
    return Done("already", says)
