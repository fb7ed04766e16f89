"""What people do about breaks: agree to a repair, link money to a payment, say how something was settled."""

from datetime import datetime

import msgspec

from paidup.db.transaction import Tx
from paidup.errors import Conflict, InvalidRequest, NotFound
from paidup.reconcile import break_repairs, break_steps, ours, store, tell
from paidup.reconcile.breaks import Break, Kind
from paidup.reconcile.decide import Change, happen
from paidup.reconcile.overdue import close_settled
from paidup.reconcile.propose import testimony
from paidup.reconcile.rules import Rules
from paidup.reconcile.states import UNSETTLED, Happening


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """Who agreed so far, and whether that is enough."""

    broken: Break
    approved_by: list[str]
    needed: int

    @property
    def is_enough(self) -> bool:
        """Whether the next round repairs it."""
        return len(self.approved_by) >= self.needed


async def approve(
    tx: Tx, break_id: str, *, shop: str | None, who: str, why: str, rules: Rules, now: datetime,
    payment_id: str | None = None,
) -> Agreement:  # fmt: skip
    """One person agrees to the repair of a break as it is now. Nobody counts twice, and a break that changes since
    begins anew.

    payment_id: to which payment the money of an unknown number belongs. Raises NotFound, Conflict and InvalidRequest.
    """
    broken = await _one(tx, break_id, shop)
    if payment_id is not None and payment_id != broken.payment_id:
        broken = await _linked(tx, broken, payment_id, who, why, now)
    if testimony(broken, now) is None:
        raise Conflict(
            f"a break of the kind {broken.kind} cannot be repaired by its bill: resolve it with what was done"
        )
    before = await break_repairs.approvals(tx, broken)
    said_by = await break_repairs.approve(tx, broken, who, why, now)
    if len(said_by) > len(before):
        said = f"{why} ({len(said_by)} of {rules.approvers})"
        await break_steps.add(tx, [(broken, "agreed", said, broken.state, broken.state)], who, now)
    if len(said_by) >= rules.approvers:
        moved = happen(broken, Happening.APPROVED, now, ", ".join(said_by))
        if moved is not None:
            await tell.changed(tx, [moved], who, now)
            broken = moved.after
    return Agreement(broken=broken, approved_by=said_by, needed=rules.approvers)


async def resolve(tx: Tx, break_id: str, *, shop: str | None, who: str, why: str, now: datetime) -> Break:
    """A person settled it outside of our books, and says how. Raises NotFound and Conflict."""
    broken = await _one(tx, break_id, shop)
    moved = happen(broken, Happening.RESOLVED, now, why)
    if moved is None:
        raise Conflict(f"break {break_id} is {broken.state} already")
    await tell.changed(tx, [moved], who, now)
    await close_settled(tx, moved.after, now)
    return moved.after


async def _one(tx: Tx, break_id: str, shop: str | None) -> Break:
    found = await store.get(tx, [break_id], lock=True)
    if not found or (shop is not None and found[0].shop != shop):
        raise NotFound(f"there is no break {break_id}; `paidup reconcile breaks --all` lists them")
    if found[0].state not in UNSETTLED:
        raise Conflict(f"break {break_id} is {found[0].state} already")
    return found[0]


async def _linked(tx: Tx, broken: Break, payment_id: str, who: str, why: str, now: datetime) -> Break:
    """Say to which payment the money of an unknown number belongs: of the same shop, account and amount."""
    if broken.kind is not Kind.LONG or broken.payment_id is not None:
        raise Conflict("only money of an unknown number can be linked to a payment")
    side = (await ours.by_id(tx, [payment_id], [])).get(payment_id)
    if side is None or side.shop != broken.shop:
        raise NotFound(f"there is no payment {payment_id}")
    if (side.currency, side.amount_minor) != (broken.currency, broken.bill_minor):
        raise InvalidRequest(
            f"payment {payment_id} is over {side.amount_minor} {side.currency}, the bill's line is not"
        )
    after = msgspec.structs.replace(
        broken, ours=side, payment_id=payment_id, order_id=side.order_id, changed_at=now, version=broken.version + 1
    )
    await tell.changed(tx, [Change(broken, after, "linked", f"{payment_id}: {why}")], who, now)
    return after
