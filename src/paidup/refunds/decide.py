"""What a piece of evidence means for one refund. Pure: deciding twice on the same evidence changes nothing."""

from datetime import datetime

import msgspec

from paidup.evidence import RefundEvidence, RefundSays
from paidup.refunds.refund import Refund
from paidup.refunds.states import TABLE, Happening, Move, State


class Decision(msgspec.Struct, frozen=True):
    """The refund as it is afterwards, the move that led there, and why, word for word for people."""

    refund: Refund
    move: Move
    why: str


_SAYS: dict[RefundSays, Happening] = {
    RefundSays.NOT_FOUND: Happening.NOT_FOUND,
    RefundSays.PENDING: Happening.PENDING,
    RefundSays.SUCCEEDED: Happening.SUCCEEDED,
    RefundSays.FAILED: Happening.FAILED,
}

_SETTLES = {State.SUCCEEDED: Happening.SUCCEEDED, State.FAILED: Happening.FAILED}


def decide(refund: Refund, evidence: RefundEvidence) -> Decision:
    """Weigh what the channel says about this refund."""
    if evidence.amount is not None and evidence.amount != refund.money:
        why = f"agreed {refund.money}, the channel says {evidence.amount}"
        return Decision(refund, Move(refund.state, why, case="mismatch"), why)
    happening = Happening.OLDER if _is_older(refund, evidence) else _SAYS[evidence.says]
    decision = happen(refund, happening, evidence.note)
    return Decision(
        msgspec.structs.replace(
            decision.refund,
            channel_refund_id=refund.channel_refund_id or evidence.channel_refund_id,
            settled_at=_settled_at(refund, decision.refund.state, happening, evidence),
        ),
        decision.move,
        decision.why,
    )


def happen(refund: Refund, happening: Happening, detail: str = "") -> Decision:
    """Look the happening up in the table; `detail` is added to the sentence."""
    move = TABLE[refund.state, happening]
    why = f"{move.why} ({detail})" if detail else move.why
    return Decision(msgspec.structs.replace(refund, state=move.to), move, why)


def _settled_at(refund: Refund, state: State, happening: Happening, evidence: RefundEvidence) -> datetime | None:
    """When it became what it is. A repeat that happened later counts, or a failure from between the two would win."""
    if happening is not _SETTLES.get(state):
        return refund.settled_at
    if refund.state is state and refund.settled_at is not None:
        return max(refund.settled_at, evidence.occurred_at or refund.settled_at)
    return evidence.occurred_at or evidence.received_at


def _is_older(refund: Refund, evidence: RefundEvidence) -> bool:
    """Success and failure may follow each other (a bank sends the money back, a person sends it again), so between
    those two the later happening wins, whichever arrives first. Channels count in seconds, our own clock does not: of
    the same second the failure is the later one, because only what went out can come back."""
    if refund.settled_at is None or evidence.occurred_at is None:
        return False
    said, known = (moment.replace(microsecond=0) for moment in (evidence.occurred_at, refund.settled_at))
    return refund.state is State.FAILED if said == known else said < known
