"""The tables `inbox` (raw bytes, for ever readable) and `inbox_queue` (what still waits for the door)."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from paidup import ids
from paidup.db.transaction import Tx
from paidup.errors import InvalidRequest
from paidup.outbox.floor import Floor

_NEVER = datetime(9999, 1, 1, tzinfo=UTC)


class Received(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A verified callback on its way into the inbox. headers and evidence are JSON; body is as it came."""

    id: str
    received_at: datetime
    shop: str
    channel: str
    account: str
    dedup_key: str
    kind: str
    target: str
    headers: str
    body: bytes
    merchant_ref: str | None
    evidence: str


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """A row of the queue, locked by whoever read it."""

    seq: int
    callback_id: str
    received_at: datetime
    shop: str
    evidence: str
    state: str
    attempts: int
    available_at: datetime


# One statement, so that it can be a transaction by itself: a commit then costs one round trip, and not five.
STORE = """
WITH r AS (
  SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::text[], $10::bytea[], $11::text[], $12::text[])
    AS r (id, received_at, shop, channel, account, dedup_key, kind, target, headers, body, merchant_ref, evidence)),
kept AS (
  INSERT INTO inbox (id, received_at, shop, channel, account, dedup_key, kind, target, headers, body)
  SELECT id, received_at, shop, channel, account, dedup_key, kind, target, headers, body FROM r)
INSERT INTO inbox_queue (callback_id, received_at, shop, channel, account, merchant_ref, evidence, available_at)
SELECT id, received_at, shop, channel, account, merchant_ref, evidence, received_at FROM r"""

CLAIM = """
SELECT seq, callback_id, received_at, shop, evidence, state, attempts, available_at FROM inbox_queue
WHERE available_at >= $3 AND available_at <= $1 AND state <> 'poisoned'
ORDER BY available_at, seq LIMIT $2 FOR UPDATE SKIP LOCKED"""

CLAIM_THESE = """
SELECT seq, callback_id, received_at, shop, evidence, state, attempts, available_at FROM inbox_queue
WHERE seq = ANY($1::bigint[]) AND state <> 'poisoned' ORDER BY available_at, seq FOR UPDATE SKIP LOCKED"""

DONE = "DELETE FROM inbox_queue WHERE seq = ANY($1::bigint[])"

PARK = """
UPDATE inbox_queue q SET state = 'parked', evidence = c.evidence, available_at = c.available_at, why = c.why,
  attempts = q.attempts + 1
FROM unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::text[]) AS c (seq, evidence, available_at, why)
WHERE q.seq = c.seq"""

FAILED = """
UPDATE inbox_queue SET attempts = $5, available_at = $2, why = $3, state = $4 WHERE seq = $1"""

# Of those that name no number of ours, only what speaks of this payment: they may be many, and all of others.
UNPARK = """
UPDATE inbox_queue SET available_at = LEAST(available_at, $5)
WHERE state = 'parked' AND channel = $1 AND account = $2 AND (merchant_ref = $3 OR merchant_ref IS NULL)
  AND (merchant_ref IS NOT NULL OR strpos(evidence, $3) > 0 OR strpos(evidence, $4) > 0)"""

GET = """
SELECT id, received_at, shop, channel, account, dedup_key, kind, target, headers, body FROM inbox WHERE id = $1"""

# The time inside an id, which is rounded, leaves the other days' partitions out.
MANY = """
SELECT i.id, i.received_at, i.shop, i.channel, i.account, i.dedup_key, i.kind, i.target, i.headers, i.body
FROM unnest($1::text[], $2::timestamptz[]) AS w (id, at)
CROSS JOIN LATERAL (
  SELECT * FROM inbox
  WHERE id = w.id AND received_at > w.at - interval '2 ms' AND received_at < w.at + interval '3 ms') i
ORDER BY i.received_at, i.id"""

LIST = """
SELECT i.id, i.received_at, i.shop, i.channel, i.account, i.kind, i.dedup_key, coalesce(q.state, 'settled') AS state,
  coalesce(q.why, '') AS why
FROM inbox i LEFT JOIN inbox_queue q ON q.callback_id = i.id
WHERE ($1::text IS NULL OR i.channel = $1) AND ($2::text IS NULL OR coalesce(q.state, 'settled') = $2)
  AND ($4::text IS NULL OR i.id < $4) AND ($5::text IS NULL OR i.shop = $5)
ORDER BY i.id DESC LIMIT $3"""

# Account by account, because that is the index there is: what came for others is not read. The n-th newest says how far
# back to look; ids follow the time of receipt to the millisecond only, hence a little further.
OF_ACCOUNT = """
SELECT i.id, i.received_at, i.shop, i.channel, i.account, i.kind, i.dedup_key, coalesce(q.state, 'settled') AS state,
  coalesce(q.why, '') AS why
FROM inbox i LEFT JOIN inbox_queue q ON q.callback_id = i.id
WHERE i.channel = $1 AND i.account = $2 AND i.received_at < $5 AND i.received_at >= (SELECT coalesce((
    SELECT received_at FROM inbox n
    WHERE channel = $1 AND account = $2 AND received_at < $5 AND ($6::text IS NULL OR id < $6)
      AND ($7::text IS NULL OR shop = $7)
      AND ($3::text IS NULL OR NOT EXISTS (SELECT FROM inbox_queue w WHERE w.callback_id = n.id))
    ORDER BY received_at DESC OFFSET $4::int - 1 LIMIT 1), '-infinity') - interval '5 ms')
  AND ($6::text IS NULL OR i.id < $6) AND ($7::text IS NULL OR i.shop = $7)
  AND ($3::text IS NULL OR coalesce(q.state, 'settled') = $3)
ORDER BY i.received_at DESC"""

# Those that still wait are few: they are found from the queue, however many callbacks are kept.
LIST_QUEUED = """
SELECT i.id, i.received_at, i.shop, i.channel, i.account, i.kind, i.dedup_key, q.state, q.why
FROM inbox_queue q JOIN inbox i ON i.id = q.callback_id AND i.received_at = q.received_at
WHERE ($1::text IS NULL OR q.channel = $1) AND q.state = $2 AND ($4::text IS NULL OR i.id < $4)
  AND ($5::text IS NULL OR i.shop = $5)
ORDER BY i.id DESC LIMIT $3"""

REPLAY = """
UPDATE inbox_queue SET state = 'waiting', attempts = 0, available_at = $2, why = ''
WHERE callback_id = $1 AND state IN ('poisoned', 'parked') RETURNING seq"""

WAITING_OF = """
SELECT q.state, q.why, q.callback_id FROM inbox_queue q
JOIN unnest($1::text[], $2::text[], $3::text[]) AS p (channel, account, merchant_ref)
  ON q.channel = p.channel AND q.account = p.account AND q.merchant_ref = p.merchant_ref
WHERE q.state IN ('parked', 'poisoned') ORDER BY q.seq LIMIT 20"""

_STORED = (
    "id", "received_at", "shop", "channel", "account", "dedup_key", "kind", "target", "headers", "body",
    "merchant_ref", "evidence",
)  # fmt: skip


async def store(tx: Tx, rows: Sequence[Received]) -> None:
    """Make these callbacks durable, and queue them for the door, when the caller's transaction commits."""
    await tx.execute(STORE, *columns(rows))


def columns(rows: Sequence[Received]) -> list[list[object]]:
    """The arguments of STORE, for whoever runs it by itself."""
    return [[getattr(row, name) for row in rows] for name in _STORED]


async def claim(tx: Tx, now: datetime, limit: int, floor: Floor | None = None) -> list[Waiting]:
    """Up to `limit` rows in the order they arrived, locked until the transaction ends.

    floor: what this worker remembers of its looks; without it, this one is at all.
    """
    floor = floor or Floor()
    rows = [Waiting(*row) for row in await tx.fetch(CLAIM, now, limit, floor.begin(now))]
    floor.took(rows[0].available_at if rows else None)
    return rows


async def claim_these(tx: Tx, seqs: Sequence[int]) -> list[Waiting]:
    """These rows, as far as nobody else holds them."""
    return [Waiting(*row) for row in await tx.fetch(CLAIM_THESE, seqs)]


async def done(tx: Tx, seqs: Sequence[int]) -> None:
    """These need the door no more."""
    if seqs:
        await tx.execute(DONE, seqs)


async def park(tx: Tx, rows: Sequence[tuple[int, str, datetime, str]]) -> None:
    """Let (seq, evidence still unsettled, when to look again, why) wait for what they speak of."""
    if rows:
        await tx.execute(PARK, *map(list, zip(*rows, strict=True)))


async def failed(tx: Tx, seq: int, again_at: datetime, why: str, *, state: str, attempts: int) -> None:
    """One row could not be applied: try again later (`waiting`), or leave it to a person (`poisoned`)."""
    await tx.execute(FAILED, seq, again_at, why, state, attempts)


async def unpark(
    tx: Tx, channel: str, account: str, merchant_ref: str, channel_txn_id: str | None, now: datetime
) -> None:
    """A payment of these numbers exists when this commits: what waits for it is tried at once.

    Before an order is locked: the intake locks what it takes off the queue first, too.
    """
    await tx.execute(UNPARK, channel, account, merchant_ref, channel_txn_id, now)


async def get(tx: Tx, callback_id: str) -> dict[str, Any] | None:
    """One callback, raw bytes included."""
    row = await tx.fetchrow(GET, callback_id)
    return dict(row) if row else None


async def get_many(tx: Tx, callback_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Callbacks by id, oldest first."""
    return [dict(row) for row in await tx.fetch(MANY, callback_ids, [ids.made_at(one) for one in callback_ids])]


async def page(
    tx: Tx,
    channel: str | None,
    state: str | None,
    limit: int,
    *,
    before: str | None = None,
    shop: str | None = None,
    accounts: Collection[tuple[str, str]] | None = None,
) -> list[dict[str, Any]]:
    """Newest callbacks, with ids smaller than `before`; state is waiting, parked, poisoned or settled (None: any).

    shop None: of all shops. accounts: only what came for these (channel, account), without reading what came for
    others; None: for any. Raises InvalidRequest when `before` is not the id of a callback.
    """
    if state in ("waiting", "parked", "poisoned"):
        return [dict(row) for row in await tx.fetch(LIST_QUEUED, channel, state, limit, before, shop)]
    if accounts is None:
        return [dict(row) for row in await tx.fetch(LIST, channel, state, limit, before, shop)]
    until = _no_later(before) if before else _NEVER
    rows: list[dict[str, Any]] = []
    for own in accounts:
        if channel in (None, own[0]):
            rows += [dict(row) for row in await tx.fetch(OF_ACCOUNT, *own, state, limit, until, before, shop)]
    return sorted(rows, key=lambda row: str(row["id"]), reverse=True)[:limit]


def _no_later(callback_id: str) -> datetime:
    """What was received before this moment has all the ids that are smaller than this one."""
    try:
        return ids.made_at(callback_id) + timedelta(milliseconds=3)
    except (ValueError, OverflowError):
        raise InvalidRequest("before is the id of a callback, such as the `next` of the page before") from None


async def replay(tx: Tx, callback_id: str, now: datetime) -> bool:
    """Send a parked or poisoned callback to the door again; False when it does not wait."""
    return await tx.fetchval(REPLAY, callback_id, now) is not None


async def waiting_of(tx: Tx, names: Sequence[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """(state, why, callback id) of what is set aside about payments, named by (channel, account, our number)."""
    columns = list(map(list, zip(*names, strict=True))) or [[], [], []]
    return [(row["state"], row["why"], row["callback_id"]) for row in await tx.fetch(WAITING_OF, *columns)]
