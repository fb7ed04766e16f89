"""The table `bill_fetches`: which bills are to be fetched, and when each is asked for next."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import msgspec

from paidup.channels.bill import BillKind
from paidup.db.transaction import Tx

KEPT_DAYS = 400


class Fetch(msgspec.Struct, frozen=True, kw_only=True):
    """A claimed row of `bill_fetches`."""

    channel: str
    account: str
    kind: BillKind
    day: date
    due_at: datetime
    tries: int
    made_as: str | None
    alarmed: bool


WANT = """
INSERT INTO bill_fetches (channel, account, kind, day, state, due_at)
SELECT channel, account, kind, day, 'waiting', due_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::timestamptz[])
  AS w (channel, account, kind, day, due_at)
ON CONFLICT (day, account, channel, kind) DO NOTHING"""

CLAIM = """
UPDATE bill_fetches SET due_at = $2, tries = tries + 1
WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM bill_fetches WHERE state = 'waiting' AND due_at <= $1
  ORDER BY due_at, day, channel, account, kind DESC LIMIT $3 FOR UPDATE SKIP LOCKED))
RETURNING channel, account, kind, day, due_at, tries, made_as, alarmed"""

PUT_OFF = """
UPDATE bill_fetches SET due_at = $5, made_as = $6, why = $7, alarmed = $8, state = $9
WHERE channel = $1 AND account = $2 AND kind = $3 AND day = $4 AND state = 'waiting'"""

PAGE = """
SELECT channel, account, kind, day, state, due_at, tries, why, alarmed FROM bill_fetches
WHERE ($1::date IS NULL OR day = $1) ORDER BY day DESC, channel, account, kind LIMIT $2"""

LAST_WANTED = "SELECT max(day) FROM bill_fetches WHERE channel = $1 AND account = $2 AND kind = $3"

PRUNE = "DELETE FROM bill_fetches WHERE day < $1 AND state <> 'waiting'"


async def want(tx: Tx, wanted: Sequence[tuple[str, str, BillKind, date, datetime]]) -> None:
    """(channel, account, kind, day, from when on) of bills that are to be fetched; known ones stay as they are."""
    if wanted:
        await tx.execute(WANT, *map(list, zip(*wanted, strict=True)))


async def last_wanted(tx: Tx, channel: str, account: str, kind: BillKind) -> date | None:
    """The latest day whose bill was ever wanted."""
    found: date | None = await tx.fetchval(LAST_WANTED, channel, account, kind)
    return found


async def claim(tx: Tx, now: datetime, until: datetime, limit: int) -> list[Fetch]:
    """Take what is due; nobody else takes it before `until`."""
    return [msgspec.convert(dict(row), Fetch) for row in await tx.fetch(CLAIM, now, until, limit)]


async def put_off(
    tx: Tx, fetch: Fetch, due_at: datetime, why: str, *, made_as: str | None = None, alarmed: bool = False,
    state: str = "waiting",
) -> None:  # fmt: skip
    """Ask again at `due_at`, or no more."""
    await tx.execute(
        PUT_OFF, fetch.channel, fetch.account, fetch.kind, fetch.day, due_at, made_as, why[:1000], alarmed, state
    )


async def page(tx: Tx, day: date | None, limit: int) -> list[dict[str, object]]:
    """The schedule, for people."""
    return [dict(row) for row in await tx.fetch(PAGE, day, limit)]


async def prune(tx: Tx, now: datetime) -> None:
    """Remove what has outlived its stated retention."""
    await tx.execute(PRUNE, (now - timedelta(days=KEPT_DAYS)).date())
