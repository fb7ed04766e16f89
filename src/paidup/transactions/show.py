"""A transaction as people and the API see it."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from paidup.transactions.states import MANUAL
from paidup.transactions.store import Line
from paidup.transactions.transaction import Transaction


class ShownStep(msgspec.Struct, frozen=True, kw_only=True):
    """How far a step is. tries: of what it is asked now; next_at: when it is asked again."""

    name: str
    participant: str
    state: str
    tries: int
    next_at: datetime | None
    why: str


class ShownLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the record: a change of state, a request with its answer, or what a person did."""

    at: datetime
    kind: str
    step: str | None
    what: str
    why: str
    who: str
    elapsed_ms: int | None

    def row(self) -> dict[str, object]:
        """For a table."""
        return {"at": self.at, "step": self.step or "", "what": self.what, "why": self.why, "who": self.who}


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction with its steps and its whole record. ends_by: ended, or a person called, by then at the latest."""

    id: str
    order_id: str
    name: str
    kind: str
    state: str
    says: str
    why: str
    began_at: datetime
    ended_at: datetime | None
    ends_by: datetime
    next_at: datetime | None
    took_s: float | None
    steps: list[ShownStep]
    record: list[ShownLine]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction in a list. age_s: seconds since it began."""

    id: str
    order_id: str
    name: str
    kind: str
    state: str
    age_s: int
    next_at: datetime | None
    ends_by: datetime
    why: str


def shown(t: Transaction, lines: Sequence[Line]) -> Shown:
    """All of it."""
    return Shown(
        id=t.id,
        order_id=t.order_id,
        name=t.table.name,
        kind=t.table.kind,
        state=t.state,
        says=_says(t),
        why=t.why,
        began_at=t.began_at,
        ended_at=t.ended_at,
        ends_by=t.ends_by,
        next_at=t.due_at,
        took_s=(t.ended_at - t.began_at).total_seconds() if t.ended_at else None,
        steps=[
            ShownStep(
                name=run.name,
                participant=step.participant or step.waits_for,
                state=run.state,
                tries=run.tries,
                next_at=run.due_at,
                why=run.why,
            )
            for step, run in zip(t.table.step, t.steps, strict=True)
        ],
        record=[_line(line) for line in lines],
    )


def summary(t: Transaction, now: datetime) -> Summary:
    """One row of a list."""
    return Summary(
        id=t.id,
        order_id=t.order_id,
        name=t.table.name,
        kind=t.table.kind,
        state=t.state,
        age_s=round((now - t.began_at).total_seconds()),
        next_at=t.due_at,
        ends_by=t.ends_by,
        why=t.why,
    )


def _says(t: Transaction) -> str:
    """One sentence for the person who answers the phone."""
    head = f"{t.table.kind} {t.table.name} about order {t.order_id} is {t.state}"
    if t.ended_at:
        took_s = (t.ended_at - t.began_at).total_seconds()
        return f"{head} since {t.ended_at:%Y-%m-%d %H:%M:%S} UTC, after {took_s:.1f} s."
    if t.state == MANUAL:
        return f"{head}, stuck in {t.stuck_in}: {t.why}. Decide: paidup tx retry, skip or compensate."
    waits = "waits for its order" if t.waits else "goes on"
    at = f"{t.due_at:%H:%M:%S}" if t.due_at else "once"
    return f"{head}; it {waits}, is looked at again at {at} UTC, and ends by {t.ends_by:%Y-%m-%d %H:%M:%S}."


def _line(line: Line) -> ShownLine:
    return ShownLine(
        at=line.at,
        kind=line.kind,
        step=line.step,
        what=line.what,
        why=line.why,
        who=line.who,
        elapsed_ms=line.elapsed_ms,
    )
