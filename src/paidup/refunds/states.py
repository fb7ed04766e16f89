"""The life of a refund, as one total table. docs/reference/states.md is drawn from it."""

from enum import StrEnum

import msgspec


class State(StrEnum):
    """Where a refund stands."""

    REQUESTED = "requested"  # written down; it is sent to the channel until the channel confirms that it has it
    PENDING = "pending"  # the channel has it; the customer has not got the money yet
    SUCCEEDED = "succeeded"  # the customer has the money
    FAILED = "failed"  # the money stayed with, or came back to, the shop


class Happening(StrEnum):
    """What may happen to a refund."""

    NOT_FOUND = "not_found"  # the channel does not know it
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    OLDER = "older"  # news that is older than what settled it
    DECLINED = "declined"  # the channel refuses to take it
    OVERTAKEN = "overtaken"  # the channel refuses to take it, for all of the payment went back otherwise


class Move(msgspec.Struct, frozen=True):
    """The next state and the sentence that goes into log, timeline and console. `case` asks for a person."""

    to: State
    why: str
    case: str | None = None


S, H = State, Happening
FINAL = frozenset((S.SUCCEEDED, S.FAILED))
"""States in which there is nothing to send or to ask."""
AT_CHANNEL = frozenset((S.PENDING, S.SUCCEEDED))
"""States in which the channel has it, and counts it against what was paid."""

TABLE: dict[tuple[State, Happening], Move] = {
    (S.REQUESTED, H.NOT_FOUND): Move(S.REQUESTED, "the channel does not have it; it is sent (again) under its number"),
    (S.REQUESTED, H.PENDING): Move(S.PENDING, "the channel has it; the money is on its way"),
    (S.REQUESTED, H.SUCCEEDED): Move(S.SUCCEEDED, "the customer has the money"),
    (S.REQUESTED, H.FAILED): Move(S.FAILED, "the channel could not refund it", case="refund_failed"),
    (S.REQUESTED, H.OLDER): Move(S.REQUESTED, "older news changes nothing"),
    (S.REQUESTED, H.DECLINED): Move(S.FAILED, "the channel refuses it", case="refund_failed"),
    (S.REQUESTED, H.OVERTAKEN): Move(S.FAILED, "refused, for all of the payment went back otherwise"),
    (S.PENDING, H.NOT_FOUND): Move(S.PENDING, "taken by the channel but not found now; asked again later"),
    (S.PENDING, H.PENDING): Move(S.PENDING, "the money is still on its way"),
    (S.PENDING, H.SUCCEEDED): Move(S.SUCCEEDED, "the customer has the money"),
    (S.PENDING, H.FAILED): Move(S.FAILED, "the channel could not refund it", case="refund_failed"),
    (S.PENDING, H.OLDER): Move(S.PENDING, "older news changes nothing"),
    (S.PENDING, H.DECLINED): Move(S.PENDING, "refused now, but the channel has it already; asked again later"),
    (S.PENDING, H.OVERTAKEN): Move(S.PENDING, "refused now, but the channel has it already; asked again later"),
    (S.SUCCEEDED, H.NOT_FOUND): Move(S.SUCCEEDED, "refunded here but unknown at the channel", case="contradiction"),
    (S.SUCCEEDED, H.PENDING): Move(S.SUCCEEDED, "already refunded; this is older news"),
    (S.SUCCEEDED, H.SUCCEEDED): Move(S.SUCCEEDED, "already refunded; this repeats what we know"),
    (S.SUCCEEDED, H.FAILED): Move(S.FAILED, "the refund came back after it had succeeded", case="refund_failed"),
    (S.SUCCEEDED, H.OLDER): Move(S.SUCCEEDED, "already refunded; this is older news"),
    (S.SUCCEEDED, H.DECLINED): Move(S.SUCCEEDED, "already refunded; a repeat was refused"),
    (S.SUCCEEDED, H.OVERTAKEN): Move(S.SUCCEEDED, "already refunded; a repeat was refused"),
    (S.FAILED, H.NOT_FOUND): Move(S.FAILED, "already failed; the channel does not know it"),
    (S.FAILED, H.PENDING): Move(S.FAILED, "already failed; this is older news"),
    (S.FAILED, H.SUCCEEDED): Move(S.SUCCEEDED, "it succeeded after all"),
    (S.FAILED, H.FAILED): Move(S.FAILED, "already failed; this repeats what we know"),
    (S.FAILED, H.OLDER): Move(S.FAILED, "already failed; this is older news"),
    (S.FAILED, H.DECLINED): Move(S.FAILED, "already failed"),
    (S.FAILED, H.OVERTAKEN): Move(S.FAILED, "already failed"),
}
