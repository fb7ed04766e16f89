"""An order that was paid: how we learned it, what was given back, and whether the shop knows. Pure."""

from collections.abc import Sequence
from datetime import datetime

from paidup.delivery.shown import Delivery
from paidup.diagnosis.verdict import Diagnosis, Facts, Said, Verdict
from paidup.journal.store import Entry
from paidup.orders.states import State as OrderState
from paidup.payments.payment import Payment
from paidup.refunds.refund import Refund
from paidup.refunds.states import State as RefundState


def paid_verdict(facts: Facts, paid: Payment, paid_at: datetime) -> Verdict:
    """What is said of an order that this payment has paid."""
    diagnosis = Diagnosis.REFUNDED if facts.order.state is OrderState.REFUNDED else Diagnosis.PAID
    sentences = [Said("Paid {amount} at {at}.", {"amount": paid.money, "at": paid_at}), *_how(facts, paid, paid_at)]
    sentences += [given_back(r) for r in facts.refunds if r.state is not RefundState.FAILED]
    told, step = _told(facts)
    return Verdict(diagnosis, (*sentences, told), step)


def _how(facts: Facts, paid: Payment, paid_at: datetime) -> list[Said]:
    """How we learned it: from the first decision that made it paid."""
    proof = next((d for d in facts.decisions if d.payment_id == paid.id and _became_paid(d)), None)
    if proof is None:
        return []
    after_s = max(0, round((proof.decided_at - paid_at).total_seconds()))
    came = any(d.road == "callback" and d.payment_id == paid.id for d in facts.decisions)
    texts = {
        "callback": "The callback told us after {after_s} s.",
        "query": "The callback was late; the active query found it first, after {after_s} s."
        if came
        else "The callback was lost; the active query found it after {after_s} s.",
        "bill": "Neither callback nor query told us; the channel's bill did.",
        "operator": "A person confirmed it by hand.",
        "": "We learned it after {after_s} s.",
    }
    return [Said(texts.get(proof.road, texts[""]), {"after_s": after_s})]


def _became_paid(entry: Entry) -> bool:
    return "payment paid" in (entry.after or "") and "payment paid" not in (entry.before or "")


def given_back(refund: Refund) -> Said:
    """What became, or becomes, of a refund that has not failed."""
    texts = {
        RefundState.SUCCEEDED: "{amount} was given back to the customer.",
        RefundState.PENDING: "{amount} is on its way back to the customer.",
        RefundState.REQUESTED: "A refund of {amount} is being sent to the channel.",
    }
    return Said(texts[refund.state], {"amount": refund.money})


def _rest(facts: Facts) -> Said:
    """What comes next when the shop knows: a refund is asked about until the customer has the money."""
    under_way = any(r.state in (RefundState.REQUESTED, RefundState.PENDING) for r in facts.refunds)
    if under_way and facts.next_at:
        return Said("The channel is asked about the refund at {at}, by itself.", {"at": facts.next_at})
    return Said("Nothing more is needed.")


def _told(facts: Facts) -> tuple[Said, Said]:
    """Whether the shop knows, and what comes next."""
    nothing = _rest(facts)
    last = _telling(facts.deliveries)
    if last is None:
        return Said("No endpoint of the shop wants to hear of it."), Said(
            "The shop reads it from the API, or registers an endpoint."
        )
    if last.state == "waiting":
        retry = Said("The shop is told again at {at} by itself.", {"at": last.due_at})
        return Said("The shop was not reached yet: {why}.", {"why": last.why or "not tried yet"}), retry
    if last.state != "delivered":
        why = Said("The shop could not be told: {why}.", {"why": last.why})
        return why, Said("Mend the shop's endpoint, then re-send what it missed.")
    if last.applied_at is None:
        return Said("The shop was told; it has not said that it acted on it."), nothing
    return Said("The shop was told and confirmed."), nothing


def _telling(deliveries: Sequence[Delivery]) -> Delivery | None:
    """The delivery that says whether the shop knows: what was given up, or what the others wait behind; if all is
    well, the last."""
    open_ends = [d for d in deliveries if d.state in ("dead", "waiting")]
    if open_ends:
        return min(open_ends, key=lambda d: (d.state != "dead", d.attempts == 0, d.seq))
    return max(deliveries, key=lambda d: (d.seq, d.state == "delivered"), default=None)
