"""What people decide about a difference between the channel's bill and our books: agree to its repair, or say how it
was settled. As many people as the rules say must agree, nobody counts twice, and the last one, whose word does it, is
one who agrees to others' deeds."""

from collections.abc import Sequence

import msgspec

from paidup.db.transaction import Tx
from paidup.errors import NotFound
from paidup.hand.desk import Desk, a_reason
from paidup.people import audit
from paidup.people.audit import Actor
from paidup.people.user import Right
from paidup.reconcile import break_repairs, people, store
from paidup.reconcile.breaks import Break
from paidup.reconcile.rules import Rules, read_rules


class Agreed(msgspec.Struct, frozen=True):
    """Who agreed so far. is_new: whether this word counted; somebody who agreed before changes nothing."""

    agreement: people.Agreement
    is_new: bool


async def agree(
    desk: Desk, actor: Actor, break_id: str, why: str, *, payment_id: str | None = None, shop: str | None = None,
) -> Agreed:  # fmt: skip
    """One more who agrees; the reconcile worker repairs it once enough do.

    payment_id: to which payment the money of an unknown number belongs. Raises NotFound, NotAllowed, Conflict and
    InvalidRequest.
    """
    actor.must_be_themselves()
    async with desk.db.transaction() as tx:
        broken = await _break(tx, break_id, shop)
        rules, agreed = rules_of(desk, broken), await break_repairs.approvals(tx, broken)
        if actor.who in agreed:
            return Agreed(people.Agreement(broken=broken, approved_by=agreed, needed=rules.approvers), is_new=False)
        if not may_agree(actor, agreed, rules.approvers):
            actor.must_have(Right.APPROVE)
        agreement = await people.approve(
            tx,
            break_id,
            shop=shop,
            who=actor.who,
            why=a_reason(why),
            rules=rules,
            now=desk.now(),
            payment_id=payment_id,
        )
        count = f"{len(agreement.approved_by)} of {agreement.needed} agreed"
        await _write(tx, desk, actor, broken, "break.agreed", why, count)
    return Agreed(agreement, is_new=True)


async def resolve(desk: Desk, actor: Actor, break_id: str, why: str, *, shop: str | None = None) -> Break:
    """It was settled outside of our books. Raises NotFound, NotAllowed and Conflict."""
    actor.must_have(Right.MONEY)
    async with desk.db.transaction() as tx:
        broken = await _break(tx, break_id, shop)
        said = a_reason(why)
        resolved = await people.resolve(tx, break_id, shop=shop, who=actor.who, why=said, now=desk.now())
        await _write(tx, desk, actor, broken, "break.resolved", why, resolved.state)
    return resolved


def may_agree(actor: Actor, agreed: Sequence[str], needed: int) -> bool:
    """Whoever moves money may agree; the last one must be one who agrees to others' deeds."""
    return Right.APPROVE in actor.rights or (Right.MONEY in actor.rights and len(agreed) + 1 < needed)


def rules_of(desk: Desk, broken: Break) -> Rules:
    """What is agreed about the account of a break."""
    folder = desk.settings.reconcile_rules or desk.settings.data / "reconcile.toml"
    return read_rules(folder).of(broken.channel, broken.account)


async def _break(tx: Tx, break_id: str, shop: str | None) -> Break:
    found = await store.get(tx, [break_id], lock=True)
    if not found or (shop is not None and found[0].shop != shop):
        raise NotFound(f"there is no break {break_id}; `paidup reconcile breaks --all` lists them")
    return found[0]


async def _write(tx: Tx, desk: Desk, actor: Actor, broken: Break, action: str, why: str, after: str) -> None:
    await audit.write(
        tx, actor, action, desk.now(), shop=broken.shop, subject_id=broken.id, order_id=broken.order_id, why=why,
        before=broken.state, after=after,
    )  # fmt: skip
