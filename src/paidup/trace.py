"""Any id → the whole life of its order in time order: callbacks, decisions with their why, questions, refunds, events,
deliveries, what people did. What customer service reads while the customer is on the phone."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, tzinfo

import msgspec

from paidup import numbers
from paidup.cases import store as cases
from paidup.db.transaction import Tx
from paidup.delivery import attempts, shown
from paidup.diagnosis import Facts, Verdict, judge
from paidup.intake import inbox
from paidup.inventory import store as inventory
from paidup.inventory.sku import Movement
from paidup.inventory.states import Kind
from paidup.journal import store as journal
from paidup.money import Money, major
from paidup.orders import store as orders
from paidup.orders.order import MASK, Order
from paidup.outbox import store as outbox
from paidup.payments import store as payments
from paidup.payments.payment import Payment
from paidup.people import audit
from paidup.reconcile import runs
from paidup.reconcile import store as breaks
from paidup.reconcile.store import Step
from paidup.refunds import store as refunds
from paidup.refunds.refund import Refund
from paidup.schedule import store as schedule
from paidup.sought import AmountSought, read_amount
from paidup.spans.context import Spot, Weighing, of_weighing
from paidup.spans.store import callers
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


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """An order, its payments and refunds, and everything that happened, oldest first. next_at: the next question. The
    order's buyer_ref is masked, and so is what the payments' extra (an openid, say) and pay_with hold.

    diagnosis: one of a closed list (diagnosis.py); next_step: what comes next, by itself or by a person.
    traces: their ids in the tracing system, if one is used.
    """

    verdict: str
    diagnosis: str
    next_step: str
    order: Order
    payments: list[Payment]
    refunds: list[Refund]
    moments: list[Moment]
    next_at: datetime | None
    traces: list[str] = []


class Found(msgspec.Struct, frozen=True):
    """Orders that fit; and by what, if it was an amount with a time and no number."""

    order_ids: list[str]
    amount: AmountSought | None = None


class Standing(msgspec.Struct, frozen=True):
    """Where an order stands, and what that is judged by."""

    facts: Facts
    verdict: Verdict


class InBill(msgspec.Struct, frozen=True):
    """A payment that stands in the channel's bill of a day as in our books."""

    at: datetime
    payment_id: str
    day: date
    run_id: str


class Beside(msgspec.Struct, frozen=True):
    """An order beside the channels' bills: payments that stand in them as here, and what happened to what differs."""

    found: Sequence[InBill]
    steps: Sequence[Step]


class Story(Standing, frozen=True):
    """What a life is told from."""

    moments: list[Moment]


# Whatever a person can read out: our ids, the shop's number, or the numbers of the channel.
# An array, and not IN: as a join the whole table is walked, newest first.
FIND = """
SELECT o.id FROM orders o WHERE ($2::text IS NULL OR o.shop = $2) AND o.id = ANY(ARRAY(
SELECT id FROM orders WHERE id = $1 OR shop_order_no = $1
UNION SELECT order_id FROM payments WHERE id = $1 OR merchant_ref = $1 OR channel_txn_id = $1
UNION SELECT order_id FROM refunds WHERE id = $1 OR merchant_ref = $1 OR channel_refund_id = $1
UNION SELECT order_id FROM decisions WHERE (callback_id = $1 OR id = $1) AND order_id IS NOT NULL
UNION SELECT order_id FROM events WHERE id = $1
UNION SELECT order_id FROM delivery_attempts WHERE id = $1
UNION SELECT order_id FROM audit WHERE id = $1 AND order_id IS NOT NULL
UNION SELECT order_id FROM transactions WHERE id = $1
UNION SELECT order_id FROM cases WHERE id = $1 AND order_id IS NOT NULL))
ORDER BY o.id DESC LIMIT 1"""


NEWEST = """
SELECT id FROM orders WHERE ($2::text IS NULL OR shop = $2) AND id = ANY($1::text[]) ORDER BY id DESC LIMIT $3"""

TAIL_CHARS = 6
"""The shortest end of a number that is looked for: shorter ones are shared by too many."""
_TAIL_FOUND = 20
_AMOUNT_FOUND, _AMOUNT_ROWS = 50, 500
"""So many orders are shown, of so many rows at most: an order has one, and each of its payments."""


async def trace(tx: Tx, any_id: str, shop: str | None = None) -> Life | None:
    """The life behind an id, or behind the end of one if no other ends so; None when nothing is known, or several."""
    found = await find(tx, any_id, shop)
    story = await tell(tx, found[0]) if len(found) == 1 else None
    if story is None:
        return None
    facts = story.facts
    return Life(
        verdict=story.verdict.english(),
        diagnosis=story.verdict.diagnosis,
        next_step=story.verdict.next_step.english(),
        order=msgspec.structs.replace(facts.order, buyer_ref=facts.order.buyer_masked),
        payments=[_masked(payment) for payment in facts.payments],
        refunds=list(facts.refunds),
        moments=story.moments,
        next_at=facts.next_at,
        traces=list(dict.fromkeys(m.trace_id for m in story.moments if m.trace_id)),
    )


def _masked(payment: Payment) -> Payment:
    """Without who pays and what they pay with: whoever opens a payment is given that; a trace does without."""
    return msgspec.structs.replace(
        payment, extra=dict.fromkeys(payment.extra, MASK), pay_with=dict.fromkeys(payment.pay_with, MASK)
    )


async def find(tx: Tx, any_id: str, shop: str | None = None) -> list[str]:
    """The ids of the orders behind an id: the one, or those (the newest few) with a number that ends so."""
    exact = await tx.fetchval(FIND, any_id, shop)
    if exact is not None:
        return [exact]
    its = await numbers.by_number(tx, any_id.strip(), shop, _TAIL_FOUND)
    if its:
        return [row["id"] for row in await tx.fetch(NEWEST, its, shop, _TAIL_FOUND)]
    tail = any_id.strip().lstrip("…")
    if len(tail) < TAIL_CHARS or not set("%_\\").isdisjoint(tail):
        return []
    found = await numbers.by_tail(tx, tail, shop)
    return [row["id"] for row in await tx.fetch(NEWEST, found, shop, _TAIL_FOUND)]


async def search(tx: Tx, text: str, now: datetime, zone: tzinfo, shop: str | None = None) -> Found:
    """The orders behind any number or the end of one; else behind an amount and the time at which somebody in this zone
    says they paid or ordered."""
    found = await find(tx, text, shop)
    amount = None if found else read_amount(text, now, zone)
    if amount is None:
        return Found(found)
    its = await numbers.by_amount(tx, amount.amounts_minor, amount.since, amount.until, shop, _AMOUNT_ROWS)
    return Found([row["id"] for row in await tx.fetch(NEWEST, its, shop, _AMOUNT_FOUND)], amount)


async def stand(tx: Tx, order_id: str) -> Standing | None:
    """Where one order stands, without its moments; None when there is no such order."""
    order = await orders.get(tx, order_id)
    if order is None:
        return None
    facts = await _facts(tx, order)
    return Standing(facts, judge(facts))


async def tell(tx: Tx, order_id: str) -> Story | None:
    """Everything about one order."""
    standing = await stand(tx, order_id)
    if standing is None:
        return None
    moments = await _moments(tx, standing.facts)
    return Story(standing.facts, standing.verdict, sorted(moments, key=lambda m: (m.at, _RANK.get(m.kind, 2))))


async def beside_bills(tx: Tx, facts: Facts) -> Beside:
    """An order without any break stands in the bills as here: a line that lacks or differs would have made one. Only of
    payments that were known as paid when the bill of their day was laid beside our books."""
    steps, found = await breaks.steps_of_order(tx, facts.order.id), []
    for payment in facts.payments if not steps else ():
        run = await runs.of_moment(tx, payment.channel, payment.account, payment.paid_at) if payment.paid_at else None
        proofs = (d for d in facts.decisions if d.payment_id == payment.id and "payment paid" in (d.after or ""))
        proof = next(proofs, None)
        if run is not None and run.bill_id is not None and proof is not None and proof.decided_at < run.began_at:
            found.append(InBill(run.ended_at, payment.id, run.day, run.id))
    return Beside(found, steps)


_RANK = {"order": 0, "payment": 1, "decision": 3, "stock": 4, "event": 5, "delivery": 6, "case": 6}
"""What comes first among things of the same instant: cause before consequence. In between come callbacks and calls."""


async def _facts(tx: Tx, order: Order) -> Facts:
    its_payments = await payments.of_orders(tx, [order.id])
    its_refunds = await refunds.of_orders(tx, [order.id])
    subjects = [p.id for p in its_payments] + [r.id for r in its_refunds]
    due = await schedule.get(tx, subjects)
    return Facts(
        order=order,
        payments=its_payments,
        refunds=its_refunds,
        decisions=await journal.of_order(tx, order.id, since=order.since),
        calls=await journal.calls_of(tx, subjects, since=order.since),
        deliveries=await shown.deliveries_of(tx, order.id),
        cases=await cases.of_order(tx, order.id),
        waiting=await inbox.waiting_of(tx, [(p.channel, p.account, p.merchant_ref) for p in its_payments]),
        next_at=min((row.due_at for row in due.values()), default=None),
    )


async def _moments(tx: Tx, facts: Facts) -> list[Moment]:
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
