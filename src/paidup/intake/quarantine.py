"""The table `quarantine`: callbacks that could not be verified. It may be our key that is wrong, so the bytes stay."""

from collections.abc import Collection, Sequence
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

_SHOWN = "id, received_at, channel, account, source, verdict, why, replayed_at, replay_note"

LIST = f"""
SELECT {_SHOWN} FROM quarantine
WHERE ($1::text IS NULL OR channel = $1) AND (replayed_at IS NULL OR $2) AND ($3::text IS NULL OR id < $3)
ORDER BY id DESC LIMIT $4"""

# Account by account, each from its newest on: what came for those of others takes no place, and is not read. Compared
# as a whole, so that it is the index of accounts that is walked.
OF_ACCOUNTS = f"""
SELECT found.* FROM unnest($1::text[], $2::text[]) AS own (channel, account) CROSS JOIN LATERAL (
  SELECT {_SHOWN} FROM quarantine
  WHERE (channel, account, id) >= (own.channel, own.account, '') AND replayed_at IS NULL
    AND (channel, account, id) < (own.channel, own.account, coalesce($3, 'zzz'))
  ORDER BY channel DESC, account DESC, id DESC LIMIT $4) AS found
ORDER BY id DESC LIMIT $4"""

GET = f"SELECT {COLUMNS} FROM quarantine WHERE id = $1 FOR UPDATE"

MARK = "UPDATE quarantine SET replayed_at = $2, replay_note = $3 WHERE id = $1"

PRUNE = "DELETE FROM quarantine WHERE id IN (SELECT id FROM quarantine WHERE received_at < $1 LIMIT $2)"


async def store(tx: Tx, rows: Sequence[Refused]) -> None:
    """Keep these."""
    await tx.execute(STORE, *map(list, zip(*map(msgspec.structs.astuple, rows), strict=True)))


async def page(
    tx: Tx, channel: str | None, limit: int, *, with_replayed: bool, before: str | None = None
) -> list[dict[str, Any]]:
    """Newest first, with ids smaller than `before`, without the bytes."""
    return [dict(row) for row in await tx.fetch(LIST, channel, with_replayed, before, limit)]


async def of_accounts(
    tx: Tx, accounts: Collection[tuple[str, str]], limit: int, *, before: str | None = None
) -> list[dict[str, Any]]:
    """Those that wait for a replay and came for one of these (channel, account), newest first, without the bytes."""
    channels, names = [channel for channel, _ in accounts], [name for _, name in accounts]
    return [dict(row) for row in await tx.fetch(OF_ACCOUNTS, channels, names, before, limit)]


async def get(tx: Tx, quarantine_id: str) -> Refused | None:
    """One refused callback with its bytes, locked until the transaction ends."""
    row = await tx.fetchrow(GET, quarantine_id)
    return Refused(**dict(row)) if row else None


async def mark(tx: Tx, quarantine_id: str, now: datetime, note: str) -> None:
    """Say what became of a replay."""
    await tx.execute(MARK, quarantine_id, now, note)


async def prune(tx: Tx, before: datetime, limit: int) -> int:
    """Forget up to `limit` rows older than `before`; returns how many."""
    return int((await tx.execute(PRUNE, before, limit)).split()[-1])
