"""What must hold when the trouble is over, one function each: our tables against the channel's ledger and against what
outsiders remember. Each returns what breaks it, in words."""

from collections import Counter
from collections.abc import Callable, Sequence

from paidup.events import EventType
from paidup.orders.order import LatePayment
from paidup.payments.states import MONEY_ARRIVED
from paidup.payments.states import State as PaymentState
from paidup.refunds.refund import Cause
from paidup.refunds.states import FINAL as REFUND_FINAL
from paidup.refunds.states import State as RefundState
from paidup.sandbox.ledger import DisputeState, Trade
from paidup.sandbox.ledger import RefundState as TheirRefundState
from paidup.simulator.books import Sides
from paidup.simulator.excuses import (
    came_too_late,
    is_gone,
    is_registered,
    refunded_there,
    sent_back_unheard,
    was_cancelled,
)
from paidup.simulator.witness import Breach

Invariant = Callable[[Sides], list[str]]


def no_acknowledged_callback_is_lost(sides: Sides) -> list[str]:
    """The bytes of every callback that was answered with success are in the inbox."""
    kept = sides.books.bodies
    return [f"{a.channel} {a.kind} about {a.about} at {a.at}" for a in sides.witness.acknowledged if a.body not in kept]


def what_was_paid_there_is_paid_here(sides: Sides) -> list[str]:
    """Each trade that was paid as agreed is one payment with money here; one paid otherwise is held for a person.

    What a channel called closed is not asked about any more: if it takes money all the same, its notice has to arrive.
    """
    wrong, unheard = [], sides.witness.contradicted & sides.untold
    for trade in sides.trades():
        payment = sides.payment_of(trade)
        if trade.paid_at is None or (payment is None and not is_registered(sides, trade)):
            continue
        if payment is None:
            wrong.append(f"{_named(trade)} was paid, and is unknown here")
        elif trade.amount_minor != payment.amount_minor:
            is_held = payment.state is PaymentState.HELD and sides.books.asks_a_person(payment.id)
            if not is_held and not is_gone(sides, trade, payment) and trade.merchant_ref not in unheard:
                wrong.append(f"{_named(trade)} was paid otherwise than agreed, and is {payment.state} here")
        elif payment.state not in MONEY_ARRIVED and trade.merchant_ref not in unheard:
            wrong.append(f"{_named(trade)} was paid at {trade.paid_at}, and is {payment.state} here")
    return wrong


def what_is_paid_here_was_paid_there(sides: Sides) -> list[str]:
    """No payment has money here that did not move at its channel: nothing is invented."""
    wrong = []
    for payment in sides.books.payments.values():
        trade = sides.trade_of(payment)
        if payment.state in (*MONEY_ARRIVED, PaymentState.HELD) and (trade is None or trade.paid_at is None):
            wrong.append(f"payment {payment.id} is {payment.state}, and nobody paid it")
    return wrong


def an_order_is_paid_once(sides: Sides) -> list[str]:
    """An order with money was announced as paid exactly once, one without never; payments likewise."""
    said = Counter((event.type, event.subject_id) for event in sides.books.events)
    paid_orders = Counter(event.order_id for event in sides.books.events if event.type is EventType.ORDER_PAID)
    wrong = []
    for order in sides.books.orders.values():
        if paid_orders[order.id] != (1 if order.paid_by else 0):
            wrong.append(f"order {order.id} ({order.state}) was announced as paid {paid_orders[order.id]} times")
        theirs = [p for p in sides.books.payments.values() if p.order_id == order.id and p.state in MONEY_ARRIVED]
        stayed = [p for p in theirs if not was_cancelled(sides.trade_of(p))]
        is_welcome = order.late_payment is LatePayment.REOPEN and not came_too_late(sides.books, stayed)
        if stayed and order.paid_by is None and is_welcome:
            wrong.append(f"order {order.id} is {order.state} although {stayed[0].id} has money")
        for payment in theirs:
            if said[EventType.PAYMENT_PAID, payment.id] != 1:
                times = said[EventType.PAYMENT_PAID, payment.id]
                wrong.append(f"payment {payment.id} was announced as paid {times} times")
    return wrong


def second_payments_go_back(sides: Sides) -> list[str]:
    """Money that the order has no use for is given back in whole at the channel, or a person was called. What the bank
    sent back again is missed when the notice of it has not reached us."""
    wrong = []
    for payment in sides.books.payments.values():
        order, trade = sides.books.orders[payment.order_id], sides.trade_of(payment)
        if payment.state not in MONEY_ARRIVED or order.paid_by == payment.id or trade is None:
            continue
        went = refunded_there(trade) + sent_back_unheard(sides, payment, trade)
        if went != trade.amount_minor and not sides.books.asks_a_person(payment.id):
            wrong.append(f"payment {payment.id} did not pay its order, and {went} went back")
    return wrong


def money_is_conserved(sides: Sides) -> list[str]:
    """Of each payment: received − refunded = held + in flight, the same on both sides to the minor unit, unless a
    person was called, or the channel's notice of it has not reached us. Money that Alipay's cancel gave back has no
    such excuse: the answer to a question of ours says that it is gone."""
    wrong, untold = [], sides.untold
    for payment in sides.books.payments.values():
        trade = sides.trade_of(payment)
        if trade is None or trade.paid_at is None or payment.state not in MONEY_ARRIVED:
            continue
        refunds = [r for r in sides.books.refunds_of(payment.id) if r.state is not RefundState.FAILED]
        here = payment.amount_minor - sum(refund.amount_minor for refund in refunds)
        there = trade.amount_minor - trade.refunded_minor()
        is_excused = trade.merchant_ref in untold or sides.books.asks_a_person(payment.id)
        if here != there and (was_cancelled(trade) or not is_excused):
            wrong.append(f"payment {payment.id}: {here} is left here, {there} at the channel")
    return wrong


def refunds_agree(sides: Sides) -> list[str]:
    """Each refund of ours ended as the channel's did, under one number, with the same amount."""
    wrong = []
    for refund in sides.books.refunds.values():
        payment = sides.books.payments[refund.payment_id]
        trade = sides.trade_of(payment)
        theirs = trade.refund_named(refund.merchant_ref) if trade else None
        state = theirs.state if theirs else None
        agrees = {
            RefundState.SUCCEEDED: state is TheirRefundState.SUCCEEDED,
            RefundState.FAILED: state in (TheirRefundState.FAILED, None),
            RefundState.PENDING: state is TheirRefundState.PENDING,
            RefundState.REQUESTED: state is None,
        }[refund.state]
        excused = payment.merchant_ref in sides.untold or sides.books.asks_a_person(payment.id)
        believed = payment.merchant_ref in sides.untold and refund.cause is Cause.AT_CHANNEL  # a bill that is wrong
        believed |= trade is not None and is_gone(sides, trade, payment)
        if theirs and theirs.amount_minor != refund.amount_minor and not believed:
            wrong.append(f"refund {refund.id}: {refund.amount_minor} here, {theirs.amount_minor} there")
        elif not agrees and not excused:
            wrong.append(f"refund {refund.id} is {refund.state} here, {state or 'unknown'} there")
    return wrong


def a_refund_is_made_once(sides: Sides) -> list[str]:
    """What the shop asked for under one key is one refund, here and at the channel; nobody made another."""
    wrong = []
    for payment in sides.books.payments.values():
        asked = [r for r in sides.books.refunds_of(payment.id) if r.cause is Cause.REQUESTED]
        keys = sides.witness.tried.get(payment.id, set())
        if len(asked) > len(keys):
            wrong.append(f"payment {payment.id}: {len(asked)} refunds for {len(keys)} keys")
        trade = sides.trade_of(payment)
        known = {r.merchant_ref for r in sides.books.refunds_of(payment.id)}
        for theirs in trade.refunds if trade else ():
            ours = (
                theirs.merchant_ref in known
                or "console" in theirs.number
                or theirs.merchant_ref == payment.merchant_ref
            )
            if not ours:
                wrong.append(f"the channel made refund {theirs.merchant_ref} of {payment.id}, which nobody asked for")
    promised = {asked.refund_id for asked in sides.witness.refunds}
    return wrong + [f"refund {name} was promised, and is not there" for name in promised - set(sides.books.refunds)]


def one_request_makes_one_payment(sides: Sides) -> list[str]:
    """However often the shop repeats a request, one payment and one trade come of it."""
    wrong = [f"key {key} made {sorted(made)}" for key, made in sides.witness.offers.items() if len(made) > 1]
    theirs = Counter((trade.channel, trade.merchant_ref) for trade in sides.trades())
    wrong += [f"{channel} has {count} trades {ref}" for (channel, ref), count in theirs.items() if count > 1]
    ours = Counter(payment.order_id for payment in sides.books.payments.values())
    for order_id, count in ours.items():
        offered = sides.witness.offered.get(sides.books.orders[order_id].shop_order_no, 0)
        if count > offered:
            wrong.append(f"order {order_id} has {count} payments for {offered} offers")
    return wrong


def closed_here_is_closed_there(sides: Sides) -> list[str]:
    """From the moment in which we call it closed on nobody can pay, but where a channel contradicts itself."""
    wrong, said_at = [], {e.subject_id: e.created_at for e in sides.books.events if e.type is EventType.PAYMENT_CLOSED}
    for payment in sides.books.payments.values():
        trade = sides.trade_of(payment)
        if trade is None or trade.merchant_ref in sides.witness.contradicted:
            continue
        if payment.state is PaymentState.CLOSED and sides.world.ledger.may_pay(trade, sides.now):
            wrong.append(f"payment {payment.id} is closed here; at {payment.channel} it can be paid")
        elif payment.id in said_at and trade.paid_at is not None and said_at[payment.id] < trade.paid_at:
            wrong.append(
                f"payment {payment.id} was called closed at {said_at[payment.id]}, and paid at {trade.paid_at}"
            )
    return wrong


def disputes_agree(sides: Sides) -> list[str]:
    """What the channel told us of a dispute is what the payment says."""
    wrong = []
    for payment in sides.books.payments.values():
        trade = sides.trade_of(payment)
        if trade is None or trade.dispute is None or trade.merchant_ref in sides.untold:
            continue
        expected = {
            DisputeState.INQUIRED: PaymentState.PAID,
            DisputeState.OPENED: PaymentState.DISPUTED,
            DisputeState.WON: PaymentState.PAID,
            DisputeState.LOST: PaymentState.CHARGED_BACK,
        }[trade.dispute]
        if payment.state not in (expected, PaymentState.HELD):
            wrong.append(f"payment {payment.id} is {payment.state}, its dispute is {trade.dispute}")
    return wrong


def every_event_was_heard(sides: Sides) -> list[str]:
    """The shop, whose endpoint is well again, heard each event at least once, and again when it asked for that."""
    heard = {one.event_id: one.at for one in sides.witness.heard}  # the latest
    wrong = [
        f"event {e.id} ({e.type} of {e.order_id}) was never heard" for e in sides.books.events if e.id not in heard
    ]
    wrong += [f"the delivery of {name} is {state}: {why}" for name, state, why in sides.books.undelivered]
    again = sides.witness.redriven.items()
    return wrong + [f"event {name} was redriven, and not heard again" for name, at in again if heard[name] < at]


def everything_is_settled(sides: Sides) -> list[str]:
    """Nothing waits any more: no question, no event, no callback but those of what nobody ever told us."""
    wrong = [
        f"{count} rows are left in {name}" for name, count in sides.books.left.items() if count and name != "parked"
    ]
    unpaid = [
        f"payment {p.id} is {p.state}"
        for p in sides.books.payments.values()
        if p.state in (PaymentState.CREATED, PaymentState.OPEN, PaymentState.CLOSING)
        and not sides.books.asks_a_person(p.id)
    ]
    return (
        wrong
        + unpaid
        + [
            f"refund {r.id} is {r.state}"
            for r in sides.books.refunds.values()
            if r.state not in REFUND_FINAL and not sides.books.asks_a_person(r.payment_id)
        ]
    )


INVARIANTS: Sequence[Invariant] = (
    no_acknowledged_callback_is_lost,
    what_was_paid_there_is_paid_here,
    what_is_paid_here_was_paid_there,
    an_order_is_paid_once,
    second_payments_go_back,
    money_is_conserved,
    refunds_agree,
    a_refund_is_made_once,
    one_request_makes_one_payment,
    closed_here_is_closed_there,
    disputes_agree,
    every_event_was_heard,
    everything_is_settled,
)


def examine(sides: Sides) -> list[Breach]:
    """All invariants; each breach under the name of what it breaks."""
    found = ((invariant.__name__.replace("_", " "), invariant(sides)) for invariant in INVARIANTS)
    return [Breach(name, what) for name, wrong in found for what in wrong]


def _named(trade: Trade) -> str:
    return f"{trade.channel} {trade.merchant_ref}"
