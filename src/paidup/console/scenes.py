"""The timeline of a life, as people read it: each thing that happened is a scene; what tells nothing new is folded."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby

import msgspec

from paidup.cases.store import Case
from paidup.delivery.attempts import Attempt
from paidup.diagnosis.verdict import Facts
from paidup.journal.store import Call, Entry
from paidup.money import Money
from paidup.outbox.store import Written
from paidup.people.audit import Deed
from paidup.reconcile.break_steps import Step
from paidup.trace.bills import Beside, InBill


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened. tone: good, bad, warn, plain. title is translated; text is shown as it is, or as a
    sentence of the journal. deed: what was done by hand, as the audit writes it. detail: the path below the order's
    page where the raw thing stands; link: that of another page of the console."""

    at: datetime
    kind: str
    title: str
    text: str = ""
    deed: str = ""
    money: Money | None = None
    moved: str = ""
    tone: str = "plain"
    subject: str = ""
    detail: str = ""
    link: str = ""
    dull: bool = False
    """It told nothing new: several in a row are folded into one line."""


class Fold(msgspec.Struct, frozen=True):
    """Scenes in a row; more than one of dull ones."""

    scenes: list[Scene]

    @property
    def folded(self) -> bool:
        """Whether they show as one line."""
        return len(self.scenes) > 1

    @property
    def unanswered(self) -> int:
        """How many of them are questions that the channel did not answer."""
        return sum(scene.kind == "call" and scene.tone == "warn" for scene in self.scenes)


_RANK = {"order": 0, "payment": 1, "callback": 2, "call": 2, "decision": 3, "event": 4, "delivery": 5}
_CALLS = {
    "open": "Offered to the channel",
    "query": "Asked the channel",
    "close": "Asked the channel to close it",
    "refund": "Refund sent to the channel",
    "query_refund": "Asked the channel about the refund",
}
_OUTCOMES = {
    "applied": ("Decided", "good"),
    "repeated": ("Nothing new", "plain"),
    "parked": ("Set aside until it makes sense", "warn"),
    "rejected": ("Contradicts what was agreed", "bad"),
    "ignored": ("Says nothing about money", "plain"),
}
_BESIDE = {"healed": "good", "resolved": "good", "open": "bad"}
_DELIVERED = {
    "delivered": ("The shop was told", "good"),
    "again": ("The shop did not take it; tried again later", "warn"),
    "dead": ("The shop could not be told; given up", "bad"),
    "gone": ("The shop's endpoint is gone", "bad"),
}


def scenes(
    facts: Facts,
    callbacks: Iterable[dict[str, object]],
    events: Iterable[Written],
    attempts: Iterable[Attempt],
    deeds: Iterable[Deed],
    beside: Beside,
) -> list[Fold]:
    """All that happened, oldest first, with the dull folded."""
    order = facts.order
    found = [
        Scene(at=order.created_at, kind="order", title="Order placed", money=order.money, text=order.description),
        *(
            Scene(
                at=p.created_at, kind="payment", title="Payment started", text=f"{p.channel}/{p.account} · {p.method}",
                money=p.money, subject=p.id,
            )
            for p in facts.payments
        ),
        *map(_callback, callbacks),
        *map(_decision, facts.decisions),
        *map(_call, facts.calls),
        *(
            Scene(at=e.created_at, kind="event", title="Written down for the shop", text=f"#{e.seq} {e.type}")
            for e in events
        ),
        *map(_attempt, attempts),
        *map(_in_bill, beside.found),
        *map(_step, beside.steps),
        *(scene for case in facts.cases for scene in _case(case)),
        *(
            Scene(at=d.at, kind="hand", title="By hand", deed=d.action, text=d.who, moved=d.why, tone="warn")
            for d in deeds
        ),
    ]  # fmt: skip
    return _fold(sorted(found, key=lambda scene: (scene.at, _RANK.get(scene.kind, 6))))


def _callback(row: dict[str, object]) -> Scene:
    return Scene(
        at=msgspec.convert(row["received_at"], datetime),
        kind="callback",
        title="Callback received, signature valid",
        text=f"{row['channel']}/{row['account']} · {row['kind']}",
        tone="good",
        detail=f"callback/{row['id']}",
    )


def _decision(entry: Entry) -> Scene:
    title, tone = _OUTCOMES.get(entry.outcome, ("Decided", "plain"))
    return Scene(
        at=entry.decided_at,
        kind="decision",
        title=title,
        text=entry.why,
        moved=f"{entry.before} → {entry.after}" if entry.before != entry.after else "",
        tone=tone,
        subject=entry.refund_id or entry.payment_id or "",
        detail=f"decision/{entry.id}",
        dull=entry.outcome == "repeated" and entry.road == "query",
    )


def _call(call: Call) -> Scene:
    return Scene(
        at=call.called_at,
        kind="call",
        title=_CALLS.get(call.purpose, call.purpose),
        text=f"{call.why} · {call.elapsed_ms} ms" if call.outcome == "success" else f"{call.outcome}: {call.why}",
        tone="plain" if call.outcome == "success" else "warn",
        subject=call.subject_id,
        detail=f"call/{call.id}",
        dull=call.purpose == "query" and not call.why.startswith("paid"),
    )


def _attempt(attempt: Attempt) -> Scene:
    title, tone = _DELIVERED.get(attempt.outcome, ("The shop was told", "plain"))
    return Scene(
        at=attempt.attempted_at,
        kind="delivery",
        title=title,
        text=f"#{attempt.seq} · {attempt.why} · {attempt.elapsed_ms} ms",
        tone=tone,
        subject=attempt.event_id,
        detail=f"attempt/{attempt.id}",
    )


def _in_bill(found: InBill) -> Scene:
    return Scene(
        at=found.at, kind="bill", title="Reconciled: the channel's bill says the same", text=f"{found.day}",
        tone="good", subject=found.payment_id, link="/reconcile",
    )  # fmt: skip


def _step(step: Step) -> Scene:
    return Scene(
        at=step.at,
        kind="bill",
        title="Beside the channel's bill",
        text=step.why,
        moved=f"break {step.before} → break {step.after}" if step.before and step.before != step.after else "",
        tone=_BESIDE.get(step.after, "warn"),
        subject=step.break_id,
        link=f"/reconcile/{step.break_id}",
    )


def _case(case: Case) -> list[Scene]:
    opened = Scene(
        at=case.opened_at, kind="case", title="A person is needed", text=f"{case.kind}: {case.why}", tone="bad",
        subject=case.id,
    )  # fmt: skip
    if case.resolved_at is None:
        return [opened]
    text = f"{case.kind}: {case.resolution or ''}"
    return [
        opened,
        Scene(at=case.resolved_at, kind="case", title="Case resolved", text=text, tone="good", subject=case.id),
    ]


def _fold(found: Sequence[Scene]) -> list[Fold]:
    folds: list[Fold] = []
    for dull, row in groupby(found, key=lambda scene: scene.dull):
        together = list(row)
        folds += [Fold(together)] if dull else [Fold([scene]) for scene in together]
    return folds
