"""The whole life of an order in time order, as the command line and the API give it."""

from datetime import datetime

import msgspec

from paidup.db.transaction import Tx
from paidup.orders.order import MASK, Order
from paidup.payments.payment import Payment
from paidup.refunds.refund import Refund
from paidup.trace.find import find
from paidup.trace.moments import Moment, moments_of
from paidup.trace.standing import Standing, stand


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """An order, its payments and refunds, and everything that happened, oldest first. next_at: the next question. The
    order's buyer_ref is masked, and so is what the payments' extra (an openid, say) and pay_with hold.

    diagnosis: one of a closed list (diagnosis/verdict.py); next_step: what comes next, by itself or by a person.
    traces: their ids in the tracing system, if one is used.
    """

    verdict: str
    diagnosis: str
    next_step: str
    order: Order
    payments: list[Payment]
    refunds: list[Refund]
    moments: list[Moment]
    next_at: datetime | None
    traces: list[str] = []


class Story(Standing, frozen=True):
    """What a life is told from."""

    moments: list[Moment]


async def trace(tx: Tx, any_id: str, shop: str | None = None) -> Life | None:
    """The life behind an id, or behind the end of one if no other ends so; None when nothing is known, or several."""
    found = await find(tx, any_id, shop)
    story = await tell(tx, found[0]) if len(found) == 1 else None
    if story is None:
        return None
    facts = story.facts
    return Life(
        verdict=story.verdict.english(),
        diagnosis=story.verdict.diagnosis,
        next_step=story.verdict.next_step.english(),
        order=msgspec.structs.replace(facts.order, buyer_ref=facts.order.buyer_masked),
        payments=[_masked(payment) for payment in facts.payments],
        refunds=list(facts.refunds),
        moments=story.moments,
        next_at=facts.next_at,
        traces=list(dict.fromkeys(m.trace_id for m in story.moments if m.trace_id)),
    )


async def tell(tx: Tx, order_id: str) -> Story | None:
    """Everything about one order."""
    standing = await stand(tx, order_id)
    if standing is None:
        return None
    return Story(standing.facts, standing.verdict, await moments_of(tx, standing.facts))


def _masked(payment: Payment) -> Payment:
    """Without who pays and what they pay with: whoever opens a payment is given that; a trace does without."""
    return msgspec.structs.replace(
        payment, extra=dict.fromkeys(payment.extra, MASK), pay_with=dict.fromkeys(payment.pay_with, MASK)
    )
