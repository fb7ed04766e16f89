"""What a piece of evidence means for one payment. Pure: deciding twice on the same evidence changes nothing."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from paidup.evidence import DisputeEvidence, DisputeSays, PaymentEvidence, PaymentSays, Road
from paidup.payments.payment import Payment
from paidup.payments.states import MONEY_ARRIVED, TABLE, Happening, Move, State


class Decision(msgspec.Struct, frozen=True, gc=False):
    """The payment as it is afterwards, the move that led there, and why, word for word for people."""

    payment: Payment
    move: Move
    why: str


_SAYS: dict[PaymentSays, Happening] = {
    PaymentSays.NOT_FOUND: Happening.NOT_FOUND,
    PaymentSays.WAITING: Happening.WAITING,
    PaymentSays.PAID: Happening.PAID,
    PaymentSays.FAILED: Happening.ATTEMPT_FAILED,
    PaymentSays.CLOSED: Happening.CHANNEL_CLOSED,
    PaymentSays.GIVEN_BACK: Happening.GIVEN_BACK,
}
_DISPUTE: dict[DisputeSays, Happening] = {
    DisputeSays.INQUIRED: Happening.DISPUTE_INQUIRED,
    DisputeSays.OPENED: Happening.DISPUTE_OPENED,
    DisputeSays.WON: Happening.DISPUTE_WON,
    DisputeSays.LOST: Happening.DISPUTE_LOST,
}
_MAY_COME_BEFORE: dict[DisputeSays, tuple[str, ...]] = {
    DisputeSays.INQUIRED: (),
    DisputeSays.OPENED: (DisputeSays.INQUIRED,),
    DisputeSays.WON: tuple(DisputeSays),
    DisputeSays.LOST: tuple(DisputeSays),
}
"""After which news of the same dispute this one is new, and not late: an end may be turned round."""
_DISPUTES_STAY = (
    (DisputeSays.OPENED, State.DISPUTED, "another dispute is still open"),
    (DisputeSays.LOST, State.CHARGED_BACK, "another dispute was lost"),
)
"""What other disputes say counts in this order."""


def decide(payment: Payment, evidence: PaymentEvidence) -> Decision:
    """Weigh what somebody says about this payment."""
    happening = _SAYS[evidence.says]
    if happening is Happening.WAITING and _was_asked_since(payment, evidence):
        happening = Happening.OPENED
    if happening is Happening.CHANNEL_CLOSED and _is_given_back(payment):
        why = "all of it was given back, and the channel closed it"
        return Decision(payment, Move(payment.state, why), why)
    if happening not in (Happening.PAID, Happening.GIVEN_BACK):
        return happen(_named(payment, evidence), happening)
    differs = mismatch(payment, evidence)
    if differs and _closed_for_nothing(payment) and evidence.amount is not None and not evidence.amount.amount_minor:
        why = "already closed, because nothing came; this repeats what we know"
        return Decision(payment, Move(payment.state, why), why)
    if differs:
        return happen(_received(payment, evidence), Happening.MISMATCH, differs)
    as_agreed = msgspec.structs.replace(payment, received_minor=0, received_currency="")
    return _with_proof(happen(payment if payment.paid_at else as_agreed, happening), evidence)


def decide_dispute(payment: Payment, evidence: DisputeEvidence) -> Decision:
    """Weigh news of a dispute. The news that a dispute was opened never undoes how that same dispute ended, and the end
    of one dispute ends no other: while one is open the payment is disputed; else it is charged back if one was lost."""
    known = payment.all_disputes.get(evidence.dispute_id)
    if known == evidence.says or (known is not None and known not in _MAY_COME_BEFORE[evidence.says]):
        move = Move(payment.state, f"dispute {evidence.dispute_id} is already {known}")
        return Decision(payment, move, move.why)
    decision = happen(payment, _DISPUTE[evidence.says], f"dispute {evidence.dispute_id}")
    if decision.move.park:
        return decision
    others = {name: said for name, said in payment.all_disputes.items() if name != evidence.dispute_id}
    noted = msgspec.structs.replace(
        decision.payment, dispute_id=evidence.dispute_id, dispute_says=evidence.says.value, disputes=others
    )
    return _beside_others(Decision(noted, decision.move, decision.why), others)


def _beside_others(decision: Decision, others: Mapping[str, str]) -> Decision:
    """The move as the table has it, unless another dispute says otherwise."""
    case = decision.move.case
    for says, stays, why in _DISPUTES_STAY:
        named = sorted(name for name, last in others.items() if last == says)
        if decision.payment.state is stays:
            return decision
        if named:
            said = f"{decision.why}; {why} ({', '.join(named)})"
            moved = msgspec.structs.replace(decision.payment, state=stays)
            return Decision(moved, Move(stays, said, case=case), said)
    return decision


def happen(payment: Payment, happening: Happening, detail: str = "") -> Decision:
    """Look the happening up in the table; `detail` is added to the sentence."""
    move = TABLE[payment.state, happening]
    why = f"{move.why} ({detail})" if detail else move.why
    return Decision(msgspec.structs.replace(payment, state=move.to), move, why)


def mismatch(payment: Payment, evidence: PaymentEvidence) -> str:
    """In which way the evidence differs from what was agreed, in words; empty when it does not.

    A field that the message does not state is not compared: Alipay's query answer names no seller, and is
    authentic by the account it was asked with.
    """
    if evidence.amount is not None and evidence.amount != payment.money:
        return f"agreed {payment.money}, the channel says {evidence.amount}"
    if evidence.payee is not None and evidence.payee != payment.payee:
        return f"agreed receiver {payment.payee}, the channel says {evidence.payee}"
    if (
        payment.state in MONEY_ARRIVED
        and None not in (payment.channel_txn_id, evidence.channel_txn_id)
        and payment.channel_txn_id != evidence.channel_txn_id
    ):
        return f"known as {payment.channel_txn_id}, the channel now says {evidence.channel_txn_id}"
    return ""


def may_have_gone_back(payment: Payment) -> bool:
    """Whether a close of ours may have given back what was paid meanwhile, and may do so yet: Alipay's cancel does, and
    its answer and its notice can both be lost, or it can hang on its way. Only a question tells."""
    by_cancel = payment.channel == "alipay" and payment.method == "precreate"
    return by_cancel and payment.state is State.PAID and payment.refunded_minor < payment.amount_minor


def release(payment: Payment, why: str, now: datetime) -> Decision:
    """A person decided about held money: what came is from now on what was agreed. Where the channel stated no amount,
    what was agreed came, though to somebody else."""
    decision = happen(payment, Happening.RELEASED, why)
    if payment.state is not State.HELD:
        return decision
    came = payment.came
    taken = msgspec.structs.replace(
        decision.payment, amount_minor=came.amount_minor, currency=came.currency, paid_at=now
    )
    return Decision(taken, decision.move, decision.why)


def nothing_came(payment: Payment) -> bool:
    """Whether it is held because the channel called it paid with an amount of nothing, as Stripe does for a page that a
    coupon paid wholly. Such a payment can neither pay an order nor be refunded."""
    return payment.state is State.HELD and bool(payment.received_currency) and payment.received_minor == 0


def close_for_nothing(payment: Payment, why: str) -> Decision:
    """A person decided about a payment for which nothing came: the channel is done with it, and so are we."""
    move = Move(State.CLOSED, "nothing came, so nothing is given back; nobody can pay it any more")
    return Decision(msgspec.structs.replace(payment, state=move.to), move, f"{move.why} ({why})")


def _closed_for_nothing(payment: Payment) -> bool:
    """No other closed payment remembers what came."""
    return payment.state is State.CLOSED and bool(payment.received_currency) and payment.received_minor == 0


def _was_asked_since(payment: Payment, evidence: PaymentEvidence) -> bool:
    """An answer that is newer than the close outweighs it. A notice may be older than what it says."""
    is_newer = evidence.road is Road.QUERY and evidence.received_at > payment.updated_at
    return payment.state is State.CLOSED and is_newer


def _is_given_back(payment: Payment) -> bool:
    """Alipay closes a trade when the last of it was given back, and its answers tell this from "nobody paid" by nothing
    that is documented."""
    return payment.paid_at is not None and 0 < payment.amount_minor <= payment.refunded_minor


def _received(payment: Payment, evidence: PaymentEvidence) -> Payment:
    """Keep what came instead of what was agreed, while no money is known to have come as agreed."""
    if payment.paid_at is not None or evidence.amount is None:
        return payment
    return msgspec.structs.replace(
        _named(payment, evidence),
        received_minor=evidence.amount.amount_minor,
        received_currency=evidence.amount.currency,
    )


def _named(payment: Payment, evidence: PaymentEvidence) -> Payment:
    """Until it is paid, the channel's latest number for it is the one to ask by: a Stripe Checkout page becomes a
    PaymentIntent, and an opening whose answer was lost is learned from a query."""
    if payment.paid_at is not None or evidence.channel_txn_id is None:
        return payment
    return msgspec.structs.replace(payment, channel_txn_id=evidence.channel_txn_id)


def _with_proof(decision: Decision, evidence: PaymentEvidence) -> Decision:
    """Keep the channel's own number and the moment the money moved; the first proof stays, and is completed."""
    payment = decision.payment
    first, other = payment.channel_txn_id, evidence.channel_txn_id
    proven = msgspec.structs.replace(
        payment,
        channel_txn_id=first or other if payment.paid_at else other or first,
        paid_at=payment.paid_at or evidence.occurred_at or evidence.received_at,
    )
    return Decision(proven, decision.move, decision.why)
