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
created_at, expires_at, paid_at, updated_at"""

OF_ORDERS = f"SELECT {COLUMNS} FROM payments WHERE order_id = ANY($1::text[]) ORDER BY id"

GET = f"SELECT {COLUMNS} FROM payments WHERE id = ANY($1::text[])"

# Two index look-ups per piece of evidence: by our number, and by the channel's.
LOCATE = """
SELECT i.n, p.order_id, 1 AS rank FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[])
  AS i (n, channel, account, merchant_ref, channel_txn_id)
JOIN payments p ON p.channel = i.channel AND p.account = i.account AND p.merchant_ref = i.merchant_ref
UNION ALL
SELECT i.n, p.order_id, 2 FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[])
  AS i (n, channel, account, merchant_ref, channel_txn_id)
JOIN payments p ON p.channel = i.channel AND p.account = i.account AND p.channel_txn_id = i.channel_txn_id
ORDER BY n, rank"""

INSERT = f"""
INSERT INTO payments ({COLUMNS}, seal)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
  $24, $25)
ON CONFLICT DO NOTHING RETURNING id"""

UPDATE = """
UPDATE payments p SET state = c.state, channel_txn_id = c.channel_txn_id, refunded_minor = c.refunded_minor,
  dispute_id = c.dispute_id, dispute_says = c.dispute_says, pay_with = c.pay_with::jsonb, paid_at = c.paid_at,
  updated_at = c.updated_at, seal = c.seal
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[],
  $9::timestamptz[], $10::timestamptz[], $11::bytea[]) AS c (id, old_state, state, channel_txn_id, refunded_minor,
  dispute_id, dispute_says, pay_with, paid_at, updated_at, seal)
WHERE p.id = c.id AND p.state = c.old_state
RETURNING p.id"""


# What was agreed changes only when a person takes money that came otherwise, so this is written apart.
UPDATE_MONEY = """
UPDATE payments p SET amount_minor = c.amount_minor, currency = c.currency, received_minor = c.received_minor,
  received_currency = c.received_currency
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::text[])
  AS c (id, amount_minor, currency, received_minor, received_currency)
WHERE p.id = c.id"""


def _payment(row: Any) -> Payment:
    fields = dict(row)
    fields["extra"] = msgspec.json.decode(fields["extra"])
    fields["pay_with"] = msgspec.json.decode(fields["pay_with"])
    return msgspec.convert(fields, Payment)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


async def of_orders(tx: Tx, order_ids: Sequence[str]) -> list[Payment]:
    """All payments of these orders."""
    return [_payment(row) for row in await tx.fetch(OF_ORDERS, order_ids)]


async def get_many(tx: Tx, payment_ids: Sequence[str]) -> list[Payment]:
    """Payments by their ids, in no particular order; unknown ids are left out."""
    return [_payment(row) for row in await tx.fetch(GET, payment_ids)]


async def get(tx: Tx, payment_id: str) -> Payment | None:
    """One payment by its id."""
    return next(iter(await get_many(tx, [payment_id])), None)


async def locate(tx: Tx, names: Sequence[tuple[int, str, str, str | None, str | None]]) -> dict[int, str]:
    """The order of each named payment. A name is (n, channel, account, our number, the channel's number)."""
    if not names:
        return {}
    found: dict[int, str] = {}
    for row in await tx.fetch(LOCATE, *map(list, zip(*names, strict=True))):
        found.setdefault(row["n"], row["order_id"])
    return found


async def insert(tx: Tx, payment: Payment) -> bool:
    """Write a new payment; False when its number at this channel account is already taken."""
    fields = msgspec.structs.asdict(payment) | {"extra": _json(payment.extra), "pay_with": _json(payment.pay_with)}
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
    written = await tx.fetch(UPDATE, *map(list, zip(*rows, strict=True)))
    if len(written) != len(rows):
        raise BrokenPromise(f"{len(rows) - len(written)} of {len(rows)} payments changed under their order's lock")
    money = [(a.id, *_money(a)) for b, a in changes if _money(a) != _money(b)]
    if money:
        await tx.execute(UPDATE_MONEY, *map(list, zip(*money, strict=True)))


def _money(payment: Payment) -> tuple[int, str, int, str]:
    return payment.amount_minor, payment.currency, payment.received_minor, payment.received_currency
