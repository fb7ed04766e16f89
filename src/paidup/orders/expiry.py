"""Which unpaid orders' time is over; and the table `late_expiries`: those that could not be given up, tried later."""

from collections.abc import Sequence
from datetime import datetime

from paidup.db.transaction import Tx

# When an order is due is looked up row by row: joined, all unpaid orders might be read to find that none was set aside.
_DUE_AT = "coalesce((SELECT l.again_at FROM late_expiries l WHERE l.order_id = o.id), o.expires_at)"

EXPIRED = f"""
SELECT o.id FROM orders o WHERE o.state = 'unpaid' AND o.expires_at <= $1 AND {_DUE_AT} <= $1
ORDER BY o.expires_at LIMIT $2 FOR UPDATE SKIP LOCKED"""

STILL_EXPIRED = f"""
SELECT o.id FROM orders o
WHERE o.id = ANY($2::text[]) AND o.state = 'unpaid' AND o.expires_at <= $1 AND {_DUE_AT} <= $1
ORDER BY o.expires_at FOR UPDATE SKIP LOCKED"""

FAILURES = "SELECT failures FROM late_expiries WHERE order_id = $1"

SET_ASIDE = """
INSERT INTO late_expiries (order_id, failures, again_at, why) VALUES ($1, $2, $3, $4)
ON CONFLICT (order_id) DO UPDATE SET failures = excluded.failures, again_at = excluded.again_at, why = excluded.why"""

DROP = "DELETE FROM late_expiries WHERE order_id = ANY($1::text[]) RETURNING order_id"

DROP_OVERTAKEN = """
DELETE FROM late_expiries l
WHERE l.again_at <= $1 AND (SELECT o.state FROM orders o WHERE o.id = l.order_id) <> 'unpaid' RETURNING l.order_id"""


async def expired(tx: Tx, now: datetime, limit: int) -> list[str]:
    """Ids of unpaid orders whose time is over, locked for this transaction; not those that are tried again later."""
    return [row["id"] for row in await tx.fetch(EXPIRED, now, limit)]


async def still_expired(tx: Tx, now: datetime, order_ids: Sequence[str]) -> list[str]:
    """Those of these that nobody has given up, paid or locked meanwhile, locked for this transaction."""
    return [row["id"] for row in await tx.fetch(STILL_EXPIRED, now, order_ids)]


async def failures(tx: Tx, order_id: str) -> int:
    """How often in a row this order could not be given up."""
    return await tx.fetchval(FAILURES, order_id) or 0


async def set_aside(tx: Tx, order_id: str, failures: int, again_at: datetime, why: str) -> None:
    """Leave the order alone until `again_at`."""
    await tx.execute(SET_ASIDE, order_id, failures, again_at, why)


async def drop(tx: Tx, order_ids: Sequence[str]) -> list[str]:
    """These were given up: nothing is tried again. Returns those that had been set aside."""
    return [row["order_id"] for row in await tx.fetch(DROP, order_ids)] if order_ids else []


async def drop_overtaken(tx: Tx, now: datetime) -> list[str]:
    """Forget those that are due again and that somebody has paid or given up meanwhile; returns their ids."""
    return [row["order_id"] for row in await tx.fetch(DROP_OVERTAKEN, now)]
