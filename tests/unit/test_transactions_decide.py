"""What a transaction does next, case by case: where the walk over every course only sees that it ends well."""

from datetime import datetime, timedelta

import msgspec
import pytest

from paidup.orders.states import State as OrderState
from paidup.participant import Operation
from paidup.testing.builders import NOW
from paidup.transactions.decide import Outcome, Reply, advance, answered, recovered, turn_back
from paidup.transactions.states import MANUAL, StepState
from paidup.transactions.table import Table
from paidup.transactions.transaction import StepRun, Transaction
from transaction_points import (
    ACTING,
    CLOSED,
    CLOSING,
    DONE,
    MANY,
    MESSAGE,
    PAID,
    PAID_FOR,
    PAYMENT,
    PIVOT,
    PLAIN,
    REFUSED,
    TCC,
    UNPAID,
    WAITING,
    back,
    begun,
    later,
    step,
    stuck,
    turn,
)


class TestWhoIsAsked:
    """By how far the steps are."""

    def test_of_a_pivot_that_gave_no_answer_nobody_knows(self) -> None:
        """Perhaps it was done: neither forward nor back is certain, so a person decides, and only after its tries."""
        acting = ACTING | {"doubt": True}
        silent = advance(begun(PIVOT, a=DONE, p=acting | {"tries": MANY}), UNPAID, NOW)
        assert (MANUAL, ()) == (silent.transaction.state, silent.calls)
        assert "nobody knows whether p was done" in silent.transaction.why
        assert ("RUNNING", (("p", "action"),)) == turn(begun(PIVOT, a=DONE, p=acting | {"tries": 7}))

    def test_a_pivot_that_certainly_was_not_reached_turns_back(self) -> None:
        """Nothing was sent in all its tries, so what came before it can be undone."""
        assert ("COMPENSATING", (("a", "compensate"),)) == turn(begun(PIVOT, a=DONE, p={"tries": MANY}))

    def test_who_acts_by_himself_may_have_acted_although_he_was_never_reached(self) -> None:
        """A question that never arrived says nothing about what its participant did in its own transaction."""
        for where in (WAITING, ACTING):
            assert (MANUAL, ()) == turn(begun(MESSAGE, p=where | {"tries": MANY, "due_at": None}))

    def test_an_ordinary_step_that_gave_no_answer_is_undone(self) -> None:
        """Compensating is safe whether it acted or not."""
        assert ("COMPENSATING", (("a", "compensate"),)) == turn(begun(PLAIN, a=ACTING | {"tries": MANY}))

    def test_before_the_pivot_patience_is_short_and_after_it_there_is_only_forward(self) -> None:
        """8 tries while a customer waits; 12 of what has to succeed, and then a person, as after a no."""
        assert "RUNNING" == turn(begun(PAID_FOR, a=ACTING | {"tries": 7}))[0]
        assert "COMPENSATING" == turn(begun(PAID_FOR, a=ACTING | {"tries": 8}))[0]
        b = ACTING | {"doubt": True}
        looks = [
            turn(begun(PAID_FOR, a=DONE, payment=DONE, b=b | then), PAID, later(days=2))
            for then in ({"tries": 11}, {"tries": 12}, REFUSED)
        ]
        assert [("RUNNING", (("b", "action"),)), (MANUAL, ()), (MANUAL, ())] == looks

    @pytest.mark.parametrize(
        ("t", "name", "asked", "tries"),
        [
            (begun(PLAIN), "a", StepState.ACTING, 1),
            (begun(PLAIN, a=WAITING | {"tries": 3, "due_at": NOW}), "a", StepState.ACTING, 4),
            (begun(PLAIN, a=ACTING | {"tries": 3, "due_at": NOW}), "a", StepState.ACTING, 4),
            (begun(TCC, "CONFIRMING", a=DONE | {"tries": 3}, payment=DONE), "a", StepState.CONFIRMING, 1),
            (back(TCC, "CANCELLING", a=DONE | {"tries": 3}, payment=REFUSED), "a", StepState.UNDOING, 1),
            (back(PLAIN, a=ACTING | {"tries": 3, "due_at": NOW}), "a", StepState.UNDOING, 1),
            (
                back(PLAIN, a={"state": StepState.UNDOING, "tries": 3, "due_at": NOW}),
                "a", StepState.UNDOING, 4,
            ),
            (
                begun(TCC, "CONFIRMING", a={"state": StepState.CONFIRMING, "tries": 3, "due_at": NOW}, payment=DONE),
                "a", StepState.CONFIRMING, 4,
            ),
            (
                back(TCC, "CANCELLING", a={"state": StepState.UNDOING, "tries": 3, "due_at": NOW}, payment=REFUSED),
                "a", StepState.UNDOING, 4,
            ),
        ],
    )  # fmt: skip
    def test_that_somebody_is_about_to_be_asked_is_written(
        self, t: Transaction, name: str, asked: StepState, tries: int
    ) -> None:
        """Before he is asked, and with how often; the journal has a line where that moves his step, and only there."""
        found = advance(t, PAID, NOW)
        run = found.transaction.run(name)
        assert (asked, tries, True, None) == (run.state, run.tries, run.asking, run.due_at)
        lines = [(moved.before, moved.after) for moved in found.moved if moved.step == name]
        assert ([] if t.run(name).state is asked else [(t.run(name).state, asked)]) == lines

    def test_while_somebody_is_asked_it_is_due_already(self) -> None:
        """Should the worker that asks die, another one takes it over as soon as its lease is over."""
        found = advance(begun(PLAIN), UNPAID, later(seconds=3))
        assert ((("a", "action"),), later(seconds=3)) == (found.calls, found.transaction.due_at)

    def test_the_last_try_is_waited_for(self) -> None:
        """While it is under way nobody says that it failed, and nobody asks beside it."""
        under_way = begun(PLAIN, a=ACTING | {"tries": 8, "asking": True})
        assert ("RUNNING", ()) == turn(under_way)

    def test_the_journal_tells_who_said_no_in_his_own_words(self) -> None:
        """Whoever asks why it was undone reads it there."""
        found = advance(begun(PLAIN, a=REFUSED | {"why": "no such coupon"}), UNPAID, NOW)
        assert "it cannot go on; what was done is undone: a: no such coupon" in [moved.why for moved in found.moved]

    def test_what_a_person_answers_for_is_not_made_final(self) -> None:
        """Nor is anybody asked twice who has made it final; the payment is nobody's promise."""
        confirming = begun(TCC, "CONFIRMING", a={"state": StepState.SKIPPED}, b=DONE, payment=DONE)
        assert ("CONFIRMING", (("b", "confirm"),)) == turn(confirming, PAID)
        ended = confirming.put(msgspec.structs.replace(confirming.run("b"), state=StepState.CONFIRMED))
        assert ("CONFIRMED", ()) == turn(ended, PAID)


class TestWhenItIsLookedAt:
    """The moment of the next look, and what time itself decides."""

    def test_a_step_that_is_not_done_when_the_time_is_over_turns_it_back(self) -> None:
        """At the very moment, and not a second earlier."""
        t = begun(PLAIN, a=DONE)
        assert ("RUNNING", (("b", "action"),)) == turn(t, now=t.expires_at - timedelta(seconds=1))
        assert ("COMPENSATING", (("a", "compensate"),)) == turn(t, now=t.expires_at)
        assert "its time is over, and b is not done" in advance(t, UNPAID, t.expires_at).moved[0].why

    def test_it_is_looked_at_when_its_time_is_over_however_late_the_next_try(self) -> None:
        """Otherwise a participant that asks for an hour keeps everybody else's promises for an hour too long."""
        t = begun(PLAIN, a={"due_at": later(hours=9)})
        assert t.expires_at == advance(t, UNPAID, NOW).transaction.due_at
        soon = begun(PLAIN, a={"due_at": later(seconds=8)})
        assert later(seconds=8) == advance(soon, UNPAID, NOW).transaction.due_at

    def test_a_question_that_outlasts_the_time_has_its_own(self) -> None:
        """Nothing turns back before it is answered, so there is nothing to look at any sooner."""
        t = begun(PIVOT, a=DONE, p=ACTING | {"doubt": True, "tries": 3})
        for over in (t.expires_at, t.expires_at + timedelta(seconds=1)):
            waits = t.put(msgspec.structs.replace(t.run("p"), due_at=over + timedelta(seconds=4)))
            assert over + timedelta(seconds=4) == advance(waits, UNPAID, over).transaction.due_at

    def test_after_the_pivot_the_time_hurries_nobody(self) -> None:
        """There is only forward, and its tries have their own gaps."""
        t = begun(PAID_FOR, a=DONE, payment=DONE, b={"due_at": later(hours=2)})
        assert later(hours=2) == advance(t, PAID, NOW).transaction.due_at

    def test_whoever_waits_for_the_order_looks_once_a_minute_and_when_the_time_is_over(self) -> None:
        """For the case that nobody wakes it."""
        found = advance(begun(PAID_FOR, a=DONE), UNPAID, NOW)
        assert (later(minutes=1), True, False) == (found.transaction.due_at, found.transaction.waits, found.give_up)
        late = found.transaction.expires_at - timedelta(seconds=20)
        assert found.transaction.expires_at == advance(begun(PAID_FOR, a=DONE), UNPAID, late).transaction.due_at

    def test_of_several_that_wait_the_first_one_counts(self) -> None:
        """The transaction is looked at as soon as anybody in it may be asked."""
        table = Table(name="t", step=(step("a"), step("b", parallel=True)))
        t = begun(table, a={"due_at": later(seconds=9)}, b={"due_at": later(seconds=5)})
        assert later(seconds=5) == advance(t, UNPAID, NOW).transaction.due_at
        assert (("b", "action"),) == turn(t, now=later(seconds=5))[1]

    def test_who_is_with_a_person_or_at_the_end_is_not_looked_at(self) -> None:
        """Nothing would follow."""
        done = advance(begun(PLAIN, a=DONE, b=DONE), UNPAID, NOW).transaction
        with_somebody = advance(begun(PIVOT, a=DONE, p=ACTING | {"tries": MANY}), UNPAID, NOW).transaction
        assert [("DONE", None, NOW, None), (MANUAL, None, None, None)] == [
            (t.state, t.due_at, t.ended_at, t.turned_at) for t in (done, with_somebody)
        ]
        assert "every step is done" == done.why


class TestGivingTheOrderUp:
    """It is being undone while somebody may still pay."""

    def test_nothing_is_undone_before_the_channel_says_that_nobody_can_pay(self) -> None:
        """The order is given up once; from then on it is waited for, a minute at a time."""
        for order, asks in ((UNPAID, True), (CLOSING, False)):
            found = advance(back(PAID_FOR, a=DONE), order, NOW)
            assert ((), asks, True) == (found.calls, found.give_up, found.transaction.waits)
            assert later(minutes=1) == found.transaction.due_at
        assert ("COMPENSATING", (("a", "compensate"),)) == turn(back(PAID_FOR, a=DONE), CLOSED)

    def test_the_channels_have_a_day_from_when_it_turned_back(self) -> None:
        """Then a person is called, for nobody knows whether money comes."""
        t = back(PAID_FOR, a=DONE)
        day = later(days=1)
        assert ("COMPENSATING", ()) == turn(t, CLOSING, day - timedelta(seconds=1))
        assert day == advance(t, CLOSING, day - timedelta(seconds=1)).transaction.due_at
        called = advance(t, CLOSING, day).transaction
        assert (MANUAL, "COMPENSATING") == (called.state, called.stuck_in)
        assert "the channel does not say that nobody can pay" in called.why

    def test_paid_after_all_it_goes_on_where_it_can(self) -> None:
        """What comes after the payment was not to be done yet, and hinders nothing."""
        assert ("RUNNING", (("b", "action"),)) == turn(back(PAID_FOR, a=DONE), PAID)
        assert ("CONFIRMING", (("a", "confirm"), ("b", "confirm"))) == turn(
            back(TCC, "CANCELLING", a=DONE, b=DONE), PAID
        )

    def test_paid_after_all_and_something_is_missing_a_person_decides(self) -> None:
        """He reads what is missing: he cannot let it go on as if it were there."""
        t = advance(back(PAID_FOR, a=REFUSED), PAID, NOW).transaction
        assert (MANUAL, True) == (t.state, "the order is paid, but a is not done" in t.why)

    def test_an_order_that_is_paid_too_early_is_not_taken_for_the_next_step(self) -> None:
        """Steps before the payment come first; an order that was closed meanwhile ends it only when its turn comes."""
        early = advance(begun(PAID_FOR), PAID, NOW)
        assert ((("a", "action"),), StepState.WAITING) == (early.calls, early.transaction.run("payment").state)
        closed = advance(begun(PAID_FOR), CLOSED, NOW)
        assert ((("a", "action"),), StepState.WAITING) == (closed.calls, closed.transaction.run("payment").state)

    @pytest.mark.parametrize("order", [CLOSED, OrderState.REFUNDED])
    def test_an_order_that_nobody_can_pay_any_more_turns_it_back(self, order: OrderState) -> None:
        """Also one whose money has gone back before anybody looked."""
        assert ("COMPENSATING", (("a", "compensate"),)) == turn(begun(PAID_FOR, a=DONE), order)
        assert "the order can no longer be paid" == advance(begun(PAID_FOR, a=DONE), order, NOW).moved[0].why

    def test_a_paid_order_lets_it_go_on_once_everything_before_is_done(self) -> None:
        """The journal tells it once."""
        found = advance(begun(PAID_FOR, a=DONE), PAID, NOW)
        assert (("b", "action"),) == found.calls
        assert ("payment", "done", "the order is paid") == (
            found.moved[0].step, found.moved[0].after, found.moved[0].why,
        )  # fmt: skip
        again = advance(recovered(found.transaction), PAID, later(minutes=1)).transaction
        assert found.transaction.run("payment") == again.run("payment")
        two = advance(begun(Table(name="t", step=(step("a"), step("c"), PAYMENT)), a=DONE), PAID, NOW)
        assert ((("c", "action"),), StepState.WAITING) == (two.calls, two.transaction.run("payment").state)

    def test_a_payment_that_comes_first_waits_for_nobody_but_the_customer(self) -> None:
        """What is to be done once it is paid is done at once; and before that nobody is asked."""
        first = begun(Table(name="t", step=(PAYMENT, step("a"))))
        assert [("RUNNING", ()), ("RUNNING", (("a", "action"),))] == [turn(first, order) for order in (UNPAID, PAID)]

    def test_with_a_person_nothing_moves_by_itself(self) -> None:
        """He decides on what he saw; the payment counts from when he lets it go on."""
        t = stuck(PAID_FOR, "COMPENSATING", a=DONE)
        for order in (PAID, CLOSED):
            assert t.steps == advance(t, order, NOW).transaction.steps


class TestUndoing:
    """What has to succeed."""

    def test_what_is_undone_does_not_wait_for_its_next_try_forward(self) -> None:
        """That wait was for an answer which nobody wants any more."""
        assert (("a", "compensate"),) == turn(back(PLAIN, a=ACTING | {"tries": 3, "due_at": later(minutes=1)}))[1]

    def test_an_undoing_that_failed_waits_for_its_next_try(self) -> None:
        """And no longer."""
        t = back(PLAIN, a={"state": StepState.UNDOING, "tries": 3, "due_at": later(seconds=5)})
        assert ((), later(seconds=5)) == (turn(t)[1], advance(t, UNPAID, NOW).transaction.due_at)
        assert (("a", "compensate"),) == turn(t, now=later(seconds=5))[1]

    def test_when_its_tries_are_over_a_person_is_called(self) -> None:
        """Twelve of them, as MUST_END has it; tries that it needed to act are not counted."""
        gone = {"state": StepState.UNDOING, "why": "it answers 500"}
        found = advance(back(PLAIN, a=gone | {"tries": 12}), UNPAID, NOW).transaction
        assert (MANUAL, "COMPENSATING", None) == (found.state, found.stuck_in, found.due_at)
        assert "compensate of a did not succeed (it answers 500)" in found.why
        assert (("a", "compensate"),) == turn(back(PLAIN, a=gone | {"tries": 11}))[1]
        first = advance(back(PLAIN, a=ACTING | {"tries": 12}), UNPAID, NOW).transaction.run("a")
        assert (StepState.UNDOING, 1, True, None) == (first.state, first.tries, first.asking, first.due_at)

    def test_who_said_no_to_an_earlier_request_in_doubt_is_asked_to_take_it_back(self) -> None:
        """One that said no for certain is left alone, and so is the pivot."""
        assert (("a", "compensate"),) == turn(back(PLAIN, a=REFUSED | {"doubt": True}))[1]
        assert ("COMPENSATED", ()) == turn(back(PLAIN, a=REFUSED))
        assert ("COMPENSATED", ()) == turn(back(PIVOT, a=REFUSED, p=REFUSED | {"doubt": True}))

    def test_the_moment_at_which_it_turned_back_is_kept(self) -> None:
        """The channels' day is counted from there, not from each look."""
        turned = advance(begun(PAID_FOR, a=REFUSED | {"tries": 5}), UNPAID, later(seconds=3)).transaction
        assert later(seconds=3) == turned.turned_at
        again, moved = turn_back(turned, "the shop asks again", later(hours=1))
        assert (later(seconds=3), later(hours=1), later(hours=1)) == (again.turned_at, again.due_at, again.updated_at)
        assert (5, ()) == (again.run("a").tries, moved)
        ended = advance(again, CLOSED, later(hours=2)).transaction
        assert ("COMPENSATED", later(seconds=3), later(hours=2)) == (ended.state, ended.turned_at, ended.updated_at)


def reply(outcome: Outcome, operation: Operation = Operation.ACTION, **fields: object) -> Reply:
    return msgspec.structs.replace(Reply(step="a", operation=operation, outcome=outcome, why="so"), **fields)


def after(t: Transaction, said: Reply, now: datetime = NOW, spread: float = 1.0) -> StepRun:
    return answered(t, [said], now, spread)[0].run("a")


class TestAnswers:
    """What a participant's answer, or its silence, leaves behind."""

    asked = begun(PLAIN, a=ACTING | {"asking": True, "tries": 1})

    @pytest.mark.parametrize(
        ("outcome", "state", "doubt", "due_at"),
        [
            (Outcome.SUCCESS, StepState.DONE, False, None),
            (Outcome.DECLINED, StepState.REFUSED, False, None),
            (Outcome.UNKNOWN, StepState.ACTING, True, later(seconds=1)),
            (Outcome.RETRYABLE, StepState.WAITING, False, later(seconds=1)),
        ],
    )
    def test_each_answer_moves_the_step(
        self, outcome: Outcome, state: StepState, doubt: bool, due_at: datetime | None
    ) -> None:
        """Only silence leaves a doubt; only what is not settled is tried again, after a second at first."""
        t, moved = answered(self.asked, [reply(outcome, answer="its words")], NOW, 1.0)
        run = t.run("a")
        assert ([] if outcome is Outcome.UNKNOWN else [state]) == [move.after for move in moved]
        assert (state, doubt, due_at, False, "its words") == (run.state, run.doubt, run.due_at, run.asking, run.answer)

    def test_a_doubt_stays(self) -> None:
        """That this request was not sent, or was refused, says nothing of an earlier one that may have been heard."""
        doubted = self.asked.put(msgspec.structs.replace(self.asked.run("a"), doubt=True, answer="before"))
        not_sent = after(doubted, reply(Outcome.RETRYABLE))
        assert (StepState.ACTING, True, "before") == (not_sent.state, not_sent.doubt, not_sent.answer)
        assert "no certain answer" in not_sent.why
        declined = after(doubted, reply(Outcome.DECLINED))
        assert (StepState.REFUSED, True) == (declined.state, declined.doubt)

    def test_an_answer_that_nobody_waits_for_changes_nothing(self) -> None:
        """It was asked by a worker that was taken for dead."""
        t = recovered(self.asked)
        assert (t, ()) == answered(t, [reply(Outcome.SUCCESS)], NOW, 1.0)

    def test_who_died_while_asking_may_have_been_heard(self) -> None:
        """So it is asked again at once, and undone if it comes to that. Whoever was not being asked is as he was."""
        waits = {"due_at": later(hours=1)}
        for where in (ACTING, {"state": StepState.UNDOING}, {"state": StepState.CONFIRMING}):
            t = recovered(begun(PLAIN, a=where | {"asking": True} | waits, b=where | waits))
            assert (False, True, None) == (t.run("a").asking, t.run("a").doubt, t.run("a").due_at)
            assert (False, later(hours=1)) == (t.run("b").doubt, t.run("b").due_at)

    @pytest.mark.parametrize(
        ("operation", "state"), [(Operation.COMPENSATE, StepState.UNDOING), (Operation.CONFIRM, StepState.CONFIRMING)]
    )
    def test_no_to_what_may_not_be_refused_calls_a_person_at_once(self, operation: Operation, state: StepState) -> None:
        """Asking again would change nothing; twenty tries are the most that a table can give."""
        table, where = (PLAIN, "COMPENSATING") if operation is Operation.COMPENSATE else (TCC, "CONFIRMING")
        most = msgspec.structs.replace(table, step=(step("a", tries=20), *table.step[1:]))
        t = back(most, where, a={"state": state, "asking": True, "tries": 1})
        t, _ = answered(t, [reply(Outcome.DECLINED, operation)], NOW, 1.0)
        assert (MANUAL, ()) == turn(t, PAID)

    @pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.RETRYABLE])
    def test_silence_about_what_may_not_be_refused_costs_one_try(self, outcome: Outcome) -> None:
        """A participant that is down for a minute while it is to undo calls nobody."""
        asked = back(PLAIN, a={"state": StepState.UNDOING, "asking": True, "tries": 2})
        silent, _ = answered(asked, [reply(outcome, Operation.COMPENSATE)], NOW, 1.0)
        assert 2 == silent.run("a").tries
        assert ("COMPENSATING", (("a", "compensate"),)) == turn(silent, now=later(minutes=1))

    def test_a_try_that_is_refused_calls_nobody(self) -> None:
        """Every participant may say no to what has not begun."""
        assert 1 == after(self.asked, reply(Outcome.DECLINED)).tries

    def test_waits_are_those_of_what_may_turn_or_of_what_must_end(self) -> None:
        """8 tries in two minutes while a customer waits, 12 in 69 minutes for what has to succeed; spread alike."""
        third = {"asking": True, "tries": 3}
        forward = begun(PLAIN, a=ACTING | third)
        undoing = back(PLAIN, a={"state": StepState.UNDOING} | third)
        passed = begun(Table(name="t", step=(step("p", pivot=True), step("a"))), p=DONE, a=ACTING | third)
        waits_s = [
            (after(t, reply(Outcome.UNKNOWN, operation), spread=1.1).due_at - NOW).total_seconds()
            for t, operation in (
                (forward, Operation.ACTION), (undoing, Operation.COMPENSATE), (passed, Operation.ACTION),
            )
        ]  # fmt: skip
        assert pytest.approx([4.4, 5.5, 5.5]) == waits_s

    def test_a_participant_may_ask_for_patience_as_far_as_there_is_time(self) -> None:
        """An hour at the most, and not beyond the end; where the channels' day is needed no more, that is there too."""
        paid = begun(
            Table(name="t", within_s=600, step=(PAYMENT, step("a"))), payment=DONE, a=ACTING | {"asking": True}
        )
        plain, unpaid, passed = (
            begun(Table(name="t", within_s=600, step=steps), a=ACTING | {"asking": True})
            for steps in ((step("a"),), (step("a"), PAYMENT), (step("p", pivot=True), step("a")))
        )
        passed = passed.put(msgspec.structs.replace(passed.run("p"), state=StepState.DONE))
        asks = [
            after(t, reply(Outcome.UNKNOWN, retry_after_s=wait_s), now).due_at
            for t, wait_s, now in (
                (plain, 120, NOW), (plain, 3000, later(seconds=200)), (plain, 120, later(seconds=700)),
                (paid, 3000, later(seconds=500)), (paid, 3600, later(seconds=600 + 86400 - 90)),
                (unpaid, 3000, NOW), (passed, 3000, NOW), (paid, 9000, NOW),
            )
        ]  # fmt: skip
        assert [
            later(seconds=120), later(seconds=600), later(seconds=701),
            later(seconds=3500), later(seconds=600 + 86400), later(seconds=600), later(seconds=600),
            later(hours=1),
        ] == asks  # fmt: skip
