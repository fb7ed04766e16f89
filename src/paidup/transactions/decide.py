"""What becomes of a transaction: after a look at its order, after answers, after a person's word. Pure.

::

    recovered ─▶ advance ─▶ asked, made durable ─▶ (participants are called) ─▶ answered ─▶ advance ─▶ …

That somebody is about to be asked is written before he is asked. So whoever takes over from a dead worker knows that a
request may have acted, asks again under the same key, and undoes what may have acted when the transaction turns back.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from paidup.errors import Conflict
from paidup.orders.states import State as OrderState
from paidup.participant.call import Operation
from paidup.transactions import saga, tcc
from paidup.transactions.states import BACKWARD, LIVES, MANUAL, SagaHappening, StepHappening, StepState, TccHappening
from paidup.transactions.table import GIVE_UP_WITHIN_S, MAX_TRIES, MAY_TURN, MUST_END
from paidup.transactions.transaction import FORWARD, Moved, StepRun, Transaction, move_step, not_before
from paidup.transactions.ways import Look, is_open_question, pairs


class Outcome(StrEnum):
    """What is certain after a request."""

    SUCCESS = "success"  # it is done
    DECLINED = "declined"  # it is refused, and nothing was done
    RETRYABLE = "retryable"  # certainly nothing reached the participant
    UNKNOWN = "unknown"  # perhaps it acted


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What came back for one step. answer: the participant's own words, bounded."""

    step: str
    operation: Operation
    outcome: Outcome
    why: str
    answer: str = ""
    status: int | None = None
    elapsed_ms: int = 0
    retry_after_s: float | None = None


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction that was taken as far as it goes without asking anybody, and what is to be done next."""

    transaction: Transaction
    moved: tuple[Moved, ...] = ()
    calls: tuple[tuple[str, Operation], ...] = ()
    give_up: bool = False


A_LONG_WAIT = timedelta(minutes=1)

_ASKS = {
    Operation.CONFIRM: (StepHappening.CONFIRM_ASKED, StepState.CONFIRMING),
    Operation.COMPENSATE: (StepHappening.UNDO_ASKED, StepState.UNDOING),
    Operation.CANCEL: (StepHappening.UNDO_ASKED, StepState.UNDOING),
}
_ACTS = (StepHappening.ACT_ASKED, StepState.ACTING)

_SAYS = {
    Outcome.SUCCESS: StepHappening.WORKED,
    Outcome.DECLINED: StepHappening.DECLINED,
    Outcome.UNKNOWN: StepHappening.UNCERTAIN,
    Outcome.RETRYABLE: StepHappening.NOT_SENT,
}


def recovered(t: Transaction) -> Transaction:
    """Whoever was asking when its worker died may have been heard."""
    lost = [run for run in t.steps if run.asking]
    return t.put(*(msgspec.structs.replace(run, asking=False, doubt=True, due_at=None) for run in lost))


def advance(t: Transaction, order: OrderState, now: datetime) -> Turn:
    """As far as it goes with what is known; `calls` are marked as being asked."""
    moved: list[Moved] = []
    while True:
        t, seen = _observe(t, order, now)
        found, happening = _look(t, order, now)
        moved += seen
        if happening is None:
            break
        t, move = _move(t, happening, found.why, now)
        moved += move
    t, asked = _ask(t, found.calls, now)
    at_rest = t.is_final or t.state == MANUAL
    t = msgspec.structs.replace(t, due_at=None if at_rest else found.next_at or now, waits=found.waits)
    return Turn(transaction=t, moved=(*moved, *asked), calls=found.calls, give_up=found.give_up)


def answered(
    t: Transaction, replies: Iterable[Reply], now: datetime, spread: float
) -> tuple[Transaction, tuple[Moved, ...]]:
    """What the answers say of their steps. spread: the factor by which waits are stretched."""
    moved = []
    for reply in replies:
        run = t.run(reply.step)
        if run.asking:
            run, move = _answered(t, run, reply, now, spread)
            t = t.put(run)
            moved += [move] if move else []
    return t, tuple(moved)


def _answered(t: Transaction, run: StepRun, reply: Reply, now: datetime, spread: float) -> tuple[StepRun, Moved | None]:
    happening = _SAYS[reply.outcome]
    if happening is StepHappening.NOT_SENT and run.doubt:
        happening = StepHappening.UNCERTAIN  # not this one, but an earlier one may have been heard
    after, move = move_step(run, happening, reply.why, now)
    if reply.outcome is Outcome.DECLINED and reply.operation not in FORWARD:
        after = msgspec.structs.replace(after, tries=MAX_TRIES + 1)  # it says no to what may not be refused
    wait_s = _wait_s(t, run, reply, spread, now)
    return msgspec.structs.replace(
        after,
        asking=False,
        doubt=run.doubt or reply.outcome is Outcome.UNKNOWN,
        answer=reply.answer or run.answer,
        due_at=None if reply.outcome in (Outcome.SUCCESS, Outcome.DECLINED) else now + timedelta(seconds=wait_s),
    ), move


def _wait_s(t: Transaction, run: StepRun, reply: Reply, spread: float, now: datetime) -> float:
    """Our own wait, or a longer one that the participant asks for, as far as the bound leaves time for it."""
    must_end = reply.operation not in FORWARD or t.has_passed
    backoff = MUST_END if must_end else MAY_TURN
    left_s = (t.expires_at - now).total_seconds()
    if must_end and t.table.waiting_step:
        left_s += GIVE_UP_WITHIN_S  # the time of the channels, which is not needed any more
    asked_s = None if reply.retry_after_s is None else min(reply.retry_after_s, left_s)
    return backoff.honour(backoff.wait_s(run.tries, spread), asked_s)


def resume(t: Transaction, why: str, now: datetime) -> tuple[Transaction, tuple[Moved, ...]]:
    """A person lets it go on from where it got stuck, with all its tries. One that is not stuck is only hurried, but
    no check back before its time.

    Raises Conflict when it has ended.
    """
    _must_be_alive(t)
    t = t.put(*(_hurried(t, run, now) for run in t.steps if run.due_at and run.due_at > now))
    if t.state != MANUAL:
        return msgspec.structs.replace(t, due_at=now, updated_at=now), ()
    fresh = [msgspec.structs.replace(run, tries=0) for run in t.steps if run.state is not StepState.REFUSED]
    again = [
        msgspec.structs.replace(run, tries=0, state=StepState.ACTING if run.doubt else StepState.WAITING)
        for run in t.steps
        if run.state is StepState.REFUSED and t.has_passed
    ]
    return _move(t.put(*fresh, *again), _RESUMED[t.stuck_in], why, now)


def given_to_a_person(
    t: Transaction, order: OrderState, why: str, now: datetime
) -> tuple[Transaction, tuple[Moved, ...]]:
    """What follows cannot be written, however often it is tried; where it needs a person anyway, that is why."""
    turn = advance(t, order, now)
    if turn.transaction.state == MANUAL:
        return turn.transaction, turn.moved
    t, moved = _move(t, SagaHappening.STUCK if t.table.kind == "saga" else TccHappening.STUCK, why, now)
    return msgspec.structs.replace(t, due_at=None if t.state == MANUAL else now + A_LONG_WAIT), moved


def _hurried(t: Transaction, run: StepRun, now: datetime) -> StepRun:
    """Asked at once; but nobody is asked before his time whether he acted, for that denies him what he has not done."""
    return msgspec.structs.replace(run, due_at=not_before(t.table.find(run.name), t.began_at, now))


_RESUMED: dict[str, StrEnum] = {
    "RUNNING": SagaHappening.RESUMED_FORWARD,
    "COMPENSATING": SagaHappening.RESUMED_BACK,
    "TRYING": TccHappening.RESUMED_TRY,
    "CONFIRMING": TccHappening.RESUMED_CONFIRM,
    "CANCELLING": TccHappening.RESUMED_BACK,
}


def skip(t: Transaction, step: str, why: str, now: datetime) -> tuple[Transaction, tuple[Moved, ...]]:
    """A person answers for a step, and lets the rest go on. Raises Conflict unless a person is needed for it."""
    _must_be_alive(t)
    t.table.find(step)
    if t.state != MANUAL:
        raise Conflict(f"{t.id} is {t.state}: a step can be skipped only when it waits for a person (MANUAL)")
    run, move = move_step(t.run(step), StepHappening.SKIPPED, why, now)
    if move is None:
        raise Conflict(f"step {step} is {run.state} already: there is nothing to skip")
    t, moved = resume(t.put(run), f"{step} is skipped: {why}", now)
    return t, (move, *moved)


def turn_back(t: Transaction, why: str, now: datetime, not_done: str = "") -> tuple[Transaction, tuple[Moved, ...]]:
    """Somebody wants it undone. not_done: the pivot, of which he knows that it was not done, and never will be.

    Raises Conflict when there is only forward, or nobody knows yet.
    """
    _must_be_alive(t)
    if not_done:
        t, denied = _denied(t, not_done, why, now)
        t, moved = turn_back(t, why, now)
        return t, (*denied, *moved)
    if t.state in BACKWARD:
        return msgspec.structs.replace(t, due_at=now, updated_at=now), ()
    if not t.is_backward and (t.has_passed or "CONFIRMING" in (t.state, t.stuck_in)):
        raise Conflict(f"{t.id} has passed its pivot, and only goes forward: refund the order instead")
    if t.table.pivot and any(is_open_question(step, run) for step, run in pairs(t, [t.table.pivot])):
        raise Conflict(f"nobody knows yet whether {t.table.pivot.name} was done: {_next_for(t, t.table.pivot.name)}")
    t = t.put(*(msgspec.structs.replace(run, tries=0) for run in t.steps))
    return _move(t, SagaHappening.UNDO_ASKED if t.table.kind == "saga" else TccHappening.UNDO_ASKED, why, now)


def _denied(t: Transaction, name: str, why: str, now: datetime) -> tuple[Transaction, tuple[Moved, ...]]:
    """A person answers in place of a pivot that stayed silent."""
    step, run = t.table.find(name), t.run(name)
    if t.state != MANUAL or not is_open_question(step, run):
        raise Conflict(f"{name} is no pivot that waits for a person because nobody knows whether it was done")
    run, move = move_step(run, StepHappening.DENIED, why, now)
    return t.put(msgspec.structs.replace(run, doubt=False)), (move,) if move else ()


def _next_for(t: Transaction, pivot: str) -> str:
    if t.state != MANUAL:
        return "wait for its answer"
    return f"ask them; if it was, skip it (paidup tx skip), if it was not, say so (--not-done {pivot}, not_done)"


def _must_be_alive(t: Transaction) -> None:
    if t.is_final:
        raise Conflict(f"{t.id} has ended: it is {t.state}")


def _look(t: Transaction, order: OrderState, now: datetime) -> tuple[Look, StrEnum | None]:
    return saga.look(t, order, now) if t.table.kind == "saga" else tcc.look(t, order, now)


def _observe(t: Transaction, order: OrderState, now: datetime) -> tuple[Transaction, Sequence[Moved]]:
    """The step that waits for the payment follows the order."""
    waiting = t.table.waiting_step
    if waiting is None or t.run(waiting.name).state is not StepState.WAITING or t.state == MANUAL:
        return t, ()
    before = t.table.step[: t.table.step.index(waiting)]
    is_reached = all(run.is_forward for _, run in pairs(t, before))
    happening = None
    if order in (OrderState.CLOSED, OrderState.REFUNDED) and (is_reached or t.state in BACKWARD):
        happening = StepHappening.DECLINED
    elif order is OrderState.PAID and is_reached and t.state not in BACKWARD:
        happening = StepHappening.WORKED
    if happening is None:
        return t, ()
    run, move = move_step(t.run(waiting.name), happening, "", now)
    return t.put(run), [move] if move else ()


def _move(t: Transaction, happening: StrEnum, why: str, now: datetime) -> tuple[Transaction, tuple[Moved, ...]]:
    life = LIVES[t.table.kind]
    move = life.TABLE[life.State(t.state), happening]
    said = f"{move.why}: {why}" if why else move.why
    is_stuck = move.to.value == MANUAL
    after = msgspec.structs.replace(
        t,
        state=move.to.value,
        why=said,
        stuck_in=t.state if is_stuck else "",
        turned_at=now if move.to in BACKWARD and t.state not in BACKWARD else t.turned_at,
        ended_at=now if move.to in life.FINAL else None,
        due_at=now,
        updated_at=now,
    )
    return after, (Moved(None, t.state, after.state, said),) if after.state != t.state else ()


def _ask(t: Transaction, calls: Sequence[tuple[str, Operation]], now: datetime) -> tuple[Transaction, Sequence[Moved]]:
    moved = []
    for name, operation in calls:
        happening, asked = _ASKS.get(operation, _ACTS)
        run = t.run(name)
        is_again = run.state is asked or happening is StepHappening.ACT_ASKED
        after, move = move_step(run, happening, "", now)
        t = t.put(msgspec.structs.replace(after, asking=True, tries=run.tries + 1 if is_again else 1, due_at=None))
        moved += [move] if move else []
    return t, moved
