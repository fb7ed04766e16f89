"""Which orders a batch is about; each locked, and read with its payments, refunds and units as one Book."""

from collections.abc import Mapping, Sequence

from paidup.db.transaction import Tx
from paidup.evidence import DisputeEvidence, Evidence, PaymentEvidence, RefundEvidence
from paidup.inventory import store as inventory
from paidup.inventory.sku import Place
from paidup.inventory.states import State as StockState
from paidup.orders import store as orders
from paidup.orders.states import State as OrderState
from paidup.payments import store as payments
from paidup.payments.payment import Payment
from paidup.refunds import store as refunds
from paidup.refunds.refund import Refund
from paidup.settle.book import Book, Command


async def locate(tx: Tx, batch: Mapping[int, Evidence | Command]) -> dict[int, str]:
    """The order that each of these belongs to, under the same number; those of unknown payments are left out."""
    homes: dict[int, str] = {}
    by_payment: list[tuple[int, str, str, str | None, str | None]] = []
    by_refund: list[tuple[int, str, str, str | None, str | None]] = []
    for n, what in batch.items():
        if isinstance(what, PaymentEvidence | RefundEvidence | DisputeEvidence):
            by_payment.append((n, what.channel, what.account, what.merchant_ref, what.channel_txn_id))
            if isinstance(what, RefundEvidence):
                by_refund.append((n, what.channel, what.account, what.merchant_refund_ref, what.channel_refund_id))
        else:
            homes[n] = what.order_id
    homes |= await payments.locate(tx, by_payment)
    if others := [name for n, what in batch.items() if n not in homes for name in _other_names(n, what)]:
        homes |= await payments.locate(tx, others)
    # By the refund's own number only where no payment is named: it may be that of another payment's refund, too.
    return homes | await refunds.locate(tx, [name for name in by_refund if name[0] not in homes])


def _other_names(n: int, what: Evidence | Command) -> list[tuple[int, str, str, str | None, str | None]]:
    if not isinstance(what, PaymentEvidence) or what.other_ref is None:
        return []
    return [(n, what.channel, what.account, what.other_ref, what.other_ref)]


async def load(tx: Tx, order_ids: set[str]) -> dict[str, Book]:
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


def wanted_again(
    batch: Mapping[int, Evidence | Command], homes: Mapping[int, str], books: Mapping[str, Book]
) -> set[Place]:
    """The articles of all orders of the batch, if one of these may have to take its units once more; else none.

    All of them, because whoever locks articles twice must not lock others the second time: two would wait in a circle.
    """
    told: dict[str, list[Evidence | Command]] = {}
    for n, order_id in homes.items():
        told.setdefault(order_id, []).append(batch[n])
    with_stock = [book for book in books.values() if book.stock is not None]
    if not any(_may_take_again(book, told[book.order.id]) for book in with_stock):
        return set()
    return {(book.stock.shop, item.sku) for book in with_stock if book.stock for item in book.stock.items}


def _may_take_again(book: Book, told: Sequence[Evidence | Command]) -> bool:
    """Whether its units are on sale again, or may be before the last of these is weighed."""
    if book.stock is None or book.stock.state in (StockState.RELEASED, StockState.RETURNED):
        return book.stock is not None
    in_motion = book.order.state is OrderState.CLOSING or any(not isinstance(one, PaymentEvidence) for one in told)
    return len(told) > 1 and in_motion
