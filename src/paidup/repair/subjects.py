"""What due rows are about, and which of it may be asked about now: the rest is put off until its turn."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from paidup.db.transaction import Tx
from paidup.journal import store as journal
from paidup.orders import store as orders
from paidup.orders.order import Order
from paidup.payments import store as payments
from paidup.payments.decide import may_have_gone_back
from paidup.payments.payment import Payment
from paidup.payments.states import FINAL as PAYMENT_FINAL
from paidup.refunds import store as refunds
from paidup.refunds.refund import Refund
from paidup.refunds.states import FINAL as REFUND_FINAL
from paidup.refunds.states import State as RefundState
from paidup.schedule import store as schedule

REFUNDS_APART = {"alipay": timedelta(seconds=3)}
"""So far apart a channel wants the refunds of one payment to be sent; what it says to those that are not is written
nowhere, and a no would end the refund. WeChat Pay has a code for it, which is no end: it is sent again later."""


class Subject(msgspec.Struct, frozen=True):
    """What a due row is about, with all that asking needs."""

    due: schedule.Due
    order: Order
    payment: Payment
    refund: Refund | None


async def within_budget(tx: Tx, dues: Sequence[schedule.Due], budget_per_s: float, now: datetime) -> list[schedule.Due]:
    """Those that may be asked about now; the others wait until the account's budget allows it."""
    allowed, later = [], []
    for channel, account in sorted({(due.channel, due.account) for due in dues}):
        theirs = [due for due in dues if (due.channel, due.account) == (channel, account)]
        granted, _ = await schedule.spend(tx, channel, account, len(theirs), rate_per_s=budget_per_s, now=now)
        allowed += theirs[:granted]
        rest = theirs[granted:]
        if rest:
            turns = await schedule.stand_in_line(tx, channel, account, len(rest), rate_per_s=budget_per_s, now=now)
            later += [(due, turn, due.asked) for due, turn in zip(rest, turns, strict=True)]
    await schedule.postpone(tx, later)
    return allowed


async def load(tx: Tx, dues: Sequence[schedule.Due], now: datetime) -> list[Subject]:
    """Read what the rows are about; what is settled already is dropped, and a refund that comes too soon put off."""
    found_refunds = {r.id: r for r in await refunds.get_many(tx, [d.subject_id for d in dues if d.kind == "refund"])}
    wanted = [d.subject_id for d in dues if d.kind == "payment"] + [r.payment_id for r in found_refunds.values()]
    found_payments = {p.id: p for p in await payments.get_many(tx, wanted)}
    found_orders = {o.id: o for o in await orders.get_many(tx, list({p.order_id for p in found_payments.values()}))}
    subjects, settled = [], []
    for due in dues:
        refund = found_refunds.get(due.subject_id)
        payment = found_payments.get(refund.payment_id if refund else due.subject_id)
        if payment is None or _is_settled(payment, refund):
            settled.append(due.subject_id)
        else:
            subjects.append(Subject(due, found_orders[payment.order_id], payment, refund))
    await schedule.drop(tx, settled)
    return await _apart(tx, subjects, now)


async def _apart(tx: Tx, subjects: Sequence[Subject], now: datetime) -> list[Subject]:
    """Without refunds that would be sent too soon after another one of their payment; these wait for their turn."""
    to_send = {
        one.due.subject_id: REFUNDS_APART[one.due.channel]
        for one in subjects
        if one.refund and one.refund.state is RefundState.REQUESTED and one.due.channel in REFUNDS_APART
    }
    if not to_send:
        return list(subjects)
    orders_of = {one.order.id for one in subjects if one.due.subject_id in to_send}
    siblings = await refunds.of_orders(tx, sorted(orders_of))
    payment_of = {r.id: r.payment_id for r in siblings if r.channel in REFUNDS_APART}
    calls = await journal.calls_of(tx, sorted(payment_of), since=now - max(REFUNDS_APART.values()))
    busy = {
        payment_of[call.subject_id]
        for call in calls
        if call.purpose == "refund" and now - call.called_at < REFUNDS_APART[call.channel]
    }
    going: list[Subject] = []
    later: list[tuple[schedule.Due, datetime, int]] = []
    for one in subjects:
        apart = to_send.get(one.due.subject_id)
        if apart is not None and one.payment.id in busy:
            later.append((one.due, now + apart, one.due.asked))
            continue
        going.append(one)
        if apart is not None:
            busy.add(one.payment.id)
    await schedule.postpone(tx, later)
    return going


def _is_settled(payment: Payment, refund: Refund | None) -> bool:
    if refund:
        return refund.state in REFUND_FINAL
    return payment.state in PAYMENT_FINAL and not may_have_gone_back(payment)
