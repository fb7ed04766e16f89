"""Whatever befalls the orders of a shop, in any order and however often: units are conserved, none is sold twice, and
telling all of it again changes nothing."""

import itertools
from collections.abc import Sequence

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from paidup.evidence import Evidence, RefundSays
from paidup.inventory.decide import allocate, moved, movements, watch, whole
from paidup.inventory.sku import Item, Movement, Reservation, Shelf, Sku
from paidup.inventory.states import EFFECTS, Kind
from paidup.inventory.states import State as StockState
from paidup.orders.order import LatePayment
from paidup.orders.states import State as OrderState
from paidup.settle import settle
from paidup.settle.book import Book, CloseOrder, Command
from paidup.testing.builders import (
    NOW,
    SHOP,
    a_payment,
    after,
    an_order,
    closed,
    order_id,
    paid,
    refund_id,
    refund_says,
)

TEA = (SHOP, "TEA-01")


def tea(available: int, **fields: object) -> Sku:
    return msgspec.structs.replace(
        Sku(id="sku1", shop=SHOP, sku="TEA-01", available=available, created_at=NOW, updated_at=NOW), **fields
    )


def an_order_with_units(n: int, quantity: int, *, restock: bool, late: LatePayment) -> tuple[Book, list[Movement]]:
    """Order n with an open payment of the same number, and what its reservation moved."""
    reservation = Reservation(
        order_id=order_id(n), shop=SHOP, state=StockState.HELD, items=(Item("TEA-01", quantity),),
        restock_refunded=restock, created_at=NOW, updated_at=NOW,
    )  # fmt: skip
    payment = a_payment(n, order_id=order_id(n))
    book = Book(an_order(n, late_payment=late), {payment.id: payment}, {}, reservation)
    return book, movements(reservation, Kind.RESERVE, NOW)


def a_story(n: int) -> st.SearchStrategy[list[Evidence | Command]]:
    """Some of what may befall order n, in any order, with repetitions. The channel may close, and still say paid."""
    happenings = [
        paid(n), closed(n), CloseOrder(order_id(n), "given up"), refund_says(RefundSays.SUCCEEDED, n, payment=n),
        refund_says(RefundSays.FAILED, n, payment=n, received_at=after(900)),
    ]  # fmt: skip
    return st.lists(st.sampled_from(happenings), max_size=8)


def tell(
    books: dict[str, Book], shelf: Shelf, told: Sequence[Evidence | Command]
) -> tuple[dict[str, Book], Shelf, list[Movement]]:
    """As the door does: one after the other, each with the shelf that the one before left."""
    journal: list[Movement] = []
    for n, item in enumerate(told):
        name = item.order_id if isinstance(item, CloseOrder) else f"ord{item.merchant_ref[3:]}"  # type: ignore[index, union-attr]
        settled = settle(msgspec.structs.replace(books[name], shelf=shelf), item, after(n))
        books = books | {name: msgspec.structs.replace(settled.book, shelf={})}
        shelf = moved(shelf, settled.movements, after(n))
        journal += settled.movements
    return books, shelf, journal


STORIES = st.tuples(a_story(1), a_story(2), a_story(3)).flatmap(
    lambda three: st.permutations(list(itertools.chain.from_iterable(three)))
)
QUANTITIES = st.tuples(*[st.integers(1, 3)] * 3)
ALLOWED = {
    OrderState.UNPAID: {StockState.HELD},
    OrderState.CLOSING: {StockState.HELD},
    OrderState.PAID: {StockState.SOLD, StockState.RETURNED},  # returned: its refund came back, its units did not
    OrderState.CLOSED: {StockState.RELEASED},
    OrderState.REFUNDED: {StockState.SOLD, StockState.RETURNED},
}


@settings(max_examples=400, deadline=None)
@given(STORIES, QUANTITIES, st.integers(0, 2), st.booleans(), st.sampled_from(LatePayment))
def test_units_are_conserved_and_follow_their_orders(
    told: Sequence[Evidence | Command], quantities: Sequence[int], spare: int, restock: bool, late: LatePayment
) -> None:
    """After every story: the counters are the sums of the journal and of the reservations, none is below nought, each
    order's units are where its state says; and telling everything once more moves nothing."""
    made = [an_order_with_units(n, q, restock=restock, late=late) for n, q in enumerate(quantities, start=1)]
    units = sum(quantities) + spare
    reserved = [movement for _, some in made for movement in some]
    shelf: Shelf = moved({TEA: tea(units)}, reserved, NOW)
    books, shelf, journal = tell({book.order.id: book for book, _ in made}, shelf, told)
    here = shelf[TEA]
    sums = [sum(EFFECTS[m.kind][n] * m.quantity for m in [*reserved, *journal]) for n in range(3)]
    stocks = [book.stock for book in books.values() if book.stock]
    by_state = {s: sum(r.items[0].quantity for r in stocks if r.state is s) for s in StockState}
    assert (here.available, here.reserved, here.sold) == (units + sums[0], sums[1], sums[2])
    assert (here.reserved, here.sold) == (by_state[StockState.HELD], by_state[StockState.SOLD])
    assert units == here.available + here.reserved + here.sold
    assert min(here.available, here.reserved, here.sold) >= 0
    assert all(book.stock.state in ALLOWED[book.order.state] for book in books.values() if book.stock)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(("paid", "closed", "give_up")), max_size=4), st.sampled_from(LatePayment))
def test_repetitions_move_nothing(kinds: Sequence[str], late: LatePayment) -> None:
    """Each thing that is said twice in a row moves units once at most."""
    says = {"paid": paid(1), "closed": closed(1), "give_up": CloseOrder(order_id(1), "given up")}
    book, reserved = an_order_with_units(1, 2, restock=True, late=late)
    shelf: Shelf = moved({TEA: tea(5)}, reserved, NOW)
    once = tell({book.order.id: book}, shelf, [says[kind] for kind in kinds])
    twice = tell({book.order.id: book}, shelf, [says[kind] for kind in kinds for _ in range(2)])
    assert [m.kind for m in once[2]] == [m.kind for m in twice[2]]


def test_a_refund_is_of_the_order_it_names() -> None:
    """The builders of this file speak of the same order: or the stories would tell of nothing."""
    assert refund_id(1) != refund_id(2)
    book, reserved = an_order_with_units(1, 2, restock=True, late=LatePayment.REOPEN)
    shelf: Shelf = moved({TEA: tea(2)}, reserved, NOW)
    _books, shelf, journal = tell(
        {book.order.id: book}, shelf, [paid(1), refund_says(RefundSays.SUCCEEDED, 1, payment=1)]
    )
    assert ([Kind.CONFIRM, Kind.RETURN], 2) == ([m.kind for m in journal], shelf[TEA].available)


@given(st.lists(st.lists(st.tuples(st.sampled_from("AB"), st.integers(1, 4)), min_size=1, max_size=3), max_size=12))
def test_whoever_could_be_served_is_served(orders: Sequence[Sequence[tuple[str, int]]]) -> None:
    """In the order in which they came, each gets all of its items or none, and is refused only if too few were left."""
    left = {"A": 7, "B": 5}
    shelf = {(SHOP, name): tea(units, sku=name) for name, units in left.items()}
    wanted = [(SHOP, whole(Item(sku, quantity) for sku, quantity in order)) for order in orders]
    for (_, items), short in zip(wanted, allocate(wanted, shelf), strict=True):
        fits = all(left[item.sku] >= item.quantity for item in items)
        assert fits == (short is None)
        for item in items if fits else ():
            left[item.sku] -= item.quantity
    assert min(left.values()) >= 0


@given(st.lists(st.integers(-6, 6), max_size=20), st.integers(0, 5))
def test_sold_out_and_available_take_turns(steps: Sequence[int], mark: int) -> None:
    """Whatever comes and goes: the two follow each other; low is told at most once until more were put in, and at once
    when what was put in leaves as few."""
    sku, told = tea(5, low_at=mark), []
    for step in steps:
        after_it = msgspec.structs.replace(sku, available=max(0, sku.available + step))
        if after_it.available > sku.available:  # put in, so that low may be told again
            told.append("put in")
        sku, alarms = watch(sku, after_it)
        told += [alarm.value for alarm in alarms]
        if told[-1:] == ["put in"] or "put in" in told[-1 - len(alarms) : -1]:
            assert (sku.available <= mark) == ("low" in alarms)
    turns = [word for word in told if word in ("sold_out", "available")]
    assert all(a != b for a, b in itertools.pairwise(turns))
    lows = "".join("L" if word == "low" else "+" if word == "put in" else "" for word in told)
    assert "LL" not in lows
