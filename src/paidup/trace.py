"""Any id → the whole life of its order in time order: callbacks, decisions with their why, questions, refunds, events,
deliveries. What customer service reads while the customer is on the phone."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from paidup.cases import store as cases
from paidup.db.transaction import Tx
from paidup.delivery import attempts
from paidup.intake import inbox
from paidup.journal import store as journal
from paidup.money import Money, major
from paidup.orders import store as orders
from paidup.orders.order import Order
from paidup.outbox import store as outbox
from paidup.payments import store as payments
from paidup.payments.payment import Payment
from paidup.reconcile import store as breaks
from paidup.refunds import store as refunds
from paidup.refunds.refund import Refund
from paidup.schedule import store as schedule


class Moment(msgspec.Struct, frozen=True):
    """One thing that happened. kind: callback, decision, query, refund, event, delivery, case …"""

    at: datetime
    kind: str
    what: str
    subject: str
    id: str


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """An order, its payments and refunds, and everything that happened, oldest first. next_at: the next question."""

    verdict: str
    order: Order
    payments: list[Payment]
    refunds: list[Refund]
    moments: list[Moment]
    next_at: datetime | None


# Whatever a person can read out: our ids, the shop's number, the numbers of the channel, or the end of a payment's id.
# An array, and not IN: as a join the whole table is walked, newest first.
FIND = """
SELECT o.id FROM orders o WHERE ($2::text IS NULL OR o.shop = $2) AND o.id = ANY(ARRAY(
SELECT id FROM orders WHERE id = $1 OR shop_order_no = $1
UNION SELECT order_id FROM payments WHERE id = $1 OR merchant_ref = $1 OR channel_txn_id = $1
UNION SELECT order_id FROM refunds WHERE id = $1 OR merchant_ref = $1 OR channel_refund_id = $1
UNION SELECT order_id FROM decisions WHERE callback_id = $1 AND order_id IS NOT NULL
UNION SELECT order_id FROM events WHERE id = $1
UNION SELECT order_id FROM cases WHERE id = $1 AND order_id IS NOT NULL))
ORDER BY o.id DESC LIMIT 1"""


async def trace(tx: Tx, any_id: str, shop: str | None = None) -> Life | None:
    """The life behind an id; None when nothing is known by it (in this shop)."""
    found = await tx.fetchval(FIND, any_id, shop)
    order = await orders.get(tx, found) if found else None
    if order is None:
        return None
    its_payments = await payments.of_orders(tx, [order.id])
    its_refunds = await refunds.of_orders(tx, [order.id])
    moments = await _moments(tx, order, its_payments, its_refunds)
    due = await schedule.get(tx, [p.id for p in its_payments] + [r.id for r in its_refunds])
    return Life(
        verdict=_verdict(order, its_payments, moments),
        order=order,
        payments=its_payments,
        refunds=its_refunds,
        moments=sorted(moments, key=lambda m: (m.at, _RANK.get(m.kind, 5))),
        next_at=min((row.due_at for row in due.values()), default=None),
    )


_RANK = {"order": 0, "payment": 1, "callback": 2, "query": 2, "decision": 3, "event": 4}
"""What comes first among things of the same instant: cause before consequence."""


async def _moments(tx: Tx, order: Order, its_payments: list[Payment], its_refunds: list[Refund]) -> list[Moment]:
    decisions = await journal.of_order(tx, order.id)
    callback_ids = list({d.callback_id for d in decisions if d.callback_id})
    subjects = [p.id for p in its_payments] + [r.id for r in its_refunds]
    return [
        Moment(order.created_at, "order", f"placed over {_money(order.money)}", order.id, order.shop_order_no),
        *(
            Moment(p.created_at, "payment", f"{p.channel}/{p.account} {p.method} written down", p.id, p.merchant_ref)
            for p in its_payments
        ),
        *_callbacks(await inbox.get_many(tx, callback_ids)),
        *_decisions(decisions),
        *(
            Moment(c.called_at, c.purpose, f"{c.outcome}: {c.why} ({c.elapsed_ms} ms)", c.subject_id, c.id)
            for c in await journal.calls_of(tx, subjects)
        ),
        *(
            Moment(e.created_at, "event", f"#{e.seq} {e.type}", e.subject_id, e.id)
            for e in await outbox.of_order(tx, order.id)
        ),
        *(
            Moment(
                a.attempted_at, "delivery", f"#{a.seq} try {a.number}: {a.outcome}, {a.why}", a.event_id, a.endpoint_id
            )
            for a in await attempts.attempts_of(tx, order.id)
        ),
        *(
            Moment(s.at, "bill", f"{s.step}: {s.why} [{s.before or 'new'} → {s.after}] by {s.who}", s.break_id, s.id)
            for s in await breaks.steps_of_order(tx, order.id)
        ),
        *(
            Moment(c.opened_at, "case", f"{c.kind}: {c.why}", c.subject_id, c.id)
            for c in await cases.of_order(tx, order.id)
        ),
    ]


def _callbacks(rows: Iterable[dict[str, object]]) -> list[Moment]:
    return [
        Moment(
            msgspec.convert(row["received_at"], datetime),
            "callback",
            f"{row['channel']} {row['kind']} received, {_size(row['body'])} bytes, signature valid",
            str(row["dedup_key"]),
            str(row["id"]),
        )
        for row in rows
    ]


def _size(body: object) -> int:
    return len(body) if isinstance(body, bytes) else 0


def _decisions(entries: Iterable[journal.Entry]) -> list[Moment]:
    return [
        Moment(
            e.decided_at,
            "decision",
            f"{e.outcome} ({e.road}): {e.why}" + (f" [{e.before} → {e.after}]" if e.before != e.after else ""),
            e.refund_id or e.payment_id or "",
            e.callback_id or e.id,
        )
        for e in entries
    ]


def _money(money: Money) -> str:
    return f"{major(money)} {money.currency}"


def _verdict(order: Order, its_payments: list[Payment], moments: list[Moment]) -> str:
    """One sentence for the person who answers the phone."""
    paid = next((p for p in its_payments if p.id == order.paid_by), None)
    if paid is None or paid.paid_at is None:
        state = f"The order is {order.state}."
        return state if its_payments else f"{state} No payment was started."
    proof = next((m for m in moments if m.kind == "decision" and "→" in m.what and "payment paid" in m.what), None)
    if proof is None:
        return f"Paid at {paid.paid_at:%H:%M:%S}; the order is {order.state}."
    road = proof.what.partition("(")[2].partition(")")[0]
    delay_s = (proof.at - paid.paid_at).total_seconds()
    how = {"callback": "the callback told us", "query": "no callback had come; the active query found it"}
    return (
        f"Paid at {paid.paid_at:%H:%M:%S} UTC; {how.get(road, f'we learned it by {road}')} {delay_s:.0f} s later. "
        f"The order is {order.state}."
    )
