"""Transactions at any point of their way, as values: for tests that need no database."""

from datetime import datetime, timedelta

import msgspec

from paidup.orders.states import State as OrderState
from paidup.testing.builders import NOW
from paidup.transactions.begin import _fresh
from paidup.transactions.decide import advance
from paidup.transactions.states import MANUAL, StepState
from paidup.transactions.table import Step, Table, check
from paidup.transactions.transaction import Transaction

UNPAID, PAID, CLOSING, CLOSED = OrderState.UNPAID, OrderState.PAID, OrderState.CLOSING, OrderState.CLOSED
MANY = 99
"""More tries than anybody has."""


def step(name: str, **fields: object) -> Step:
    return msgspec.convert({"name": name, "participant": name} | fields, Step)


PAYMENT = Step(name="payment", waits_for="order.paid")
PLAIN = Table(name="t", step=(step("a"), step("b")))
PAID_FOR = Table(name="t", step=(step("a"), PAYMENT, step("b")))
PIVOT = Table(name="t", step=(step("a"), step("p", pivot=True), step("b")))
MESSAGE = Table(name="t", step=(step("p", check_back=True), step("a")))
TCC = Table(name="t", kind="tcc", step=(step("a"), step("b"), PAYMENT))


def later(**ago: float) -> datetime:
    return NOW + timedelta(**ago)


def begun(table: Table, state: str = "", **steps: dict[str, object]) -> Transaction:
    """In this state, with these steps changed."""
    t = _fresh("ord1", "shop", check(table), b"{}", "k", NOW)
    t = msgspec.structs.replace(t, state=state or t.state)
    return t.put(*(msgspec.structs.replace(t.run(name), **fields) for name, fields in steps.items()))


def back(table: Table, state: str = "COMPENSATING", **steps: dict[str, object]) -> Transaction:
    """It turned back at NOW."""
    return msgspec.structs.replace(begun(table, state, **steps), turned_at=NOW)


def stuck(table: Table, where: str, **steps: dict[str, object]) -> Transaction:
    return msgspec.structs.replace(begun(table, MANUAL, **steps), stuck_in=where, due_at=None)


def turn(t: Transaction, order: OrderState = UNPAID, now: datetime = NOW) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The state after a look, and who is asked what."""
    found = advance(t, order, now)
    return found.transaction.state, found.calls


DONE, ACTING, WAITING, REFUSED = (
    {"state": state} for state in (StepState.DONE, StepState.ACTING, StepState.WAITING, StepState.REFUSED)
)
