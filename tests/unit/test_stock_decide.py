"""Who gets units, where they go as their order moves, and what a shop is told of its articles."""

from typing import Any

import msgspec
import pytest

from paidup.evidence import RefundSays
from paidup.inventory.decide import Alarm, Short, allocate, alone, happen, moved, movements, short_of, watch, whole
from paidup.inventory.sku import Item, Movement, Reservation, Sku
from paidup.inventory.states import Happening, Kind, State
from paidup.orders.order import LatePayment
from paidup.orders.states import State as OrderState
from paidup.settle import settle
from paidup.settle.book import Book, CloseOrder, Settled
from paidup.testing.builders import NOW, SHOP, a_paid_book, a_payment, a_refund, after, an_order, order_id, paid
from paidup.testing.builders import refund_says as told_of_refund

TEA, CUP = (SHOP, "tea"), (SHOP, "cup")


def a_sku(available: int, sku: str = "tea", **fields: Any) -> Sku:
    one = Sku(id=f"sku-{sku}", shop=SHOP, sku=sku, available=available, created_at=NOW, updated_at=NOW)
    return msgspec.structs.replace(one, **fields)


def units(state: State, *items: Item, **fields: Any) -> Reservation:
    one = Reservation(
        order_id=order_id(), shop=SHOP, state=state, items=items or (Item("tea", 2),), restock_refunded=False,
        created_at=NOW, updated_at=NOW,
    )  # fmt: skip
    return msgspec.structs.replace(one, **fields)


def test_an_article_that_is_named_twice_is_wanted_once() -> None:
    """Its quantities add up; articles stand in the order in which their rows are locked."""
    assert (Item("cup", 1), Item("tea", 5)) == whole([Item("tea", 2), Item("cup", 1), Item("tea", 3)])


@pytest.mark.parametrize(
    ("sku", "short"),
    [
        (a_sku(3), None),
        (a_sku(2), Short("tea", 3, 2)),
        (a_sku(2, preorder_limit=1), None),
        (a_sku(-1, preorder_limit=1), Short("tea", 3, 0)),
        (a_sku(-1), Short("tea", 3, 0)),
        (a_sku(0, unlimited=True), None),
        (a_sku(9, "cup"), Short("tea", 3, None)),
    ],
)
def test_what_is_short_is_named_with_what_is_left(sku: Sku, short: Short | None) -> None:
    """Never less than nothing is left; an article that the shop does not have is no article with nothing left."""
    shelf, wanted = {(SHOP, sku.sku): sku}, [(SHOP, (Item("tea", 3),))]
    assert [short] == allocate(wanted, shelf) == alone(wanted, shelf)
    assert short == short_of(units(State.RELEASED, Item("tea", 3)), shelf)


def test_what_is_missing_alone_is_told_whoever_else_wants_it() -> None:
    """Two want all that is left: the second is served nothing, and would have been alone. Of what has no end, both."""
    wanted = [(SHOP, (Item("tea", 2), Item("cup", 1)))] * 2
    shelf = {TEA: a_sku(3), CUP: a_sku(0, "cup", unlimited=True)}
    assert ([None, Short("tea", 2, 1)], [None, None]) == (allocate(wanted, shelf), alone(wanted, shelf))


def test_units_move_as_one_with_all_that_is_known_of_why() -> None:
    """One movement of each item, at the moment of the happening, for this order."""
    reservation = units(State.HELD, Item("cup", 1), Item("tea", 2))
    decision = happen(reservation, Happening.PAID, {}, after(5))
    assert (State.SOLD, after(5)) == (decision.reservation.state, decision.reservation.updated_at)
    assert (
        tuple(
            Movement(at=after(5), shop=SHOP, sku=sku, kind=Kind.CONFIRM, quantity=quantity, order_id=order_id())
            for sku, quantity in (("cup", 1), ("tea", 2))
        )
        == decision.movements
    )
    again = happen(decision.reservation, Happening.PAID, {}, after(9))
    assert (decision.reservation, ()) == (again.reservation, again.movements)


@pytest.mark.parametrize(("restock", "state"), [(True, State.RETURNED), (False, State.SOLD)])
def test_units_of_a_refunded_order_are_sold_again_only_where_the_shop_wants_it(restock: bool, state: State) -> None:
    """They may be anywhere."""
    decision = happen(units(State.SOLD, restock_refunded=restock), Happening.REFUNDED, {}, after(5))
    assert (state, restock) == (decision.reservation.state, bool(decision.movements))


@pytest.mark.parametrize(
    ("state", "happening", "why"),
    [
        (State.SOLD, Happening.CLOSED, "its units are sold; closing changes nothing"),
        (State.SOLD, Happening.PAID, "its units are already sold"),
        (State.SOLD, Happening.REFUNDED_KEPT, "its units stay counted as sold until somebody restocks them"),
        (State.HELD, Happening.REFUNDED, "a refund of an order that is not paid changes nothing"),
        (State.HELD, Happening.REFUNDED_KEPT, "a refund of an order that is not paid changes nothing"),
        (State.RELEASED, Happening.REFUNDED, "its units are already on sale again"),
        (State.RETURNED, Happening.CLOSED, "its units are already on sale again"),
    ],
)
def test_units_are_not_set_free_by_what_does_not_concern_them(state: State, happening: Happening, why: str) -> None:
    """A customer who paid keeps them when the order's closing is told late; one who may still pay keeps them when a
    refund is told; and what is on sale again is not put there twice."""
    there = units(state, restock_refunded=True)
    decision = happen(there, happening, {}, after(5))
    assert (there, (), why) == (decision.reservation, decision.movements, decision.move.why)


@pytest.mark.parametrize(
    ("state", "happening", "why"),
    [
        (State.HELD, Happening.PAID, "its units are sold"),
        (State.HELD, Happening.CLOSED, "its units are on sale again"),
        (State.SOLD, Happening.REFUNDED, "its units are on sale again"),
        (State.RELEASED, Happening.PAID, "its units were on sale again; they are taken back and sold"),
        (State.RETURNED, Happening.PAID, "its units were on sale again; they are taken back and sold"),
    ],
)
def test_people_are_told_where_the_units_went(state: State, happening: Happening, why: str) -> None:
    """The sentence says what the counters show."""
    moved_ = happen(units(state, restock_refunded=True), happening, {TEA: a_sku(2)}, after(5))
    assert (why, True) == (moved_.move.why, bool(moved_.movements))


def test_units_that_are_gone_are_not_taken_once_more() -> None:
    """The order was closed, and what it had set aside was sold to others: nothing moves, and who is short is told."""
    released = units(State.RELEASED)
    gone = happen(released, Happening.PAID, {TEA: a_sku(1)}, after(5))
    assert (released, (), Short("tea", 2, 1)) == (gone.reservation, gone.movements, gone.short)
    assert "its units are gone: of tea 1 are left" == gone.move.why
    there = happen(released, Happening.PAID, {TEA: a_sku(2)}, after(5))
    assert (State.SOLD, [Kind.RESERVE, Kind.CONFIRM], None) == (
        there.reservation.state, [one.kind for one in there.movements], there.short
    )  # fmt: skip


def test_a_shelf_is_what_it_was_and_what_moved() -> None:
    """An article bears the moment of its last change, and never an earlier one than it bore."""
    some = movements(units(State.HELD), Kind.RESERVE, after(5))
    shelf = moved({TEA: a_sku(5), CUP: a_sku(7, "cup")}, [*some, *some], after(5))
    assert {TEA: a_sku(1, reserved=4, updated_at=after(5)), CUP: a_sku(7, "cup")} == shelf
    assert after(5) == moved(shelf, some, after(1))[TEA].updated_at
    sold = moved(shelf, movements(units(State.SOLD), Kind.CONFIRM, after(6)), after(6))[TEA]
    assert (1, 2, 2) == (sold.available, sold.reserved, sold.sold)
    back = moved({TEA: sold}, movements(units(State.RETURNED), Kind.RETURN, after(7)), after(7))[TEA]
    assert (3, 2, 0) == (back.available, back.reserved, back.sold)


@pytest.mark.parametrize(("kind", "quantity"), [(Kind.RESTOCK, 3), (Kind.ADJUST, -3), (Kind.ADJUST, 3)])
def test_what_people_put_in_or_count_is_on_sale(kind: Kind, quantity: int) -> None:
    """Orders have what is theirs: neither new units nor a new count change what is set aside or sold."""
    counted = Movement(at=after(5), shop=SHOP, sku="tea", kind=kind, quantity=quantity)
    shelf = moved({TEA: a_sku(5, reserved=2, sold=4)}, [counted], after(5))
    assert a_sku(5 + quantity, reserved=2, sold=4, updated_at=after(5)) == shelf[TEA]


@pytest.mark.parametrize(
    ("before", "after_it", "alarms", "is_low"),
    [
        (a_sku(4, low_at=3), a_sku(3, low_at=3, reserved=1), [Alarm.LOW], True),
        (a_sku(5, low_at=3), a_sku(4, low_at=3, reserved=1), [], False),
        (a_sku(5), a_sku(1, reserved=4), [], False),
        (a_sku(3, low_at=3, is_low=True), a_sku(2, low_at=3, is_low=True, reserved=1), [], True),
        (a_sku(2, low_at=3, reserved=1), a_sku(3, low_at=3), [], False),
        (a_sku(3, low_at=3, reserved=1), a_sku(3, low_at=3, sold=1), [], False),
        (a_sku(2, low_at=3, is_low=True, reserved=2), a_sku(4, low_at=3, is_low=True), [], True),
        (a_sku(2, low_at=3, is_low=True), a_sku(4, low_at=3, is_low=True), [], False),
        (a_sku(1, low_at=3, is_low=True), a_sku(2, low_at=3, is_low=True), [Alarm.LOW], True),
        (a_sku(2, low_at=3, is_low=True), a_sku(2, low_at=3, is_low=True, preorder_limit=2), [], False),
        (a_sku(2, low_at=3, is_low=True, sold=5), a_sku(3, low_at=3, is_low=True, sold=4), [], True),
        (
            a_sku(2, low_at=9, is_low=True, preorder_limit=4),
            a_sku(1, low_at=9, is_low=True, preorder_limit=4, reserved=1),
            [],
            True,
        ),
        (a_sku(1), a_sku(0, reserved=1), [Alarm.SOLD_OUT], False),
        (a_sku(2), a_sku(1, reserved=1), [], False),
        (a_sku(0), a_sku(-1, reserved=1), [], False),
        (a_sku(0), a_sku(1), [Alarm.AVAILABLE], False),
        (a_sku(-1), a_sku(0), [], False),
        (a_sku(1), a_sku(2), [], False),
        (a_sku(0), a_sku(0, preorder_limit=1), [Alarm.AVAILABLE], False),
        (a_sku(1, unlimited=True), a_sku(0), [], False),
        (a_sku(1), a_sku(0, unlimited=True), [], False),
    ],
)
def test_a_shop_is_told_of_each_turn_once(before: Sku, after_it: Sku, alarms: list[Alarm], is_low: bool) -> None:
    """Low, when few are left, and not again before more were put in; sold out, when the last one goes; available, when
    one is there again. Of what has no end there is nothing to tell."""
    told = watch(before, after_it)
    assert (alarms, is_low) == (list(told[1]), told[0].is_low)


def late(available: int, policy: LatePayment = LatePayment.REOPEN) -> Settled:
    """Money comes for a closed order, of whose article so many are left."""
    order = an_order(state=OrderState.CLOSED, late_payment=policy)
    book = Book(order, {a_payment().id: a_payment()}, {}, units(State.RELEASED), {TEA: a_sku(available)})
    return settle(book, paid(), after(60))


def test_late_money_takes_the_units_once_more() -> None:
    """The order is paid, and its units are the customer's."""
    step = late(2)
    assert (OrderState.PAID, State.SOLD, ()) == (
        step.book.order.state,
        step.book.stock and step.book.stock.state,
        step.cases,
    )
    assert [Kind.RESERVE, Kind.CONFIRM] == [one.kind for one in step.movements]


def test_late_money_whose_units_were_sold_to_others_goes_back() -> None:
    """The order stays closed."""
    step = late(1)
    assert (OrderState.CLOSED, State.RELEASED) == (step.book.order.state, step.book.stock and step.book.stock.state)
    assert (1, ()) == (len(step.book.refunds), step.movements)


def test_an_order_without_units_gave_none_up() -> None:
    """Nor did one whose units are still set aside, whatever is left of them."""
    for stock in (None, units(State.HELD)):
        book = Book(an_order(state=OrderState.CLOSED), {a_payment().id: a_payment()}, {}, stock, {TEA: a_sku(0)})
        assert OrderState.PAID is settle(book, paid(), after(60)).book.order.state


def test_units_stay_where_they_are_while_somebody_may_pay() -> None:
    """Given up is not closed."""
    book = Book(an_order(), {a_payment().id: a_payment()}, {}, units(State.HELD), {})
    step = settle(book, CloseOrder(order_id(), "given up"), after(60))
    assert (OrderState.CLOSING, book.stock, ()) == (step.book.order.state, step.book.stock, step.movements)


@pytest.mark.parametrize(("available", "cases"), [(2, []), (1, [("stock_gone", order_id())])])
def test_a_paid_order_that_cannot_get_its_units_back_calls_a_person(available: int, cases: list[object]) -> None:
    """Its refund came back, and the units that were put on sale again were sold to others."""
    refund = a_refund(state="succeeded", settled_at=after(120))
    book = a_paid_book(refunds=[refund])
    book = msgspec.structs.replace(
        book, order=msgspec.structs.replace(book.order, state=OrderState.REFUNDED), stock=units(State.RETURNED),
        shelf={TEA: a_sku(available)},
    )  # fmt: skip
    step = settle(book, told_of_refund(RefundSays.FAILED, occurred_at=after(900)), after(960))
    assert OrderState.PAID is step.book.order.state
    assert cases == [(one.kind, one.subject_id) for one in step.cases if one.kind == "stock_gone"]
