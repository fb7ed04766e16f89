"""The table `payments`: its only reader and writer of SQL."""

from collections.abc import Sequence
from typing import Any

import msgspec

from paidup.db.transaction import Tx
from paidup.errors import BrokenPromise
from paidup.payments.payment import Payment
from paidup.seal import seal

COLUMNS = """id, shop, order_id, channel, account, method, merchant_ref, channel_txn_id, payee, amount_minor, currency,
state, refunded_minor, received_minor, received_currency, dispute_id, dispute_says, registered, extra, pay_with,
created_at, expires_at, paid_at, updated_at, disputes"""

OF_ORDERS = f"SELECT {COLUMNS} FROM payments WHERE order_id = ANY($1::text[]) ORDER BY id"

GET = f"SELECT {COLUMNS} FROM payments WHERE id = ANY($1::text[])"

BY_OUR_NUMBER = """
SELECT merchant_ref, order_id FROM payments WHERE channel = $1 AND account = $2 AND merchant_ref = ANY($3::text[])"""

BY_CHANNELS_NUMBER = """
SELECT channel_txn_id, order_id FROM payments
WHERE channel = $1 AND account = $2 AND channel_txn_id = ANY($3::text[])"""

INSERT = f"""
INSERT INTO payments ({COLUMNS}, seal)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
  $24, $25, $26)
ON CONFLICT DO NOTHING RETURNING id"""

UPDATE = """
UPDATE payments p SET state = c.state, channel_txn_id = c.channel_txn_id, refunded_minor = c.refunded_minor,
  dispute_id = c.dispute_id, dispute_says = c.dispute_says, pay_with = c.pay_with::jsonb, paid_at = c.paid_at,
  updated_at = c.updated_at, seal = c.seal
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[],
  $9::timestamptz[], $10::timestamptz[], $11::bytea[]) AS c (id, old_state, state, channel_txn_id, refunded_minor,
  dispute_id, dispute_says, pay_with, paid_at, updated_at, seal)
WHERE p.id = c.id AND p.state = c.old_state"""


# What was agreed changes only when a person takes money that came otherwise, so this is written apart.
UPDATE_MONEY = """
UPDATE payments p SET amount_minor = c.amount_minor, currency = c.currency, received_minor = c.received_minor,
  received_currency = c.received_currency
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::text[])
  AS c (id, amount_minor, currency, received_minor, received_currency)
WHERE p.id = c.id"""

# Few payments are ever disputed twice.
UPDATE_DISPUTES = """
UPDATE payments p SET disputes = c.disputes::jsonb FROM unnest($1::text[], $2::text[]) AS c (id, disputes)
WHERE p.id = c.id"""

IN_JSON = ("extra", "pay_with", "disputes")


def payment_of(row: Any) -> Payment:
    """The payment of a row with these columns; fields that a payment does not have (the seal) are passed over."""
    fields = dict(row)
    return msgspec.convert(fields | {name: msgspec.json.decode(fields[name]) for name in IN_JSON}, Payment)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


async def of_orders(tx: Tx, order_ids: Sequence[str]) -> list[Payment]:
    """All payments of these orders."""
    return [payment_of(row) for row in await tx.fetch(OF_ORDERS, order_ids)]


async def get_many(tx: Tx, payment_ids: Sequence[str]) -> list[Payment]:
    """Payments by their ids, in no particular order; unknown ids are left out."""
    return [payment_of(row) for row in await tx.fetch(GET, payment_ids)]


async def get(tx: Tx, payment_id: str) -> Payment | None:
    """One payment by its id."""
    return next(iter(await get_many(tx, [payment_id])), None)


async def locate(tx: Tx, names: Sequence[tuple[int, str, str, str | None, str | None]]) -> dict[int, str]:
    """The order of each named payment. A name is (n, channel, account, our number, the channel's number).

    What our number does not name is looked up by the channel's.
    """
    found = await _homes(tx, BY_OUR_NUMBER, [(n, channel, account, ref) for n, channel, account, ref, _ in names])
    rest = [(n, channel, account, txn_id) for n, channel, account, _, txn_id in names if n not in found]
    return found | await _homes(tx, BY_CHANNELS_NUMBER, rest)


async def _homes(tx: Tx, query: str, names: Sequence[tuple[int, str, str, str | None]]) -> dict[int, str]:
    """The orders of (n, channel, account, number), by n: one question for each account."""
    asked: dict[tuple[str, str], dict[str, list[int]]] = {}
    for n, channel, account, number in names:
        if number is not None:
            asked.setdefault((channel, account), {}).setdefault(number, []).append(n)
    found: dict[int, str] = {}
    for (channel, account), by_number in asked.items():
        for number, order_id in await tx.fetch(query, channel, account, list(by_number)):
            found.update(dict.fromkeys(by_number[number], order_id))
    return found


async def insert(tx: Tx, payment: Payment) -> bool:
    """Write a new payment; False when its number at this channel account is already taken."""
    fields = msgspec.structs.asdict(payment) | {name: _json(getattr(payment, name)) for name in IN_JSON}
    return await tx.fetchval(INSERT, *fields.values(), seal(payment)) is not None


async def update(tx: Tx, changes: Sequence[tuple[Payment, Payment]]) -> None:
    """Write (before, after) pairs. Raises BrokenPromise when a row is not as it was locked."""
    if not changes:
        return
    rows = [
        (
            b.id, b.state, a.state, a.channel_txn_id, a.refunded_minor, a.dispute_id, a.dispute_says,
            _json(a.pay_with), a.paid_at, a.updated_at, seal(a),
        )
        for b, a in changes
    ]  # fmt: skip
    tag = await tx.execute(UPDATE, *map(list, zip(*rows, strict=True)))
    written = int(tag.removeprefix("UPDATE "))
    if written != len(rows):
        raise BrokenPromise(f"{len(rows) - written} of {len(rows)} payments changed under their order's lock")
    money = [(a.id, *_money(a)) for b, a in changes if _money(a) != _money(b)]
    if money:
        await tx.execute(UPDATE_MONEY, *map(list, zip(*money, strict=True)))
    disputed = [(a.id, _json(a.disputes)) for b, a in changes if a.disputes != b.disputes]
    if disputed:
        await tx.execute(UPDATE_DISPUTES, *map(list, zip(*disputed, strict=True)))


def _money(payment: Payment) -> tuple[int, str, int, str]:
    return payment.amount_minor, payment.currency, payment.received_minor, payment.received_currency
