"""The lives of payments, refunds, orders, units and transactions, as tables: nothing is left to chance."""

import pytest

from paidup.inventory import states as inventory
from paidup.orders import states as orders
from paidup.payments import states as payments
from paidup.refunds import states as refunds
from paidup.transactions.states import SAGA, STEP, TCC

LIVES = pytest.mark.parametrize(
    "life",
    [payments, refunds, orders, inventory, SAGA, TCC, STEP],
    ids=["payments", "refunds", "orders", "inventory", "saga", "tcc", "step"],
)


@LIVES
def test_every_state_answers_every_happening(life) -> None:
    """The table is total: no happening, however late or absurd, is without an answer."""
    assert {(state, happening) for state in life.State for happening in life.Happening} == set(life.TABLE)


@LIVES
def test_every_state_is_reached_from_the_first_one(life) -> None:
    """No state is only written down: a chain of happenings leads to it."""
    reached = [next(iter(life.State))]
    for state in reached:
        reached += {move.to for (old, _), move in life.TABLE.items() if old is state}.difference(reached)
    assert set(life.State) == set(reached)


@LIVES
def test_every_why_is_a_sentence_for_people(life) -> None:
    """It goes word for word into the timeline: several words, no final stop, no capital letter at the start."""
    odd = [m.why for m in life.TABLE.values() if len(m.why.split()) < 2 or m.why.endswith(".") or m.why[0].isupper()]
    assert [] == odd


@LIVES
def test_a_repeated_happening_changes_nothing(life) -> None:
    """What just led to a state leaves it there: the second time is always a no-op."""
    restless = [
        (old, happening)
        for (old, happening), move in life.TABLE.items()
        if move.to is not old and life.TABLE[move.to, happening].to is not move.to
    ]
    assert [] == restless


def test_money_that_arrived_leaves_only_by_the_bank() -> None:
    """From a state with money no happening leads to one without: only disputes move it, among states with money."""
    moves = {
        (old, happening, move.to)
        for (old, happening), move in payments.TABLE.items()
        if old in payments.MONEY_ARRIVED and move.to is not old
    }
    s, h = payments.State, payments.Happening
    assert {
        (s.PAID, h.DISPUTE_OPENED, s.DISPUTED),
        (s.PAID, h.DISPUTE_LOST, s.CHARGED_BACK),
        (s.DISPUTED, h.DISPUTE_WON, s.PAID),
        (s.DISPUTED, h.DISPUTE_LOST, s.CHARGED_BACK),
        (s.CHARGED_BACK, h.DISPUTE_OPENED, s.DISPUTED),
        (s.CHARGED_BACK, h.DISPUTE_WON, s.PAID),
    } == moves


def test_only_the_channels_word_of_payment_makes_a_payment_paid() -> None:
    """Neither time, nor our own wishes, nor a mismatch mark anything paid that had no money before; a person may, but
    only what the channel says has come."""
    s, h = payments.State, payments.Happening
    ways = {
        (old, happening)
        for (old, happening), move in payments.TABLE.items()
        if old not in payments.MONEY_ARRIVED and _has_money(move.to) and happening not in (h.PAID, h.GIVEN_BACK)
    }
    assert {(s.HELD, h.RELEASED)} == ways


def test_paid_is_believed_in_every_state() -> None:
    """The channel's word wins over our clock: whatever we thought, a payment said to be paid has money afterwards."""
    after = {payments.TABLE[state, payments.Happening.PAID].to for state in payments.State}
    assert after <= payments.MONEY_ARRIVED


def test_money_that_came_and_went_is_believed_and_pays_no_order() -> None:
    """Of a payment that had no money before, the news that all of it went back says that it was paid, and no more."""
    moves = [
        payments.TABLE[state, payments.Happening.GIVEN_BACK]
        for state in payments.State
        if state not in payments.MONEY_ARRIVED
    ]
    assert {(payments.State.PAID, True)} == {(move.to, move.gone) for move in moves}
    assert 5 == sum(move.gone for move in payments.TABLE.values())


def test_a_mismatch_always_calls_a_person() -> None:
    """Paid otherwise than agreed opens a case in every state, the final ones included."""
    assert {"mismatch"} == {payments.TABLE[state, payments.Happening.MISMATCH].case for state in payments.State}


def test_a_payment_is_closed_only_by_the_channel() -> None:
    """Closing is two-phase: asking for it never closes anything by itself."""
    closing = {h for (old, h), m in payments.TABLE.items() if m.to is payments.State.CLOSED and old is not m.to}
    assert {payments.Happening.CHANNEL_CLOSED} == closing


def test_a_final_payment_stays_final() -> None:
    """Its row leaves the schedule when it becomes final, so nothing may need another question afterwards; but for an
    opening that the channel took after the close: then the payment is closing anew, and asked about."""
    late = (payments.State.CLOSED, payments.Happening.OPENED)
    moves = {move.to for case, move in payments.TABLE.items() if case[0] in payments.FINAL and case != late}
    assert (payments.FINAL, payments.State.CLOSING) == (moves, payments.TABLE[late].to)


def test_only_a_payment_that_may_yet_be_paid_or_closed_is_asked_about() -> None:
    """What is held waits for a person, and what has money for nobody."""
    asked = {payments.State.CREATED, payments.State.OPEN, payments.State.CLOSING}
    assert set(payments.State) - asked == payments.FINAL


def test_a_channel_that_contradicts_the_books_and_a_bank_that_wants_money_call_a_person() -> None:
    """Money here that the channel does not know, or calls closed while no bank took it; each dispute, when it is first
    heard of."""
    state, happening = payments.State, payments.Happening
    contradicted = {(one, happening.NOT_FOUND) for one in payments.MONEY_ARRIVED} | {
        (one, happening.CHANNEL_CLOSED) for one in (state.PAID, state.DISPUTED)
    }
    disputed = {
        (state.PAID, happening.DISPUTE_OPENED),
        (state.PAID, happening.DISPUTE_LOST),
        (state.CHARGED_BACK, happening.DISPUTE_OPENED),
    }
    assert contradicted == {where for where, move in payments.TABLE.items() if move.case == "contradiction"}
    assert disputed == {where for where, move in payments.TABLE.items() if move.case == "dispute"}
    inquired = {(one, happening.DISPUTE_INQUIRED) for one in payments.MONEY_ARRIVED}
    assert inquired == {where for where, move in payments.TABLE.items() if move.case == "inquiry"}
    assert {None, "contradiction", "dispute", "inquiry", "mismatch"} == {move.case for move in payments.TABLE.values()}
    assert {None, "contradiction", "refund_failed"} == {move.case for move in refunds.TABLE.values()}
    assert ["contradiction"] == [
        move.case for where, move in refunds.TABLE.items() if where[1] is refunds.Happening.NOT_FOUND and move.case
    ]


def test_a_final_refund_stays_final() -> None:
    """Success and failure may follow each other, but no refund is sent or asked about again."""
    assert refunds.FINAL == {move.to for (old, _), move in refunds.TABLE.items() if old in refunds.FINAL}


def test_every_failed_refund_calls_a_person() -> None:
    """Money that should have gone back and did not is never left to be found by the customer. Where it went back in
    another way, there is nothing to find."""
    silent = [
        key for key, m in refunds.TABLE.items() if m.to is refunds.State.FAILED and key[0] is not m.to and not m.case
    ]
    assert [(refunds.State.REQUESTED, refunds.Happening.OVERTAKEN)] == silent


def test_a_refund_the_channel_has_is_never_failed_by_a_refusal() -> None:
    """A refused repeat says nothing about the first sending: only before the channel had it does a refusal end it. So
    it is, too, when the refusal comes because the money went back otherwise."""
    s = refunds.State
    for refusal in (refunds.Happening.DECLINED, refunds.Happening.OVERTAKEN):
        refused = {state: refunds.TABLE[state, refusal].to for state in s}
        assert {s.REQUESTED: s.FAILED, s.PENDING: s.PENDING, s.SUCCEEDED: s.SUCCEEDED, s.FAILED: s.FAILED} == refused


def test_success_of_a_refund_is_believed_in_every_state_and_by_nothing_else_is_money_gone() -> None:
    """Whatever we thought, the customer has the money once the channel says so; and no refusal, no silence and no old
    news books money as gone that is still the shop's."""
    s, h = refunds.State, refunds.Happening
    assert {s.SUCCEEDED} == {refunds.TABLE[state, h.SUCCEEDED].to for state in s}
    ways = {x for (old, x), move in refunds.TABLE.items() if move.to is s.SUCCEEDED and old is not move.to}
    assert {h.SUCCEEDED} == ways


def test_money_that_went_back_comes_back_only_by_the_channels_word() -> None:
    """That the channel does not find a refund, or refuses to take it again, takes nothing back from the customer."""
    s, h = refunds.State, refunds.Happening
    ways = {x for (old, x), move in refunds.TABLE.items() if old is s.SUCCEEDED and move.to is not old}
    assert {h.FAILED} == ways


def test_a_refund_that_the_channel_took_never_goes_out_anew_by_itself() -> None:
    """It may be missing there for a moment, and a channel that forgot its number would pay it twice."""
    s = refunds.State
    assert [] == [old for (old, _), move in refunds.TABLE.items() if move.to is s.REQUESTED and old is not move.to]


def test_an_order_becomes_paid_only_by_money() -> None:
    """A first payment, or a refund that came back: nothing else."""
    h = orders.Happening
    ways = {x for (old, x), move in orders.TABLE.items() if move.to is orders.State.PAID and old is not move.to}
    assert {h.PAYMENT_PAID, h.PAYMENT_PAID_UNWELCOME, h.PAYMENT_PAID_TOO_LATE, h.REFUND_UNDONE} == ways


def test_a_second_payment_is_given_back_in_every_state_and_moves_none() -> None:
    """Whatever became of the order in the meantime, the second payment neither pays nor reopens it."""
    h, no = orders.Happening.SECOND_PAYMENT_PAID, orders.GiveBack.NO
    wrong = [s for s in orders.State if orders.TABLE[s, h].to is not s or orders.TABLE[s, h].give_back is no]
    assert [] == wrong


def _has_money(state: payments.State) -> bool:
    return state in payments.MONEY_ARRIVED


def test_orders_only_move_units() -> None:
    """What they do to available, reserved and sold adds up to nought; only people put units in or take them out."""
    sums = {kind: sum(effect) for kind, effect in inventory.EFFECTS.items()}
    people = {inventory.Kind.RESTOCK: 1, inventory.Kind.ADJUST: 1}
    assert {kind: people.get(kind, 0) for kind in inventory.Kind} == sums


def test_units_are_sold_or_on_sale_as_the_state_says() -> None:
    """The movements of each move lead from where units are in the old state to where they are in the new one."""
    where = {
        inventory.State.HELD: (-1, 1, 0),
        inventory.State.SOLD: (-1, 0, 1),
        inventory.State.RELEASED: (0, 0, 0),
        inventory.State.RETURNED: (0, 0, 0),
    }
    for (old, _), move in inventory.TABLE.items():
        steps = [where[old], *(inventory.EFFECTS[kind] for kind in move.movements)]
        assert where[move.to] == tuple(map(sum, zip(*steps, strict=True)))


def test_units_that_are_on_sale_again_leave_only_by_money() -> None:
    """Neither a late closing nor a late refund makes units that were never sold pass for returned ones, or the other
    way round."""
    s, h = inventory.State, inventory.Happening
    on_sale = (s.RELEASED, s.RETURNED)
    ways = {(old, x, move.to) for (old, x), move in inventory.TABLE.items() if old in on_sale and move.to is not old}
    assert {(state, h.PAID, s.SOLD) for state in on_sale} == ways
