"""What the tables know of a trace: the header a callback came with, and the decision that caused an event."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from paidup import ids
from paidup.db.transaction import Tx
from paidup.spans.context import Spot, Weighing, caller_of, of_weighing

# The time inside an id, which is rounded, leaves the other days' partitions out.
HEADERS = """
SELECT i.id, i.headers
FROM unnest($1::text[], $2::timestamptz[]) AS w (id, at)
CROSS JOIN LATERAL (
  SELECT id, headers FROM inbox
  WHERE id = w.id AND received_at > w.at - interval '2 ms' AND received_at < w.at + interval '3 ms') i"""

# The decision that told an event is the first one after which its order had that many.
CAUSES = """
SELECT w.order_id, w.seq, d.callback_id, d.road, d.payment_id, d.refund_id, d.after
FROM unnest($1::text[], $2::int[], $3::timestamptz[]) AS w (order_id, seq, created_at)
CROSS JOIN LATERAL (
  SELECT callback_id, road, payment_id, refund_id, after FROM decisions
  WHERE order_id = w.order_id AND event_seq >= w.seq
    AND decided_at > w.created_at - interval '1 minute' AND decided_at <= w.created_at
  ORDER BY event_seq LIMIT 1) d"""

_headers = msgspec.json.Decoder(tuple[tuple[str, str], ...])


async def callers(tx: Tx, callback_ids: Sequence[str]) -> dict[str, Spot]:
    """The spans of those who sent these callbacks, of those that said so."""
    rows = await tx.fetch(HEADERS, list(callback_ids), [ids.made_at(one) for one in callback_ids])
    said = {row["id"]: caller_of(_headers.decode(row["headers"])) for row in rows}
    return {callback_id: spot for callback_id, spot in said.items() if spot}


async def causes(tx: Tx, events: Sequence[tuple[str, int, datetime]]) -> dict[tuple[str, int], Spot]:
    """The decisions that caused these events (order_id, seq, created_at)."""
    columns = [list(column) for column in zip(*events, strict=True)]
    found = {
        (row["order_id"], row["seq"]): Weighing(
            callback_id=row["callback_id"],
            road=row["road"],
            payment_id=row["payment_id"],
            refund_id=row["refund_id"],
            after=row["after"] or "",
        )
        for row in (await tx.fetch(CAUSES, *columns) if columns else [])
    }
    sent = await callers(tx, sorted({w.callback_id for w in found.values() if w.callback_id}))
    return {key: of_weighing(w, sent.get(w.callback_id or "")) for key, w in found.items()}
