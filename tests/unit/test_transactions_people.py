"""What a person, or the shop, may decide about a transaction."""

import msgspec
import pytest

from paidup.errors import Conflict, InvalidRequest
from paidup.testing.builders import NOW
from paidup.transactions.decide import advance, given_to_a_person, resume, skip, turn_back
from paidup.transactions.states import MANUAL, StepState
from paidup.transactions.table import Table
from paidup.transactions.transaction import Transaction
from transaction_points import (
    ACTING,
    DONE,
    MANY,
    MESSAGE,
    PAID_FOR,
    PIVOT,
    PLAIN,
    REFUSED,
    TCC,
    UNPAID,
    WAITING,
    begun,
    later,
    step,
    stuck,
    turn,
)


def test_one_that_is_stuck_goes_on_with_all_its_tries() -> None:
    """Who would be asked at his last try would be with a person again after one silence."""
    t = stuck(PIVOT, "RUNNING", a=DONE, p=ACTING | {"doubt": True, "tries": 8, "due_at": later(minutes=1)})
    t, moved = resume(t, "it is up again", NOW)
    assert ("RUNNING", "", NOW) == (t.state, t.stuck_in, t.due_at)
    assert ["a person lets it go on: it is up again"] == [move.why for move in moved]
    assert (("p", "action"),) == turn(t)[1]
    assert 1 == advance(t, UNPAID, NOW).transaction.run("p").tries


@pytest.mark.parametrize(
    ("where", "asked", "operation"),
    [("CONFIRMING", StepState.CONFIRMING, "confirm"), ("CANCELLING", StepState.UNDOING, "cancel")],
)
def test_a_promise_that_got_stuck_has_all_its_tries_again(where: str, asked: StepState, operation: str) -> None:
    """In being made final as in being given back: otherwise it would be with the person again at once."""
    payment = DONE if where == "CONFIRMING" else REFUSED
    t, _ = resume(stuck(TCC, where, a={"state": asked, "tries": MANY}, payment=payment), "it is up again", NOW)
    assert (where, (("a", operation),)) == turn(t.put(msgspec.structs.replace(t.run("b"), state=StepState.SKIPPED)))


@pytest.mark.parametrize(("doubt", "state"), [(True, StepState.ACTING), (False, StepState.WAITING)])
def test_after_the_pivot_who_said_no_is_asked_again(doubt: bool, state: StepState) -> None:
    """There is only forward, and the person has mended why he said no. Before the pivot a no stays a no."""
    no = REFUSED | {"doubt": doubt, "tries": 5}
    t, _ = resume(stuck(PIVOT, "RUNNING", a=DONE, p=DONE, b=no), "stock is there again", NOW)
    assert (state, 0) == (t.run("b").state, t.run("b").tries)
    before, _ = resume(stuck(PAID_FOR, "COMPENSATING", a=REFUSED), "go on", NOW)
    assert StepState.REFUSED is before.run("a").state


def test_one_that_is_not_stuck_is_hurried() -> None:
    """Whoever waits for his next try is asked now, but with the tries he has left."""
    now = later(seconds=5)
    t, moved = resume(begun(PLAIN, a=ACTING | {"tries": 3, "due_at": later(minutes=1)}), "now", now)
    assert ("RUNNING", now, now, ()) == (t.state, t.due_at, t.updated_at, moved)
    assert (None, 3) == (t.run("a").due_at, t.run("a").tries)


def test_nobody_is_asked_before_his_time_whether_he_acted() -> None:
    """A minute after the beginning at the earliest: the question denies him what he has not done."""
    waits = begun(MESSAGE, p={"due_at": later(seconds=90)})
    t, _ = resume(waits, "now", later(seconds=10))
    assert later(seconds=60) == t.run("p").due_at
    t, _ = resume(waits, "now", later(seconds=60))
    assert t.run("p").due_at is None


@pytest.mark.parametrize(
    ("table", "where"),
    [(PAID_FOR, "RUNNING"), (PAID_FOR, "COMPENSATING"), (TCC, "TRYING"), (TCC, "CONFIRMING"), (TCC, "CANCELLING")],
)
def test_it_goes_on_where_it_got_stuck(table: Table, where: str) -> None:
    """Forward, or back: a person who lets it go on decides nothing else."""
    assert where == resume(stuck(table, where), "go on", NOW)[0].state


def test_only_a_step_that_waits_for_a_person_can_be_skipped() -> None:
    """One that is settled already, and one of a transaction that still goes by itself, are not."""
    t, moved = skip(stuck(PIVOT, "RUNNING", a=DONE, p=DONE, b=REFUSED), "b", "sent by hand", NOW)
    assert (StepState.SKIPPED, "RUNNING") == (t.run("b").state, t.state)
    assert [("b", "skipped"), (None, "RUNNING")] == [(move.step, move.after) for move in moved]
    assert "b is skipped: sent by hand" in t.why
    with pytest.raises(Conflict, match="only when it waits for a person"):
        skip(begun(PIVOT, a=DONE), "b", "sent by hand", NOW)
    with pytest.raises(InvalidRequest, match="there is no step 'parcel'"):
        skip(stuck(PIVOT, "RUNNING", a=DONE, p=DONE, b=REFUSED), "parcel", "sent by hand", NOW)
    with pytest.raises(Conflict, match="b is undone already"):
        skip(stuck(PIVOT, "COMPENSATING", b={"state": StepState.UNDONE}), "b", "sent by hand", NOW)


def test_what_has_ended_is_left_alone() -> None:
    """Whatever a person wants of it."""
    ended = begun(PLAIN, "DONE", a=DONE, b=DONE)
    for wish in (
        lambda: resume(ended, "x", NOW),
        lambda: skip(ended, "a", "x", NOW),
        lambda: turn_back(ended, "x", NOW),
    ):
        with pytest.raises(Conflict, match="it is DONE"):
            wish()


def test_it_turns_back_when_somebody_wants_it_with_all_tries_for_undoing() -> None:
    """Its why says who wanted it."""
    t, moved = turn_back(stuck(PLAIN, "COMPENSATING", a={"state": StepState.UNDOING, "tries": 12}), "the shop", NOW)
    assert ("COMPENSATING", NOW, 0) == (t.state, t.turned_at, t.run("a").tries)
    assert ["a person wants it undone: the shop"] == [move.why for move in moved]
    assert "CANCELLING" == turn_back(begun(TCC, "TRYING"), "the shop", NOW)[0].state


@pytest.mark.parametrize(
    "t",
    [
        begun(PIVOT, a=DONE, p=DONE),
        stuck(PIVOT, "RUNNING", a=DONE, p=DONE),
        begun(Table(name="t", kind="tcc", step=(step("a"),)), "CONFIRMING", a=DONE),
        stuck(Table(name="t", kind="tcc", step=(step("a"),)), "CONFIRMING", a=DONE),
    ],
)
def test_after_the_pivot_or_a_confirmation_nothing_turns_back(t: Transaction) -> None:
    """Somebody may rely on it already; money goes back by a refund."""
    with pytest.raises(Conflict, match="refund the order instead"):
        turn_back(t, "the shop", NOW)


def test_what_got_stuck_on_its_way_back_goes_back_although_somebody_answered_for_the_payment() -> None:
    """A payment that a person skipped hinders no compensation that is under way."""
    t = stuck(PAID_FOR, "COMPENSATING", a={"state": StepState.UNDOING}, payment={"state": StepState.SKIPPED})
    back, _ = turn_back(t, "the shop", NOW)
    assert ("COMPENSATING", (("a", "compensate"),)) == turn(back)


def test_an_open_question_is_answered_before_anything_turns_back() -> None:
    """By its participant while it is asked; by a person once nobody asks any more."""
    open_one = {"a": DONE, "p": ACTING | {"doubt": True, "tries": 8}}
    with pytest.raises(Conflict, match="wait for its answer"):
        turn_back(begun(PIVOT, **open_one), "the shop", NOW)
    with pytest.raises(Conflict, match="--not-done p"):
        turn_back(stuck(PIVOT, "RUNNING", **open_one), "the shop", NOW)
    t, moved = turn_back(stuck(PIVOT, "RUNNING", **open_one), "they say no", NOW, not_done="p")
    assert ("COMPENSATING", StepState.REFUSED, False) == (t.state, t.run("p").state, t.run("p").doubt)
    assert [("p", "refused"), (None, "COMPENSATING")] == [(move.step, move.after) for move in moved]


@pytest.mark.parametrize(
    ("t", "name"),
    [
        (begun(PIVOT, a=DONE, p=ACTING), "p"),  # it still asks by itself
        (stuck(PIVOT, "RUNNING", a=ACTING, p=WAITING), "a"),  # no pivot
        (stuck(PIVOT, "RUNNING", a=DONE, p=DONE, b=REFUSED), "p"),  # no question: it is done
    ],
)
def test_a_person_answers_only_for_a_silent_pivot(t: Transaction, name: str) -> None:
    """Whatever else he says was not done may be done this moment."""
    with pytest.raises(Conflict, match="is no pivot that waits for a person"):
        turn_back(t, "they say no", NOW, not_done=name)


def test_what_cannot_be_written_goes_to_a_person() -> None:
    """With why; and where a look calls one anyway, with that reason."""
    t, moved = given_to_a_person(begun(PLAIN, a=DONE), UNPAID, "the answer is too long", NOW)
    assert (MANUAL, "RUNNING", None) == (t.state, t.stuck_in, t.due_at)
    assert [True, True] == ["the answer is too long" in why for why in (t.why, moved[-1].why)]
    silent, _ = given_to_a_person(begun(PIVOT, a=DONE, p=ACTING | {"tries": MANY}), UNPAID, "too long", NOW)
    assert "nobody knows whether p was done" in silent.why


def test_a_tcc_that_cannot_be_written_goes_to_a_person_with_what_it_holds() -> None:
    """Its participants keep what they set aside until he decides."""
    t, _ = given_to_a_person(begun(TCC, "TRYING", a=DONE), UNPAID, "the answer is too long", NOW)
    assert (MANUAL, "TRYING", None) == (t.state, t.stuck_in, t.due_at)
    assert StepState.DONE is t.run("a").state


def test_one_that_nobody_can_be_called_for_is_tried_again_in_a_minute() -> None:
    """A TCC that was only written down holds nobody up."""
    t, moved = given_to_a_person(begun(TCC), UNPAID, "too long", NOW)
    assert ("INIT", later(minutes=1), ()) == (t.state, t.due_at, moved)
