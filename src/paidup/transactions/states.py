"""The lives of a saga, of a TCC and of one step, as total tables: every state answers every happening.

docs/reference/states.md is drawn from these tables.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec


class StepState(StrEnum):
    """Where one step stands."""

    WAITING = "waiting"  # its participant has not been asked, or certainly did not hear us
    ACTING = "acting"  # asked to act or to try; the answer is not known yet
    DONE = "done"  # it acted, or holds what it tried
    REFUSED = "refused"  # it said no, and did nothing
    CONFIRMING = "confirming"  # asked to make its try final
    CONFIRMED = "confirmed"
    UNDOING = "undoing"  # asked to compensate or to cancel
    UNDONE = "undone"  # whatever it did is taken back
    SKIPPED = "skipped"  # a person answers for it


class StepHappening(StrEnum):
    """What may happen to a step."""

    ACT_ASKED = "act_asked"
    CONFIRM_ASKED = "confirm_asked"
    UNDO_ASKED = "undo_asked"
    WORKED = "worked"  # its participant says it is done
    DECLINED = "declined"  # its participant says no, and that it did nothing
    UNCERTAIN = "uncertain"  # no answer that can be used; perhaps it acted
    NOT_SENT = "not_sent"  # certainly nothing has reached it, now or before
    SKIPPED = "skipped"  # a person takes it over
    DENIED = "denied"  # a person knows that it was not done, and never will be


class SagaState(StrEnum):
    """Where a saga stands."""

    RUNNING = "RUNNING"  # going forward
    COMPENSATING = "COMPENSATING"  # what was done is being undone, last first
    DONE = "DONE"  # every action is done
    COMPENSATED = "COMPENSATED"  # nothing is left of it
    MANUAL = "MANUAL"  # a person must decide


class SagaHappening(StrEnum):
    """What may happen to a saga."""

    ALL_DONE = "all_done"
    REFUSED = "refused"  # before the pivot a step said no, or its tries or the time were over
    ALL_UNDONE = "all_undone"
    PAID_AFTER_ALL = "paid_after_all"  # the payment overtook the wish to give the order up
    STUCK = "stuck"  # what has to succeed does not
    UNDO_ASKED = "undo_asked"  # the shop or a person wants it undone
    RESUMED_FORWARD = "resumed_forward"  # a person lets it go on
    RESUMED_BACK = "resumed_back"


class TccState(StrEnum):
    """Where a TCC stands."""

    INIT = "INIT"  # written down, nobody was asked
    TRYING = "TRYING"  # participants set aside what they promise
    CONFIRMING = "CONFIRMING"  # all promised: it is made final
    CONFIRMED = "CONFIRMED"
    CANCELLING = "CANCELLING"  # what was set aside is given back
    CANCELLED = "CANCELLED"
    MANUAL = "MANUAL"  # a person must decide


class TccHappening(StrEnum):
    """What may happen to a TCC."""

    BEGUN = "begun"
    ALL_TRIED = "all_tried"
    ALL_CONFIRMED = "all_confirmed"
    REFUSED = "refused"  # a try was refused, or its tries or the time were over
    ALL_UNDONE = "all_undone"
    PAID_AFTER_ALL = "paid_after_all"
    STUCK = "stuck"
    UNDO_ASKED = "undo_asked"
    RESUMED_TRY = "resumed_try"
    RESUMED_CONFIRM = "resumed_confirm"
    RESUMED_BACK = "resumed_back"


class Move(msgspec.Struct, frozen=True):
    """The next state and the sentence that goes into log, timeline and console."""

    to: StrEnum
    why: str


Lines = Mapping[tuple[StrEnum, StrEnum], Move]


class Life(NamedTuple):
    """A table with what it speaks of; final states are never left."""

    State: type[StrEnum]
    Happening: type[StrEnum]
    TABLE: Lines
    FINAL: frozenset[StrEnum]


S, H = StepState, StepHappening
_LATE = "an answer that comes too late changes nothing"
_ENDED = "it has ended already"
_ELSEWHERE = "that is not what it waits for"


def _stay(states: type[StrEnum], happenings: type[StrEnum], why: str) -> dict[tuple[StrEnum, StrEnum], Move]:
    """Every pair, staying where it is: what stands below overrides it where something follows."""
    return {(state, happening): Move(state, why) for state in states for happening in happenings}


STEP_TABLE: dict[tuple[StrEnum, StrEnum], Move] = _stay(S, H, _LATE) | {
    (S.WAITING, H.ACT_ASKED): Move(S.ACTING, "its participant is asked"),
    (S.ACTING, H.ACT_ASKED): Move(S.ACTING, "asked again under the same key"),
    (S.ACTING, H.WORKED): Move(S.DONE, "its participant did it"),
    (S.ACTING, H.DECLINED): Move(S.REFUSED, "its participant said no"),
    (S.ACTING, H.UNCERTAIN): Move(S.ACTING, "no certain answer; it is asked again under the same key"),
    (S.ACTING, H.NOT_SENT): Move(S.WAITING, "certainly nothing reached its participant"),
    (S.DONE, H.CONFIRM_ASKED): Move(S.CONFIRMING, "its participant is asked to make it final"),
    (S.CONFIRMING, H.CONFIRM_ASKED): Move(S.CONFIRMING, "asked again under the same key"),
    (S.CONFIRMING, H.WORKED): Move(S.CONFIRMED, "its participant made it final"),
    (S.CONFIRMING, H.DECLINED): Move(S.CONFIRMING, "its participant will not make final what it had promised"),
    (S.CONFIRMING, H.UNCERTAIN): Move(S.CONFIRMING, "no certain answer; it is asked again under the same key"),
    (S.CONFIRMING, H.NOT_SENT): Move(S.CONFIRMING, "nothing reached its participant; it is asked again"),
    (S.ACTING, H.UNDO_ASKED): Move(S.UNDOING, "perhaps it acted: its participant is asked to take it back"),
    (S.DONE, H.UNDO_ASKED): Move(S.UNDOING, "its participant is asked to take it back"),
    (S.REFUSED, H.UNDO_ASKED): Move(S.UNDOING, "an earlier request may have acted: it is asked to take it back"),
    (S.UNDOING, H.UNDO_ASKED): Move(S.UNDOING, "asked again under the same key"),
    (S.UNDOING, H.WORKED): Move(S.UNDONE, "its participant took it back"),
    (S.UNDOING, H.DECLINED): Move(S.UNDOING, "its participant will not take it back"),
    (S.UNDOING, H.UNCERTAIN): Move(S.UNDOING, "no certain answer; it is asked again under the same key"),
    (S.UNDOING, H.NOT_SENT): Move(S.UNDOING, "nothing reached its participant; it is asked again"),
    (S.WAITING, H.SKIPPED): Move(S.SKIPPED, "a person answers for it"),
    (S.ACTING, H.SKIPPED): Move(S.SKIPPED, "a person answers for it"),
    (S.DONE, H.SKIPPED): Move(S.SKIPPED, "a person answers for it"),
    (S.REFUSED, H.SKIPPED): Move(S.SKIPPED, "a person answers for it"),
    (S.CONFIRMING, H.SKIPPED): Move(S.SKIPPED, "a person answers for it"),
    (S.UNDOING, H.SKIPPED): Move(S.SKIPPED, "a person answers for it"),
    (S.WAITING, H.DENIED): Move(S.REFUSED, "a person knows that it was not done"),
    (S.ACTING, H.DENIED): Move(S.REFUSED, "a person knows that it was not done"),
    # A step that waits for the payment is moved by its order, not by a participant's answer.
    (S.WAITING, H.WORKED): Move(S.DONE, "the order is paid"),
    (S.WAITING, H.DECLINED): Move(S.REFUSED, "the order can no longer be paid"),
}

_SAGA, _SH = SagaState, SagaHappening
SAGA_TABLE: dict[tuple[StrEnum, StrEnum], Move] = _stay(_SAGA, _SH, _ELSEWHERE) | {
    (_SAGA.RUNNING, _SH.ALL_DONE): Move(_SAGA.DONE, "every step is done"),
    (_SAGA.RUNNING, _SH.REFUSED): Move(_SAGA.COMPENSATING, "it cannot go on; what was done is undone"),
    (_SAGA.RUNNING, _SH.UNDO_ASKED): Move(_SAGA.COMPENSATING, "somebody wants it undone"),
    (_SAGA.RUNNING, _SH.STUCK): Move(_SAGA.MANUAL, "it can neither go on nor back; a person decides"),
    (_SAGA.COMPENSATING, _SH.ALL_UNDONE): Move(_SAGA.COMPENSATED, "everything is undone"),
    (_SAGA.COMPENSATING, _SH.PAID_AFTER_ALL): Move(_SAGA.RUNNING, "the order was paid meanwhile; it goes on"),
    (_SAGA.COMPENSATING, _SH.STUCK): Move(_SAGA.MANUAL, "it cannot be undone; a person decides"),
    (_SAGA.COMPENSATING, _SH.UNDO_ASKED): Move(_SAGA.COMPENSATING, "it is being undone already"),
    (_SAGA.MANUAL, _SH.RESUMED_FORWARD): Move(_SAGA.RUNNING, "a person lets it go on"),
    (_SAGA.MANUAL, _SH.RESUMED_BACK): Move(_SAGA.COMPENSATING, "a person lets it go on being undone"),
    (_SAGA.MANUAL, _SH.UNDO_ASKED): Move(_SAGA.COMPENSATING, "a person wants it undone"),
    **{(state, happening): Move(state, _ENDED) for state in (_SAGA.DONE, _SAGA.COMPENSATED) for happening in _SH},
}

_TCC, _TH = TccState, TccHappening
TCC_TABLE: dict[tuple[StrEnum, StrEnum], Move] = _stay(_TCC, _TH, _ELSEWHERE) | {
    (_TCC.INIT, _TH.BEGUN): Move(_TCC.TRYING, "its participants are asked to try"),
    (_TCC.INIT, _TH.UNDO_ASKED): Move(_TCC.CANCELLING, "somebody wants it cancelled"),
    (_TCC.TRYING, _TH.ALL_TRIED): Move(_TCC.CONFIRMING, "all promised; it is made final"),
    (_TCC.TRYING, _TH.REFUSED): Move(_TCC.CANCELLING, "it cannot go on; what was set aside is given back"),
    (_TCC.TRYING, _TH.UNDO_ASKED): Move(_TCC.CANCELLING, "somebody wants it cancelled"),
    (_TCC.TRYING, _TH.STUCK): Move(_TCC.MANUAL, "it can neither go on nor back; a person decides"),
    (_TCC.CONFIRMING, _TH.ALL_CONFIRMED): Move(_TCC.CONFIRMED, "everything is final"),
    (_TCC.CONFIRMING, _TH.STUCK): Move(_TCC.MANUAL, "it cannot be made final; a person decides"),
    (_TCC.CANCELLING, _TH.ALL_UNDONE): Move(_TCC.CANCELLED, "everything is given back"),
    (_TCC.CANCELLING, _TH.PAID_AFTER_ALL): Move(_TCC.CONFIRMING, "the order was paid meanwhile; it is made final"),
    (_TCC.CANCELLING, _TH.STUCK): Move(_TCC.MANUAL, "it cannot be cancelled; a person decides"),
    (_TCC.CANCELLING, _TH.UNDO_ASKED): Move(_TCC.CANCELLING, "it is being cancelled already"),
    (_TCC.MANUAL, _TH.RESUMED_TRY): Move(_TCC.TRYING, "a person lets it go on"),
    (_TCC.MANUAL, _TH.RESUMED_CONFIRM): Move(_TCC.CONFIRMING, "a person lets it go on being made final"),
    (_TCC.MANUAL, _TH.RESUMED_BACK): Move(_TCC.CANCELLING, "a person lets it go on being cancelled"),
    (_TCC.MANUAL, _TH.UNDO_ASKED): Move(_TCC.CANCELLING, "a person wants it cancelled"),
    **{(state, happening): Move(state, _ENDED) for state in (_TCC.CONFIRMED, _TCC.CANCELLED) for happening in _TH},
}

STEP = Life(StepState, StepHappening, STEP_TABLE, frozenset({S.CONFIRMED, S.UNDONE, S.SKIPPED}))
SAGA = Life(SagaState, SagaHappening, SAGA_TABLE, frozenset({_SAGA.DONE, _SAGA.COMPENSATED}))
TCC = Life(TccState, TccHappening, TCC_TABLE, frozenset({_TCC.CONFIRMED, _TCC.CANCELLED}))
LIVES: Mapping[str, Life] = {"saga": SAGA, "tcc": TCC}
MANUAL = "MANUAL"
BACKWARD = frozenset({"COMPENSATING", "CANCELLING"})
UNDONE = frozenset({"COMPENSATED", "CANCELLED"})
DONE = frozenset({"DONE", "CONFIRMED"})
