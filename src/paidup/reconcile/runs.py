"""The tables `reconciliations`, `reconciliation_sums` and `balances`: what was laid side by side, and what it added up
to. The latest run of a day is what holds."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from paidup.db.transaction import Tx


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of line in one currency on both sides; money that went out is negative. broken: lines that stand in a
    break; every line is matched, broken, or of a kind that is only added up (fee, payout)."""

    what: str
    currency: str
    bill_lines: int
    bill_minor: int
    bill_fee_minor: int
    bill_net_minor: int
    ours: int
    ours_minor: int
    matched: int
    matched_minor: int
    broken: int = 0
    broken_minor: int = 0


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What a payout took of the lines of one day and kind. is_read: whether the bill of that day is here, so that they
    could be looked for in it; untied: lines that it does not have, some of them named."""

    day: date
    what: str
    lines: int
    amount_minor: int
    fee_minor: int
    net_minor: int
    is_read: bool
    untied: int = 0
    untied_minor: int = 0
    untied_entries: list[str] = []


class Payout(msgspec.Struct, frozen=True, kw_only=True):
    """A payout to our bank: what it took adds up to net_minor. stated_minor: what it is over by the channel's own word,
    None where the report does not say."""

    payout_id: str
    currency: str
    net_minor: int
    takes: list[Taken]
    stated_minor: int | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run over the bill of one account and day. opened, reopened, cleared: breaks that this run changed.
    payouts: those of the day, where the channel says what they took."""

    id: str
    shop: str
    channel: str
    account: str
    day: date
    begins_at: datetime
    ends_at: datetime
    bill_id: str | None
    bill_version: int
    began_at: datetime
    ended_at: datetime
    lines: int
    matched: int
    grouped: int
    opened: int
    reopened: int
    cleared: int
    took_ms: Mapping[str, int] = {}
    payouts: list[Payout] = []
    sums: list[Sum] = []


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What lay at the channel at the end of a day, and how it came to that. funds_minor: what the fund flow bill says
    that moved; stated_opening_minor, stated_closing_minor: what it says that the day began and ended with; None where
    it does not. opening_minor is the stated one, else what the last day closed with, else zero."""

    channel: str
    account: str
    shop: str
    day: date
    currency: str
    opening_minor: int
    in_minor: int
    out_minor: int
    fees_minor: int
    payouts_minor: int
    closing_minor: int
    trades_minor: int
    funds_minor: int | None
    run_id: str
    stated_opening_minor: int | None = None
    stated_closing_minor: int | None = None


class Closed(msgspec.Struct, frozen=True):
    """What an earlier day closed with, by the fund flow bill where it says so. is_grounded: some fund flow bill up to
    that day said what lay there; otherwise it was only added up, from zero on."""

    day: date
    closing_minor: int
    stated_minor: int | None
    is_grounded: bool

    @property
    def best_minor(self) -> int:
        """What the channel itself said last."""
        return self.closing_minor if self.stated_minor is None else self.stated_minor


MAX_CURRENCIES = 500
"""More than there are in the world."""

_RUN = """id, shop, channel, account, day, begins_at, ends_at, bill_id, bill_version, began_at, ended_at, lines,
matched, grouped, opened, reopened, cleared, took_ms, payouts"""
_SUM = """what, currency, bill_lines, bill_minor, bill_fee_minor, bill_net_minor, ours, ours_minor, matched,
matched_minor, broken, broken_minor"""
_BALANCE = """channel, account, shop, day, currency, opening_minor, in_minor, out_minor, fees_minor, payouts_minor,
closing_minor, trades_minor, funds_minor, run_id, stated_opening_minor, stated_closing_minor"""

INSERT = f"""
INSERT INTO reconciliations ({_RUN})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)"""

INSERT_SUMS = f"""
INSERT INTO reconciliation_sums (run_id, {_SUM})
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
  $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[])"""

LATEST = f"""
SELECT {_RUN} FROM reconciliations WHERE channel = $1 AND account = $2 AND day = $3
ORDER BY n DESC LIMIT 1"""

OF_MOMENT = f"""
SELECT {_RUN} FROM reconciliations WHERE channel = $1 AND account = $2
  AND day BETWEEN ($3::timestamptz AT TIME ZONE 'UTC')::date - 1 AND ($3::timestamptz AT TIME ZONE 'UTC')::date + 1
  AND begins_at <= $3 AND $3 < ends_at
ORDER BY n DESC LIMIT 1"""

PAGE = f"""
SELECT * FROM (
  SELECT DISTINCT ON (day, channel, account) {_RUN} FROM reconciliations
  WHERE ($1::text IS NULL OR shop = $1) AND ($2::date IS NULL OR day >= $2) AND ($3::date IS NULL OR day <= $3)
    AND ($4::text IS NULL OR channel = $4) AND ($5::text IS NULL OR account = $5)
  ORDER BY day DESC, channel, account, n DESC) latest
ORDER BY day DESC, channel, account LIMIT $6"""

SUMS = f"SELECT run_id, {_SUM} FROM reconciliation_sums WHERE run_id = ANY($1::text[]) ORDER BY what, currency"

DAYS_READ = """
SELECT day, max(began_at) AS began_at FROM reconciliations
WHERE channel = $1 AND account = $2 AND day = ANY($3::date[]) GROUP BY day"""

CLOSING_BEFORE = """
SELECT DISTINCT ON (currency) currency, day, closing_minor, stated_closing_minor,
  bool_or(stated_closing_minor IS NOT NULL) OVER (PARTITION BY currency) AS is_grounded
FROM balances WHERE channel = $1 AND account = $2 AND day < $3 ORDER BY currency, day DESC"""

PUT_BALANCES = f"""
INSERT INTO balances ({_BALANCE})
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::text[], $6::bigint[], $7::bigint[],
  $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[],
  $15::bigint[], $16::bigint[])
ON CONFLICT (day, account, channel, currency) DO UPDATE SET opening_minor = excluded.opening_minor,
  in_minor = excluded.in_minor, out_minor = excluded.out_minor, fees_minor = excluded.fees_minor,
  payouts_minor = excluded.payouts_minor, closing_minor = excluded.closing_minor, trades_minor = excluded.trades_minor,
  funds_minor = excluded.funds_minor, run_id = excluded.run_id, stated_opening_minor = excluded.stated_opening_minor,
  stated_closing_minor = excluded.stated_closing_minor"""

TAKE_BACK = "DELETE FROM balances WHERE channel = $1 AND account = $2 AND day = $3 AND currency = ANY($4::text[])"

# A corrected bill moves every later day by the same amount, up to the next one that the channel says the opening of.
SHIFT_LATER = """
UPDATE balances b SET opening_minor = b.opening_minor + s.by_minor, closing_minor = b.closing_minor + s.by_minor
FROM unnest($4::text[], $5::bigint[]) AS s (currency, by_minor)
WHERE b.channel = $1 AND b.account = $2 AND b.day > $3 AND b.currency = s.currency AND s.by_minor <> 0
  AND b.day < coalesce((SELECT min(x.day) FROM balances x WHERE x.channel = $1 AND x.account = $2 AND x.day > $3
    AND x.currency = s.currency AND x.stated_opening_minor IS NOT NULL), 'infinity')"""

BALANCES = f"""
SELECT {_BALANCE} FROM balances WHERE ($1::text IS NULL OR shop = $1) AND ($2::text IS NULL OR channel = $2)
  AND ($3::text IS NULL OR account = $3) AND ($4::date IS NULL OR day >= $4) AND ($5::date IS NULL OR day <= $5)
ORDER BY day DESC, channel, account, currency LIMIT $6"""

LAST_BALANCES = f"""
SELECT DISTINCT ON (channel, account, currency) {_BALANCE} FROM balances
WHERE day < $1 AND ($2::text IS NULL OR shop = $2) AND ($3::text IS NULL OR channel = $3)
  AND ($4::text IS NULL OR account = $4)
ORDER BY channel, account, currency, day DESC"""


_JSON = ("took_ms", "payouts")


def _run(row: Any) -> Run:
    read = {name: msgspec.json.decode(row[name]) for name in _JSON}
    return msgspec.convert(dict(row) | read, Run)


async def write(tx: Tx, run: Run) -> None:
    """Append a run with its sums."""
    fields = [getattr(run, name) for name in Run.__struct_fields__ if name not in (*_JSON, "sums")]
    await tx.execute(INSERT, *fields, *(msgspec.json.encode(getattr(run, name)).decode() for name in _JSON))
    if run.sums:
        await tx.execute(INSERT_SUMS, run.id, *map(list, zip(*map(msgspec.structs.astuple, run.sums), strict=True)))


async def latest_of(tx: Tx, channel: str, account: str, day: date) -> Run | None:
    """The run of a day that holds."""
    row = await tx.fetchrow(LATEST, channel, account, day)
    return (await _with_sums(tx, [_run(row)]))[0] if row else None


async def of_moment(tx: Tx, channel: str, account: str, at: datetime) -> Run | None:
    """The run that holds of the day with this moment, without its sums."""
    row = await tx.fetchrow(OF_MOMENT, channel, account, at)
    return _run(row) if row else None


async def page(
    tx: Tx, shop: str | None, limit: int, *, since: date | None = None, until: date | None = None,
    channel: str | None = None, account: str | None = None,
) -> list[Run]:  # fmt: skip
    """The runs that hold, the latest day first."""
    rows = await tx.fetch(PAGE, shop, since, until, channel, account, limit)
    return await _with_sums(tx, [_run(row) for row in rows])


async def _with_sums(tx: Tx, found: Sequence[Run]) -> list[Run]:
    sums: dict[str, list[Sum]] = {run.id: [] for run in found}
    for row in await tx.fetch(SUMS, list(sums)):
        fields = dict(row)
        sums[fields.pop("run_id")].append(msgspec.convert(fields, Sum))
    return [msgspec.structs.replace(run, sums=sums[run.id]) for run in found]


async def days_read(tx: Tx, channel: str, account: str, days: Sequence[date]) -> dict[date, datetime]:
    """Those of these days that were reconciled, and when last."""
    rows = await tx.fetch(DAYS_READ, channel, account, list(days)) if days else []
    return {row["day"]: row["began_at"] for row in rows}


async def closed_before(tx: Tx, channel: str, account: str, day: date) -> dict[str, Closed]:
    """What was there last before a day, by currency."""
    rows = await tx.fetch(CLOSING_BEFORE, channel, account, day)
    return {
        r["currency"]: Closed(r["day"], r["closing_minor"], r["stated_closing_minor"], r["is_grounded"]) for r in rows
    }


async def put_balances(tx: Tx, run: Run, balances: Sequence[Balance]) -> None:
    """Write a day's balances, and take back those of currencies that it has none of any more; later days move along
    with a corrected one."""
    known = await page_of_balances(
        tx, None, MAX_CURRENCIES, channel=run.channel, account=run.account, since=run.day, until=run.day
    )
    before = {one.currency: one.closing_minor for one in known}
    moved = [(b.currency, b.closing_minor - before.get(b.currency, b.opening_minor)) for b in balances]
    if gone := sorted(before.keys() - {one.currency for one in balances}):
        lay = await closed_before(tx, run.channel, run.account, run.day)
        moved += [(one, (lay[one].best_minor if one in lay else 0) - before[one]) for one in gone]
        await tx.execute(TAKE_BACK, run.channel, run.account, run.day, gone)
    if balances:
        await tx.execute(PUT_BALANCES, *map(list, zip(*map(msgspec.structs.astuple, balances), strict=True)))
    if moved:
        await tx.execute(SHIFT_LATER, run.channel, run.account, run.day, *map(list, zip(*moved, strict=True)))


async def page_of_balances(
    tx: Tx, shop: str | None, limit: int, *, channel: str | None = None, account: str | None = None,
    since: date | None = None, until: date | None = None,
) -> list[Balance]:  # fmt: skip
    """Balances, the latest day first."""
    rows = await tx.fetch(BALANCES, shop, channel, account, since, until, limit)
    return [msgspec.convert(dict(row), Balance) for row in rows]


async def last_balances(
    tx: Tx, shop: str | None, day: date, *, channel: str | None = None, account: str | None = None
) -> list[Balance]:
    """The last balance before a day, of every account and currency."""
    rows = await tx.fetch(LAST_BALANCES, day, shop, channel, account)
    return [msgspec.convert(dict(row), Balance) for row in rows]
