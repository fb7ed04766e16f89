"""The table `refunds`: its only reader and writer of SQL."""

from collections.abc import Sequence
from typing import Any

import msgspec

from paidup.db.transaction import Tx
from paidup.errors import BrokenPromise
from paidup.refunds.refund import Refund
from paidup.seal import seal

COLUMNS = """id, shop, order_id, payment_id, channel, account, merchant_ref, channel_refund_id, amount_minor, currency,
state, cause, reason, settled_at, created_at, updated_at"""

OF_ORDERS = f"SELECT {COLUMNS} FROM refunds WHERE order_id = ANY($1::text[]) ORDER BY id"

GET = f"SELECT {COLUMNS} FROM refunds WHERE id = ANY($1::text[])"

LOCATE = """
SELECT i.n, r.order_id FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[])
  AS i (n, channel, account, merchant_ref, channel_refund_id)
JOIN refunds r ON r.channel = i.channel AND r.account = i.account AND r.merchant_ref = i.merchant_ref
UNION ALL
SELECT i.n, r.order_id FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[])
  AS i (n, channel, account, merchant_ref, channel_refund_id)
JOIN refunds r ON r.channel = i.channel AND r.account = i.account AND r.channel_refund_id = i.channel_refund_id"""

INSERT = f"""
INSERT INTO refunds ({COLUMNS}, seal)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
  $9::bigint[], $10::text[], $11::text[], $12::text[], $13::text[], $14::timestamptz[], $15::timestamptz[],
  $16::timestamptz[], $17::bytea[])"""

UPDATE = """
UPDATE refunds r SET state = c.state, channel_refund_id = c.channel_refund_id, settled_at = c.settled_at,
  updated_at = c.updated_at, seal = c.seal
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bytea[])
  AS c (id, old_state, state, channel_refund_id, settled_at, updated_at, seal)
WHERE r.id = c.id AND r.state = c.old_state"""


def _refund(row: Any) -> Refund:
    return msgspec.convert(dict(row), Refund)


async def of_orders(tx: Tx, order_ids: Sequence[str]) -> list[Refund]:
    """All refunds of these orders."""
    return [_refund(row) for row in await tx.fetch(OF_ORDERS, order_ids)]


async def get_many(tx: Tx, refund_ids: Sequence[str]) -> list[Refund]:
    """Refunds by their ids, in no particular order; unknown ids are left out."""
    return [_refund(row) for row in await tx.fetch(GET, refund_ids)]


async def get(tx: Tx, refund_id: str) -> Refund | None:
    """One refund by its id."""
    return next(iter(await get_many(tx, [refund_id])), None)


async def locate(tx: Tx, names: Sequence[tuple[int, str, str, str | None, str | None]]) -> dict[int, str]:
    """The order of each named refund. A name is (n, channel, account, our number, the channel's number)."""
    if not names:
        return {}
    return {row["n"]: row["order_id"] for row in await tx.fetch(LOCATE, *map(list, zip(*names, strict=True)))}


async def insert(tx: Tx, refunds: Sequence[Refund]) -> None:
    """Write new refunds; a number used twice for one payment is an error of the database."""
    if refunds:
        rows = [(*msgspec.structs.astuple(refund), seal(refund)) for refund in refunds]
        await tx.execute(INSERT, *map(list, zip(*rows, strict=True)))


async def update(tx: Tx, changes: Sequence[tuple[Refund, Refund]]) -> None:
    """Write (before, after) pairs. Raises BrokenPromise when a row is not as it was locked."""
    if not changes:
        return
    rows = [(b.id, b.state, a.state, a.channel_refund_id, a.settled_at, a.updated_at, seal(a)) for b, a in changes]
    tag = await tx.execute(UPDATE, *map(list, zip(*rows, strict=True)))
    written = int(tag.removeprefix("UPDATE "))
    if written != len(rows):
        raise BrokenPromise(f"{len(rows) - written} of {len(rows)} refunds changed under their order's lock")
