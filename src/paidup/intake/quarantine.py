"""The table `quarantine`: callbacks that could not be verified. It may be our key that is wrong, so the bytes stay."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from paidup.db.transaction import Tx

KEEP_DAYS = 30


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A callback that was refused, kept so that it can be replayed after a key or a parser is mended."""

    id: str
    received_at: datetime
    channel: str
    account: str
    source: str
    verdict: str
    why: str
    target: str
    headers: str
    body: bytes


COLUMNS = "id, received_at, channel, account, source, verdict, why, target, headers, body"

STORE = f"""
INSERT INTO quarantine ({COLUMNS})
SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
  $8::text[], $9::text[], $10::bytea[])"""

LIST = """
SELECT id, received_at, channel, account, source, verdict, why, replayed_at, replay_note FROM quarantine
WHERE ($1::text IS NULL OR channel = $1) AND (replayed_at IS NULL OR $2) ORDER BY received_at DESC LIMIT $3"""

GET = f"SELECT {COLUMNS} FROM quarantine WHERE id = $1 FOR UPDATE"

MARK = "UPDATE quarantine SET replayed_at = $2, replay_note = $3 WHERE id = $1"

PRUNE = "DELETE FROM quarantine WHERE id IN (SELECT id FROM quarantine WHERE received_at < $1 LIMIT 5000)"


async def store(tx: Tx, rows: Sequence[Refused]) -> None:
    """Keep these."""
    await tx.execute(STORE, *map(list, zip(*map(msgspec.structs.astuple, rows), strict=True)))


async def page(tx: Tx, channel: str | None, limit: int, *, with_replayed: bool) -> list[dict[str, Any]]:
    """Newest first, without the bytes."""
    return [dict(row) for row in await tx.fetch(LIST, channel, with_replayed, limit)]


async def get(tx: Tx, quarantine_id: str) -> Refused | None:
    """One refused callback with its bytes, locked until the transaction ends."""
    row = await tx.fetchrow(GET, quarantine_id)
    return Refused(**dict(row)) if row else None


async def mark(tx: Tx, quarantine_id: str, now: datetime, note: str) -> None:
    """Say what became of a replay."""
    await tx.execute(MARK, quarantine_id, now, note)


async def prune(tx: Tx, before: datetime) -> None:
    """Forget a bounded number of rows older than `before`."""
    await tx.execute(PRUNE, before)
