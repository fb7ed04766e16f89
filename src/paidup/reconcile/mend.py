"""Repair by the bill: the channel is asked about each break that proof can mend, and what it says goes to the door.

The bill is the channel's own word. Its answer to a question is wanted beside it, but where it does not answer, a bill
that we fetched ourselves is proof enough; where it contradicts its own bill, people decide. All goes through the one
door (apply.py) by the road "bill".
"""

import asyncio
from collections.abc import Sequence
from datetime import date, datetime

import msgspec

from paidup import log
from paidup.apply import Item, Result, apply
from paidup.ask import Answer, Asker
from paidup.db.poison import bad_ones
from paidup.db.transaction import Database, Tx
from paidup.errors import InvalidRequest, NotFound
from paidup.evidence import Evidence, PaymentEvidence, PaymentSays, RefundEvidence, RefundSays, Road
from paidup.handlers import Handlers
from paidup.journal import store as journal
from paidup.orders import store as orders
from paidup.orders.order import Order
from paidup.payments import store as payments
from paidup.payments.payment import Payment
from paidup.payments.states import MONEY_ARRIVED
from paidup.payments.states import State as PaymentState
from paidup.reconcile import bills, store, tell
from paidup.reconcile.breaks import Break
from paidup.reconcile.decide import Change, happen
from paidup.reconcile.party import Party
from paidup.reconcile.propose import (
    ASKED,
    MAX_TRIES,
    Budget,
    Proposal,
    agrees,
    as_given_back,
    ask_again_at,
    came_back,
    has_not_arrived,
    testimony,
)
from paidup.reconcile.states import UNSETTLED, Happening, State
from paidup.refunds import store as refunds
from paidup.refunds.refund import Cause, Refund
from paidup.refunds.states import State as RefundState
from paidup.settle.book import Weighed

BATCH = 200
"""So many questions one round asks about a day; those about which people must agree first take up none of them."""
MAX_PAGES = 50
_AT_ONCE = 8


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal with all that asking needs."""

    proposal: Proposal
    order: Order
    payment: Payment
    refund: Refund | None
    is_fetched: bool


class Asked(msgspec.Struct, frozen=True):
    """What asking about one brought. item: what goes to the door; why: what is certain now, for people.

    is_silent: the channel gave no answer, and may give one later.
    """

    subject: Subject
    answer: Answer
    item: Item | None
    contradicts: bool
    why: str
    is_silent: bool = False


async def proposals(
    tx: Tx, party: Party, day: date, now: datetime, *, only: frozenset[str] | None = None, is_early: bool = False
) -> list[Proposal]:
    """What a repair of a day would do now, within the limits of today; of these breaks, or of all that are due."""
    account, proposed = party.account, list[Proposal]()
    budget, most = await _budget(tx, party, now), BATCH if only is None else len(only)
    for _ in range(MAX_PAGES):
        found = await store.repairable(
            tx, account.channel, account.name, day, [kind.value for kind in ASKED], max_tries=MAX_TRIES, only=only,
            without=[one.broken.id for one in proposed], due_at=None if is_early else now, limit=BATCH,
        )  # fmt: skip
        proposed += await _proposed(tx, found, budget, now)
        if len(found) < BATCH or sum(not one.needs for one in proposed) >= most:
            break
    return proposed


async def planned(tx: Tx, party: Party, broken: Sequence[Break], now: datetime) -> list[Proposal]:
    """What a repair would do about breaks that are perhaps not written yet: for those who only want to look."""
    return await _proposed(tx, broken, await _budget(tx, party, now), now)


async def _budget(tx: Tx, party: Party, now: datetime) -> Budget:
    account = party.account
    return Budget(party.rules, await store.repaired_so_far(tx, account.channel, account.name, now.date()))


async def _proposed(tx: Tx, broken: Sequence[Break], budget: Budget, now: datetime) -> list[Proposal]:
    back = await store.given_back(tx, [one.payment_id for one in broken if one.payment_id is not None])
    return [
        Proposal(broken=one, evidence=evidence, needs=budget.refuses(one) if evidence is not None else "")
        for one in broken
        if one.payment_id is not None and one.kind in ASKED and one.state in UNSETTLED
        for back_minor in [back.get((one.payment_id, one.currency), 0)]
        for evidence in [as_given_back(one, testimony(one, now), back_minor)]
    ]


async def mend(
    db: Database,
    party: Party,
    day: date,
    *,
    asker: Asker,
    handlers: Handlers,
    who: str,
    only: frozenset[str] | None = None,
    is_early: bool = False,
) -> int:
    """Ask about the breaks of a day, and repair what may be repaired; returns how often our books changed by that: the
    day is to be laid beside them once more. only: the ids of those that are asked about; when None, all but those about
    which the channel was silent, and is to be asked again later; is_early: these, too."""
    now = asker.now_of()
    async with db.session() as tx:
        proposed = await proposals(tx, party, day, now, only=only, is_early=is_early)
        subjects = await _subjects(tx, [one for one in proposed if not one.needs])
    gate = asyncio.Semaphore(_AT_ONCE)

    async def ask(subject: Subject) -> Asked:
        async with gate:
            return await _ask(asker, subject)

    asked = await asyncio.gather(*map(ask, subjects))
    now, mended = max(now, asker.now_of()), 0

    async def settle(some: Sequence[Asked]) -> None:
        nonlocal mended
        async with db.transaction() as tx:
            done = await _settle(tx, party, some, handlers, who, now)
        mended += done

    for one, error in await bad_ones(db, asked, settle):
        async with db.transaction() as tx:
            await _failed(tx, one.subject.proposal.broken, f"{type(error).__name__}: {error}"[:500], who, now)
    async with db.transaction() as tx:
        await _ask_people(tx, [one for one in proposed if one.needs], who, now)
        await store.not_asked(tx, sorted((only or frozenset()) - {one.subject.proposal.broken.id for one in asked}))
    return mended


async def _subjects(tx: Tx, proposed: Sequence[Proposal]) -> list[Subject]:
    found = {p.id: p for p in await payments.get_many(tx, [str(one.broken.payment_id) for one in proposed])}
    back = {
        r.id: r for r in await refunds.get_many(tx, [one.broken.refund_id for one in proposed if one.broken.refund_id])
    }
    its = {o.id: o for o in await orders.get_many(tx, [p.order_id for p in found.values()])}
    sources: dict[str, bool] = {}
    for one in proposed:
        bill_id = one.broken.line.bill_id if one.broken.line else None
        if bill_id is not None and bill_id not in sources:
            kept = await bills.get(tx, bill_id)
            sources[bill_id] = kept is not None and kept.source == "fetched"
    return [
        Subject(
            proposal=one,
            order=its[payment.order_id],
            payment=payment,
            refund=back.get(one.broken.refund_id or ""),
            is_fetched=one.broken.line is not None and sources[one.broken.line.bill_id],
        )
        for one in proposed
        for payment in [found.get(one.broken.payment_id or "")]
        if payment is not None
    ]


# Asking --------------------------------------------------------------------------------------------------------------


async def _ask(asker: Asker, subject: Subject) -> Asked:
    now, bill = asker.now_of(), subject.proposal.evidence
    try:
        if subject.proposal.broken.what in ("refund", "refund_failed", "refund_undone"):
            refund = _to_ask(subject)
            answer = await asker.about_refund(refund, subject.payment, subject.order, 1, now)
        else:
            # Asked as if it were open: a question only, never a closing.
            is_open = subject.payment.state not in MONEY_ARRIVED
            payment = msgspec.structs.replace(subject.payment, state=PaymentState.OPEN) if is_open else subject.payment
            answer = await asker.about_payment(payment, subject.order, now)
    except (InvalidRequest, NotFound) as error:
        answer = Answer()
        return _weighed(subject, answer, bill, f"the channel cannot be asked: {error}")
    weighed = _weighed(subject, answer, bill, answer.calls[-1].why if answer.calls else "no answer")
    return msgspec.structs.replace(weighed, is_silent=not _told(answer))


def _to_ask(subject: Subject) -> Refund:
    """The refund as the channel is asked about it: as one that it has, so that it is never sent (again)."""
    if subject.refund is not None:
        return msgspec.structs.replace(subject.refund, state=RefundState.PENDING)
    line, payment = subject.proposal.broken.line, subject.payment
    if line is None or not (number := line.merchant_refund_ref or line.channel_refund_id):
        raise InvalidRequest("the bill gives the refund no number to ask by")
    return Refund(
        id=subject.proposal.broken.id, shop=payment.shop, order_id=payment.order_id, payment_id=payment.id,
        channel=payment.channel, account=payment.account, merchant_ref=number, channel_refund_id=line.channel_refund_id,
        amount_minor=abs(line.amount_minor), currency=line.currency, state=RefundState.PENDING, cause=Cause.AT_CHANNEL,
        created_at=line.at, updated_at=line.at,
    )  # fmt: skip


def _weighed(subject: Subject, answer: Answer, bill: Evidence | None, why: str) -> Asked:
    """What goes to the door: the channel's answer where there is one, else the bill's own word, if it is enough."""
    told = _told(answer)
    if bill is None:  # ours only: whatever the channel says is weighed, and the next bill shows whether it was right
        item = _item(subject, told[-1]) if told else None
        return Asked(subject, answer, item, contradicts=False, why=why)
    same = [evidence for evidence in told if agrees(evidence, bill)]
    if same:
        said = _with_numbers(same[-1], bill)
        return Asked(subject, answer, _item(subject, said), contradicts=False, why=f"the channel says the same: {why}")
    if back := [evidence for evidence in told if came_back(evidence, bill)]:
        said = _with_numbers(back[-1], bill)
        return Asked(
            subject, answer, _item(subject, said), contradicts=False, why=f"it left, and came back since: {why}"
        )
    if under_way := [evidence for evidence in told if has_not_arrived(evidence, bill)]:
        is_news = subject.refund is None  # one that is known is followed already
        item = _item(subject, _with_numbers(under_way[-1], bill)) if is_news else None
        return Asked(subject, answer, item, contradicts=False, why=f"it left, and has not arrived yet: {why}")
    if subject.proposal.broken.state is State.APPROVED:
        return Asked(subject, answer, _item(subject, bill), contradicts=False, why=f"approved by people ({why})")
    if told:
        return Asked(subject, answer, None, contradicts=True, why=f"asked, the channel contradicts its bill: {why}")
    if subject.is_fetched:
        why = f"the bill is proof; the channel gave no answer ({why})"
        return Asked(subject, answer, _item(subject, bill), contradicts=False, why=why)
    return Asked(subject, answer, None, contradicts=False, why=f"an uploaded bill alone is no proof; no answer: {why}")


def _told(answer: Answer) -> list[Evidence]:
    return [item.what for item in answer.items if isinstance(item.what, Evidence)]


def _with_numbers(told: Evidence, bill: Evidence) -> Evidence:
    """The answer, on the road of the bill that made us ask, with the numbers that only the bill may know."""
    fields: dict[str, object] = {
        "road": Road.BILL,
        "channel_txn_id": told.channel_txn_id or bill.channel_txn_id,
        "occurred_at": told.occurred_at or bill.occurred_at,
    }
    if isinstance(told, RefundEvidence) and isinstance(bill, RefundEvidence):
        fields["merchant_refund_ref"] = told.merchant_refund_ref or bill.merchant_refund_ref
        fields["channel_refund_id"] = told.channel_refund_id or bill.channel_refund_id
    if isinstance(bill, PaymentEvidence) and bill.says is PaymentSays.GIVEN_BACK:
        fields["says"] = bill.says  # of what became of the money the bills know more than "paid"
    if told.amount is None:
        fields["amount"] = bill.amount
    return msgspec.structs.replace(told, **fields)


def _item(subject: Subject, evidence: Evidence) -> Item:
    said = msgspec.structs.replace(evidence, road=Road.BILL)
    return Item(what=said, shop=subject.payment.shop, road=Road.BILL)


# Settling ------------------------------------------------------------------------------------------------------------


async def _settle(tx: Tx, party: Party, asked: Sequence[Asked], handlers: Handlers, who: str, now: datetime) -> int:
    """Bring the proof to the door, and write down how each break fared."""
    await journal.write_calls(tx, [call for one in asked for call in one.answer.calls])
    await store.lock_repairs(tx, party.account.channel, party.account.name)
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
            await store.repaired(tx, broken, now.date(), abs(broken.differs_minor), now)
            changes.append((broken, happen(broken, Happening.GONE, now, f"{one.why}; {result.why}"), ""))
            log.info("break.healed", broken=broken.id, kind=broken.kind, payment=broken.payment_id, why=one.why)
        else:
            mended += result.outcome is Weighed.APPLIED  # money that came otherwise than agreed is held
            changes.append((broken, happen(broken, Happening.FAILED, now, result.why), f"{one.why}; {result.why}"))
            tried[broken.id] = None
    for one in asked:
        if one.item is None:
            broken = one.subject.proposal.broken
            moved = happen(broken, Happening.FAILED, now, one.why) if one.contradicts else None
            again_at = ask_again_at(broken, now) if one.is_silent else None
            changes.append((broken, moved, f"{one.why}{_again(again_at, now)}"))
            tried[broken.id] = again_at
    await tell.changed(tx, [moved for _, moved, _ in changes if moved is not None], who, now)
    said = [(b, "asked", why, b.state.value, b.state.value) for b, moved, why in changes if moved is None]
    await store.add_steps(tx, said, who, now)
    await store.tried(tx, tried)
    return mended


async def _within_limits(tx: Tx, party: Party, asked: Sequence[Asked], who: str, now: datetime) -> list[Asked]:
    """Those that may be repaired still. Another process, or another day's round, may have used up what was left of
    today's limits while the channel was asked: then people must agree first."""
    budget, over = await _budget(tx, party, now), dict[str, str]()
    for one in asked:
        proposal = one.subject.proposal
        if one.item is not None and proposal.evidence is not None and (why := budget.refuses(proposal.broken)):
            over[proposal.broken.id] = why
    proposed = [one.subject.proposal for one in asked]
    needing = [msgspec.structs.replace(p, needs=over[p.broken.id]) for p in proposed if p.broken.id in over]
    await _ask_people(tx, needing, who, now)
    return [one for one in asked if one.subject.proposal.broken.id not in over]


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


def _again(at: datetime | None, now: datetime) -> str:
    """When the channel is asked again, for people who read the break's steps."""
    return "" if at is None else f"; it is asked again in {round((at - now).total_seconds() / 60)} min"


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


async def _failed(tx: Tx, broken: Break, why: str, who: str, now: datetime) -> None:
    """What cannot be applied is left to people; its neighbours are done."""
    log.error("repair.failed", broken=broken.id, why=why)
    for one in await _unchanged(tx, [broken]):
        moved = happen(one, Happening.FAILED, now, why)
        await tell.changed(tx, [moved] if moved is not None else [], who, now)
        await store.tried(tx, {one.id: None})


async def _ask_people(tx: Tx, proposed: Sequence[Proposal], who: str, now: datetime) -> None:
    """Say once why a repair waits for people."""
    changes: list[Change] = []
    needs = {one.broken.id: one.needs for one in proposed}
    for broken in await _unchanged(tx, [one.broken for one in proposed]):
        moved = happen(broken, Happening.FAILED, now, needs[broken.id])
        if moved is not None:
            changes.append(Change(moved.before, moved.after, "approval wanted", needs[broken.id]))
    await tell.changed(tx, changes, who, now)
