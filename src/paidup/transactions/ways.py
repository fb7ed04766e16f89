"""What follows from where the steps stand: whom to ask now, and whether a way is at its end. Pure.

A saga and a TCC walk the same ways and call their ends by other names (saga.py, tcc.py).
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from paidup.orders.states import State as OrderState
from paidup.participant.call import Operation
from paidup.resilience.backoff import Backoff
from paidup.transactions.states import StepState
from paidup.transactions.table import GIVE_UP_WITHIN_S, MAY_TURN, MUST_END, Step
from paidup.transactions.transaction import StepRun, Transaction

LOOK_AGAIN = timedelta(seconds=60)
"""How often a transaction that waits for its order looks at it without having been woken."""


class Verdict(StrEnum):
    """How a way stands."""

    GO = "go"  # somebody is to be asked, now or later
    COMPLETE = "complete"
    REFUSED = "refused"  # it is to be undone
    PAID = "paid"  # it was being undone, and the order was paid meanwhile
    STUCK = "stuck"  # a person must decide


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done now. next_at: when to look again. give_up: the order is to be closed. waits: for the order."""

    verdict: Verdict = Verdict.GO
    why: str = ""
    calls: tuple[tuple[str, Operation], ...] = ()
    next_at: datetime | None = None
    give_up: bool = False
    waits: bool = False


Pairs = list[tuple[Step, StepRun]]


def pairs(t: Transaction, steps: Iterable[Step]) -> Pairs:
    """Steps with how far they are."""
    return [(step, t.run(step.name)) for step in steps]


def is_open_question(step: Step, run: StepRun) -> bool:
    """The pivot may be done without our knowledge: then neither forward nor back is certain."""
    open_in = (StepState.WAITING, StepState.ACTING) if step.check_back else (StepState.ACTING,)
    return step.is_pivot and bool(step.participant) and run.state in open_in


def forward(t: Transaction, now: datetime, operation_of: Callable[[Step], Operation]) -> Look:
    """The first stage that is not done: asked, waited for, refused, or stuck."""
    for stage in t.table.stages:
        waiting = [(step, run) for step, run in pairs(t, stage) if not run.is_forward]
        if not waiting:
            continue
        troubles = [trouble for step, run in waiting if (trouble := _trouble(t, step, run, now))]
        if troubles:
            return max(troubles, key=lambda look: look.verdict is Verdict.STUCK)
        if waiting[0][0].waits_for:
            return Look(waits=True, next_at=min(now + LOOK_AGAIN, t.expires_at))
        look = _ask([(step, run, operation_of(step)) for step, run in waiting], now)
        return look if t.has_passed else _before_its_time_is_over(t, look, now)
    return Look(verdict=Verdict.COMPLETE)


def _before_its_time_is_over(t: Transaction, look: Look, now: datetime) -> Look:
    """It is looked at when its time is over, however late its next try would be."""
    if look.next_at is None or now >= t.expires_at:
        return look
    return msgspec.structs.replace(look, next_at=min(look.next_at, t.expires_at))


def _trouble(t: Transaction, step: Step, run: StepRun, now: datetime) -> Look | None:
    """Why it cannot go on with this step; None when it can."""
    passed = t.has_passed
    if run.state is StepState.REFUSED:
        return _turn_or_stick(passed, f"{step.name}: {run.why}")
    if is_open_question(step, run):
        spent = _is_spent(step, run, MAY_TURN)
        return Look(verdict=Verdict.STUCK, why=f"nobody knows whether {step.name} was done") if spent else None
    if _is_spent(step, run, MUST_END if passed else MAY_TURN):
        return _turn_or_stick(passed, f"{step.name} gave no certain answer to {run.tries} tries ({run.why})")
    if not passed and now >= t.expires_at:
        return Look(verdict=Verdict.REFUSED, why=f"its time is over, and {step.name} is not done")
    return None


def _turn_or_stick(passed: bool, why: str) -> Look:
    return Look(verdict=Verdict.STUCK if passed else Verdict.REFUSED, why=why)


def _is_spent(step: Step, run: StepRun, backoff: Backoff) -> bool:
    return bool(step.participant) and not run.asking and run.tries >= step.most_tries(backoff)


def confirm(t: Transaction, now: datetime) -> Look:
    """Every promise is made final, all at once."""
    ended = (StepState.CONFIRMED, StepState.SKIPPED)
    waiting = [(s, r) for s, r in pairs(t, t.table.step) if s.participant and r.state not in ended]
    if not waiting:
        return Look(verdict=Verdict.COMPLETE)
    return _must_end(waiting, StepState.CONFIRMING, Operation.CONFIRM, now)


def backward(t: Transaction, order: OrderState, now: datetime, operation: Operation) -> Look:
    """First nobody may pay any more; then what may have acted is undone, the last stage first."""
    waiting = t.table.waiting_step
    if waiting and t.run(waiting.name).state not in (StepState.REFUSED, StepState.SKIPPED):
        return _give_up(t, waiting, order, now)
    for stage in reversed(t.table.stages):
        acted = [(s, r) for s, r in pairs(t, stage) if r.may_have_acted and not s.is_pivot]
        if acted:
            return _must_end(acted, StepState.UNDOING, operation, now)
    return Look(verdict=Verdict.COMPLETE)


def _give_up(t: Transaction, waiting: Step, order: OrderState, now: datetime) -> Look:
    """Nothing is undone while the customer can still pay. Paid meanwhile, it goes on if it can."""
    before = t.table.step[: t.table.step.index(waiting)]
    missing = [step.name for step, run in pairs(t, before) if not run.is_forward]
    if order is OrderState.PAID and missing:
        return Look(verdict=Verdict.STUCK, why=f"the order is paid, but {', '.join(missing)} is not done")
    if order is OrderState.PAID:
        return Look(verdict=Verdict.PAID, why="the order is paid")
    until = (t.turned_at or now) + timedelta(seconds=GIVE_UP_WITHIN_S)
    if now >= until:
        return Look(verdict=Verdict.STUCK, why="the channel does not say that nobody can pay the order any more")
    return Look(waits=True, next_at=min(now + LOOK_AGAIN, until), give_up=order is OrderState.UNPAID)


def _must_end(waiting: Pairs, asked: StepState, operation: Operation, now: datetime) -> Look:
    for step, run in waiting:
        if run.state is asked and _is_spent(step, run, MUST_END):
            return Look(verdict=Verdict.STUCK, why=f"{operation} of {step.name} did not succeed ({run.why})")
    fresh = [(s, r if r.state is asked else msgspec.structs.replace(r, due_at=None), operation) for s, r in waiting]
    return _ask(fresh, now)


def _ask(steps: Iterable[tuple[Step, StepRun, Operation]], now: datetime) -> Look:
    """Those that are due are asked; the others say when they will be."""
    calls, later = [], []
    for step, run, operation in steps:
        if run.due_at is not None and run.due_at > now:
            later.append(run.due_at)
        elif not run.asking:
            calls.append((step.name, operation))
    return Look(calls=tuple(calls), next_at=min(later, default=None))
