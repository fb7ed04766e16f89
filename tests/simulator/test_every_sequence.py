"""Every sequence of up to six happenings, in every order and with every repetition and contradiction, through the real
`settle`: it ends where the truth demands, says why, and a repeat changes nothing.

What happened is remembered in a few words (`Told`), from which the truth is derived apart from the code under test.
Sequences that lead to the same book with the same memory are merged, so that hundreds of millions of them take seconds.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any, NamedTuple

import msgspec
import pytest

from paidup.evidence import DisputeSays, Evidence, RefundSays, Road
from paidup.money import Money
from paidup.orders.order import LatePayment
from paidup.orders.states import State as OrderState
from paidup.payments.states import State as PaymentState
from paidup.refunds.refund import Cause
from paidup.refunds.states import State as RefundState
from paidup.settle import settle
from paidup.settle.book import AskRefund, Book, CloseOrder, ClosePayment, Command, Settled, Weighed
from paidup.testing.builders import (
    AMOUNT,
    a_book,
    a_payment,
    a_refund,
    after,
    an_order,
    attempt_failed,
    closed,
    dispute_says,
    not_found,
    order_id,
    paid,
    payment_id,
    refund_id,
    refund_says,
    waiting,
)

LENGTH = 6
LONGER = 9
"""For one payment: few happenings are possible before it is paid and refunds are asked for."""
NOW = after(300)
Item = Evidence | Command


class Told(NamedTuple):
    """What was told so far, as far as it matters. money: payments, in the order in which their money was told."""

    money: tuple[int, ...] = ()
    otherwise: frozenset[int] = frozenset()  # paid, but not as agreed
    closed: frozenset[int] = frozenset()  # the channel says that nobody can pay it
    withdrawn: frozenset[int] = frozenset()  # we no longer offer it
    given_up: bool = False  # the shop gave the order up before any money came
    order_closed: bool = False
    late: frozenset[int] = frozenset()  # money for a closed order whose shop does not want it


# Two payments of one order -------------------------------------------------------------------------------------------


def payment_happenings() -> Mapping[str, Item]:
    """By every road, as agreed and not as agreed, for each of two payments; and what the shop may want."""
    found: dict[str, Item] = {}
    for n in (1, 2):
        query = {"road": Road.QUERY, "payee": None, "key": f"query/{n}"}
        bill = {"road": Road.BILL, "payee": None, "key": f"bill/{n}"}
        found |= {
            f"{n} paid, a callback": paid(n),
            f"{n} paid, a query": paid(n, **query),
            f"{n} paid, the bill": paid(n, **bill),
            f"{n} paid, a person": paid(n, road=Road.OPERATOR, payee=None, key=f"operator/{n}", occurred_at=None),
            f"{n} another amount": paid(n, amount=Money(1, AMOUNT.currency)),
            f"{n} another amount, the bill": paid(n, amount=Money(1, AMOUNT.currency), **bill),
            f"{n} another currency": paid(n, amount=Money(AMOUNT.amount_minor, "USD")),
            f"{n} another receiver": paid(n, payee="somebody/else"),
            f"{n} waiting": waiting(n),
            f"{n} failed": attempt_failed(n),
            f"{n} not found": not_found(n),
            f"{n} closed": closed(n),
        }
    found["order given up"] = CloseOrder(order_id(), "given up")
    found["1 withdrawn"] = ClosePayment(order_id(), payment_id(1), "its time is over")
    return found


def told_of_payments(told: Told, name: str, policy: LatePayment) -> Told:
    """The memory after one more happening."""
    if name == "order given up":
        return told if told.money or told.given_up else _closed_yet(told._replace(given_up=True, withdrawn=_open(told)))
    n, what = int(name[0]), name[2:]
    if what == "withdrawn":
        return told._replace(withdrawn=told.withdrawn | ({1} & _open(told)))
    if what.startswith("another") and n not in told.money:
        return told._replace(otherwise=told.otherwise | {n})
    if what == "closed" and n not in told.money and n not in told.otherwise:
        return _closed_yet(told._replace(closed=told.closed | {n}))
    if not what.startswith("paid") or n in told.money:
        return told
    if told.order_closed and policy is LatePayment.REFUND:
        return told._replace(money=(*told.money, n), late=told.late | {n})
    first = not told.money
    told = told._replace(money=(*told.money, n), order_closed=False)
    return told._replace(withdrawn=told.withdrawn | _open(told)) if first else told


def _open(told: Told) -> frozenset[int]:
    return frozenset({1, 2}) - told.closed - told.otherwise - set(told.money) | told.withdrawn


def _closed_yet(told: Told) -> Told:
    """An order that was given up is closed once the channel has closed each of its payments."""
    all_closed = told.closed == {1, 2} and not told.otherwise and not told.money
    return told._replace(order_closed=told.order_closed or (told.given_up and all_closed))


def payments_as_they_must_be(told: Told, _policy: LatePayment) -> tuple[object, ...]:
    """Order, who paid it, both payments, and what must go back."""
    accepted = [n for n in told.money if n not in told.late]
    if accepted:
        order = OrderState.PAID
    elif told.order_closed:
        order = OrderState.CLOSED
    else:
        order = OrderState.CLOSING if told.given_up else OrderState.UNPAID
    states = []
    for n in (1, 2):
        if n in told.money:
            states.append(PaymentState.PAID)
        elif n in told.otherwise:
            states.append(PaymentState.HELD)
        elif n in told.closed:
            states.append(PaymentState.CLOSED)
        else:
            states.append(PaymentState.CLOSING if n in told.withdrawn else PaymentState.OPEN)
    back = {(payment_id(n), Cause.SECOND_PAYMENT) for n in accepted[1:]}
    back |= {(payment_id(n), Cause.LATE_PAYMENT) for n in told.late}
    return order, payment_id(accepted[0]) if accepted else None, tuple(states), frozenset(back)


def payments_as_they_are(book: Book) -> tuple[object, ...]:
    states = tuple(book.payments[payment_id(n)].state for n in (1, 2))
    whole = {r.payment_id for r in book.refunds.values() if r.amount_minor == AMOUNT.amount_minor}
    back = frozenset((r.payment_id, r.cause) for r in book.refunds.values() if r.payment_id in whole)
    return book.order.state, book.order.paid_by, states, back


# One payment, its disputes and its refunds ---------------------------------------------------------------------------

PART, REST = 250, AMOUNT.amount_minor - 250


def money_happenings(end: DisputeSays) -> Mapping[str, Item]:
    """What may follow once money came, told before it, after it, and in any order; later news carries a later time."""
    found: dict[str, Item] = {
        "paid": paid(),
        "paid, a query": paid(road=Road.QUERY, payee=None, key="query/1"),
        "paid, the bill": paid(road=Road.BILL, payee=None, key="bill/1"),
        "closed": closed(),
        "another amount": paid(amount=Money(1, AMOUNT.currency)),
        "dispute opened": dispute_says(DisputeSays.OPENED, occurred_at=after(500)),
        "dispute ended": dispute_says(end, occurred_at=after(600)),
    }
    for n, minor in ((1, PART), (2, REST)):
        refund = a_refund(n, amount_minor=minor)
        found[f"refund {n} asked"] = AskRefund(order_id(), refund)
        for at_s, what in ((700, RefundSays.PENDING), (800, RefundSays.SUCCEEDED), (900, RefundSays.FAILED)):
            found[f"refund {n} {what}"] = refund_says(
                what, n, amount=Money(minor, AMOUNT.currency), occurred_at=after(at_s)
            )
    for road in (Road.QUERY, Road.BILL):
        found[f"refund 1 succeeded, {road}"] = refund_says(
            RefundSays.SUCCEEDED, amount=Money(PART, AMOUNT.currency), occurred_at=after(800), road=road
        )
    found["refund 1 not_found"] = refund_says(
        RefundSays.NOT_FOUND, 1, amount=None, occurred_at=None, channel_refund_id=None, road=Road.QUERY
    )
    return found


class Memory(NamedTuple):
    """What was told of one payment. asked: the refunds that were accepted when they were asked for."""

    said: frozenset[str] = frozenset()
    asked: frozenset[int] = frozenset()


def may_come(memory: Memory, name: str) -> bool:
    """The channel speaks of a refund only after it was sent, and that is after it was accepted."""
    about = name.startswith("refund") and not name.endswith("asked")
    return not about or int(name.split()[1]) in memory.asked


def remember(memory: Memory, name: str, end: DisputeSays) -> Memory:
    """The memory after one more happening."""
    asked = memory.asked
    if name.endswith("asked") and "paid" in memory.said and _after_disputes(memory, end) is PaymentState.PAID:
        asked |= {int(name.split()[1])}
    return Memory(memory.said | {name.partition(",")[0]}, asked)  # by which road does not matter


def _after_disputes(memory: Memory, end: DisputeSays) -> PaymentState:
    if "dispute ended" in memory.said:
        return PaymentState.PAID if end is DisputeSays.WON else PaymentState.CHARGED_BACK
    return PaymentState.DISPUTED if "dispute opened" in memory.said else PaymentState.PAID


def money_as_it_must_be(memory: Memory, end: DisputeSays) -> tuple[object, ...]:
    """Order, payment, what was refunded of it, and each refund."""
    if "paid" not in memory.said:
        otherwise, gone = "another amount" in memory.said, "closed" in memory.said
        state = PaymentState.HELD if otherwise else PaymentState.CLOSED if gone else PaymentState.OPEN
        return OrderState.UNPAID, state, 0, frozenset()
    refunds = {n: _refund_must_be(memory, n) for n in memory.asked}
    done = sum({1: PART, 2: REST}[n] for n, state in refunds.items() if state is RefundState.SUCCEEDED)
    order = OrderState.REFUNDED if done == AMOUNT.amount_minor else OrderState.PAID
    return order, _after_disputes(memory, end), done, frozenset((refund_id(n), s) for n, s in refunds.items())


def _refund_must_be(memory: Memory, n: int) -> RefundState:
    for what, state in (("failed", RefundState.FAILED), ("succeeded", RefundState.SUCCEEDED)):
        if f"refund {n} {what}" in memory.said:
            return state
    return RefundState.PENDING if f"refund {n} pending" in memory.said else RefundState.REQUESTED


def money_as_it_is(book: Book) -> tuple[object, ...]:
    payment = book.payments[payment_id()]
    refunds = frozenset((refund.id, refund.state) for refund in book.refunds.values())
    return book.order.state, payment.state, payment.refunded_minor, refunds


# Walking all of them -------------------------------------------------------------------------------------------------


class Parked(NamedTuple):
    """A place where sequences meet: the book, and the names of what waits in the inbox."""

    book: Book
    waits: frozenset[str]


class Step(NamedTuple):
    """What one happening led to."""

    before: Parked
    then: Parked
    name: str
    settled: Settled


Key = tuple[Any, bytes, frozenset[str]]


def tell(place: Parked, name: str, items: Mapping[str, Item]) -> Iterator[Step]:
    """One happening, and then again what waited for it, as the inbox does, until nothing more moves."""
    queue = [name]
    while queue:
        one = queue.pop(0)
        settled = settle(place.book, items[one], NOW)
        waits = place.waits - {one} | ({one} if settled.outcome is Weighed.PARKED else frozenset())
        then = Parked(settled.book, waits)
        yield Step(place, then, one, settled)
        if settled.book != place.book:
            queue += sorted(waits - set(queue))
        place = then


def key_of(book: Book) -> bytes:
    """A book as something that can be looked up."""
    return msgspec.msgpack.encode(book, order="sorted")


def walk(
    start: Book,
    items: Mapping[str, Item],
    begin: Any,
    next_memory: Callable[..., Any],
    goes: Callable[..., bool],
    length: int = LENGTH,
) -> Iterator[tuple[Any, Parked, list[Step], int]]:
    """Every place that sequences of up to so many happenings lead to: memory, place, the steps there unless they were
    taken before, and how many sequences lead there."""
    level: dict[Key, tuple[Parked, int]] = {(begin, key_of(start), frozenset()): (Parked(start, frozenset()), 1)}
    known: dict[tuple[bytes, frozenset[str], str], tuple[Parked, bytes]] = {}
    for _ in range(length):
        following: dict[Key, tuple[Parked, int]] = {}
        for (memory, book_key, waits), (place, sequences) in level.items():
            for name in items:
                if not goes(memory, name):
                    continue
                steps: list[Step] = []
                if (book_key, waits, name) not in known:
                    steps = list(tell(place, name, items))
                    known[book_key, waits, name] = steps[-1].then, key_of(steps[-1].then.book)
                at, at_key = known[book_key, waits, name]
                after_it = next_memory(memory, name)
                key = (after_it, at_key, at.waits)
                following[key] = (at, following.get(key, (at, 0))[1] + sequences)
                yield after_it, at, steps, sequences
        level = following


def must_be_sound(step: Step, item: Item) -> None:
    """One step: it says why, announces what it changed, and is silent when it is repeated."""
    before, then, _, settled = step
    assert settled.why
    told = Counter((event.type.value, event.subject_id) for event in settled.events)
    got_paid = before.book.order.paid_by is None and then.book.order.paid_by is not None
    assert int(got_paid) == told["order.paid", order_id()]
    assert (settled.outcome is Weighed.REPEATED) <= (then.book == before.book and not settled.events)
    if settled.outcome is not Weighed.PARKED:
        again = settle(then.book, item, NOW)
        assert (then.book, ()) == (again.book, again.events)


@pytest.mark.parametrize("policy", LatePayment)
def test_every_sequence_of_two_payments_ends_as_it_must(policy: LatePayment) -> None:
    """Two payments of one order, over all roads: who paid the order, what is held, closed, withdrawn and given back."""
    items = payment_happenings()
    start = a_book(an_order(late_payment=policy), payments=[a_payment(1), a_payment(2)])
    sequences = places = 0
    for told, place, steps, count in walk(
        start, items, Told(), lambda told, name: told_of_payments(told, name, policy), lambda _told, _name: True
    ):
        assert payments_as_they_must_be(told, policy) == payments_as_they_are(place.book)
        for step in steps:
            must_be_sound(step, items[step.name])
        sequences, places = sequences + count, places + 1
    assert sum(len(items) ** n for n in range(1, LENGTH + 1)) == sequences
    assert places < 200_000


@pytest.mark.parametrize("end", [DisputeSays.WON, DisputeSays.LOST])
def test_every_sequence_of_disputes_and_refunds_ends_as_it_must(end: DisputeSays) -> None:
    """One payment: its disputes and its refunds in two parts, told in every order; what came too early is not lost."""
    items = money_happenings(end)
    start = a_book(an_order(), payments=[a_payment()])
    sequences = 0
    for memory, place, steps, count in walk(
        start, items, Memory(), lambda memory, name: remember(memory, name, end), may_come, LONGER
    ):
        assert money_as_it_must_be(memory, end) == money_as_it_is(place.book)
        for step in steps:
            must_be_sound(step, items[step.name])
        sequences += count
    assert sequences > 10_000_000


@pytest.mark.parametrize("ends", list(product((DisputeSays.WON, DisputeSays.LOST), repeat=2)))
def test_every_sequence_of_two_disputes_ends_as_it_must(ends: tuple[DisputeSays, DisputeSays]) -> None:
    """One payment, disputed twice: neither dispute's news, in whatever order, ends or opens the other."""
    items: dict[str, Item] = {"paid": paid()}
    for n, end in enumerate(ends, start=1):
        items |= {f"{n} opened": dispute_says(DisputeSays.OPENED, n), f"{n} ended": dispute_says(end, n)}
    start, sequences = a_book(an_order(), payments=[a_payment()]), 0
    for said, place, steps, count in walk(
        start, items, frozenset[str](), lambda said, name: said | {name}, lambda _said, _name: True, LONGER
    ):
        assert _after_two_disputes(said, ends) is place.book.payments[payment_id()].state
        for step in steps:
            must_be_sound(step, items[step.name])
        sequences += count
    assert sum(len(items) ** n for n in range(1, LONGER + 1)) == sequences


def _after_two_disputes(said: frozenset[str], ends: tuple[DisputeSays, DisputeSays]) -> PaymentState:
    if "paid" not in said:
        return PaymentState.OPEN
    if any(f"{n} opened" in said and f"{n} ended" not in said for n in (1, 2)):
        return PaymentState.DISPUTED
    lost = any(f"{n} ended" in said and end is DisputeSays.LOST for n, end in enumerate(ends, start=1))
    return PaymentState.CHARGED_BACK if lost else PaymentState.PAID


def test_the_walk_is_exhaustive() -> None:
    """Sequences taken one by one, without merging any, reach no place that was not looked at."""
    items = {
        name: item
        for name, item in payment_happenings().items()
        if name in ("1 paid, a callback", "2 closed", "order given up")
    }
    start = a_book(an_order(), payments=[a_payment(1), a_payment(2)])
    policy = LatePayment.REOPEN
    found = walk(start, items, Told(), lambda told, name: told_of_payments(told, name, policy), lambda _t, _n: True)
    reached = {key_of(place.book) for _, place, _, _ in found}
    for names in product(items, repeat=3):
        book = start
        for name in names:
            book = settle(book, items[name], NOW).book
        assert key_of(book) in reached
