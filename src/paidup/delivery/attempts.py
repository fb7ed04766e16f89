"""The table `delivery_attempts`: every try to deliver an event, and what came back."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from paidup.db.transaction import Tx
from paidup.delivery.plan import Step


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try.

    number: 1 = the first since the delivery was made or redriven. answer: at most 4 KiB of the body that came back.
    """

    id: str
    attempted_at: datetime
    shop: str
    endpoint_id: str
    event_id: str
    order_id: str
    seq: int
    number: int
    outcome: Step
    why: str
    status: int | None
    elapsed_ms: int
    answer: bytes


COLUMNS = ", ".join(Attempt.__struct_fields__)

RECORD = f"""
INSERT INTO delivery_attempts ({COLUMNS})
SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[],
  $8::int[], $9::text[], $10::text[], $11::int[], $12::int[], $13::bytea[])"""

OF_ORDER = (
    f"SELECT {COLUMNS} FROM delivery_attempts WHERE order_id = $1 AND attempted_at >= $2 ORDER BY attempted_at, id"
)


async def record(tx: Tx, attempts: Sequence[Attempt]) -> None:
    """Append what was tried."""
    if attempts:
        await tx.execute(RECORD, *map(list, zip(*map(msgspec.structs.astuple, attempts), strict=True)))


async def attempts_of(tx: Tx, order_id: str, *, since: datetime) -> list[Attempt]:
    """Every try to deliver this order's events, oldest first. since: a moment before which there was none: it leaves
    the partitions of earlier days out."""
    return [msgspec.convert(dict(row), Attempt) for row in await tx.fetch(OF_ORDER, order_id, since)]
