"""An order beside the channels' bills: which payments stand in them as in our books, and what became of the others."""

from collections.abc import Sequence
from datetime import date, datetime

import msgspec

from paidup.db.transaction import Tx
from paidup.diagnosis.verdict import Facts
from paidup.reconcile import break_steps, runs
from paidup.reconcile.break_steps import Step


class InBill(msgspec.Struct, frozen=True):
    """A payment that stands in the channel's bill of a day as in our books."""

    at: datetime
    payment_id: str
    day: date
    run_id: str


class Beside(msgspec.Struct, frozen=True):
    """An order beside the channels' bills: payments that stand in them as here, and what happened to what differs."""

    found: Sequence[InBill]
    steps: Sequence[Step]


async def beside_bills(tx: Tx, facts: Facts) -> Beside:
    """An order without any break stands in the bills as here: a line that lacks or differs would have made one. Only of
    payments that were known as paid when the bill of their day was laid beside our books."""
    steps, found = await break_steps.of_order(tx, facts.order.id), []
    for payment in facts.payments if not steps else ():
        run = await runs.of_moment(tx, payment.channel, payment.account, payment.paid_at) if payment.paid_at else None
        proofs = (d for d in facts.decisions if d.payment_id == payment.id and "payment paid" in (d.after or ""))
        proof = next(proofs, None)
        if run is not None and run.bill_id is not None and proof is not None and proof.decided_at < run.began_at:
            found.append(InBill(run.ended_at, payment.id, run.day, run.id))
    return Beside(found, steps)
