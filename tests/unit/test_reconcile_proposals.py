"""What a break's proof may bring to the door, what counts as the channel's consent, and how far nobody is asked."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from paidup.channels.bill import ON_ITS_WAY
from paidup.evidence import DisputeSays, Evidence, PaymentEvidence, PaymentSays, RefundEvidence, RefundSays, Road
from paidup.money import Money
from paidup.reconcile import propose
from paidup.reconcile.breaks import BillSide, Break, Kind, OurSide
from paidup.reconcile.propose import Budget, agrees, as_given_back, ask_again_at, came_back, has_not_arrived
from paidup.reconcile.rules import Rules
from paidup.reconcile.states import State
from paidup.testing.builders import AMOUNT, NOW, after, dispute_says, paid, refund_says, says

OTHER = Money(1249, "CNY")
LINE = BillSide(
    bill_id="bil1", line=7, kind="payment", word="paid", currency="CNY", amount_minor=1250, fee_minor=0, at=after(-60),
    channel_txn_id="42", channel_refund_id="50",
)  # fmt: skip
OURS = OurSide(
    payment_id="pay1", order_id="ord1", shop="s", state="open", currency="CNY", amount_minor=1250, merchant_ref="pay1",
    merchant_refund_ref="ref1",
)  # fmt: skip


def a_break(kind: Kind, what: str = "payment", **fields: Any) -> Break:
    """A difference of 12.50 CNY that both sides have."""
    one = Break(
        id="brk1", shop="s", channel="alipay", account="main", day=NOW.date(), key="k", kind=kind, what=what,
        state=State.OPEN, version=1, currency="CNY", bill_minor=1250, ours_minor=0, differs_minor=1250,
        line=msgspec.structs.replace(LINE, kind=what, amount_minor=1250 if what == "payment" else -1250), ours=OURS,
        suggestion=None, payment_id="pay1", refund_id=None, order_id="ord1", channel_txn_id="42", number="42", why="",
        next_step="", run_id="rec1", first_seen_at=NOW, changed_at=NOW, wait_until=None, tries=0, cleared_by=None,
    )  # fmt: skip
    return msgspec.structs.replace(one, **fields)


def word_of(one: Break) -> Evidence | None:
    """The bill's own word for it."""
    return propose.testimony(one, NOW)


def test_the_bills_word_for_a_payment_is_evidence_of_it() -> None:
    """It names our payment, the channel's number, the money and the moment of the line."""
    said = word_of(a_break(Kind.LONG))
    assert PaymentEvidence(
        road=Road.BILL, channel="alipay", account="main", key="bill:bil1:7", received_at=NOW, occurred_at=after(-60),
        merchant_ref="pay1", channel_txn_id="42", amount=AMOUNT, note="line 7 of bill bil1: paid",
        says=PaymentSays.PAID,
    ) == said  # fmt: skip


@pytest.mark.parametrize("kind", [Kind.STATUS, Kind.REFUND_UNKNOWN])
@pytest.mark.parametrize(("what", "told"), [("refund", RefundSays.SUCCEEDED), ("refund_failed", RefundSays.FAILED)])
def test_the_bills_word_for_a_refund_is_evidence_of_it(kind: Kind, what: str, told: RefundSays) -> None:
    """What a bill counts below nought is a refund's own amount."""
    assert RefundEvidence(
        road=Road.BILL, channel="alipay", account="main", key="bill:bil1:7", received_at=NOW, occurred_at=after(-60),
        merchant_ref="pay1", channel_txn_id="42", amount=AMOUNT, note="line 7 of bill bil1: paid", says=told,
        merchant_refund_ref="ref1", channel_refund_id="50",
    ) == word_of(a_break(kind, what))  # fmt: skip


def test_a_refund_is_named_as_the_bill_names_it_else_as_we_do_else_by_the_channels_number() -> None:
    """A refund that nobody asked for here has no number of ours."""
    named = msgspec.structs.replace(LINE, kind="refund", merchant_refund_ref="by-the-bill")
    nameless = msgspec.structs.replace(OURS, merchant_refund_ref=None)
    told = [
        word_of(a_break(Kind.REFUND_UNKNOWN, "refund", line=line, ours=ours))
        for line, ours in ((named, OURS), (LINE, OURS), (LINE, nameless))
    ]
    assert ["by-the-bill", "ref1", "50"] == [one.merchant_refund_ref for one in told if isinstance(one, RefundEvidence)]


@pytest.mark.parametrize(
    "one",
    [
        a_break(Kind.LONG, line=None),
        a_break(Kind.LONG, ours=None),
        a_break(Kind.LONG, "refund"),
        a_break(Kind.AMOUNT),
        a_break(Kind.AMOUNT, "refund"),
        a_break(Kind.STATUS),
        a_break(Kind.STATUS, "dispute"),
        a_break(Kind.REFUND_WITHOUT_PAYMENT, "refund"),
    ],
    ids=lambda one: f"{one.kind}-{one.what}",
)
def test_where_the_bill_proves_nothing_nothing_is_booked(one: Break) -> None:
    """One side is missing, or the difference is of a kind that no booking mends."""
    assert word_of(one) is None


@pytest.mark.parametrize(("kind", "told"), [(Kind.STATUS, None), (Kind.REFUND_UNKNOWN, RefundSays.PENDING)])
def test_a_refund_that_was_on_its_way_is_never_booked_as_arrived(kind: Kind, told: RefundSays | None) -> None:
    """Of one that we know the line is no news; one that we do not know begins on its way."""
    line = msgspec.structs.replace(LINE, kind="refund", amount_minor=-1250, word="REFUND" + ON_ITS_WAY)
    said = word_of(a_break(kind, "refund", line=line))
    assert told == (said.says if isinstance(said, RefundEvidence) else None)


@pytest.mark.parametrize(("back", "what"), [(1249, PaymentSays.PAID), (1250, PaymentSays.GIVEN_BACK)])
def test_a_payment_of_which_all_went_back_pays_no_order(back: int, what: PaymentSays) -> None:
    """While anything of it is left, it does."""
    said = as_given_back(a_break(Kind.LONG), word_of(a_break(Kind.LONG)), back)
    assert what == (said.says if isinstance(said, PaymentEvidence) else None)


@pytest.mark.parametrize("bill_minor", [None, 0])
def test_where_nothing_came_nothing_was_given_back(bill_minor: int | None) -> None:
    """The bill's word stays as it is, whatever went back of other payments."""
    for back_minor in (0, 1250):
        assert paid() == as_given_back(a_break(Kind.LONG, bill_minor=bill_minor), paid(), back_minor)


def test_the_bills_word_for_a_refund_is_never_a_payment_given_back() -> None:
    """Only a payment can be."""
    told = refund_says(RefundSays.SUCCEEDED)
    assert told == as_given_back(a_break(Kind.STATUS, "refund"), told, 1250)


@pytest.mark.parametrize(
    ("told", "bill", "is_same"),
    [
        (paid(), paid(), True),
        (paid(amount=None), paid(), True),
        (says(PaymentSays.GIVEN_BACK), paid(), True),
        (paid(), says(PaymentSays.GIVEN_BACK), True),
        (paid(amount=OTHER), paid(), False),
        (says(PaymentSays.WAITING), paid(), False),
        (says(PaymentSays.CLOSED), says(PaymentSays.CLOSED), False),
        (refund_says(RefundSays.SUCCEEDED), refund_says(RefundSays.SUCCEEDED), True),
        (refund_says(RefundSays.SUCCEEDED, amount=None), refund_says(RefundSays.SUCCEEDED), True),
        (refund_says(RefundSays.SUCCEEDED), refund_says(RefundSays.PENDING), True),
        (refund_says(RefundSays.PENDING), refund_says(RefundSays.SUCCEEDED), False),
        (refund_says(RefundSays.FAILED), refund_says(RefundSays.SUCCEEDED), False),
        (refund_says(RefundSays.SUCCEEDED, amount=OTHER), refund_says(RefundSays.SUCCEEDED), False),
        (refund_says(RefundSays.SUCCEEDED, amount=OTHER), refund_says(RefundSays.PENDING), False),
        (paid(), refund_says(RefundSays.SUCCEEDED), False),
        (refund_says(RefundSays.SUCCEEDED), paid(), False),
    ],
)
def test_the_channel_confirms_its_bill_only_by_saying_the_same_of_the_same_money(
    told: Evidence, bill: Evidence, is_same: bool
) -> None:
    """An amount that an answer does not state is not compared; money that moved on since contradicts no line."""
    assert is_same == agrees(told, bill)


LEFT = (RefundSays.SUCCEEDED, RefundSays.PENDING)


@pytest.mark.parametrize("bill", RefundSays)
@pytest.mark.parametrize("told", RefundSays)
@pytest.mark.parametrize(("amount", "is_same"), [(AMOUNT, True), (None, True), (OTHER, False)])
def test_a_refund_that_left_may_have_come_back_or_be_on_its_way(
    bill: RefundSays, told: RefundSays, amount: Money | None, is_same: bool
) -> None:
    """Came back: failed now, though the bill has it as gone. Not arrived: pending still. Only of the same money."""
    pair = refund_says(told, amount=amount), refund_says(bill)
    assert (is_same and bill in LEFT and told is RefundSays.FAILED) == came_back(*pair)
    assert (is_same and (bill, told) == LEFT) == has_not_arrived(*pair)


def test_what_is_said_of_a_payment_is_nothing_said_of_a_refund() -> None:
    """Neither of the two, whichever side it stands on."""
    refund, others = refund_says(RefundSays.FAILED), (paid(), dispute_says(DisputeSays.LOST))
    pairs = [pair for other in others for pair in ((refund, other), (other, refund))]
    assert {False} == {is_so(*pair) for pair in pairs for is_so in (agrees, came_back, has_not_arrived)}


@pytest.mark.parametrize(
    ("tries", "minutes"), [(0, 5), (1, 15), (2, 60), (3, 360), (4, 360), (18, 360), (19, None), (20, None)]
)
def test_a_silent_channel_is_asked_twenty_times_ever_more_rarely(tries: int, minutes: int | None) -> None:
    """Then the break is left to people."""
    again_at = ask_again_at(a_break(Kind.LONG, tries=tries), NOW)
    assert (NOW + timedelta(minutes=minutes) if minutes else None) == again_at


def test_so_many_repairs_a_day_need_nobody_and_no_more() -> None:
    """What was done earlier in the day counts, whatever its currency; what is refused does not."""
    budget = Budget(Rules(repair_count=3, repair_minor=10**9, approve=(Kind.STATUS,)), {"CNY": (1, 1), "USD": (1, 1)})
    said = [bool(budget.refuses(a_break(kind))) for kind in (Kind.STATUS, Kind.LONG, Kind.LONG)]
    assert [True, False, True] == said


def test_so_much_money_a_day_of_each_currency_needs_nobody_and_no_more() -> None:
    """To the minor unit, whichever way the money goes; one that would exceed it leaves room for a smaller one."""
    budget = Budget(Rules(repair_minor=2000), {"CNY": (1, 500)})
    asked = [(1501, "CNY"), (1000, "CNY"), (-501, "CNY"), (-500, "CNY"), (2000, "USD"), (1, "CNY")]
    said = [bool(budget.refuses(a_break(Kind.LONG, differs_minor=minor, currency=of))) for minor, of in asked]
    assert [True, False, True, False, False, True] == said


def test_what_people_approved_is_repaired_whatever_was_repaired_today() -> None:
    """Also of a kind that needs approval, and it takes nothing of what needs none."""
    budget = Budget(Rules(repair_count=1, repair_minor=1250, approve=(Kind.STATUS,)), {})
    approved = a_break(Kind.STATUS, state=State.APPROVED)
    assert ["", "", ""] == [budget.refuses(approved), budget.refuses(approved), budget.refuses(a_break(Kind.LONG))]
