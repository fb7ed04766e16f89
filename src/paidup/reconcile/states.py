"""The life of a break, as one total table. docs/reference/states.md is drawn from it."""

from enum import StrEnum

import msgspec


class State(StrEnum):
    """Where a break stands."""

    WAITING = "waiting"  # the other side may still bring it: the next bill, or the channel's answer
    OPEN = "open"  # the two sides differ, and somebody must do something
    APPROVED = "approved"  # people have agreed to the repair; it is done by the next round
    HEALED = "healed"  # the two sides agree now
    RESOLVED = "resolved"  # a person settled it outside of our books, and said how


class Happening(StrEnum):
    """What may happen to a break."""

    FOUND = "found"  # a run of its day finds the very same difference
    CHANGED = "changed"  # a run of its day finds it with other money: a corrected bill, or our books moved
    GONE = "gone"  # a run of its day does not find it any more
    CLEARED = "cleared"  # another day's bill brought the other side
    OVERDUE = "overdue"  # it has waited long enough
    APPROVED = "approved"  # as many people as are needed agreed to the repair
    FAILED = "failed"  # the repair could not be done
    RESOLVED = "resolved"  # a person says how it was settled


class Move(msgspec.Struct, frozen=True):
    """The next state and the sentence that goes into its steps."""

    to: State
    why: str


S, H = State, Happening
UNSETTLED = (S.WAITING, S.OPEN, S.APPROVED)
"""States in which something is still to be done or waited for."""

TABLE: dict[tuple[State, Happening], Move] = {
    (S.WAITING, H.FOUND): Move(S.WAITING, "still different"),
    (S.WAITING, H.CHANGED): Move(S.WAITING, "different in another way now"),
    (S.WAITING, H.GONE): Move(S.HEALED, "both sides agree now"),
    (S.WAITING, H.CLEARED): Move(S.HEALED, "another day's bill brought the other side"),
    (S.WAITING, H.OVERDUE): Move(S.OPEN, "the bills of the following days did not bring it"),
    (S.WAITING, H.APPROVED): Move(S.APPROVED, "the repair was approved"),
    (S.WAITING, H.FAILED): Move(S.OPEN, "the repair could not be done"),
    (S.WAITING, H.RESOLVED): Move(S.RESOLVED, "a person settled it"),
    (S.OPEN, H.FOUND): Move(S.OPEN, "still different"),
    (S.OPEN, H.CHANGED): Move(S.OPEN, "different in another way now"),
    (S.OPEN, H.GONE): Move(S.HEALED, "both sides agree now"),
    (S.OPEN, H.CLEARED): Move(S.HEALED, "another day's bill brought the other side"),
    (S.OPEN, H.OVERDUE): Move(S.OPEN, "a person is waited for already"),
    (S.OPEN, H.APPROVED): Move(S.APPROVED, "the repair was approved"),
    (S.OPEN, H.FAILED): Move(S.OPEN, "the repair could not be done"),
    (S.OPEN, H.RESOLVED): Move(S.RESOLVED, "a person settled it"),
    (S.APPROVED, H.FOUND): Move(S.APPROVED, "still different; the approved repair is to be done"),
    (S.APPROVED, H.CHANGED): Move(S.OPEN, "different in another way than what was approved"),
    (S.APPROVED, H.GONE): Move(S.HEALED, "both sides agree now"),
    (S.APPROVED, H.CLEARED): Move(S.HEALED, "another day's bill brought the other side"),
    (S.APPROVED, H.OVERDUE): Move(S.APPROVED, "the approved repair is to be done"),
    (S.APPROVED, H.APPROVED): Move(S.APPROVED, "already approved"),
    (S.APPROVED, H.FAILED): Move(S.OPEN, "the approved repair could not be done"),
    (S.APPROVED, H.RESOLVED): Move(S.RESOLVED, "a person settled it"),
    (S.HEALED, H.FOUND): Move(S.OPEN, "it had healed, and is different again"),
    (S.HEALED, H.CHANGED): Move(S.OPEN, "it had healed, and is different again in another way"),
    (S.HEALED, H.GONE): Move(S.HEALED, "both sides agree"),
    (S.HEALED, H.CLEARED): Move(S.HEALED, "already healed"),
    (S.HEALED, H.OVERDUE): Move(S.HEALED, "already healed"),
    (S.HEALED, H.APPROVED): Move(S.HEALED, "already healed"),
    (S.HEALED, H.FAILED): Move(S.HEALED, "already healed"),
    (S.HEALED, H.RESOLVED): Move(S.HEALED, "already healed"),
    (S.RESOLVED, H.FOUND): Move(S.RESOLVED, "a person settled it already"),
    (S.RESOLVED, H.CHANGED): Move(S.OPEN, "different in another way than what a person settled"),
    (S.RESOLVED, H.GONE): Move(S.RESOLVED, "a person settled it already"),
    (S.RESOLVED, H.CLEARED): Move(S.RESOLVED, "a person settled it already"),
    (S.RESOLVED, H.OVERDUE): Move(S.RESOLVED, "a person settled it already"),
    (S.RESOLVED, H.APPROVED): Move(S.RESOLVED, "a person settled it already"),
    (S.RESOLVED, H.FAILED): Move(S.RESOLVED, "a person settled it already"),
    (S.RESOLVED, H.RESOLVED): Move(S.RESOLVED, "a person settled it already"),
}
