"""Callbacks are late, repeated and overtake each other: whatever the order, the books end the same.

A history is what consistently happened at the channel: each payment waits, fails attempts, and is then paid, closed or
left; a paid one may be disputed, and refunded there in parts that succeed and come back. Its evidence is told in any
order, any number of times. What comes too early is parked and told again, as the inbox does.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from paidup.evidence import DisputeSays, Evidence, RefundSays
from paidup.money import Money
from paidup.orders.order import LatePayment
from paidup.payments.states import MONEY_ARRIVED
from paidup.refunds.refund import Cause
from paidup.refunds.states import State as RefundState
from paidup.settle import settle
from paidup.settle.book import Book, CloseOrder, Command, Settled, Weighed, refunds_minor
from paidup.testing.builders import (
    AMOUNT,
    a_book,
    a_payment,
    after,
    an_order,
    attempt_failed,
    closed,
    dispute_says,
    not_found,
    order_id,
    paid,
    refund_says,
    waiting,
)

Happenings = tuple[Evidence | Command, ...]

INQUIRED, OPENED, WON, LOST = DisputeSays
PENDING, SUCCEEDED, FAILED = RefundSays.PENDING, RefundSays.SUCCEEDED, RefundSays.FAILED
# What may happen to one refund, in the order of time: a bank sends money back, a person sends it again.
REFUNDS = ((PENDING,), (SUCCEEDED,), (PENDING, FAILED), (PENDING, SUCCEEDED, FAILED), (SUCCEEDED, FAILED, SUCCEEDED))
DISPUTES = (
    (), (INQUIRED,), (INQUIRED, WON), (INQUIRED, OPENED, LOST), (OPENED,), (OPENED, WON), (OPENED, LOST),
)  # fmt: skip
ENDS = (paid, closed, None)


def a_refund_history(number: int, payment: int, minor: int, says: Sequence[RefundSays]) -> Happenings:
    return tuple(
        refund_says(
            what, number, payment=payment, amount=Money(minor, AMOUNT.currency), occurred_at=after(100 * n + 100)
        )
        for n, what in enumerate(says)
    )


@st.composite
def a_payment_history(draw: st.DrawFn, number: int, *, may_be_paid: bool, may_be_refunded: bool) -> Happenings:
    """What the channel tells of one payment, and of what follows from its money; perhaps once with a wrong amount."""
    end = draw(st.sampled_from(ENDS if may_be_paid else (closed, None)))
    before = draw(st.lists(st.sampled_from((waiting, attempt_failed, not_found)), max_size=3))
    told = tuple(says(number) for says in (*before, *([end] if end else [])))
    if end is not paid:
        return told
    if draw(st.booleans()):
        told += (paid(number, amount=Money(1, AMOUNT.currency)),)
    told += tuple(dispute_says(what, number, payment=number) for what in draw(st.sampled_from(DISPUTES)))
    if may_be_refunded:
        for n, minor in enumerate(draw(st.sampled_from(((), (300,), (1250,), (250, 1000))))):
            told += a_refund_history(10 * number + n, number, minor, draw(st.sampled_from(REFUNDS)))
    return told


@st.composite
def a_history(draw: st.DrawFn, *, one_payer: bool) -> tuple[int, Happenings]:
    """How many payments the order has, and all that is told of them; perhaps the shop gives the order up, too."""
    count = draw(st.integers(1, 3))
    payer = draw(st.integers(1, count))
    told: Happenings = ()
    for number in range(1, count + 1):
        may_be_paid = not one_payer or number == payer
        told += draw(a_payment_history(number, may_be_paid=may_be_paid, may_be_refunded=one_payer))
    if draw(st.booleans()):
        told += (CloseOrder(order_id(), "given up"),)
    return count, told


@st.composite
def a_telling(draw: st.DrawFn, happenings: Happenings) -> Happenings:
    """Everything at least once, some of it again, in any order."""
    again = draw(st.lists(st.sampled_from(happenings), max_size=5)) if happenings else []
    return tuple(draw(st.permutations((*happenings, *again))))


def tell(book: Book, told: Iterable[Evidence | Command]) -> tuple[Book, list[Settled]]:
    """Settle in this order; what is parked is told again after each round, until nothing more changes."""
    steps, waiting_items, second = [], list(told), 0
    while waiting_items:
        parked = []
        for item in waiting_items:
            second += 1
            step = settle(book, item, after(second))
            book = step.book
            steps.append(step)
            if step.outcome is Weighed.PARKED:
                parked.append(item)
        if parked == waiting_items:
            break
        waiting_items = parked
    return book, steps


def a_fresh_book(count: int, policy: LatePayment) -> Book:
    return a_book(an_order(late_payment=policy), payments=[a_payment(n) for n in range(1, count + 1)])


def without_times(book: Book) -> Book:
    """As it stands, apart from when we wrote it down."""
    rows = (book.order, *book.payments.values())
    refunds = (msgspec.structs.replace(r, created_at=after(0)) for r in book.refunds.values())
    return book.put(*(msgspec.structs.replace(row, updated_at=after(0)) for row in (*rows, *refunds)))


def announced(steps: Iterable[Settled]) -> Counter[tuple[str, str]]:
    return Counter((event.type.value, event.subject_id) for step in steps for event in step.events)


POLICIES = st.sampled_from(LatePayment)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), history=a_history(one_payer=True), policy=POLICIES)
def test_one_payment_paid_ends_alike_in_every_order(
    data: st.DataObject, history: tuple[int, Happenings], policy: LatePayment
) -> None:
    """State, proof, refunded sum, refunds and order are the same whether told in order or in any other."""
    count, happenings = history
    in_order, _ = tell(a_fresh_book(count, policy), happenings)
    shuffled, _ = tell(a_fresh_book(count, policy), data.draw(a_telling(happenings)))
    event(f"order {in_order.order.state}")
    assert without_times(in_order) == without_times(shuffled)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), history=a_history(one_payer=True), policy=POLICIES)
def test_paid_is_announced_exactly_once(
    data: st.DataObject, history: tuple[int, Happenings], policy: LatePayment
) -> None:
    """payment.paid once per payment with money, order.paid once per paid order; never for others."""
    count, happenings = history
    book, steps = tell(a_fresh_book(count, policy), data.draw(a_telling(happenings)))
    said = announced(steps)
    assert {p.id: int(p.state in MONEY_ARRIVED) for p in book.payments.values()} == {
        payment: said["payment.paid", payment] for payment in book.payments
    }
    assert int(book.order.paid_by is not None) == said["order.paid", order_id()]


@settings(max_examples=300, deadline=None)
@given(data=st.data(), history=a_history(one_payer=False), policy=POLICIES)
def test_of_several_payments_one_pays_and_the_others_go_back(
    data: st.DataObject, history: tuple[int, Happenings], policy: LatePayment
) -> None:
    """Which one pays depends on who came first. That one does, and that each other goes back in whole, does not."""
    count, happenings = history
    in_order, _ = tell(a_fresh_book(count, policy), happenings)
    book, steps = tell(a_fresh_book(count, policy), data.draw(a_telling(happenings)))
    with_money = {p.id for p in book.payments.values() if p.state in MONEY_ARRIVED}
    given_back = Counter(r.payment_id for r in book.refunds.values() if r.cause is Cause.SECOND_PAYMENT)
    event(f"{len(with_money)} paid")
    assert {p.id: p.state for p in in_order.payments.values()} == {p.id: p.state for p in book.payments.values()}
    assert in_order.order.state is book.order.state
    assert Counter(with_money - {book.order.paid_by}) == given_back
    assert all(AMOUNT.amount_minor == refunds_minor(book, payment) for payment in given_back)
    assert int(bool(with_money)) == announced(steps)["order.paid", order_id()]


@settings(max_examples=300, deadline=None)
@given(data=st.data(), history=a_history(one_payer=False), policy=POLICIES)
@example(data=None, history=(1, (paid(), refund_says(SUCCEEDED), refund_says(FAILED))), policy=LatePayment.REOPEN)
def test_a_second_telling_of_everything_is_silent(
    data: st.DataObject | None, history: tuple[int, Happenings], policy: LatePayment
) -> None:
    """Once all is known, telling all of it again changes nothing, announces nothing, and calls nobody new."""
    count, happenings = history
    told = data.draw(a_telling(happenings)) if data else happenings
    book, steps = tell(a_fresh_book(count, policy), told)
    again, silent = tell(book, told)
    assert without_times(book) == without_times(again)
    assert ([], Counter()) == ([r for r in again.refunds if r not in book.refunds], announced(silent))
    known = {(case.kind, case.subject_id) for step in steps for case in step.cases}
    contradictions = {(case.kind, case.subject_id) for step in silent for case in step.cases} - known
    assert {"contradiction"} >= {kind for kind, _ in contradictions}


def test_what_was_refunded_is_the_sum_of_what_succeeded() -> None:
    """Two parts, one of which came back and was sent again: the order is refunded in the end, in this order, too."""
    parts = (*a_refund_history(1, 1, 250, (SUCCEEDED, FAILED, SUCCEEDED)), *a_refund_history(2, 1, 1000, (SUCCEEDED,)))
    book, _ = tell(a_fresh_book(1, LatePayment.REOPEN), (paid(), parts[3], parts[1], parts[2], parts[0]))
    assert ("refunded", 1250, {RefundState.SUCCEEDED}) == (
        book.order.state,
        next(iter(book.payments.values())).refunded_minor,
        {refund.state for refund in book.refunds.values()},
    )
