"""A transaction as a frozen value: what was agreed, and how far each step is."""

from datetime import datetime, timedelta

import msgspec

from paidup.participant.call import Operation
from paidup.transactions.states import BACKWARD, LIVES, MANUAL, STEP, StepHappening, StepState
from paidup.transactions.table import Step, Table

FORWARD = frozenset({Operation.ACTION, Operation.TRY, Operation.CHECK})


class StepRun(msgspec.Struct, frozen=True, kw_only=True):
    """How far one step is. tries: of what it is asked now. asking: a request may be under way.

    doubt: some request may have acted, although no answer said so. due_at: when it is asked again.
    """

    name: str
    state: StepState = StepState.WAITING
    tries: int = 0
    asking: bool = False
    doubt: bool = False
    due_at: datetime | None = None
    why: str = ""
    answer: str = ""
    updated_at: datetime

    @property
    def may_have_acted(self) -> bool:
        """Whether it must be undone when the transaction turns back."""
        acted = (StepState.ACTING, StepState.DONE, StepState.UNDOING)
        return self.state in acted or (self.state is StepState.REFUSED and self.doubt)

    @property
    def is_forward(self) -> bool:
        """Nothing hinders the steps after it."""
        return self.state in (StepState.DONE, StepState.CONFIRMED, StepState.SKIPPED)


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `transactions` with its steps. id is the xid that participants see. resumed_at: when a person last
    decided about it, where that was looked up. failures: how often what follows could not be written."""

    id: str
    shop: str
    order_id: str
    table: Table
    data: msgspec.Raw
    state: str
    stuck_in: str = ""
    why: str
    waits: bool = False
    began_at: datetime
    expires_at: datetime
    turned_at: datetime | None = None
    due_at: datetime | None
    lease: int = 0
    ended_at: datetime | None = None
    updated_at: datetime
    failures: int = 0
    steps: tuple[StepRun, ...]
    resumed_at: datetime | None = None

    @property
    def ends_by(self) -> datetime:
        """When it has ended, or a person was called, at the latest. A person who decides about it begins it anew."""
        return (self.resumed_at or self.began_at) + timedelta(seconds=self.table.bound_s())

    @property
    def is_final(self) -> bool:
        """Nothing happens any more."""
        life = LIVES[self.table.kind]
        return life.State(self.state) in life.FINAL

    @property
    def is_backward(self) -> bool:
        """It is being undone, or got stuck in that."""
        return (self.stuck_in if self.state == MANUAL else self.state) in BACKWARD

    def run(self, name: str) -> StepRun:
        """The step of this name."""
        return next(run for run in self.steps if run.name == name)

    def put(self, *runs: StepRun) -> "Transaction":
        """The transaction with these steps in place of the old ones."""
        fresh = {run.name: run for run in runs}
        return msgspec.structs.replace(self, steps=tuple(fresh.get(run.name, run) for run in self.steps))

    @property
    def has_passed(self) -> bool:
        """The pivot is done: there is only forward."""
        pivot = self.table.pivot
        return pivot is not None and self.run(pivot.name).is_forward


class Moved(msgspec.Struct, frozen=True):
    """A change of state for the journal. step None: of the transaction itself."""

    step: str | None
    before: str
    after: str
    why: str


def key_of(xid: str, step: str, operation: Operation) -> str:
    """The idempotency key of a request: the same however often it is asked, whoever asks."""
    return f"{xid}.{step}.{operation}"


def not_before(step: Step, began_at: datetime, now: datetime) -> datetime | None:
    """When a step may be asked at the earliest; None: now."""
    at = began_at + timedelta(seconds=step.not_before_s)
    return at if at > now else None


def asked_for(step: Step, kind: str) -> Operation:
    """What going forward means for a step."""
    if step.check_back:
        return Operation.CHECK
    return Operation.ACTION if kind == "saga" else Operation.TRY


def move_step(run: StepRun, happening: StepHappening, why: str, now: datetime) -> tuple[StepRun, Moved | None]:
    """The step after a happening, and its line for the journal if the state changed."""
    move = STEP.TABLE[run.state, happening]
    said = f"{move.why}: {why}" if why else move.why
    after = msgspec.structs.replace(run, state=StepState(move.to), why=said, updated_at=now)
    return after, Moved(run.name, run.state, after.state, said) if after.state is not run.state else None
