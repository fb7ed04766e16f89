"""The channel is asked about one break, and what it says is weighed beside its bill: what goes to the door by that."""

from collections.abc import Sequence

import msgspec

from paidup.apply import Item
from paidup.ask import Answer, Asker
from paidup.db.transaction import Tx
from paidup.errors import InvalidRequest, NotFound
from paidup.evidence import Evidence, PaymentEvidence, PaymentSays, RefundEvidence, Road
from paidup.orders import store as orders
from paidup.orders.order import Order
from paidup.payments import store as payments
from paidup.payments.payment import Payment
from paidup.payments.states import MONEY_ARRIVED
from paidup.payments.states import State as PaymentState
from paidup.reconcile import bills
from paidup.reconcile.propose import Proposal, agrees, came_back, has_not_arrived
from paidup.reconcile.states import State
from paidup.refunds import store as refunds
from paidup.refunds.refund import Cause, Refund
from paidup.refunds.states import State as RefundState


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


async def subjects_of(tx: Tx, proposed: Sequence[Proposal]) -> list[Subject]:
    """Those whose payment is here, each with its rows."""
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


async def ask(asker: Asker, subject: Subject) -> Asked:
    """Ask the channel about one break: a question only, which changes nothing there."""
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
