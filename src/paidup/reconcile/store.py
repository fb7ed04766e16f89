"""The table `breaks`: every difference, and where it stands."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from paidup.db.transaction import Tx
from paidup.reconcile import break_steps
from paidup.reconcile.breaks import Break
from paidup.reconcile.decide import Change

COLUMNS = """id, shop, channel, account, day, key, kind, what, state, version, currency, bill_minor, ours_minor,
differs_minor, line, ours, suggestion, payment_id, refund_id, order_id, channel_txn_id, number, why, next_step, run_id,
first_seen_at, changed_at, wait_until, tries, cleared_by"""
_COLUMNS = [name.strip() for name in COLUMNS.split(",")]
_SIDES = ("line", "ours", "suggestion")


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which breaks are wanted; what is None does not narrow. after: the (day, id) that the page before ended with."""

    shop: str | None = None
    channel: str | None = None
    account: str | None = None
    since: date | None = None
    until: date | None = None
    kinds: tuple[str, ...] | None = None
    states: tuple[str, ...] | None = None
    after: str | None = None


OF_DAY = f"SELECT {COLUMNS} FROM breaks WHERE channel = $1 AND account = $2 AND day = $3"

# All at once and in the order of ids, as everybody locks breaks: two that lock each other's wait in no circle.
LOCK_TOUCHED = f"""
SELECT {COLUMNS} FROM breaks WHERE id = ANY(ARRAY(
  SELECT id FROM breaks WHERE channel = $1 AND account = $2 AND day = $3
  UNION ALL SELECT id FROM breaks WHERE channel = $1 AND account = $2 AND cleared_by = $4
  UNION ALL SELECT unnest($5::text[])))
ORDER BY id FOR UPDATE"""

GET = f"SELECT {COLUMNS} FROM breaks WHERE id = ANY($1::text[]) ORDER BY id"

LOCK = f"SELECT {COLUMNS} FROM breaks WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"

ABOUT = f"""
SELECT {COLUMNS} FROM breaks WHERE channel = $1 AND account = $2 AND day <> $3
  AND (payment_id = ANY($4::text[]) OR refund_id = ANY($4::text[]))
  AND (cleared_by = $5 OR state IN ('waiting', 'open', 'approved')
    AND (line IS NULL OR kind = 'wrong_day' OR kind = 'status' AND what = 'refund'))"""

OVERDUE = f"""
SELECT {COLUMNS} FROM breaks WHERE state = 'waiting' AND wait_until <= $1 AND channel = $2 AND account = $3
  AND (ask_at IS NULL OR tries >= $5)
ORDER BY id LIMIT $4"""

# What people agreed to, then what was asked about least. $8: those that an earlier page had. $9: now; NULL when those
# are wanted, too, about which a silent channel is asked later. Whoever names breaks ($6) has taken them for that.
REPAIRABLE = f"""
SELECT {COLUMNS} FROM breaks WHERE channel = $1 AND account = $2 AND state IN ('waiting', 'open', 'approved')
  AND day = $3 AND kind = ANY($4::text[]) AND payment_id IS NOT NULL AND (tries < $5 OR state = 'approved')
  AND ($6::text[] IS NULL OR id = ANY($6)) AND NOT id = ANY($8::text[])
  AND ($6 IS NOT NULL OR $9::timestamptz IS NULL OR ask_at IS NULL OR ask_at <= $9 OR state = 'approved')
ORDER BY state <> 'approved', tries, id LIMIT $7"""

# A refund's line of a payment that is not paid here, on whatever day it left.
GONE = """
SELECT payment_id, currency, -sum(bill_minor)::bigint AS given_back_minor FROM breaks
WHERE payment_id = ANY($1::text[]) AND kind = 'refund_without_payment' AND what = 'refund'
  AND state IN ('waiting', 'open', 'approved') GROUP BY payment_id, currency"""

APPROVED_DAYS = """
SELECT DISTINCT channel, account, day FROM breaks
WHERE state = 'approved' AND (channel, account) IN (SELECT * FROM unnest($2::text[], $3::text[]))
ORDER BY day, channel, account LIMIT $1"""

# Another difference than the channel was silent about is asked about at once.
UPSERT = f"""
INSERT INTO breaks ({COLUMNS})
SELECT {COLUMNS} FROM jsonb_to_recordset($1::jsonb) AS b (
  id text, shop text, channel text, account text, day date, key text, kind text, what text, state text, version int,
  currency char(3), bill_minor bigint, ours_minor bigint, differs_minor bigint, line jsonb, ours jsonb,
  suggestion jsonb, payment_id text, refund_id text, order_id text, channel_txn_id text, number text, why text,
  next_step text, run_id text,
  first_seen_at timestamptz, changed_at timestamptz, wait_until timestamptz, tries int, cleared_by text)
ON CONFLICT (id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[6:])},
  ask_at = CASE WHEN breaks.version = excluded.version THEN breaks.ask_at END"""

TRIED = """
UPDATE breaks b SET tries = b.tries + 1, ask_at = t.ask_at
FROM unnest($1::text[], $2::timestamptz[]) AS t (id, ask_at) WHERE b.id = t.id"""

NOT_ASKED = "UPDATE breaks SET ask_at = NULL WHERE id = ANY($1::text[])"

# Whoever takes them has them until $2.
CLAIM_UNANSWERED = """
UPDATE breaks SET ask_at = $2 WHERE id = ANY(ARRAY(
  SELECT id FROM breaks WHERE ask_at <= $1 AND state IN ('waiting', 'open')
  ORDER BY ask_at, id LIMIT $3 FOR UPDATE SKIP LOCKED))
RETURNING id, channel, account, day"""

PAGE = f"""
SELECT {COLUMNS} FROM breaks WHERE ($1::text IS NULL OR shop = $1) AND ($2::text IS NULL OR channel = $2)
  AND ($3::text IS NULL OR account = $3) AND ($4::date IS NULL OR day >= $4) AND ($5::date IS NULL OR day <= $5)
  AND ($6::text[] IS NULL OR kind = ANY($6)) AND ($7::text[] IS NULL OR state = ANY($7))
  AND ($8::text IS NULL OR (day, id) < (split_part($8, '_', 1)::date, split_part($8, '_', 2)))
ORDER BY day DESC, id DESC LIMIT $9"""

COUNTS = """
SELECT kind, state, currency, count(*) AS breaks, sum(differs_minor)::bigint AS differs_minor,
  sum(abs(differs_minor))::bigint AS apart_minor, min(first_seen_at) AS oldest FROM breaks
WHERE channel = $1 AND account = $2 AND day = $3 GROUP BY kind, state, currency ORDER BY kind, state, currency"""

UNSETTLED_DAYS = """
SELECT day, bool_or(state = 'open') AS is_open FROM breaks
WHERE channel = $1 AND account = $2 AND state IN ('waiting', 'open', 'approved') GROUP BY day ORDER BY day"""

OLDEST_OPEN = """
SELECT min(first_seen_at) FROM breaks
WHERE channel = $1 AND account = $2 AND state IN ('waiting', 'open', 'approved')"""


def _break(row: Any) -> Break:
    fields = dict(row)
    for name in _SIDES:
        fields[name] = msgspec.json.decode(fields[name]) if fields[name] else None
    return msgspec.convert(fields, Break)


async def of_day(tx: Tx, channel: str, account: str, day: date) -> dict[str, Break]:
    """All breaks of a day, by key."""
    return {one.key: one for one in map(_break, await tx.fetch(OF_DAY, channel, account, day))}


async def lock_touched(tx: Tx, channel: str, account: str, day: date, break_ids: Sequence[str]) -> list[Break]:
    """All breaks of a day, those of other days that its bill cleared, and these; locked."""
    rows = await tx.fetch(LOCK_TOUCHED, channel, account, day, day.isoformat(), list(break_ids))
    return [_break(row) for row in rows]


async def get(tx: Tx, break_ids: Sequence[str], *, lock: bool = False) -> list[Break]:
    """Breaks by their ids; unknown ids are left out."""
    return [_break(row) for row in await tx.fetch(LOCK if lock else GET, list(break_ids))]


async def about(tx: Tx, channel: str, account: str, day: date, subject_ids: Sequence[str]) -> list[Break]:
    """Breaks of other days that one of these payments or refunds is the only side of, or that this day cleared."""
    if not subject_ids:
        return []
    rows = await tx.fetch(ABOUT, channel, account, day, list(subject_ids), day.isoformat())
    return [_break(row) for row in rows]


async def overdue(tx: Tx, channel: str, account: str, now: datetime, limit: int, *, silent_tries: int) -> list[Break]:
    """Those that have waited long enough; without those about which the channel, silent so far, is asked again before
    it was silent silent_tries times."""
    return [_break(row) for row in await tx.fetch(OVERDUE, now, channel, account, limit, silent_tries)]


async def repairable(
    tx: Tx, channel: str, account: str, day: date, kinds: Sequence[str], *, max_tries: int,
    only: Iterable[str] | None, without: Iterable[str], due_at: datetime | None, limit: int,
) -> list[Break]:  # fmt: skip
    """Those of a day that proof may mend; what people agreed to first. due_at: without those about which the channel,
    silent so far, is to be asked again only later."""
    wanted, kinds = None if only is None else list(only), list(kinds)
    rows = await tx.fetch(
        REPAIRABLE, channel, account, day, kinds, max_tries, wanted, limit, list(without), due_at
    )  # fmt: skip
    return [_break(row) for row in rows]


async def given_back(tx: Tx, payment_ids: Iterable[str]) -> dict[tuple[str, str], int]:
    """How much of payments that are not paid here the bills have as refunds, by payment and currency."""
    rows = await tx.fetch(GONE, sorted(set(payment_ids)))
    return {(row["payment_id"], row["currency"]): row["given_back_minor"] for row in rows}


async def approved_days(tx: Tx, accounts: Iterable[tuple[str, str]], limit: int) -> list[tuple[str, str, date]]:
    """(channel, account, day) of repairs of these accounts that people agreed to and nobody has done yet, the oldest
    first."""
    wanted = sorted(accounts)
    channels, names = [channel for channel, _ in wanted], [name for _, name in wanted]
    return [tuple(row) for row in await tx.fetch(APPROVED_DAYS, limit, channels, names)]


async def page(tx: Tx, wanted: Filter, limit: int) -> list[Break]:
    """Breaks, the latest day first."""
    kinds, states = (list(some) if some else None for some in (wanted.kinds, wanted.states))
    rows = await tx.fetch(
        PAGE,
        wanted.shop,
        wanted.channel,
        wanted.account,
        wanted.since,
        wanted.until,
        kinds,
        states,
        wanted.after,
        limit,
    )
    return [_break(row) for row in rows]


async def counts(tx: Tx, channel: str, account: str, day: date) -> list[dict[str, Any]]:
    """How many breaks of a day there are, and over how much, by kind, state and currency. differs_minor: what would
    have to be booked for all of them; apart_minor: without signs, for what lacks here makes up for nothing there."""
    return [dict(row) for row in await tx.fetch(COUNTS, channel, account, day)]


async def unsettled_days(tx: Tx, channel: str, account: str) -> dict[date, bool]:
    """The days on which something is not settled, and whether somebody must do something about it."""
    return {row["day"]: row["is_open"] for row in await tx.fetch(UNSETTLED_DAYS, channel, account)}


async def oldest_open(tx: Tx, channel: str, account: str) -> datetime | None:
    """Since when the oldest unsettled break of an account is known."""
    found: datetime | None = await tx.fetchval(OLDEST_OPEN, channel, account)
    return found


async def write(tx: Tx, changes: Sequence[Change], who: str, now: datetime) -> None:
    """Write changed breaks, each with its step."""
    if not changes:
        return
    rows = [msgspec.structs.asdict(change.after) for change in changes]
    await tx.execute(UPSERT, msgspec.json.encode(rows).decode())
    await break_steps.add(
        tx, [(c.after, c.step, c.why, c.before.state.value if c.before else "", c.after.state.value) for c in changes],
        who, now,
    )  # fmt: skip


async def tried(tx: Tx, ask_at: Mapping[str, datetime | None]) -> None:
    """Repairs of these breaks were tried, and ended neither way. ask_at: when the channel is asked again by itself."""
    if ask_at:
        await tx.execute(TRIED, list(ask_at), list(ask_at.values()))


async def not_asked(tx: Tx, break_ids: Sequence[str]) -> None:
    """About these the channel is not asked again by itself: they changed, or need people first."""
    if break_ids:
        await tx.execute(NOT_ASKED, list(break_ids))


async def claim_unanswered(
    tx: Tx, now: datetime, until: datetime, limit: int
) -> dict[tuple[str, str, date], frozenset[str]]:
    """The ids of up to `limit` breaks about which the channel is to be asked again, by channel, account and day. They
    are the caller's until `until`."""
    rows = await tx.fetch(CLAIM_UNANSWERED, now, until, limit)
    days = sorted({(row["channel"], row["account"], row["day"]) for row in rows})
    return {
        day: frozenset(row["id"] for row in rows if (row["channel"], row["account"], row["day"]) == day) for day in days
    }
