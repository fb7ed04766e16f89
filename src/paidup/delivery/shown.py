"""What people are shown of the table `deliveries`."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from paidup.db.transaction import Tx

WAITING, DELIVERED, DEAD, SKIPPED = "waiting", "delivered", "dead", "skipped"


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `deliveries` as people see it. state: waiting, delivered, dead, or skipped (endpoint disabled)."""

    id: int
    event_id: str
    type: str
    endpoint_id: str
    shop: str
    order_id: str
    seq: int
    state: str
    due_at: datetime
    attempts: int
    why: str
    acknowledged_at: datetime | None
    applied_at: datetime | None
    created_at: datetime


_SHOWN = (
    "id, event_id, type, endpoint_id, shop, order_id, seq, state, due_at, attempts, why, acknowledged_at, applied_at,"
    " created_at"
)

SHOPS_OF = "SELECT id, shop FROM deliveries WHERE id = ANY($1::bigint[]) ORDER BY shop, id"

GIVEN_UP = f"""
SELECT {_SHOWN} FROM deliveries
WHERE state IN ('dead', 'skipped') AND endpoint_id = $1 AND id > $2 ORDER BY id LIMIT $3"""

OF_ORDER = f"SELECT {_SHOWN} FROM deliveries WHERE order_id = $1 ORDER BY seq, endpoint_id"

SUMMARY = "SELECT state, count(*) AS deliveries FROM deliveries GROUP BY state"

AUDIT = f"""
SELECT {_SHOWN} FROM deliveries
WHERE state = 'delivered' AND applied_at IS NULL AND acknowledged_at < $1 ORDER BY acknowledged_at LIMIT $2"""


async def shops_of(tx: Tx, delivery_ids: Sequence[int]) -> dict[str, list[int]]:
    """Whose deliveries these are: the ids, by shop."""
    theirs: dict[str, list[int]] = {}
    for row in await tx.fetch(SHOPS_OF, sorted(delivery_ids)):
        theirs.setdefault(row["shop"], []).append(row["id"])
    return theirs


async def list_given_up(tx: Tx, endpoint_id: str, *, after_id: int, limit: int) -> list[Delivery]:
    """Dead and skipped deliveries of an endpoint, oldest first, after the one with this id (0 for the first page)."""
    return [Delivery(**row) for row in await tx.fetch(GIVEN_UP, endpoint_id, after_id, limit)]


async def deliveries_of(tx: Tx, order_id: str) -> list[Delivery]:
    """All deliveries of an order's events, in the order of the events."""
    return [Delivery(**row) for row in await tx.fetch(OF_ORDER, order_id)]


async def summary(tx: Tx) -> dict[str, int]:
    """How many deliveries are in each state; states without any are 0."""
    counted = {row["state"]: row["deliveries"] for row in await tx.fetch(SUMMARY)}
    return {state: counted.get(state, 0) for state in (WAITING, DELIVERED, DEAD, SKIPPED)}


async def audit(tx: Tx, older_than: datetime, limit: int = 1000) -> list[Delivery]:
    """Deliveries acknowledged before `older_than` of which the receiver never said that it applied them."""
    return [Delivery(**row) for row in await tx.fetch(AUDIT, older_than, limit)]
