"""A booking and its line may stand on different days, and be heard of in any order: it is one, and is told as one."""

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from paidup.reconcile.breaks import Found, Kind, OurSide
from paidup.reconcile.decide import Whose, decide
from paidup.reconcile.judge import judge
from paidup.reconcile.known import Day, Earlier, Judged, Known
from paidup.reconcile.match import Line, Matched
from paidup.reconcile.rules import Rules
from paidup.reconcile.states import State

TODAY = date(2026, 11, 24)
BEGINS = datetime(2026, 11, 24, tzinfo=UTC)
NOON = BEGINS + timedelta(hours=12)
YESTERDAY, TOMORROW = TODAY - timedelta(days=1), TODAY + timedelta(days=1)


def refund(at: datetime, state: str = "succeeded", changed_at: datetime = NOON) -> OurSide:
    return OurSide(
        payment_id="pay1", order_id="ord1", shop="s", state=state, currency="CNY", amount_minor=500, at=at,
        refund_id="ref1", channel_txn_id="42", merchant_ref="pay1", channel_refund_id="50", merchant_refund_ref="ref1",
        changed_at=changed_at,
    )  # fmt: skip


def line(kind: str = "refund", amount: int = -500) -> Line:
    at = int(NOON.timestamp())
    return Line(1, kind, kind, "CNY", amount, 0, amount, at, "42", "pay1", "50", "ref1")


def judged(ours: OurSide, *lines: Line, **known: object) -> Judged:
    """Today's bill has these lines, and our books this refund, which is not of today."""
    sides = {"by_number": {}, "refunds": [ours], "by_id": {"ref1": ours}}
    days = {"ref1": ours.at.date()} if ours.at else {}
    refunds = [(one, None) for one in lines if one.kind == "refund"]
    others = [one for one in lines if one.kind != "refund"]
    return judge(
        Matched(payments=[], refunds=refunds, others=others, sums=[]),
        Known(**sides, days=days, **known),  # type: ignore[arg-type]
        Day(bill_id="bil1", begins_at=BEGINS, ends_at=BEGINS + timedelta(days=1), rules=Rules()),
    )


@pytest.mark.parametrize(
    ("read_at", "kind", "state"),
    [
        (NOON + timedelta(hours=1), Kind.DUPLICATE, State.OPEN),
        (NOON - timedelta(hours=1), Kind.WRONG_DAY, State.WAITING),
    ],
)
def test_only_who_met_it_can_have_matched_it(read_at: datetime, kind: Kind, state: State) -> None:
    """Yesterday's bill was read before our books had the refund: today's line is the only one, and waits for yesterday
    to be read once more. Read since, yesterday has it, and today's line is a second one."""
    (found,) = judged(refund(BEGINS - timedelta(hours=2)), line(), read={YESTERDAY: read_at}).breaks
    assert (kind, state) == (found.kind, found.state)


def test_a_refund_that_came_back_tomorrow_is_no_contradiction() -> None:
    """It left in today's bill; that it came back stands in tomorrow's, which clears it; was that read, all is said."""
    ours = refund(BEGINS + timedelta(hours=26), "failed")
    (found,) = judged(ours, line()).breaks
    assert (Kind.WRONG_DAY, State.WAITING, "refund:ref1", 0) == (found.kind, found.state, found.key, found.ours_minor)
    read = {TOMORROW: NOON + timedelta(days=2)}
    assert ([], 1) == ((after := judged(ours, line(), read=read)).breaks, len(after.agreed))
    still = judged(ours, line(), read=read, unsettled_here=frozenset({found.key}))
    assert [Kind.WRONG_DAY] == [one.kind for one in still.breaks]


def test_the_line_of_its_return_clears_it() -> None:
    """Tomorrow's bill has the money back: the other day's break is over."""
    ours = refund(NOON, "failed")
    earlier = {"ref1": [Earlier("brk1", "ref1", "bill", YESTERDAY)]}
    after = judged(ours, line("refund_failed", 500), earlier=earlier)
    assert (["brk1"], []) == (after.cleared, after.breaks)


def test_a_refund_that_came_back_counts_on_both_sides() -> None:
    """It left and came back, and our books count it no more: both are part of our side's sums. Where the line that it
    left with stood in a break, the sums of that day have the bill's side alone, and so do those of its return."""
    today, tomorrow = refund(NOON, "failed"), refund(BEGINS + timedelta(hours=26), "failed")
    came_back = line("refund_failed", 500)
    both = judged(today, line(), came_back)
    assert {"refund": -500, "refund_failed": 500} == {one.line.kind: one.ours_minor for one in both.agreed}
    (left,) = judged(tomorrow, line(), read={TOMORROW: NOON + timedelta(days=2)}).agreed
    (waited,) = judged(tomorrow, line(), cleared_here=frozenset({"refund:ref1"})).agreed
    (returned,) = judged(today, came_back).agreed
    (clearing,) = judged(today, came_back, earlier={"ref1": [Earlier("brk1", "ref1", "bill", YESTERDAY)]}).agreed
    assert (-500, 500) == (left.ours_minor, returned.ours_minor)
    assert (0, 0) == (waited.ours_minor, clearing.ours_minor)


def test_a_refund_that_came_back_must_have_left_with_the_same_money() -> None:
    """Both lines are there, and the first one took more than our books gave: that is no agreement."""
    said = judged(refund(NOON, "failed"), line(amount=-501), line("refund_failed", 500))
    (found,) = said.breaks
    assert (Kind.AMOUNT, ["refund_failed"]) == (found.kind, [one.line.kind for one in said.agreed])


def test_a_return_of_the_same_day_must_be_in_the_same_bill() -> None:
    """Our books say that it came back today, and today's bill has only that it left: a person must look."""
    (found,) = judged(refund(NOON, "failed"), line()).breaks
    assert Kind.STATUS == found.kind


def test_a_refund_that_the_bill_calls_undone_differs_once() -> None:
    """Our books have it as succeeded, today: a status that differs, and no refund that is missing in the bill; where it
    failed here, too, both sides say the same."""
    ours = refund(NOON)
    known = Known(by_number={}, refunds=[ours], by_id={"ref1": ours})
    day = Day(bill_id="bil1", begins_at=BEGINS, ends_at=BEGINS + timedelta(days=1), rules=Rules())
    left = Matched(payments=[], refunds=[(None, "ref1")], others=[line("refund_undone")], sums=[])
    (found,) = judge(left, known, day).breaks
    assert (Kind.STATUS, State.WAITING, "refund_undone", "50 did not reach the customer, and is succeeded here") == (
        found.kind, found.state, found.what, found.why,
    )  # fmt: skip
    assert ([], 1) == ((same := judged(refund(NOON, "failed"), line("refund_undone"))).breaks, len(same.agreed))


def test_what_is_found_to_be_something_else_waits_no_more() -> None:
    """A payment was missing, and waited for the next bill; a corrected bill has it, over another amount: nothing will
    bring that by itself, and a break that waits for no time would never be overdue."""
    whose = Whose(run_id="rec1", shop="s", channel="wechat", account="main", day=TODAY, now=NOON)
    short = Found(
        key="payment:pay1", kind=Kind.SHORT, what="payment", state=State.WAITING, currency="CNY", bill_minor=None,
        ours_minor=500, why="not in the bill", wait_until=NOON + timedelta(days=2),
    )  # fmt: skip
    (first,) = decide({}, [short], whose, ["brk1"])
    amount = Found(
        key="payment:pay1", kind=Kind.AMOUNT, what="payment", state=State.OPEN, currency="CNY", bill_minor=501,
        ours_minor=500, why="the amounts differ",
    )  # fmt: skip
    (second,) = decide({"payment:pay1": first.after}, [amount], whose, [])
    assert (State.WAITING, State.OPEN) == (first.after.state, second.after.state)


def payment(at: datetime, state: str = "paid") -> OurSide:
    return OurSide(
        payment_id="pay1", order_id="ord1", shop="s", state=state, currency="CNY", amount_minor=9000, at=at,
        channel_txn_id="42", merchant_ref="pay1", changed_at=NOON,
    )  # fmt: skip


def payment_line(kind: str, amount: int, fee: int = 0, n: int = 1) -> Line:
    return Line(n, kind, kind, "CNY", amount, fee, amount - fee, int(NOON.timestamp()), "42", "pay1", None, None)


@pytest.mark.parametrize(("fee", "kinds"), [(54, []), (900, [Kind.FEE])])
def test_a_fee_is_judged_where_the_line_is_a_day_late_too(fee: int, kinds: list[Kind]) -> None:
    """6 per mille are agreed. Yesterday's break is cleared by today's line, whatever the channel kept of it."""
    ours = payment(BEGINS - timedelta(minutes=1))
    found = judge(
        Matched(payments=[(payment_line("payment", 9000, fee), None)], refunds=[], others=[], sums=[]),
        Known(
            by_number={"42": ours, "pay1": ours}, by_id={}, days={"pay1": YESTERDAY},
            earlier={"pay1": [Earlier("brk1", "pay1", "ours", YESTERDAY)]},
        ),
        Day(bill_id="bil1", begins_at=BEGINS, ends_at=BEGINS + timedelta(days=1), rules=Rules(fee_ppm=6000)),
    )  # fmt: skip
    assert (kinds, ["brk1"]) == ([one.kind for one in found.breaks], found.cleared)


@pytest.mark.parametrize(("lines", "agreed", "kinds"), [(2, 2, []), (1, 0, [Kind.STATUS])])
def test_a_dispute_that_was_won_on_the_same_day_agrees(lines: int, agreed: int, kinds: list[Kind]) -> None:
    """Both lines stand in the bill, and here it is paid again. Where only the first does, we know nothing of it."""
    ours, both = payment(NOON), [payment_line("dispute", -9000), payment_line("dispute_won", 9000, n=2)]
    found = judge(
        Matched(payments=[], refunds=[], others=both[:lines], sums=[]),
        Known(by_number={"42": ours, "pay1": ours}, by_id={}),
        Day(bill_id="bil1", begins_at=BEGINS, ends_at=BEGINS + timedelta(days=1), rules=Rules()),
    )
    assert (agreed, kinds) == (len(found.agreed), [one.kind for one in found.breaks])


@pytest.mark.parametrize(
    ("kind", "state", "known", "kinds"),
    [
        ("dispute", "paid", {"won"}, []),
        ("dispute", "charged_back", {"lost"}, []),
        ("dispute_won", "charged_back", {"won", "lost"}, []),
        ("dispute_won", "disputed", {"won", "opened"}, []),
        ("dispute_won", "charged_back", {"lost"}, [Kind.STATUS]),
        ("dispute_won", "disputed", {"opened"}, [Kind.STATUS]),
    ],
)
def test_a_dispute_may_have_ended_on_another_day(kind: str, state: str, known: set[str], kinds: list[Kind]) -> None:
    """What is known of the payment's disputes agrees with each one's line, whatever another one made of the payment."""
    ours = msgspec.structs.replace(payment(NOON), state=state)
    found = judge(
        Matched(payments=[], refunds=[], others=[payment_line(kind, 9000)], sums=[]),
        Known(by_number={"42": ours, "pay1": ours}, by_id={}, disputes={"pay1": frozenset(known)}),
        Day(bill_id="bil1", begins_at=BEGINS, ends_at=BEGINS + timedelta(days=1), rules=Rules()),
    )
    assert kinds == [one.kind for one in found.breaks]
