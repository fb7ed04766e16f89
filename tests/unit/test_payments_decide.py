"""What evidence means for one payment."""

import msgspec
import pytest

from paidup.evidence import DisputeEvidence, DisputeSays, PaymentSays, Road
from paidup.money import Money
from paidup.payments.decide import decide, decide_dispute, happen, mismatch
from paidup.payments.payment import Payment
from paidup.payments.states import MONEY_ARRIVED, Happening, State
from paidup.testing.builders import (
    a_paid_payment,
    a_payment,
    after,
    attempt_failed,
    closed,
    dispute_says,
    not_found,
    paid,
    says,
    txn_id,
    waiting,
)


def test_paid_evidence_pays_and_keeps_the_proof() -> None:
    """State, the channel's number and the moment the money moved, as the channel states it."""
    payment = decide(a_payment(), paid()).payment
    assert (State.PAID, txn_id(), after(20)) == (payment.state, payment.channel_txn_id, payment.paid_at)


def test_without_a_stated_moment_the_time_of_receipt_stands_in() -> None:
    """A query's answer may not say when it was paid."""
    assert after(30) == decide(a_payment(), paid(occurred_at=None)).payment.paid_at


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("what", PaymentSays)
def test_deciding_twice_changes_nothing(state: State, what: PaymentSays) -> None:
    """In every state, the same evidence again leaves the payment as it is."""
    once = decide(a_payment(state=state), says(what)).payment
    assert once == decide(once, says(what)).payment


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("what", DisputeSays)
def test_deciding_twice_on_a_dispute_changes_nothing(state: State, what: DisputeSays) -> None:
    """In every state, the same news of a dispute again leaves the payment as it is."""
    once = decide_dispute(a_payment(state=state), dispute_says(what)).payment
    assert once == decide_dispute(once, dispute_says(what)).payment


@pytest.mark.parametrize(
    ("road", "received_s", "state"),
    [
        (Road.QUERY, 901, State.CLOSING),
        (Road.QUERY, 900, State.CLOSED),
        (Road.CALLBACK, 901, State.CLOSED),
    ],
)
def test_an_answer_that_is_newer_than_the_close_is_believed(road: Road, received_s: int, state: State) -> None:
    """The channel says that it can still be paid: it is closed once more. A notice may be older than its arrival."""
    payment = a_payment(state=State.CLOSED, updated_at=after(900))
    assert state is decide(payment, waiting(road=road, received_at=after(received_s))).payment.state


@pytest.mark.parametrize(("refunded_minor", "case"), [(0, "contradiction"), (1249, "contradiction"), (1250, None)])
def test_closed_after_everything_was_given_back_is_no_contradiction(refunded_minor: int, case: str | None) -> None:
    """Alipay answers TRADE_CLOSED then; while anything is left, it takes a person."""
    decision = decide(a_paid_payment(refunded_minor=refunded_minor), closed())
    assert (State.PAID, case) == (decision.payment.state, decision.move.case)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("amount", Money(1, "CNY"), "agreed 12.50 CNY, the channel says 0.01 CNY"),
        ("amount", Money(1250, "USD"), "agreed 12.50 CNY, the channel says 12.50 USD"),
        ("payee", "app/stranger", "agreed receiver app/seller, the channel says app/stranger"),
    ],
)
def test_a_difference_holds_the_payment_and_says_both_sides(field: str, value: object, told: str) -> None:
    """Amount, currency and receiver are compared with what was agreed; the sentence names both."""
    decision = decide(a_payment(), msgspec.structs.replace(paid(), **{field: value}))
    assert (State.HELD, "mismatch", f"paid, but not as agreed ({told})") == (
        decision.payment.state,
        decision.move.case,
        decision.why,
    )


def test_what_a_message_does_not_state_is_not_compared() -> None:
    """Alipay's query answer names no seller: silence is no contradiction."""
    assert "" == mismatch(a_payment(), paid(amount=None, payee=None))


@pytest.mark.parametrize("state", sorted(MONEY_ARRIVED))
def test_a_paid_payment_under_another_number_contradicts_itself(state: State) -> None:
    """The same trade cannot have two numbers at the channel; the first proof stays and a person is called, also while
    the customer's bank disputes the first money."""
    before = a_paid_payment(state=state)
    decision = decide(before, paid(channel_txn_id="ali9"))
    assert (before, "mismatch") == (decision.payment, decision.move.case)


def test_the_first_proof_stays() -> None:
    """A repeat with another moment does not rewrite when the money moved."""
    assert after(20) == decide(a_paid_payment(), paid(occurred_at=after(99))).payment.paid_at


def test_a_number_that_comes_after_the_proof_is_kept() -> None:
    """Paid by a message without the channel's number: the next message that states it fills it in."""
    nameless = decide(a_payment(), paid(channel_txn_id=None)).payment
    assert (None, txn_id()) == (nameless.channel_txn_id, decide(nameless, paid()).payment.channel_txn_id)


def test_until_it_is_paid_the_latest_number_is_the_one_to_ask_by() -> None:
    """A Stripe Checkout page becomes a PaymentIntent; once paid, older news do not bring the old number back."""
    payment = a_payment()
    for evidence in (waiting(channel_txn_id="cs_1"), waiting(channel_txn_id="pi_1"), paid(channel_txn_id="pi_1")):
        payment = decide(payment, evidence).payment
    assert "pi_1" == decide(payment, waiting(channel_txn_id="cs_1")).payment.channel_txn_id


@pytest.mark.parametrize("evidence", [not_found(), waiting(), attempt_failed(), closed()], ids=lambda e: e.says)
@pytest.mark.parametrize("state", [State.PAID, State.DISPUTED, State.CHARGED_BACK])
def test_nothing_unpays_a_payment(state: State, evidence) -> None:
    """Older or contradicting news about a payment with money leave it exactly as it is."""
    payment = a_paid_payment(state=state)
    assert payment == decide(payment, evidence).payment


@pytest.mark.parametrize("state", [State.CREATED, State.OPEN, State.CLOSING])
def test_not_found_is_never_a_failure(state: State) -> None:
    """Alipay makes a trade only when its code is scanned: 'not found' leaves an unfinished payment unfinished."""
    assert state is decide(a_payment(state=state), not_found()).payment.state


@pytest.mark.parametrize("state", [State.CREATED, State.OPEN, State.CLOSING, State.CLOSED, State.HELD])
@pytest.mark.parametrize("what", DisputeSays)
def test_a_dispute_before_the_payment_waits(state: State, what: DisputeSays) -> None:
    """Nothing is noted of it either, so that it is weighed anew when the money is known."""
    payment = a_payment(state=state)
    decision = decide_dispute(payment, dispute_says(what))
    assert (payment, True) == (decision.payment, decision.move.park)


def news(*says: DisputeEvidence) -> Payment:
    """A paid payment after this news of its disputes."""
    payment = a_paid_payment()
    for one in says:
        payment = decide_dispute(payment, one).payment
    return payment


@pytest.mark.parametrize("end", [DisputeSays.WON, DisputeSays.LOST])
def test_an_ended_dispute_is_not_opened_again_by_its_own_late_beginning(end: DisputeSays) -> None:
    """The opening that arrives after the end changes nothing; another dispute's opening does."""
    ended = decide_dispute(a_paid_payment(), dispute_says(end)).payment
    late = decide_dispute(ended, dispute_says(DisputeSays.OPENED)).payment
    another = decide_dispute(ended, dispute_says(DisputeSays.OPENED, 2)).payment
    assert (ended, State.DISPUTED) == (late, another.state)


def test_winning_one_dispute_does_not_win_another() -> None:
    """Dispute 1 was lost: the bank took the money. Dispute 2, won, does not bring it back, and the sentence says so."""
    opened = news(dispute_says(DisputeSays.OPENED), dispute_says(DisputeSays.OPENED, 2), dispute_says(DisputeSays.LOST))
    decision = decide_dispute(opened, dispute_says(DisputeSays.WON, 2))
    assert (State.DISPUTED, State.CHARGED_BACK) == (opened.state, decision.payment.state)
    assert "the dispute was won; the money is ours (dispute dp2); another dispute was lost (dp1)" == decision.why


def test_a_dispute_that_ends_leaves_the_other_open() -> None:
    """Whichever ended, and however."""
    for end in (DisputeSays.WON, DisputeSays.LOST):
        both = news(dispute_says(DisputeSays.OPENED), dispute_says(DisputeSays.OPENED, 2), dispute_says(end))
        assert (State.DISPUTED, State.PAID if end is DisputeSays.WON else State.CHARGED_BACK) == (
            both.state,
            decide_dispute(both, dispute_says(DisputeSays.WON, 2)).payment.state,
        )


def test_an_old_notice_of_an_ended_dispute_does_not_open_it_again() -> None:
    """Also when another dispute was opened and has ended since."""
    ended = news(*(dispute_says(what, n) for n in (1, 2) for what in (DisputeSays.OPENED, DisputeSays.WON)))
    assert (State.PAID, ended) == (ended.state, decide_dispute(ended, dispute_says(DisputeSays.OPENED)).payment)


def test_a_bank_that_only_asks_takes_nothing_and_calls_a_person() -> None:
    """The payment stays paid, so that it can be refunded, which is how an inquiry ends before it is a dispute."""
    asked = decide_dispute(a_paid_payment(), dispute_says(DisputeSays.INQUIRED))
    assert (State.PAID, "inquiry") == (asked.payment.state, asked.move.case)
    assert "refund it, or answer, before it becomes a dispute" in asked.why
    closed = decide_dispute(asked.payment, dispute_says(DisputeSays.WON))
    assert (State.PAID, None) == (closed.payment.state, closed.move.case)


def test_an_inquiry_may_become_a_dispute_and_never_undoes_one() -> None:
    """Its late notice, after the dispute was opened or has ended, is old news."""
    inquired, opened = dispute_says(DisputeSays.INQUIRED), dispute_says(DisputeSays.OPENED)
    disputed = decide_dispute(news(inquired), opened)
    assert (State.DISPUTED, "dispute") == (disputed.payment.state, disputed.move.case)
    for end in ((), (DisputeSays.LOST,), (DisputeSays.WON,)):
        before = news(inquired, opened, *map(dispute_says, end))
        late = decide_dispute(before, inquired)
        assert (before, None) == (late.payment, late.move.case)


def test_a_lost_dispute_that_is_reversed_leaves_nothing_lost() -> None:
    """Its own later news counts, not its earlier one."""
    lost = news(dispute_says(DisputeSays.LOST), dispute_says(DisputeSays.WON, 2))
    assert (State.CHARGED_BACK, State.PAID) == (
        lost.state,
        decide_dispute(lost, dispute_says(DisputeSays.WON)).payment.state,
    )


def test_the_detail_follows_the_sentence() -> None:
    """People read what happened first, then why."""
    assert "no longer offered; the channel is asked to close it (its time is over)" == (
        happen(a_payment(), Happening.CLOSE_ASKED, "its time is over").why
    )


@pytest.mark.parametrize(
    ("minor", "currency", "came"),
    [(0, "", a_payment().money), (0, "CNY", Money(0, "CNY")), (900, "USD", Money(900, "USD"))],
)
def test_what_is_held_is_what_the_channel_stated(minor: int, currency: str, came: Money) -> None:
    """Nothing, where it stated that nothing came; what was agreed, where it stated no amount."""
    held = msgspec.structs.replace(a_payment(), state=State.HELD, received_minor=minor, received_currency=currency)
    assert came == held.came


def test_an_answer_that_is_newer_than_the_close_opens_nothing_but_what_can_be_paid() -> None:
    """That it was paid, pays it; that the channel closed it, leaves it closed."""
    payment = a_payment(state=State.CLOSED, updated_at=after(900))
    newer = {"road": Road.QUERY, "received_at": after(901)}
    assert [State.PAID, State.CLOSED, State.CLOSED] == [
        decide(payment, evidence).payment.state for evidence in (paid(**newer), closed(**newer), not_found(**newer))
    ]


def test_only_the_close_of_what_was_given_back_is_no_contradiction() -> None:
    """That the channel does not know it at all is one, whatever went back."""
    decision = decide(a_paid_payment(refunded_minor=1250), not_found())
    assert (State.PAID, "contradiction") == (decision.payment.state, decision.move.case)


def test_the_number_under_which_it_is_paid_may_be_another_than_the_one_it_was_offered_under() -> None:
    """A Stripe Checkout page that is paid before its PaymentIntent was ever heard of."""
    payment = decide(a_payment(channel_txn_id="cs_1"), paid(channel_txn_id="pi_1")).payment
    assert (State.PAID, "pi_1") == (payment.state, payment.channel_txn_id)


def test_a_repeat_that_states_no_number_contradicts_nothing() -> None:
    """What is not stated is not compared."""
    decision = decide(a_paid_payment(), paid(channel_txn_id=None))
    assert (a_paid_payment(), None) == (decision.payment, decision.move.case)
