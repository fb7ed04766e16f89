"""Every course that a transaction can take: each answer, silence, lost request and death of the coordinator, after each
other and beside each other; the order paid, closed or left at any moment; the time over at any moment.

It is a walk over all of it, with two tries for each step, so that the walk has an end. Nothing is drawn by chance.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product

import msgspec
import pytest

from paidup.orders.states import State as OrderState
from paidup.participant import Operation
from paidup.testing.builders import NOW
from paidup.transactions.begin import _fresh
from paidup.transactions.decide import Outcome, Reply, Turn, advance, answered, recovered
from paidup.transactions.states import DONE, MANUAL, UNDONE, StepState
from paidup.transactions.table import Step, Table, check
from paidup.transactions.transaction import Transaction

FAR = timedelta(days=2)
DIED = None  # the coordinator died: nobody knows whether the participant heard it
ENDINGS = (*Outcome, DIED)
UNDOES = (Operation.COMPENSATE, Operation.CANCEL)


def step(name: str, **fields: object) -> Step:
    return msgspec.convert({"name": name, "participant": name, "tries": 2} | fields, Step)


PAYMENT = Step(name="payment", waits_for="order.paid")
TABLES = {
    "one after the other": Table(name="t", step=(step("a"), step("b"))),
    "side by side": Table(name="t", step=(step("a"), step("b", parallel=True), step("c"))),
    "a payment in the middle": Table(name="t", step=(step("a"), PAYMENT, step("b"))),
    "a service is the pivot": Table(name="t", step=(step("a"), step("p", pivot=True), step("b"))),
    "a message": Table(name="t", step=(step("p", check_back=True), step("a"), step("b", parallel=True))),
    "a tcc": Table(name="t", kind="tcc", step=(step("a"), step("b", parallel=True))),
    "a tcc with a payment": Table(name="t", kind="tcc", step=(step("a"), step("b"), PAYMENT)),
}


class Node(msgspec.Struct, frozen=True):
    """A moment. heard: the steps of which some request to act may have been heard, as the walk knows it."""

    t: Transaction
    order: OrderState
    now: datetime
    heard: frozenset[str] = frozenset()
    confirmed: frozenset[str] = frozenset()

    @property
    def place(self) -> object:
        """What makes it the same moment as another one: all but the hour."""
        t = self.t
        runs = tuple((r.state, r.tries, r.doubt, r.due_at is None or r.due_at <= self.now) for r in t.steps)
        is_late = self.now >= t.expires_at, t.turned_at is not None and self.now >= t.turned_at + timedelta(days=1)
        return t.state, t.stuck_in, runs, self.order, is_late, self.heard, self.confirmed


def beginning(table: Table) -> Node:
    return Node(_fresh("ord1", "shop", check(table), b"{}", "k", NOW), OrderState.UNPAID, NOW)


def following(node: Node, turn: Turn) -> Iterator[Node]:
    """Every moment that may come next."""
    t, order = turn.transaction, node.order
    if turn.give_up:
        for closing in (OrderState.CLOSING, OrderState.PAID):  # the door closes it, or a payment was quicker
            yield msgspec.structs.replace(node, t=t, order=closing)
        return
    if turn.calls:
        for endings in product(ENDINGS, repeat=len(turn.calls)):
            yield heard_back(node, turn, endings)
        return
    if t.due_at is None:
        return
    moves = {
        OrderState.UNPAID: (OrderState.PAID, OrderState.CLOSING),
        OrderState.CLOSING: (OrderState.PAID, OrderState.CLOSED),
    }
    for moved in moves.get(order, ()) if t.waits or order is OrderState.UNPAID else ():
        yield msgspec.structs.replace(node, t=t, order=moved, now=t.due_at)
    if not t.waits:
        yield msgspec.structs.replace(node, t=t, now=t.due_at)
    yield msgspec.structs.replace(node, t=t, now=max(node.now, t.expires_at) + FAR)


def heard_back(node: Node, turn: Turn, endings: tuple[Outcome | None, ...]) -> Node:
    """After these endings of the calls under way; if one of them is a death, all that was not recorded is lost."""
    heard, confirmed, t = set(node.heard), set(node.confirmed), turn.transaction
    for (name, operation), ending in zip(turn.calls, endings, strict=True):
        may_act = ending in (Outcome.SUCCESS, Outcome.UNKNOWN, DIED)
        if may_act and operation in (Operation.ACTION, Operation.TRY):
            heard.add(name)
        if may_act and operation is Operation.CONFIRM:
            confirmed.add(name)
    fields = {"heard": frozenset(heard), "confirmed": frozenset(confirmed)}
    if DIED in endings:
        return msgspec.structs.replace(node, t=recovered(t), now=node.now + timedelta(minutes=1), **fields)
    replies = [
        Reply(step=name, operation=operation, outcome=ending, why="said so")
        for (name, operation), ending in zip(turn.calls, endings, strict=True)
    ]
    t, _ = answered(t, replies, node.now, 1.0)
    return msgspec.structs.replace(node, t=t, **fields)


def promises(node: Node, turn: Turn) -> None:
    """What must hold at each moment."""
    t, table = turn.transaction, turn.transaction.table
    undone = [name for name, operation in turn.calls if operation in UNDOES]
    acted = [name for name, operation in turn.calls if operation in (Operation.ACTION, Operation.TRY)]
    assert not (undone and acted)
    if undone:
        assert not t.has_passed, "nothing is undone after the pivot"
        assert table.waiting_step is None or node.order not in (OrderState.UNPAID, OrderState.CLOSING, OrderState.PAID)
        stages = [next(n for n, stage in enumerate(table.stages) if table.find(name) in stage) for name in undone]
        later = [step.name for stage in table.stages[max(stages) + 1 :] for step in stage]
        assert 1 == len(set(stages)), "one stage at a time"
        assert [] == [name for name in later if t.run(name).may_have_acted and not table.find(name).is_pivot]
    if acted and table.pivot:
        passed = t.run(table.pivot.name).state is StepState.DONE
        assert passed or not any(table.is_after_pivot(name) for name in acted)
    assert not (node.confirmed and undone), "nothing is cancelled once something may have been confirmed"


def at_the_end(node: Node, t: Transaction) -> None:
    """What must hold when nothing follows."""
    assert t.is_final or t.state == MANUAL, f"{t.state} has no way on"
    asked = [(step, t.run(step.name)) for step in t.table.step if step.participant]
    if t.state in DONE:
        good = (StepState.CONFIRMED,) if t.table.kind == "tcc" else (StepState.DONE,)
        assert [] == [run for _, run in asked if run.state not in good]
        assert t.table.waiting_step is None or node.order is OrderState.PAID
    if t.state in UNDONE:
        assert [] == [s.name for s, run in asked if s.name in node.heard and run.state is not StepState.UNDONE
                      and not s.is_pivot]  # fmt: skip
        assert t.table.waiting_step is None or node.order is not OrderState.PAID


def walk(table: Table) -> tuple[dict[str, int], int]:
    """Every moment once; how many ends there are of each kind, and moments. A course without end would be a circle."""
    ends: dict[str, int] = {}
    seen: set[object] = set()
    under_way: set[object] = set()
    stack = [(beginning(table), False)]
    while stack:
        node, is_done = stack.pop()
        if is_done:
            under_way.discard(node.place)
            continue
        assert node.place not in under_way, f"a circle: {node.place}"
        if node.place in seen:
            continue
        seen.add(node.place)
        under_way.add(node.place)
        stack.append((node, True))
        turn = advance(node.t, node.order, node.now)
        promises(node, turn)
        next_ones = list(following(node, turn))
        if not next_ones:
            at_the_end(node, turn.transaction)
            ends[turn.transaction.state] = ends.get(turn.transaction.state, 0) + 1
        stack += [(one, False) for one in next_ones]
    return ends, len(seen)


@pytest.mark.parametrize("name", TABLES)
def test_every_course_ends_as_promised(name: str) -> None:
    """In a final state or with a person; undone in reverse, never after the pivot, and nothing is forgotten."""
    table = TABLES[name]
    ends, moments = walk(table)
    expected = {"CONFIRMED", "CANCELLED", "MANUAL"} if table.kind == "tcc" else {"DONE", "COMPENSATED", "MANUAL"}
    assert (expected, True) == (set(ends), moments > 50)


def test_the_promises_bite() -> None:
    """Undoing after the pivot, undoing out of order, undoing while somebody may pay: each is found."""
    node = beginning(TABLES["a payment in the middle"])
    done = msgspec.structs.replace(node.t.steps[0], state=StepState.DONE)
    passed = node.t.put(done, msgspec.structs.replace(node.t.steps[1], state=StepState.DONE))
    two = beginning(TABLES["one after the other"]).t
    both = two.put(*(msgspec.structs.replace(run, state=StepState.DONE) for run in two.steps))
    for t in (passed, node.t.put(done), both):
        with pytest.raises(AssertionError):
            promises(node, Turn(transaction=t, calls=(("a", Operation.COMPENSATE),)))
