"""Try, confirm, cancel: participants set aside what they promise; then all is made final, or all given back. Pure."""

from datetime import datetime

from paidup.orders.states import State as OrderState
from paidup.participant.call import Operation
from paidup.transactions.states import TccHappening, TccState
from paidup.transactions.transaction import Transaction, asked_for
from paidup.transactions.ways import Look, Verdict, backward, confirm, forward

_AFTER = {
    (TccState.TRYING, Verdict.COMPLETE): TccHappening.ALL_TRIED,
    (TccState.TRYING, Verdict.REFUSED): TccHappening.REFUSED,
    (TccState.TRYING, Verdict.STUCK): TccHappening.STUCK,
    (TccState.CONFIRMING, Verdict.COMPLETE): TccHappening.ALL_CONFIRMED,
    (TccState.CONFIRMING, Verdict.STUCK): TccHappening.STUCK,
    (TccState.CANCELLING, Verdict.COMPLETE): TccHappening.ALL_UNDONE,
    (TccState.CANCELLING, Verdict.PAID): TccHappening.PAID_AFTER_ALL,
    (TccState.CANCELLING, Verdict.STUCK): TccHappening.STUCK,
}


def look(t: Transaction, order: OrderState, now: datetime) -> tuple[Look, TccHappening | None]:
    """What a TCC asks for now, and what has happened to it."""
    state = TccState(t.state)
    if state is TccState.INIT:
        return Look(), TccHappening.BEGUN
    if state is TccState.TRYING:
        found = forward(t, now, lambda step: asked_for(step, "tcc"))
    elif state is TccState.CONFIRMING:
        found = confirm(t, now)
    elif state is TccState.CANCELLING:
        found = backward(t, order, now, Operation.CANCEL)
    else:
        return Look(), None
    return found, _AFTER.get((state, found.verdict))
