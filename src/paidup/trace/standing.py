"""Where one order stands: all that is known of it, and the verdict on that."""

import msgspec

from paidup.cases import store as cases
from paidup.db.transaction import Tx
from paidup.delivery import shown
from paidup.diagnosis.judge import judge
from paidup.diagnosis.verdict import Facts, Verdict
from paidup.intake import inbox
from paidup.journal import store as journal
from paidup.orders import store as orders
from paidup.orders.order import Order
from paidup.payments import store as payments
from paidup.refunds import store as refunds
from paidup.schedule import store as schedule


class Standing(msgspec.Struct, frozen=True):
    """Where an order stands, and what that is judged by."""

    facts: Facts
    verdict: Verdict


async def stand(tx: Tx, order_id: str) -> Standing | None:
    """Where one order stands, without its moments; None when there is no such order."""
    order = await orders.get(tx, order_id)
    if order is None:
        return None
    facts = await _facts(tx, order)
    return Standing(facts, judge(facts))


async def _facts(tx: Tx, order: Order) -> Facts:
    its_payments = await payments.of_orders(tx, [order.id])
    its_refunds = await refunds.of_orders(tx, [order.id])
    subjects = [p.id for p in its_payments] + [r.id for r in its_refunds]
    due = await schedule.get(tx, subjects)
    return Facts(
        order=order,
        payments=its_payments,
        refunds=its_refunds,
        decisions=await journal.of_order(tx, order.id, since=order.since),
        calls=await journal.calls_of(tx, subjects, since=order.since),
        deliveries=await shown.deliveries_of(tx, order.id),
        cases=await cases.of_order(tx, order.id),
        waiting=await inbox.waiting_of(tx, [(p.channel, p.account, p.merchant_ref) for p in its_payments]),
        next_at=min((row.due_at for row in due.values()), default=None),
    )
