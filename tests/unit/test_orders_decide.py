"""What a paid payment means for its order."""

import pytest

from paidup.orders.decide import happen, payment_paid
from paidup.orders.order import LatePayment
from paidup.orders.states import GiveBack, Happening, State
from paidup.testing.builders import an_order, payment_id


@pytest.mark.parametrize("policy", LatePayment)
@pytest.mark.parametrize("state", [State.UNPAID, State.CLOSING])
def test_the_first_payment_pays_while_the_order_can_be_paid(state: State, policy: LatePayment) -> None:
    """Also while it is being closed: nobody confirmed the close yet, so the money is not late."""
    order = payment_paid(an_order(state=state, late_payment=policy), payment_id()).order
    assert (State.PAID, payment_id()) == (order.state, order.paid_by)


@pytest.mark.parametrize(
    ("policy", "state", "payer", "give_back"),
    [
        (LatePayment.REOPEN, State.PAID, payment_id(), GiveBack.NO),
        (LatePayment.REFUND, State.CLOSED, None, GiveBack.LATE),
    ],
)
def test_late_money_goes_by_the_shops_policy(
    policy: LatePayment, state: State, payer: str | None, give_back: GiveBack
) -> None:
    """A closed order is reopened and paid, or the money goes back and it stays closed."""
    decision = payment_paid(an_order(state=State.CLOSED, late_payment=policy), payment_id())
    assert (state, payer, give_back) == (decision.order.state, decision.order.paid_by, decision.move.give_back)


@pytest.mark.parametrize("policy", LatePayment)
@pytest.mark.parametrize("state", State)
def test_another_payment_never_replaces_the_one_that_paid(state: State, policy: LatePayment) -> None:
    """In every state and under either policy, who paid stays who paid, and the other is given back."""
    before = an_order(state=state, late_payment=policy, paid_by=payment_id())
    decision = payment_paid(before, payment_id(2))
    assert (before, GiveBack.SECOND) == (decision.order, decision.move.give_back)


@pytest.mark.parametrize("policy", LatePayment)
@pytest.mark.parametrize("state", State)
def test_deciding_twice_changes_nothing(state: State, policy: LatePayment) -> None:
    """The same payment again leaves the order as it is."""
    once = payment_paid(an_order(state=state, late_payment=policy), payment_id()).order
    assert once == payment_paid(once, payment_id()).order


def test_a_refunded_order_is_paid_again_when_the_refund_comes_back() -> None:
    """The money is ours again, by the same payment."""
    refunded = an_order(state=State.REFUNDED, paid_by=payment_id())
    order = happen(refunded, Happening.REFUND_UNDONE).order
    assert (State.PAID, payment_id()) == (order.state, order.paid_by)
