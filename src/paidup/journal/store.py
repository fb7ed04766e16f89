"""The tables `decisions` and `channel_calls`: every weighing of evidence, every call to a channel."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from paidup.db.transaction import Tx


class Entry(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One weighing. before and after tell what moved (``payment open → paid``); evidence is JSON, word for word.

    A decision that changed something is a link of its order's chain: event_seq is the number of the last event it told,
    `told` their fingerprint, and prev that of the link before it.
    """

    id: str
    decided_at: datetime
    road: str
    outcome: str
    why: str
    shop: str
    callback_id: str | None = None
    order_id: str | None = None
    payment_id: str | None = None
    refund_id: str | None = None
    before: str | None = None
    after: str | None = None
    evidence: str
    event_seq: int | None = None
    told: bytes | None = None
    prev: bytes | None = None


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call to a channel: why it was made, how it ended, and the bounded beginning of the answer."""

    id: str
    called_at: datetime
    shop: str
    channel: str
    account: str
    subject_id: str
    purpose: str
    outcome: str
    why: str
    status: int | None
    elapsed_ms: int
    answer: str


# `since` leaves the partitions of earlier days out: nothing is decided or asked about an order before it is placed.
OF_ORDER = """
SELECT id, decided_at, road, outcome, why, shop, callback_id, order_id, payment_id, refund_id, before, after,
  evidence, event_seq, told, prev
FROM decisions WHERE order_id = $1 AND decided_at >= $2 ORDER BY decided_at, id"""

OF_CALLBACK = """
SELECT id, decided_at, road, outcome, why, shop, callback_id, order_id, payment_id, refund_id, before, after,
  evidence, event_seq, told, prev
FROM decisions WHERE callback_id = $1 AND decided_at >= $2 ORDER BY decided_at, id"""

CALLS_OF = """
SELECT id, called_at, shop, channel, account, subject_id, purpose, outcome, why, status, elapsed_ms, answer
FROM channel_calls WHERE subject_id = ANY($1::text[]) AND called_at >= $2 ORDER BY called_at, id"""


async def write(tx: Tx, entries: Sequence[Entry]) -> None:
    """Append decisions."""
    if entries:
        await tx.copy_records_to_table("decisions", records=_rows(entries), columns=Entry.__struct_fields__)


async def write_calls(tx: Tx, calls: Sequence[Call]) -> None:
    """Append calls to channels."""
    if calls:
        await tx.copy_records_to_table("channel_calls", records=_rows(calls), columns=Call.__struct_fields__)


def _rows(structs: Sequence[msgspec.Struct]) -> list[tuple[object, ...]]:
    return [msgspec.structs.astuple(struct) for struct in structs]


async def of_order(tx: Tx, order_id: str, *, since: datetime) -> list[Entry]:
    """All decisions about an order, oldest first. since: a moment before which there was none."""
    return [msgspec.convert(dict(row), Entry) for row in await tx.fetch(OF_ORDER, order_id, since)]


async def of_callback(tx: Tx, callback_id: str, *, since: datetime) -> list[Entry]:
    """All decisions that a callback led to, oldest first. since: a moment before which there was none."""
    return [msgspec.convert(dict(row), Entry) for row in await tx.fetch(OF_CALLBACK, callback_id, since)]


async def calls_of(tx: Tx, subject_ids: Sequence[str], *, since: datetime) -> list[Call]:
    """All calls about these payments and refunds, oldest first. since: a moment before which there was none."""
    return [msgspec.convert(dict(row), Call) for row in await tx.fetch(CALLS_OF, subject_ids, since)]
