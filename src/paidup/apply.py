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

from paidup import chain, ids, stock
from paidup.books.load import load, locate, wanted_again
from paidup.books.write import changed, write
from paidup.cases import store as cases
from paidup.db.transaction import Tx
from paidup.events import EventType, Scalar
from paidup.evidence import Evidence
from paidup.handlers import Handlers
from paidup.inventory import store as inventory
from paidup.inventory.decide import moved
from paidup.inventory.sku import Shelf
from paidup.journal import store as journal
from paidup.outbox import store as outbox
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
    about_money = {n: item.what for n, item in enumerate(items) if not isinstance(item.what, Nothing)}
    homes = await locate(tx, about_money)
    originals = await load(tx, set(homes.values()))
    working = dict(originals)
    shelf: Shelf = await inventory.lock(tx, wanted_again(about_money, homes, originals))
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
    await write(tx, originals, changed(originals, working, told, chained.heads, now), now)
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


# What others hear of it -------------------------------------------------------------------------------------------


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
