"""The table `numbers`: every number that a person may read out over the phone, and the order that it leads to.

Rows are only ever added: an index on the tables of orders and payments would be rewritten whenever one is paid.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from paidup.db.transaction import Tx
from paidup.orders.order import Order
from paidup.payments.payment import Payment
from paidup.refunds.refund import Refund


class Number(msgspec.Struct, frozen=True, gc=False):
    """A number, its order and shop; of our own ids also what was to be paid, and when the order or payment was made."""

    number: str
    order_id: str
    shop: str
    amount_minor: int | None = None
    made_at: datetime | None = None


WRITE = """
INSERT INTO numbers (number, order_id, shop, amount_minor, made_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[])"""

# Each looks into the asked-for shop, or into one shop after the other: what another shop has takes no place from it.

# The end of a number, of which the last twelve characters are indexed.
BY_TAIL = """
SELECT DISTINCT n.order_id FROM shops AS s CROSS JOIN LATERAL (
  SELECT order_id FROM numbers
  WHERE shop = s.shop AND reverse(right(number, 12)) LIKE reverse(right($1, 12)) || '%'
    AND right(number, length($1)) = $1
  LIMIT 200) AS n
WHERE $2::text IS NULL OR s.shop = $2"""

# All of a number: of a customer's, which may be short, the newest orders.
BY_NUMBER = """
SELECT n.order_id FROM shops AS s CROSS JOIN LATERAL (
  SELECT order_id FROM numbers
  WHERE shop = s.shop AND reverse(right(number, 12)) = reverse(right($1, 12)) AND number = $1
  ORDER BY order_id DESC LIMIT $3) AS n
WHERE $2::text IS NULL OR s.shop = $2
ORDER BY n.order_id DESC LIMIT $3"""

# Amount by amount, each from its newest on: of a price that every other order has, no more is read than is shown.
BY_AMOUNT = """
SELECT n.order_id FROM unnest($1::bigint[]) AS wanted (minor) CROSS JOIN shops AS s CROSS JOIN LATERAL (
  SELECT order_id, made_at FROM numbers
  WHERE shop = s.shop AND amount_minor = wanted.minor AND made_at BETWEEN $2 AND $3
  ORDER BY made_at DESC LIMIT $5) AS n
WHERE $4::text IS NULL OR s.shop = $4
ORDER BY n.made_at DESC LIMIT $5"""


async def write(tx: Tx, some: Iterable[Number]) -> None:
    """Add numbers."""
    rows = [msgspec.structs.astuple(number) for number in some]
    if rows:
        await tx.execute(WRITE, *map(list, zip(*rows, strict=True)))


async def by_tail(tx: Tx, tail: str, shop: str | None) -> list[str]:
    """Ids of orders with a number that ends so, some 200 of a shop at most. tail: without % _ and backslash; shop None:
    of all."""
    return [row["order_id"] for row in await tx.fetch(BY_TAIL, tail, shop)]


async def by_number(tx: Tx, number: str, shop: str | None, limit: int) -> list[str]:
    """Ids of orders with this very number, newest first: the orders of a customer by the shop's number of them."""
    return [row["order_id"] for row in await tx.fetch(BY_NUMBER, number, shop, limit)]


async def by_amount(
    tx: Tx, amounts_minor: Sequence[int], since: datetime, until: datetime, shop: str | None, limit: int
) -> list[str]:
    """Ids of orders over one of these amounts that were placed then, or with such a payment that was started then; the
    newest first. limit: rows, of which an order may have several."""
    rows = await tx.fetch(BY_AMOUNT, amounts_minor, since, until, shop, limit)
    return list(dict.fromkeys(row["order_id"] for row in rows))


def of_order(order: Order) -> list[Number]:
    """The numbers of a new order, of which nobody may ever start a payment."""
    placed = Number(order.id, order.id, order.shop, order.amount_minor, order.created_at)
    found = [placed, Number(order.shop_order_no, order.id, order.shop)]
    return [*found, Number(order.buyer_ref, order.id, order.shop)] if order.buyer_ref else found


def of_payment(payment: Payment, before: Payment | None = None) -> list[Number]:
    """The numbers that a payment did not have before; all of them for a new one."""
    found = []
    if before is None or before.amount_minor != payment.amount_minor:
        found.append(Number(payment.id, payment.order_id, payment.shop, payment.amount_minor, payment.created_at))
    if before is None and payment.merchant_ref != payment.id:
        found.append(Number(payment.merchant_ref, payment.order_id, payment.shop))
    if payment.channel_txn_id and (before is None or before.channel_txn_id != payment.channel_txn_id):
        found.append(Number(payment.channel_txn_id, payment.order_id, payment.shop))
    return found


def of_refund(refund: Refund, before: Refund | None = None) -> list[Number]:
    """The numbers that a refund did not have before; all of them for a new one."""
    found = [Number(refund.id, refund.order_id, refund.shop)] if before is None else []
    if refund.channel_refund_id and (before is None or before.channel_refund_id != refund.channel_refund_id):
        found.append(Number(refund.channel_refund_id, refund.order_id, refund.shop))
    return found
