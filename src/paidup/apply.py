"""THE DOOR: evidence from every road, and every command, changes money state here and nowhere else.

One call is one batch in one transaction of the caller: find the orders, lock them in id order, let the pure `settle`
run per item in arrival order, write everything that changed with a few set-based statements. An order's lock covers its
payments, refunds and reservation, too: nobody changes those without holding it. The counters of articles, which many
orders share, are locked last and for a moment, but where an order may have to take its units once more.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from paidup import chain, ids, numbers, stock
from paidup.cases import store as cases
from paidup.db.transaction import Tx
from paidup.events import EventType, Scalar
from paidup.evidence import DisputeEvidence, Evidence, PaymentEvidence, RefundEvidence
from paidup.handlers import Handlers
from paidup.inventory import store as inventory
from paidup.inventory.decide import moved
from paidup.inventory.sku import Place, Shelf
from paidup.inventory.states import State as StockState
from paidup.journal import store as journal
from paidup.orders import store as orders
from paidup.orders.states import State as OrderState
from paidup.outbox import store as outbox
from paidup.payments import store as payments
from paidup.payments.payment import Payment
from paidup.payments.states import FINAL as PAYMENT_FINAL
from paidup.payments.states import State as PaymentState
from paidup.refunds import store as refunds
from paidup.refunds.refund import Refund
from paidup.refunds.states import FINAL as REFUND_FINAL
from paidup.schedule import store as schedule
from paidup.settle import settle
from paidup.settle.book import Book, Command, NewCase, Settled, Weighed


class Nothing(msgspec.Struct, frozen=True, tag="nothing"):
    """A verified callback of a kind that says nothing about money; it is counted, and that is all."""

    kind: str


class Item(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One thing to weigh. road is where it came from: an evidence's road, or "shop", "clock", "operator"."""

    what: Evidence | Command | Nothing
    shop: str
    road: str
    callback_id: str | None = None
    parked_before: bool = False
    """It waited already: finding it still too early is not worth another line in the journal."""


class Result(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """How one item fared. `book` is the order afterwards; None when no order is known for it."""

    item: Item
    outcome: Weighed
    why: str
    book: Book | None = None
    payment_id: str | None = None
    refund_id: str | None = None
    before: str = ""
    after: str = ""


_UNKNOWN = "no payment of this number is known yet; it waits"


async def apply(tx: Tx, items: Sequence[Item], now: datetime, handlers: Handlers) -> list[Result]:
    """Weigh a batch and write all that follows from it, in the caller's transaction."""
    homes = await _locate(tx, items)
    originals = await _load(tx, set(homes.values()))
    working = dict(originals)
    shelf: Shelf = await inventory.lock(tx, _wanted_again(items, homes, originals))
    results, steps, series = [], [], ids.Series(now)
    for n, item in enumerate(items):
        order_id = homes.get(n)
        book = working.get(order_id) if order_id else None
        result, settled = _weigh(item, msgspec.structs.replace(book, shelf=shelf) if book else None, now)
        results.append(result)
        if settled and order_id:
            working[order_id] = msgspec.structs.replace(settled.book, shelf={})
            steps.append(_Step(n, order_id, settled))
            shelf = moved(shelf, settled.movements, now) if shelf else shelf
    announced_at = now + timedelta(microseconds=len(items))  # in every timeline, after the decisions that caused it
    told = _number(originals, steps, await _open_cases(tx, steps, now), announced_at, series)
    entries = [_entry(n, result, now, series) for n, result in enumerate(results)]
    chained = chain.extend(entries, told, {order_id: book.order for order_id, book in originals.items()})
    await _write(tx, originals, _changed(originals, working, told, chained.heads, now), now)
    events = [event for events in told.values() for event in events]
    await outbox.write(tx, events)
    await journal.write(tx, [e for e, r in zip(chained.entries, results, strict=True) if _is_news(r)])
    await handlers.call(tx, events)
    movements = [movement for step in steps for movement in step.settled.movements]
    await handlers.call(tx, await stock.move(tx, movements, now))
    return results


class _Step(NamedTuple):
    """The nth item of the batch, and what it meant for its order."""

    n: int
    order_id: str
    settled: Settled


def _weigh(item: Item, book: Book | None, now: datetime) -> tuple[Result, Settled | None]:
    if isinstance(item.what, Nothing):
        why = f"a notice of kind {item.what.kind} says nothing about money we follow"
        return Result(item=item, outcome=Weighed.IGNORED, why=why), None
    if book is None:
        return Result(item=item, outcome=Weighed.PARKED, why=_UNKNOWN), None
    step = settle(book, item.what, now)
    result = Result(
        item=item,
        outcome=step.outcome,
        why=step.why,
        book=step.book,
        payment_id=step.payment_id,
        refund_id=step.refund_id,
        before=_standing(book, step),
        after=_standing(step.book, step),
    )
    return result, step


def _standing(book: Book, step: Settled) -> str:
    """Where the order, the payment and the refund stand, in one line for the timeline."""
    parts = [f"order {book.order.state}"]
    if step.payment_id is not None and step.payment_id in book.payments:
        parts.append(f"payment {book.payments[step.payment_id].state}")
    if step.refund_id is not None and step.refund_id in book.refunds:
        parts.append(f"refund {book.refunds[step.refund_id].state}")
    if book.stock is not None:
        parts.append(f"stock {book.stock.state}")
    return ", ".join(parts)


# Reading ----------------------------------------------------------------------------------------------------------


async def _locate(tx: Tx, items: Sequence[Item]) -> dict[int, str]:
    """The order that each item belongs to; items of unknown payments are left out."""
    homes: dict[int, str] = {}
    by_payment: list[tuple[int, str, str, str | None, str | None]] = []
    by_refund: list[tuple[int, str, str, str | None, str | None]] = []
    for n, item in enumerate(items):
        what = item.what
        if isinstance(what, PaymentEvidence | RefundEvidence | DisputeEvidence):
            by_payment.append((n, what.channel, what.account, what.merchant_ref, what.channel_txn_id))
            if isinstance(what, RefundEvidence):
                by_refund.append((n, what.channel, what.account, what.merchant_refund_ref, what.channel_refund_id))
        elif not isinstance(what, Nothing):
            homes[n] = what.order_id
    homes |= await payments.locate(tx, by_payment)
    # By the refund's own number only where no payment is named: it may be that of another payment's refund, too.
    return homes | await refunds.locate(tx, [name for name in by_refund if name[0] not in homes])


async def _load(tx: Tx, order_ids: set[str]) -> dict[str, Book]:
    """Lock these orders and read all that belongs to them."""
    if not order_ids:
        return {}
    locked = await orders.lock(tx, sorted(order_ids))
    known = [order.id for order in locked]
    their_payments: dict[str, dict[str, Payment]] = {order_id: {} for order_id in known}
    for payment in await payments.of_orders(tx, known):
        their_payments[payment.order_id][payment.id] = payment
    their_refunds: dict[str, dict[str, Refund]] = {order_id: {} for order_id in known}
    for refund in await refunds.of_orders(tx, known):
        their_refunds[refund.order_id][refund.id] = refund
    units = await inventory.of_orders(tx, known)
    return {
        order.id: Book(order, their_payments[order.id], their_refunds[order.id], units.get(order.id))
        for order in locked
    }


def _wanted_again(items: Sequence[Item], homes: Mapping[int, str], books: Mapping[str, Book]) -> set[Place]:
    """The articles of all orders of the batch, if one of these may have to take its units once more; else none.

    All of them, because whoever locks articles twice must not lock others the second time: two would wait in a circle.
    """
    told: dict[str, list[Item]] = {}
    for n, order_id in homes.items():
        told.setdefault(order_id, []).append(items[n])
    with_stock = [book for book in books.values() if book.stock is not None]
    if not any(_may_take_again(book, told[book.order.id]) for book in with_stock):
        return set()
    return {(book.stock.shop, item.sku) for book in with_stock if book.stock for item in book.stock.items}


def _may_take_again(book: Book, items: Sequence[Item]) -> bool:
    """Whether its units are on sale again, or may be before the last of these items is weighed."""
    if book.stock is None or book.stock.state in (StockState.RELEASED, StockState.RETURNED):
        return book.stock is not None
    in_motion = book.order.state is OrderState.CLOSING or any(not isinstance(i.what, PaymentEvidence) for i in items)
    return len(items) > 1 and in_motion


# Writing ----------------------------------------------------------------------------------------------------------


def _changed(
    originals: Mapping[str, Book],
    working: Mapping[str, Book],
    told: Mapping[int, Sequence[outbox.Written]],
    heads: Mapping[str, bytes],
    now: datetime,
) -> dict[str, Book]:
    """The books that something happened to, with the number of the last event and the head of the chain."""
    last_seq = {event.order_id: event.seq for events in told.values() for event in events}
    return {
        order_id: book.put(
            msgspec.structs.replace(
                book.order,
                event_seq=last_seq.get(order_id, book.order.event_seq),
                chain=heads.get(order_id, book.order.chain),
                updated_at=max(now, originals[order_id].order.updated_at),  # an older batch may be committed later
            )
        )
        for order_id, book in working.items()
        if order_id in heads or book != originals[order_id]
    }


async def _write(tx: Tx, originals: Mapping[str, Book], after: Mapping[str, Book], now: datetime) -> None:
    """Write what changed; rows that nothing happened to are not touched."""
    changes = [(originals[order_id], book) for order_id, book in after.items()]
    await orders.update(tx, [(before.order, book.order) for before, book in changes])
    await inventory.update(
        tx,
        [(b.stock, a.stock) for b, a in changes if b.stock is not None and a.stock is not None and b.stock != a.stock],
    )
    paid = [
        (was, p) for before, book in changes for p in book.payments.values() if _differ(was := before.payments[p.id], p)
    ]
    await payments.update(tx, paid)
    back = [
        (known, r)
        for before, book in changes
        for r in book.refunds.values()
        if _differ(known := before.refunds.get(r.id), r)
    ]
    await refunds.insert(tx, [r for known, r in back if known is None])
    await refunds.update(tx, [(known, r) for known, r in back if known is not None])
    new = [number for was, p in paid for number in numbers.of_payment(p, was)]
    await numbers.write(tx, new + [number for known, r in back for number in numbers.of_refund(r, known)])
    await _write_due(tx, changes, now)


def _differ(before: object, after: object) -> bool:
    """Most rows of a batch are the very ones that were read; comparing field by field is for the rest."""
    return before is not after and before != after


async def _write_due(tx: Tx, changes: Sequence[tuple[Book, Book]], now: datetime) -> None:
    """The schedule follows the state: what is final is dropped, what must be closed or sent is due at once."""
    put, drop = [], []
    for before, after in changes:
        for p in after.payments.values():
            was = before.payments[p.id].state
            if p.state in PAYMENT_FINAL and was not in PAYMENT_FINAL:
                drop.append(p.id)
            elif p.state is PaymentState.CLOSING and was is not PaymentState.CLOSING:
                put.append((p.id, "payment", p.channel, p.account, now))
        for r in after.refunds.values():
            if r.state in REFUND_FINAL:
                drop.append(r.id)
            elif r.id not in before.refunds:
                put.append((r.id, "refund", r.channel, r.account, now))
    await schedule.drop(tx, drop)
    await schedule.put(tx, put)


async def _open_cases(tx: Tx, steps: Sequence[_Step], now: datetime) -> dict[int, list[tuple[NewCase, str]]]:
    """Open the cases that are not open yet; returns (case, case id) of those, by the item that opened them."""
    wanted = [
        (step, case, ids.new_id(ids.CASE, now, ids.shard_of(step.order_id)))
        for step in steps
        for case in step.settled.cases
    ]
    rows = [
        cases.Case(
            id=case_id,
            shop=step.settled.book.order.shop,
            kind=case.kind,
            subject_id=case.subject_id,
            order_id=step.order_id,
            why=case.why,
            opened_at=now,
        )
        for step, case, case_id in wanted
    ]
    opened = await cases.open_many(tx, rows)
    by_item: dict[int, list[tuple[NewCase, str]]] = {}
    for step, case, case_id in wanted:
        if case_id in opened:
            by_item.setdefault(step.n, []).append((case, case_id))
    return by_item


def _number(
    originals: Mapping[str, Book],
    steps: Sequence[_Step],
    opened: Mapping[int, Sequence[tuple[NewCase, str]]],
    now: datetime,
    series: ids.Series,
) -> dict[int, list[outbox.Written]]:
    """The events of each item, numbered in their order: 1, 2, 3 … without gaps, because the order is locked.

    Each is a microsecond later than the one before it, so that whoever lists by time gets them in order.
    """
    last: dict[str, int] = {}
    created_at, tick = now, timedelta(microseconds=1)
    told: dict[int, list[outbox.Written]] = {}
    for step in steps:
        announced = [(e.type, e.subject_id, dict(e.data)) for e in step.settled.events]
        for case, case_id in opened.get(step.n, ()):
            data: dict[str, Scalar] = {"case_id": case_id, "kind": case.kind, "why": case.why}
            announced.append((EventType.CASE_OPENED, case.subject_id, data))
        order = originals[step.order_id].order
        for kind, subject_id, said in announced:
            seq = last[order.id] = last.get(order.id, order.event_seq) + 1
            written = outbox.Written(
                id=series.new_id(ids.EVENT, like=order.id),
                created_at=created_at,
                shop=order.shop,
                type=kind,
                order_id=order.id,
                seq=seq,
                subject_id=subject_id,
                data=said,
            )
            told.setdefault(step.n, []).append(written)
            created_at += tick
    return told


def _is_news(result: Result) -> bool:
    return not (result.item.parked_before and result.outcome is Weighed.PARKED)


def _entry(n: int, result: Result, now: datetime, series: ids.Series) -> journal.Entry:
    """The nth decision of the batch is a microsecond later than the one before it, so that timelines keep the order."""
    return journal.Entry(
        id=series.new_id("dec"),
        decided_at=now + timedelta(microseconds=n),
        road=result.item.road,
        outcome=result.outcome,
        why=result.why,
        shop=result.item.shop,
        callback_id=result.item.callback_id,
        order_id=result.book.order.id if result.book else None,
        payment_id=result.payment_id,
        refund_id=result.refund_id,
        before=result.before,
        after=result.after,
        evidence=msgspec.json.encode(result.item.what).decode(),
    )
