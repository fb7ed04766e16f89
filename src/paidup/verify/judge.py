"""The claims about one order, each a pure function: a record → ids that break the claim, and figures for the sums."""

from collections import Counter
from collections.abc import Callable

import msgspec

from paidup import chain
from paidup.events import EventType
from paidup.orders.order import Order
from paidup.orders.states import State as OrderState
from paidup.payments.payment import Payment
from paidup.payments.states import FINAL as PAYMENT_FINAL
from paidup.payments.states import MONEY_ARRIVED
from paidup.refunds.refund import Refund
from paidup.refunds.states import FINAL as REFUND_FINAL
from paidup.refunds.states import State as RefundState
from paidup.seal import seal
from paidup.verify.record import Record

Figures = Counter[str]
Judge = Callable[[Record, Figures], list[str]]


class Claim(msgspec.Struct, frozen=True):
    """What must be so for each order. figures: the names of its sums."""

    name: str
    claim: str
    figures: tuple[str, ...]
    judge: Judge


def paid_once(record: Record, figures: Figures) -> list[str]:
    """A payment with money has one payment.paid event, any other has none."""
    if record.events is None:
        return []
    told = Counter(event.subject_id for event in record.events if event.type is EventType.PAYMENT_PAID)
    with_money = {p.id for p in record.payments if p.state in MONEY_ARRIVED}
    figures["paid_payments"] += len(with_money)
    figures["paid_events"] += told.total()
    return [name for name in with_money | set(told) if told[name] != (1 if name in with_money else 0)]


def paid_by_its_payment(record: Record, figures: Figures) -> list[str]:
    """A paid order names one of its payments, with money, over the same amount; an unpaid one names none.

    A person may have accepted another amount: then the case tells of it.
    """
    order = record.order
    mine = [p for p in record.payments if p.id == order.paid_by and p.state in MONEY_ARRIVED]
    is_paid = order.state in (OrderState.PAID, OrderState.REFUNDED)
    figures["paid_orders"] += is_paid
    figures["with_their_payment"] += len(mine)
    as_agreed = all(p.money == order.money or ("mismatch", p.id) in record.asked_people for p in mine)
    return [] if is_paid == bool(mine) and as_agreed else [order.id]


def given_back(record: Record, figures: Figures) -> list[str]:
    """A payment with money that did not pay the order has refunds over all of it: done, under way, or failed with a
    person who was told."""
    surplus = [p for p in record.payments if p.state in MONEY_ARRIVED and p.id != record.order.paid_by]
    goes_back: Counter[str] = Counter()
    for refund in record.refunds:
        if refund.state is not RefundState.FAILED or ("refund_failed", refund.id) in record.asked_people:
            goes_back[refund.payment_id] += refund.amount_minor
    figures["surplus_payments"] += len(surplus)
    return [p.id for p in surplus if goes_back[p.id] < p.amount_minor]


def event_order(record: Record, figures: Figures) -> list[str]:
    """The order's events are 1, 2, 3 … as many as its row says."""
    if record.events is None:
        return []
    numbers = [event.seq for event in record.events]
    figures["numbered"] += record.order.event_seq
    figures["events"] += len(numbers)
    return [] if numbers == list(range(1, record.order.event_seq + 1)) else [record.order.id]


def refunds_add_up(record: Record, figures: Figures) -> list[str]:
    """refunded_minor is the sum of the succeeded refunds, and no more than was paid unless a person was told."""
    done: Counter[str] = Counter()
    for refund in record.refunds:
        if refund.state is RefundState.SUCCEEDED:
            done[refund.payment_id] += refund.amount_minor
    figures["refunded_minor"] += sum(p.refunded_minor for p in record.payments)
    figures["succeeded_minor"] += done.total()
    return [
        p.id
        for p in record.payments
        if p.refunded_minor != done[p.id]
        or (p.refunded_minor > p.amount_minor and ("over_refunded", p.id) not in record.asked_people)
    ]


def has_a_job(record: Record, figures: Figures) -> list[str]:
    """What is unfinished has its next question, or a person who was told."""
    unfinished = [p.id for p in record.payments if p.state not in PAYMENT_FINAL]
    unfinished += [r.id for r in record.refunds if r.state not in REFUND_FINAL]
    figures["unfinished"] += len(unfinished)
    figures["scheduled"] += len(record.jobs)
    return [name for name in unfinished if name not in record.jobs and ("unanswered", name) not in record.asked_people]


def sealed(record: Record, figures: Figures) -> list[str]:
    """No row was changed but by Paidup."""
    rows: tuple[Order | Payment | Refund, ...] = (record.order, *record.payments, *record.refunds)
    figures["sealed_rows"] += len(rows)
    return [row.id for row in rows if seal(row) != record.seals[row.id]]


def chained(record: Record, figures: Figures) -> list[str]:
    """The decisions that changed the order, and the events they told, are all there and as they were written."""
    if record.decisions is None or record.events is None:
        return []
    figures["links"] += sum(entry.outcome in chain.LINKS for entry in record.decisions)
    wrong = chain.breaks(record.decisions, record.events, record.order.chain)
    return [name if name.startswith(("dec", "evt")) else record.order.id for name in wrong]


CLAIMS = (
    Claim(
        "paid once",
        "each payment whose money arrived was announced exactly once, and no other",
        ("paid_payments", "paid_events"),
        paid_once,
    ),
    Claim(
        "orders",
        "a paid order has exactly one payment that paid it, over the same money; an unpaid one has none",
        ("paid_orders", "with_their_payment"),
        paid_by_its_payment,
    ),
    Claim(
        "given back",
        "a paid payment that did not pay its order is being given back whole, or a person was told why not",
        ("surplus_payments",),
        given_back,
    ),
    Claim(
        "event order",
        "each order's events are numbered 1, 2, 3 … without gaps",
        ("numbered", "events"),
        event_order,
    ),
    Claim(
        "refunds",
        "what was refunded of a payment is the sum of its succeeded refunds, and no more than was paid",
        ("refunded_minor", "succeeded_minor"),
        refunds_add_up,
    ),
    Claim(
        "jobs",
        "every unfinished payment and refund has its next question, or a person who was told",
        ("unfinished", "scheduled"),
        has_a_job,
    ),
    Claim("seals", "no order, payment or refund was edited by hand", ("sealed_rows",), sealed),
    Claim(
        "journal",
        "the decisions that changed an order, and what they told, are all there and unedited",
        ("links",),
        chained,
    ),
)
