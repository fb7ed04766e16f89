"""What a batch changed of its books, written with a few set-based statements; the schedule and the numbers follow."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from paidup import numbers
from paidup.db.transaction import Tx
from paidup.inventory import store as inventory
from paidup.orders import store as orders
from paidup.outbox import store as outbox
from paidup.payments import store as payments
from paidup.payments.decide import may_have_gone_back
from paidup.payments.states import FINAL as PAYMENT_FINAL
from paidup.payments.states import State as PaymentState
from paidup.refunds import store as refunds
from paidup.refunds.states import FINAL as REFUND_FINAL
from paidup.schedule import store as schedule
from paidup.settle.book import Book

_BEING_CLOSED = frozenset((PaymentState.CLOSING, PaymentState.CLOSED))
_ASKED_AGAIN_AFTER = timedelta(seconds=20)
"""When a payment is asked about that was paid while it was being closed; the answer to the close is here by then."""


def changed(
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


async def write(tx: Tx, originals: Mapping[str, Book], after: Mapping[str, Book], now: datetime) -> None:
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
    """The schedule follows the state: what is final is dropped, what must be closed or sent is due at once, and what
    was paid while it was being closed is asked about again."""
    put, drop = [], []
    for before, after in changes:
        for p in after.payments.values():
            was = before.payments[p.id].state
            if was in _BEING_CLOSED and may_have_gone_back(p):
                put.append((p.id, "payment", p.channel, p.account, now + _ASKED_AGAIN_AFTER))
            elif p.state in PAYMENT_FINAL and was not in PAYMENT_FINAL:
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
