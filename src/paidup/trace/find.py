"""Any number that a person can read out, the end of one, or an amount and a time → the orders behind it."""

from datetime import datetime, tzinfo

import msgspec

from paidup import numbers
from paidup.db.transaction import Tx
from paidup.sought import AmountSought, read_amount


class Found(msgspec.Struct, frozen=True):
    """Orders that fit; and by what, if it was an amount with a time and no number."""

    order_ids: list[str]
    amount: AmountSought | None = None


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
