"""The table `deliveries`: who still has to be told what.

The deliveries of one order to one endpoint are a lane. Its lowest open row is the head; only heads are claimed, so a
failing one parks what comes after it, and nothing else. Which row is the head is decided by PROMOTE, run by everybody
who settles or adds rows; only where nothing of an order is open, FAN_OUT says so itself, which spares each row a second
version. Three rules keep that right under concurrency:

1. One fan-out at a time (an advisory lock). Two could otherwise add events 1 and 2 of an order in separate
   transactions that do not see each other.
2. Fan-out and settling first lock the open rows of the orders they touch, always in the same order, and look for the
   head in a later statement. So whoever comes second sees what the first has done.
3. The outbox hands events out by time, and clocks of two machines differ: event 2 may come out before event 1. A row
   is no head while an earlier event of its order still waits in the outbox.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from paidup import ids
from paidup.db.transaction import Tx
from paidup.delivery import attempts, endpoints
from paidup.delivery.attempts import Attempt
from paidup.delivery.claimed import Claimed, Room, Settled
from paidup.delivery.plan import Step
from paidup.delivery.shown import DEAD, DELIVERED, SKIPPED, WAITING, list_given_up
from paidup.delivery.sign import Message
from paidup.errors import InvalidRequest
from paidup.outbox import store as outbox
from paidup.outbox.floor import Floor

MAX_REDRIVEN = 5000
FEW = 4
"""So many attempts at one endpoint hinder nobody: there is room for them when there is none for more."""
_STATE_AFTER = {Step.DELIVERED: DELIVERED, Step.AGAIN: WAITING, Step.DEAD: DEAD, Step.GONE: SKIPPED}

# The number names the lock and means nothing else.
WAIT_ALONE = "SELECT pg_advisory_xact_lock(7243919)"

ALONE = "SELECT pg_try_advisory_xact_lock(7243919)"

LOCK_LANES = """
SELECT id FROM deliveries WHERE order_id = ANY($1::text[]) AND state = 'waiting'
ORDER BY order_id, endpoint_id, seq FOR UPDATE"""

FAN_OUT = """
INSERT INTO deliveries
  (event_id, event_created_at, endpoint_id, shop, order_id, seq, type, state, head, why, due_at, created_at)
SELECT q.event_id, q.created_at, e.id, q.shop, q.order_id, q.seq, q.type,
  CASE WHEN e.enabled THEN 'waiting' ELSE 'skipped' END,
  e.enabled AND row_number() OVER (PARTITION BY q.order_id, e.id ORDER BY q.seq) = 1
    AND NOT EXISTS (SELECT FROM outbox_queue o WHERE o.order_id = q.order_id AND o.seq < q.seq)
    AND NOT EXISTS (SELECT FROM deliveries d
      WHERE d.order_id = q.order_id AND d.endpoint_id = e.id AND d.state = 'waiting'),
  e.disabled_why, $7, $7
FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::timestamptz[])
  AS q (event_id, shop, order_id, seq, type, created_at)
JOIN endpoints e ON e.shop = q.shop AND (q.type = ANY(e.types) OR e.types = '{*}')
ORDER BY q.created_at, q.order_id, q.seq
ON CONFLICT (order_id, endpoint_id, seq) DO NOTHING"""

PROMOTE = """
UPDATE deliveries SET head = true
WHERE NOT head AND id = ANY(ARRAY(
  SELECT first.id
  FROM (SELECT DISTINCT ON (order_id, endpoint_id) id, order_id, seq
        FROM deliveries WHERE order_id = ANY($1::text[]) AND state = 'waiting'
        ORDER BY order_id, endpoint_id, seq) first
  WHERE (SELECT coalesce(min(q.seq), first.seq) FROM outbox_queue q WHERE q.order_id = first.order_id) >= first.seq))"""

# Endpoint by endpoint, so that a million due rows of one that does not answer are not waded through to find the others,
# and so that none takes all the room. $4, $5 and $6: endpoints that have other room than the usual $7, and what they
# have under way already. Each row is its endpoint's `nth` at once. The lowest come first: room that is freed goes to
# whoever has least of it, not to the longest queue. Beyond $3 rows it is for those alone that have few under way.
CLAIMABLE = f"""
SELECT id, url, secrets FROM (
  SELECT d.id, e.url, e.secrets, coalesce(other.busy, 0) + d.place AS nth,
    row_number() OVER (ORDER BY coalesce(other.busy, 0) + d.place, d.due_at) AS turn
  FROM endpoints e
  LEFT JOIN unnest($4::text[], $5::int[], $6::int[]) AS other (endpoint_id, room, busy) ON other.endpoint_id = e.id
  CROSS JOIN LATERAL (
    SELECT id, due_at, row_number() OVER (ORDER BY due_at) AS place FROM (
      SELECT id, due_at FROM deliveries WHERE endpoint_id = e.id AND head AND due_at <= $1
      ORDER BY due_at LIMIT coalesce(other.room, $7) FOR UPDATE SKIP LOCKED) due) d
  WHERE e.enabled AND (e.paused_until IS NULL OR e.paused_until <= $1)) ranked
WHERE turn <= CASE WHEN nth <= {FEW} THEN $2::bigint ELSE $3::bigint END
ORDER BY turn"""

CLAIM = """
UPDATE deliveries SET due_at = $2, lease = lease + 1 WHERE id = ANY($1::bigint[])
RETURNING id, lease, attempts, endpoint_id, shop, order_id, seq, event_id, event_created_at"""

EVENTS = """
SELECT e.id, e.type, e.created_at, e.shop, e.order_id, e.seq, e.data
FROM unnest($1::text[], $2::timestamptz[]) AS w (id, created_at)
JOIN events e ON e.id = w.id AND e.created_at = w.created_at"""

# Found one by one and changed by place: joined by id, with a plan from when the table was small, each batch reads the
# whole primary key (34 ms for 128 rows of 100,000, until the next ANALYZE; 1 ms now).
# What was skipped while its attempt was under way stays so unless that came through: if its endpoint was enabled again,
# a later event of its order may be the head by now.
SETTLE = """
UPDATE deliveries d SET head = d.head AND s.state = 'waiting', due_at = coalesce(s.due_at, d.due_at),
  state = CASE WHEN s.stays THEN d.state ELSE s.state END, attempts = d.attempts + 1,
  why = CASE WHEN s.stays THEN d.why ELSE s.why END,
  acknowledged_at = CASE WHEN s.state = 'delivered' THEN s.answered_at END,
  applied_at = CASE WHEN s.applied THEN s.answered_at END
FROM (
  SELECT found.place, w.state, w.due_at, w.why, w.answered_at, w.applied,
    found.skipped AND w.state <> 'delivered' AS stays
  FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::timestamptz[], $5::text[], $6::timestamptz[], $7::bool[])
    AS w (id, lease, state, due_at, why, answered_at, applied)
  CROSS JOIN LATERAL (
    SELECT ctid AS place, state = 'skipped' AS skipped
    FROM deliveries WHERE id = w.id AND lease = w.lease AND state IN ('waiting', 'skipped')
    LIMIT 1 FOR UPDATE) found) s
WHERE d.ctid = s.place
RETURNING d.id"""

LANES_OF_DISABLED = """
SELECT DISTINCT d.order_id
FROM endpoints e
CROSS JOIN LATERAL (SELECT order_id FROM deliveries WHERE endpoint_id = e.id AND head LIMIT $1) d
WHERE NOT e.enabled LIMIT $1"""

SKIP = """
UPDATE deliveries d SET state = 'skipped', head = false, why = e.disabled_why
FROM endpoints e
WHERE e.id = d.endpoint_id AND NOT e.enabled AND d.order_id = ANY($1::text[]) AND d.state = 'waiting'"""

REDRIVE = """
UPDATE deliveries SET state = 'waiting', head = false, due_at = $2, attempts = 0, lease = lease + 1, why = 'redriven',
  acknowledged_at = NULL
WHERE id = ANY($1::bigint[]) AND ($3::text IS NULL OR shop = $3)
  AND (state IN ('dead', 'skipped') OR (state = 'delivered' AND applied_at IS NULL))
RETURNING order_id"""

DEMOTE = """
UPDATE deliveries d SET head = false
WHERE d.order_id = ANY($1::text[]) AND d.head AND EXISTS (
  SELECT FROM deliveries o
  WHERE o.order_id = d.order_id AND o.endpoint_id = d.endpoint_id AND o.seq < d.seq AND o.state = 'waiting')"""

# Rows are numbered in the order of their events, so the oldest stand first in the primary key: no index by age, which
# each of a row's three changes would have to keep, and no look at the others when nothing is old.
FORGET = """
DELETE FROM deliveries WHERE state <> 'waiting' AND event_created_at < $1 AND id = ANY(ARRAY(
  SELECT id FROM deliveries WHERE state <> 'waiting' ORDER BY id LIMIT $2))"""


async def fan_out(tx: Tx, now: datetime, limit: int, floor: Floor | None = None) -> int:
    """Give up to `limit` events from the outbox to the endpoints that want them; returns how many were taken.

    0 also while another worker does it. A disabled endpoint gets its rows as skipped, so that they can be redriven.
    floor: what this worker remembers of its looks; without it, this one is at all.
    """
    if not await tx.fetchval(ALONE):
        return 0
    floor = floor or Floor()
    taken = await outbox.take(tx, limit, since=floor.begin(now))
    floor.took(taken[0].created_at if taken else None)
    if taken:
        order_ids = sorted({event.order_id for event in taken})
        waited = await tx.fetch(LOCK_LANES, order_ids)
        rows = ((e.event_id, e.shop, e.order_id, e.seq, e.type, e.created_at) for e in taken)
        await tx.execute(FAN_OUT, *_columns(rows), now)
        if waited or len(order_ids) < len(taken):  # what waited perhaps did so for an event that nobody wanted
            await tx.execute(PROMOTE, order_ids)
    return len(taken)


async def skip_disabled(tx: Tx, limit: int) -> None:
    """Set aside what still waits for endpoints that were disabled, up to `limit` orders at a time."""
    order_ids = sorted(row["order_id"] for row in await tx.fetch(LANES_OF_DISABLED, limit))
    if order_ids:
        await tx.fetch(LOCK_LANES, order_ids)
        await tx.execute(SKIP, order_ids)


async def claim(
    tx: Tx,
    now: datetime,
    until: datetime,
    limit: int,
    *,
    per_endpoint: int,
    room_at: Mapping[str, Room],
    spare: int = 0,
) -> list[Claimed]:
    """Take up to `limit` heads that are due; they are ours until `until`. Those of endpoints that have the fewest under
    way come first, and the oldest of each.

    At most per_endpoint of one endpoint, or what `room_at` says for it. spare: so many more of those endpoints that
    have no more than FEW under way with them.
    """
    others = _columns((key, *room) for key, room in room_at.items()) or [[], [], []]
    rows = await tx.fetch(CLAIMABLE, now, limit + spare, limit, *others, per_endpoint)
    ways = {row["id"]: row for row in rows}
    if not ways:
        return []
    rows = await tx.fetch(CLAIM, list(ways), until)
    keys = _columns((row["event_id"], row["event_created_at"]) for row in rows)
    messages = {row["id"]: Message(*row) for row in await tx.fetch(EVENTS, *keys)}
    position = {delivery_id: place for place, delivery_id in enumerate(ways)}
    rows.sort(key=lambda row: position[row["id"]])
    return [_claimed(row, ways[row["id"]], messages.get(row["event_id"])) for row in rows]


async def settle(tx: Tx, settled: Sequence[Settled]) -> int:
    """Record the attempts and what follows from them; returns how many were still ours to settle.

    Of a delivery whose lease was lost the attempt is recorded and nothing else: somebody else has sent it as well,
    under the same webhook-id.
    """
    if not settled:
        return 0
    series = {sent_at: ids.Series(sent_at) for sent_at in {row.sent_at for row in settled}}
    await attempts.record(tx, [_attempt(row, series[row.sent_at].new_id("att")) for row in settled])
    order_ids = sorted({row.claimed.order_id for row in settled})
    await tx.fetch(LOCK_LANES, order_ids)
    ours = await tx.fetch(SETTLE, *_columns(map(_after, settled)))
    await endpoints.pause(tx, [(s.claimed.endpoint_id, s.plan.pause_until) for s in settled if s.plan.pause_until])
    gone = [row for row in settled if row.plan.step is Step.GONE]
    if gone:
        await endpoints.gone(tx, [row.claimed.endpoint_id for row in gone], gone[0].plan.why)
    await tx.execute(PROMOTE, order_ids)
    return len(ours)


async def redrive(tx: Tx, delivery_ids: Sequence[int], now: datetime, *, shop: str | None = None) -> int:
    """Send these again from now on, with all their tries; returns how many that was.

    Dead and skipped ones, and delivered ones that were never said to be applied. A redriven delivery comes before
    later ones of its order that still wait; those that were delivered meanwhile it cannot overtake any more.
    shop: others' deliveries are left alone. Raises InvalidRequest for more than MAX_REDRIVEN.
    """
    if len(delivery_ids) > MAX_REDRIVEN:
        raise InvalidRequest(f"redrive at most {MAX_REDRIVEN} deliveries at a time; ask again for the rest")
    await tx.execute(WAIT_ALONE)
    rows = await tx.fetch(REDRIVE, sorted(delivery_ids), now, shop)
    order_ids = sorted({row["order_id"] for row in rows})
    await tx.fetch(LOCK_LANES, order_ids)
    await tx.execute(DEMOTE, order_ids)
    await tx.execute(PROMOTE, order_ids)
    return len(rows)


async def redrive_endpoint(tx: Tx, endpoint_id: str, now: datetime, *, shop: str | None = None) -> int:
    """Redrive up to MAX_REDRIVEN dead and skipped deliveries of an endpoint, oldest first; call again until 0."""
    given_up = await list_given_up(tx, endpoint_id, after_id=0, limit=MAX_REDRIVEN)
    return await redrive(tx, [delivery.id for delivery in given_up], now, shop=shop)


async def forget(tx: Tx, before: datetime, limit: int) -> int:
    """Delete settled deliveries of events older than `before`, which are dropped with their day; returns how many.

    Fewer than `limit`: no more are that old.
    """
    return int((await tx.execute(FORGET, before, limit)).split()[-1])


def _columns(rows: Iterable[Sequence[object]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _claimed(row: Any, way: Any, message: Message | None) -> Claimed:
    fields = {name: row[name] for name in row.keys() if name != "event_created_at"}  # noqa: SIM118  a Record's, not a dict's
    return Claimed(**fields, url=way["url"], secrets=tuple(way["secrets"]), message=message)


def _attempt(settled: Settled, attempt_id: str) -> Attempt:
    claimed, answer = settled.claimed, settled.answer
    return Attempt(
        id=attempt_id,
        attempted_at=settled.sent_at,
        shop=claimed.shop,
        endpoint_id=claimed.endpoint_id,
        event_id=claimed.event_id,
        order_id=claimed.order_id,
        seq=claimed.seq,
        number=claimed.attempts + 1,
        outcome=settled.plan.step,
        why=settled.plan.why,
        status=answer.status,
        elapsed_ms=answer.elapsed_ms,
        answer=answer.body,
    )


def _after(settled: Settled) -> tuple[object, ...]:
    claimed, plan = settled.claimed, settled.plan
    state = _STATE_AFTER[plan.step]
    return claimed.id, claimed.lease, state, plan.due_at, plan.why, settled.answered_at, plan.applied
