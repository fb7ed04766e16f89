"""What was asked is brought to an end: proof goes to the door, and each break has its step, or waits for people."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from paidup import log
from paidup.apply import Result, apply
from paidup.db.transaction import Tx
from paidup.evidence import RefundEvidence, RefundSays
from paidup.handlers import Handlers
from paidup.journal import store as journal
from paidup.orders import store as orders
from paidup.payments.states import MONEY_ARRIVED
from paidup.reconcile import break_repairs, break_steps, store, tell
from paidup.reconcile.breaks import Break
from paidup.reconcile.decide import Change, happen
from paidup.reconcile.mend_ask import Asked
from paidup.reconcile.mend_plan import budget_of
from paidup.reconcile.party import Party
from paidup.reconcile.propose import Proposal, ask_again_at
from paidup.reconcile.states import UNSETTLED, Happening, State
from paidup.refunds.states import State as RefundState
from paidup.settle.book import Weighed


async def settle(tx: Tx, party: Party, asked: Sequence[Asked], handlers: Handlers, who: str, now: datetime) -> int:
    """Bring the proof to the door, and write down how each break fared."""
    await journal.write_calls(tx, [call for one in asked for call in one.answer.calls])
    await break_repairs.lock(tx, party.account.channel, party.account.name)
    asked = await _within_limits(tx, party, await _still(tx, asked), who, now)
    going = [one for one in asked if one.item is not None]
    results = await apply(tx, [one.item for one in going if one.item is not None], now, handlers)
    changes: list[tuple[Break, Change | None, str]] = []
    tried: dict[str, datetime | None] = {}
    mended = 0
    for one, result in zip(going, results, strict=True):
        broken = one.subject.proposal.broken
        if one.subject.proposal.evidence is None:
            mended += result.outcome is Weighed.APPLIED  # a refund came back: then the bill has been right
            changes.append((broken, None, f"asked: {one.why}; {result.why}"))
            tried[broken.id] = None
        elif _is_mended(one, result):
            mended += 1
            await break_repairs.repaired(tx, broken, now.date(), abs(broken.differs_minor), now)
            changes.append((broken, happen(broken, Happening.GONE, now, f"{one.why}; {result.why}"), ""))
            log.info("break.healed", broken=broken.id, kind=broken.kind, payment=broken.payment_id, why=one.why)
        else:
            mended += result.outcome is Weighed.APPLIED  # money that came otherwise than agreed is held
            again_at = ask_again_at(broken, now) if _is_in_the_way(broken, result) else None
            moved = happen(broken, Happening.FAILED, now, result.why) if again_at is None else None
            changes.append((broken, moved, f"{one.why}; {result.why}{_again(again_at, now)}"))
            tried[broken.id] = again_at
    for one in asked:
        if one.item is None:
            broken = one.subject.proposal.broken
            moved = happen(broken, Happening.FAILED, now, one.why) if one.contradicts else None
            again_at = ask_again_at(broken, now) if one.is_silent else None
            changes.append((broken, moved, f"{one.why}{_again(again_at, now)}"))
            tried[broken.id] = again_at
    await tell.changed(tx, [moved for _, moved, _ in changes if moved is not None], who, now)
    said = [(b, "asked", why, b.state.value, b.state.value) for b, moved, why in changes if moved is None]
    await break_steps.add(tx, said, who, now)
    await store.tried(tx, tried)
    return mended


async def _still(tx: Tx, asked: Sequence[Asked]) -> list[Asked]:
    """Those whose break is still what the channel was asked about, as it stands now. Meanwhile people may have settled
    it, or agreed, or another run may have found something else: what they said holds, and the next round goes on from
    there. Locked after the orders, as whoever comes through the door does it."""
    await orders.lock(tx, [one.subject.order.id for one in asked])
    same = {one.id: one for one in await _unchanged(tx, [one.subject.proposal.broken for one in asked])}
    return [
        msgspec.structs.replace(one, subject=msgspec.structs.replace(one.subject, proposal=proposal))
        for one in asked
        for broken in [same.get(one.subject.proposal.broken.id)]
        if broken is not None
        for proposal in [msgspec.structs.replace(one.subject.proposal, broken=broken)]
    ]


async def _within_limits(tx: Tx, party: Party, asked: Sequence[Asked], who: str, now: datetime) -> list[Asked]:
    """Those that may be repaired still. Another process, or another day's round, may have used up what was left of
    today's limits while the channel was asked: then people must agree first."""
    budget, over = await budget_of(tx, party, now), dict[str, str]()
    for one in asked:
        proposal = one.subject.proposal
        if one.item is not None and proposal.evidence is not None and (why := budget.refuses(proposal.broken)):
            over[proposal.broken.id] = why
    proposed = [one.subject.proposal for one in asked]
    needing = [msgspec.structs.replace(p, needs=over[p.broken.id]) for p in proposed if p.broken.id in over]
    await ask_people(tx, needing, who, now)
    return [one for one in asked if one.subject.proposal.broken.id not in over]


def _is_mended(one: Asked, result: Result) -> bool:
    """Whether our books say now what the bill says."""
    if result.outcome not in (Weighed.APPLIED, Weighed.REPEATED) or result.book is None:
        return False
    broken = one.subject.proposal.broken
    if broken.what == "payment":
        payment = result.book.payments.get(str(broken.payment_id))
        return payment is not None and payment.state in MONEY_ARRIVED
    said = one.item.what if one.item is not None else None
    refund = result.book.refunds.get(result.refund_id or "")
    if refund is None or not isinstance(said, RefundEvidence):
        return False
    if said.says is RefundSays.PENDING:  # it is known here now, and followed until it has arrived
        return True
    return refund.state is (RefundState.SUCCEEDED if said.says is RefundSays.SUCCEEDED else RefundState.FAILED)


def _is_in_the_way(broken: Break, result: Result) -> bool:
    """Whether a refund of ours is under way, to take what this one has taken already: once the channel has declined it,
    the other one can be booked."""
    if result.outcome is not Weighed.REJECTED or result.book is None or broken.what != "refund":
        return False
    under_way = (RefundState.REQUESTED, RefundState.PENDING)
    refunds = result.book.refunds.values()
    return any(refund.payment_id == broken.payment_id and refund.state in under_way for refund in refunds)


def _again(at: datetime | None, now: datetime) -> str:
    """When the channel is asked again, for people who read the break's steps."""
    return "" if at is None else f"; it is asked again in {round((at - now).total_seconds() / 60)} min"


async def give_up(tx: Tx, broken: Break, why: str, who: str, now: datetime) -> None:
    """What cannot be applied is left to people; its neighbours are done."""
    log.error("repair.failed", broken=broken.id, why=why)
    for one in await _unchanged(tx, [broken]):
        moved = happen(one, Happening.FAILED, now, why)
        await tell.changed(tx, [moved] if moved is not None else [], who, now)
        await store.tried(tx, {one.id: None})


async def ask_people(tx: Tx, proposed: Sequence[Proposal], who: str, now: datetime) -> None:
    """Say once why a repair waits for people."""
    changes: list[Change] = []
    needs = {one.broken.id: one.needs for one in proposed}
    for broken in await _unchanged(tx, [one.broken for one in proposed]):
        moved = happen(broken, Happening.FAILED, now, needs[broken.id])
        if moved is not None:
            changes.append(Change(moved.before, moved.after, "approval wanted", needs[broken.id]))
    await tell.changed(tx, changes, who, now)


async def _unchanged(tx: Tx, broken: Sequence[Break]) -> list[Break]:
    """Those that nobody settled, changed or agreed to since they were read, as they are now; locked."""
    before = {one.id: one for one in broken}
    return [
        one
        for one in await store.get(tx, sorted(before), lock=True)
        if one.state in UNSETTLED
        and one.version == before[one.id].version
        and (one.state is State.APPROVED) is (before[one.id].state is State.APPROVED)
    ]
