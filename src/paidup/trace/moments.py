"""Callbacks, decisions with their why, questions, refunds, events, deliveries, what people did: each as one line."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from paidup.db.transaction import Tx
from paidup.delivery import attempts
from paidup.diagnosis.verdict import Facts
from paidup.intake import inbox
from paidup.inventory import store as inventory
from paidup.inventory.sku import Movement
from paidup.inventory.states import Kind
from paidup.journal import store as journal
from paidup.money import Money, major
from paidup.orders.order import Order
from paidup.outbox import store as outbox
from paidup.payments.payment import Payment
from paidup.people import audit
from paidup.spans.context import Spot, Weighing, of_weighing
from paidup.spans.store import callers
from paidup.trace.bills import Beside, beside_bills
from paidup.transactions import store as transactions


class Moment(msgspec.Struct, frozen=True):
    """One thing that happened. kind: callback, decision, query, refund, event, delivery, case, hand …"""

    at: datetime
    kind: str
    what: str
    subject: str
    id: str
    trace_id: str = ""
    """Of a decision: the trace under which tracing systems know it and all that followed from it."""


_RANK = {"order": 0, "payment": 1, "decision": 3, "stock": 4, "event": 5, "delivery": 6, "case": 6}
"""What comes first among things of the same instant: cause before consequence. In between come callbacks and calls."""


async def moments_of(tx: Tx, facts: Facts) -> list[Moment]:
    """Everything that happened to an order, oldest first; of the same instant, causes before consequences."""
    return sorted(await _gathered(tx, facts), key=lambda m: (m.at, _RANK.get(m.kind, 2)))


async def _gathered(tx: Tx, facts: Facts) -> list[Moment]:
    order = facts.order
    callback_ids = list({d.callback_id for d in facts.decisions if d.callback_id})
    return [
        Moment(order.created_at, "order", f"placed over {_money(order.money)}", order.id, order.shop_order_no),
        *_written_down(facts.payments),
        *_movements(await inventory.of_order(tx, order.id)),
        *_callbacks(await inbox.get_many(tx, callback_ids)),
        *_decisions(facts.decisions, await callers(tx, callback_ids)),
        *(
            Moment(c.called_at, c.purpose, f"{c.outcome}: {c.why} ({c.elapsed_ms} ms)", c.subject_id, c.id)
            for c in facts.calls
        ),
        *(
            Moment(e.created_at, "event", f"#{e.seq} {e.type}", e.subject_id, e.id)
            for e in await outbox.of_order(tx, order.id, since=order.since)
        ),
        *(
            Moment(
                a.attempted_at, "delivery", f"#{a.seq} try {a.number}: {a.outcome}, {a.why}", a.event_id, a.endpoint_id
            )
            for a in await attempts.attempts_of(tx, order.id, since=order.since)
        ),
        *(Moment(c.opened_at, "case", f"{c.kind}: {c.why}", c.subject_id, c.id) for c in facts.cases),
        *(
            Moment(d.at, "hand", f"{d.action} by {d.who}: {d.why}", d.subject_id, d.id)
            for d in await audit.of_order(tx, order.id)
        ),
        *_beside_bills(await beside_bills(tx, facts)),
        *await _transactions(tx, order),
    ]


def _beside_bills(beside: Beside) -> list[Moment]:
    return [
        *(
            Moment(b.at, "bill", f"stands in the channel's bill of {b.day} as in our books", b.payment_id, b.run_id)
            for b in beside.found
        ),
        *(
            Moment(s.at, "bill", f"{s.step}: {s.why} [{s.before or 'new'} → {s.after}] by {s.who}", s.break_id, s.id)
            for s in beside.steps
        ),
    ]


async def _transactions(tx: Tx, order: Order) -> list[Moment]:
    """What services elsewhere were asked for in the order's name, and answered."""
    return [
        Moment(line.at, "transaction", said, line.xid, line.xid)
        for t in await transactions.of_order(tx, order.id)
        for line in await transactions.lines(tx, t.id)
        if (said := f"{t.table.name} {line.says}")
    ]


def _written_down(some: Sequence[Payment]) -> list[Moment]:
    return [
        Moment(p.created_at, "payment", f"{p.channel}/{p.account} {p.method} written down", p.id, p.merchant_ref)
        for p in some
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


_MOVED = {
    Kind.RESERVE: "set aside",
    Kind.CONFIRM: "sold",
    Kind.RELEASE: "on sale again",
    Kind.RETURN: "on sale again: refunded",
}


def _movements(rows: Iterable[Movement]) -> list[Moment]:
    return [Moment(m.at, "stock", f"{m.quantity} of {m.sku} {_MOVED.get(m.kind, m.kind)}", m.sku, "") for m in rows]


def _size(body: object) -> int:
    return len(body) if isinstance(body, bytes) else 0


def _decisions(entries: Iterable[journal.Entry], sent: Mapping[str, Spot]) -> list[Moment]:
    return [
        Moment(
            e.decided_at,
            "decision",
            f"{e.outcome} ({e.road}): {e.why}" + (f" [{e.before} → {e.after}]" if e.before != e.after else ""),
            e.refund_id or e.payment_id or "",
            e.callback_id or e.id,
            of_weighing(_weighing(e), sent.get(e.callback_id or "")).trace,
        )
        for e in entries
    ]


def _weighing(entry: journal.Entry) -> Weighing:
    return Weighing(
        callback_id=entry.callback_id,
        road=entry.road,
        payment_id=entry.payment_id,
        refund_id=entry.refund_id,
        after=entry.after or "",
    )


def _money(money: Money) -> str:
    return f"{major(money)} {money.currency}"
