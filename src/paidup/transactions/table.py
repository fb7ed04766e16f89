"""A transaction as a table of at most ten steps, in code or in TOML. Pure.

::

    name = "checkout"
    kind = "saga"              # every step is an action with its compensation; "tcc": try, then confirm or cancel
    within_s = 7200            # what has not passed the pivot by then is undone

    [[step]]
    name = "coupon"
    participant = "coupons"

    [[step]]
    name = "points"
    participant = "points"
    parallel = true            # together with the step before it

    [[step]]
    name = "payment"
    waits_for = "order.paid"   # the pivot: from here on there is only forward

    [[step]]
    name = "parcel"
    participant = "shipping"
"""

import re
import tomllib
from typing import Literal

import msgspec

from paidup.errors import InvalidRequest
from paidup.resilience.backoff import Backoff

MAX_STEPS = 10
MAX_TIMEOUT_S = 30.0
MAX_TRIES = 20
MAX_TABLE_BYTES = 32 << 10
MAX_WITHIN_S = 30 * 86400
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")

MAY_TURN = Backoff(steps_s=(1, 2, 4, 8, 15, 30, 60))
"""Between two tries of a step that may still be given up: 8 tries in 2 minutes, because a customer waits."""

MUST_END = Backoff(steps_s=(1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800))
"""Between two tries of what has to succeed (confirm, cancel, compensate, whatever follows the pivot): 12 in 69 minutes.
Then a person is called."""

GIVE_UP_WITHIN_S = 86400.0
"""How long the channels have to say that nobody can pay any more, before a person is called."""

CHECK_BACK_AFTER_S = 60.0
"""How long a sender has to act by itself before it is asked whether it did, which shuts the door on a later deed."""

SPREAD = 1.1
"""Waits are stretched by at most this factor (ids.spread)."""


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line. participant: who is asked; waits_for: instead of asking, wait for this event of the order.

    parallel: together with the step before. check_back: the participant is not told to act but asked whether it did
    (a reliable message: it acts by itself, in its own transaction); after_s: not sooner than so long after the
    beginning, CHECK_BACK_AFTER_S unless given, because what it has not done by then it may not do any more.
    timeout_s: for one request. tries: instead of those of MAY_TURN and MUST_END.
    """

    name: str
    participant: str = ""
    waits_for: Literal["", "order.paid"] = ""
    pivot: bool = False
    parallel: bool = False
    check_back: bool = False
    after_s: float | None = None
    timeout_s: float = 5.0
    tries: int | None = None

    @property
    def is_pivot(self) -> bool:
        """Once it is done, there is only forward."""
        return self.pivot or self.check_back or bool(self.waits_for)

    @property
    def not_before_s(self) -> float:
        """So long after the beginning nobody is asked."""
        if not self.check_back:
            return 0.0
        return CHECK_BACK_AFTER_S if self.after_s is None else self.after_s

    def most_tries(self, backoff: Backoff) -> int:
        """How often it is asked before it is given up."""
        return self.tries or len(backoff.steps_s) + 1

    def bound_s(self, backoff: Backoff) -> float:
        """The longest that all of its tries can take."""
        most = self.most_tries(backoff)
        return sum(backoff.wait_s(n, SPREAD) for n in range(1, most)) + most * self.timeout_s


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All steps of a kind of transaction, in order."""

    name: str
    kind: Literal["saga", "tcc"] = "saga"
    within_s: float = 3600.0
    step: tuple[Step, ...]

    @property
    def stages(self) -> tuple[tuple[Step, ...], ...]:
        """Steps that run together, one stage after the other."""
        stages: list[tuple[Step, ...]] = []
        for step in self.step:
            if step.parallel and stages:
                stages[-1] = (*stages[-1], step)
            else:
                stages.append((step,))
        return tuple(stages)

    @property
    def pivot(self) -> Step | None:
        """The step after which there is only forward."""
        return next((step for step in self.step if step.is_pivot), None)

    @property
    def waiting_step(self) -> Step | None:
        """The step that waits for the order's payment."""
        return next((step for step in self.step if step.waits_for), None)

    def find(self, name: str) -> Step:
        """The step of this name. Raises InvalidRequest naming those there are."""
        for step in self.step:
            if step.name == name:
                return step
        raise InvalidRequest(f"there is no step {name[:40]!r}; there are {', '.join(step.name for step in self.step)}")

    def is_after_pivot(self, name: str) -> bool:
        """Whether the step comes after the pivot."""
        names = [step.name for step in self.step]
        return self.pivot is not None and names.index(name) > names.index(self.pivot.name)

    def bound_s(self) -> float:
        """The longest from the beginning to an end, or to a person, while some worker is alive."""
        called = [[step for step in stage if not step.waits_for] for stage in self.stages]
        must_end = sum(max((step.bound_s(MUST_END) for step in stage), default=0.0) for stage in called)
        last_call_s = max(step.timeout_s for step in self.step)
        closing_s = GIVE_UP_WITHIN_S if self.waiting_step else 0.0
        pivot_s = max(self.within_s, *(step.not_before_s for step in self.step))
        return pivot_s + last_call_s + closing_s + must_end


def read_toml(text: str) -> Table:
    """A table written in TOML. Raises InvalidRequest that says what to write instead."""
    if len(text.encode()) > MAX_TABLE_BYTES:
        raise InvalidRequest(f"a table of steps has at most {MAX_TABLE_BYTES} bytes")
    try:
        return check(msgspec.convert(tomllib.loads(text), Table))
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequest(f"not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"the table of steps: {error}") from None


def check(table: Table) -> Table:
    """The same table. Raises InvalidRequest when it makes no sense."""
    names = [step.name for step in table.step]
    if not 1 <= len(names) <= MAX_STEPS:
        raise InvalidRequest(f"a transaction has 1 to {MAX_STEPS} steps, not {len(names)}: split it in two")
    for name in (table.name, *names):
        if not _NAME.fullmatch(name):
            raise InvalidRequest(f"{name[:40]!r} is no name: write lower-case letters, digits, - and _")
    if len(set(names)) != len(names):
        raise InvalidRequest("two steps have the same name")
    if not 1 <= table.within_s <= MAX_WITHIN_S:
        raise InvalidRequest(f"within_s lies between 1 and {MAX_WITHIN_S} (30 days)")
    for step in table.step:
        _check_step(step)
    _check_pivot(table)
    return table


def _check_step(step: Step) -> None:
    if bool(step.participant) == bool(step.waits_for):
        raise InvalidRequest(f"step {step.name}: name either a participant, or waits_for = 'order.paid'")
    if step.waits_for and (step.pivot or step.check_back):
        raise InvalidRequest(f"step {step.name}: waits_for makes it the pivot; leave pivot and check_back out")
    if not 0.1 <= step.timeout_s <= MAX_TIMEOUT_S:
        raise InvalidRequest(f"step {step.name}: timeout_s lies between 0.1 and {MAX_TIMEOUT_S:g}")
    if step.tries is not None and not 1 <= step.tries <= MAX_TRIES:
        raise InvalidRequest(f"step {step.name}: tries lies between 1 and {MAX_TRIES}")
    after_s = step.after_s or 0.0
    if not 0 <= after_s <= MAX_WITHIN_S or (after_s and not step.check_back):
        raise InvalidRequest(f"step {step.name}: after_s is how long a check_back waits, up to {MAX_WITHIN_S} seconds")


def _check_pivot(table: Table) -> None:
    pivots = [step for step in table.step if step.is_pivot]
    if len(pivots) > 1:
        raise InvalidRequest(f"there is one pivot at most, not {', '.join(step.name for step in pivots)}")
    if not pivots:
        return
    pivot, stages = pivots[0], table.stages
    if (pivot,) not in stages:
        raise InvalidRequest(f"step {pivot.name} is the pivot: nothing may be parallel to it")
    if table.kind == "tcc" and (not pivot.waits_for or stages[-1] != (pivot,)):
        raise InvalidRequest("in a tcc only waits_for = 'order.paid' is a pivot, and it is the last step")
    if pivot.check_back and stages[0] != (pivot,):
        raise InvalidRequest(f"step {pivot.name} checks back what its participant did by itself: it is the first step")
