"""A saga: actions, stage by stage. Before the pivot they can be compensated; after it there is only forward. Pure."""

from datetime import datetime

from paidup.orders.states import State as OrderState
from paidup.participant.call import Operation
from paidup.transactions.states import SagaHappening, SagaState
from paidup.transactions.transaction import Transaction, asked_for
from paidup.transactions.ways import Look, Verdict, backward, forward

_AFTER = {
    (SagaState.RUNNING, Verdict.COMPLETE): SagaHappening.ALL_DONE,
    (SagaState.RUNNING, Verdict.REFUSED): SagaHappening.REFUSED,
    (SagaState.RUNNING, Verdict.STUCK): SagaHappening.STUCK,
    (SagaState.COMPENSATING, Verdict.COMPLETE): SagaHappening.ALL_UNDONE,
    (SagaState.COMPENSATING, Verdict.PAID): SagaHappening.PAID_AFTER_ALL,
    (SagaState.COMPENSATING, Verdict.STUCK): SagaHappening.STUCK,
}


def look(t: Transaction, order: OrderState, now: datetime) -> tuple[Look, SagaHappening | None]:
    """What a saga asks for now, and what has happened to it."""
    state = SagaState(t.state)
    if state is SagaState.RUNNING:
        found = forward(t, now, lambda step: asked_for(step, "saga"))
    elif state is SagaState.COMPENSATING:
        found = backward(t, order, now, Operation.COMPENSATE)
    else:
        return Look(), None
    return found, _AFTER.get((state, found.verdict))
