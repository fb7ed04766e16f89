"""What follows for the units of an order when the order has moved. Pure."""

from datetime import datetime

import msgspec

from paidup.inventory import decide as stock_rules
from paidup.inventory.states import Happening
from paidup.inventory.states import State as StockState
from paidup.orders.states import State as OrderState
from paidup.settle.book import Book, NewCase, Settled

_HAPPENINGS = {
    OrderState.PAID: Happening.PAID,
    OrderState.CLOSED: Happening.CLOSED,
    OrderState.REFUNDED: Happening.REFUNDED,
}
"""While an order is unpaid or being closed, somebody may still pay: its units stay where they are."""


def units_are_gone(book: Book) -> bool:
    """Whether the order gave its units up, and they cannot be had any more."""
    if book.stock is None or book.stock.state is not StockState.RELEASED:
        return False
    return stock_rules.short_of(book.stock, book.shelf) is not None


def stock_follows(before: Book, settled: Settled, now: datetime) -> Settled:
    """Move the units as the order moved; a person is told when a paid order cannot get them back."""
    order, stock = settled.book.order, before.stock
    if stock is None or order.state is before.order.state or order.state not in _HAPPENINGS:
        return settled
    decision = stock_rules.happen(stock, _HAPPENINGS[order.state], before.shelf, now)
    why = f"{settled.why}; {decision.move.why}"
    cases = settled.cases
    if decision.short is not None:
        cases += (NewCase("stock_gone", order.id, f"the order is paid again, and {decision.move.why}"),)
    book = msgspec.structs.replace(settled.book, stock=decision.reservation)
    return msgspec.structs.replace(settled, book=book, why=why, cases=cases, movements=decision.movements)
