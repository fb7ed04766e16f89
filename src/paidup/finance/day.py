"""What there is to report of one account's day, and of a month of days. Only read here; written by reconcile/."""

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta

import msgspec

from paidup.db.transaction import Tx
from paidup.errors import InvalidRequest
from paidup.reconcile import bills, runs, store
from paidup.reconcile.breaks import Break
from paidup.reconcile.states import UNSETTLED, State

MAX_BREAKS = 500
"""So many unsettled breaks stand in a report; all of them are in the export."""
MAX_DAYS = 366
MAX_ACCOUNTS = 200
EXPECTED_FOR_DAYS = 62
"""An account of which nothing was reconciled for so long is not used any more."""
_MONTH = re.compile(r"[12][0-9]{3}-(?:0[1-9]|1[0-2])")

TALLIES = """
SELECT day, channel, account, kind, state, currency, count(*) AS breaks, sum(differs_minor)::bigint AS differs_minor
FROM breaks WHERE ($1::text IS NULL OR shop = $1) AND day BETWEEN $2 AND $3
  AND ($4::text IS NULL OR channel = $4) AND ($5::text IS NULL OR account = $5)
GROUP BY day, channel, account, kind, state, currency ORDER BY day, channel, account, kind, state, currency"""

# Whoever had a reconciled day not long before, or whose bill of these days was asked for or brought.
EXPECTED = """
SELECT channel, account FROM reconciliations
WHERE day BETWEEN $2::date - $6::int AND $3 AND ($1::text IS NULL OR shop = $1)
  AND ($4::text IS NULL OR channel = $4) AND ($5::text IS NULL OR account = $5)
UNION SELECT channel, account FROM bills
WHERE day BETWEEN $2 AND $3 AND ($1::text IS NULL OR shop = $1)
  AND ($4::text IS NULL OR channel = $4) AND ($5::text IS NULL OR account = $5)
UNION SELECT f.channel, f.account FROM bill_fetches f
WHERE f.day BETWEEN $2 AND $3 AND ($4::text IS NULL OR f.channel = $4) AND ($5::text IS NULL OR f.account = $5)
  AND ($1::text IS NULL OR EXISTS (
    SELECT FROM bills b WHERE b.channel = f.channel AND b.account = f.account AND b.shop = $1))"""


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How many breaks of one kind and state a day has, and over how much: the bill's money less ours."""

    day: date
    channel: str
    account: str
    kind: str
    state: str
    currency: str
    breaks: int
    differs_minor: int

    @property
    def is_unsettled(self) -> bool:
        """Whether something is still to be done or waited for."""
        return State(self.state) in UNSETTLED


class DayReport(msgspec.Struct, frozen=True, kw_only=True):
    """One account's day. run is None when no bill of the day was reconciled."""

    shop: str
    channel: str
    account: str
    day: date
    run: runs.Run | None
    bill: bills.Kept | None
    balances: Sequence[runs.Balance]
    tallies: Sequence[Tally]
    breaks: Sequence[Break]
    oldest_open_at: datetime | None

    @property
    def unsettled(self) -> int:
        """How many breaks are not settled."""
        return sum(one.breaks for one in self.tallies if one.is_unsettled)


class MonthReport(msgspec.Struct, frozen=True, kw_only=True):
    """All days from `since` to `until`, of every account that was asked for. expected: (channel, account) of those
    whose days should be here."""

    since: date
    until: date
    days: Sequence[runs.Run]
    balances: Sequence[runs.Balance]
    tallies: Sequence[Tally]
    expected: Sequence[tuple[str, str]] = ()

    @property
    def accounts(self) -> list[tuple[str, str]]:
        """(channel, account) of all that have a reconciled day, or should have one."""
        return sorted({*self.expected, *((run.channel, run.account) for run in self.days)})

    def missing(self, channel: str, account: str) -> list[date]:
        """Days of the month without a reconciliation."""
        done = {run.day for run in self.days if (run.channel, run.account) == (channel, account)}
        length = (self.until - self.since).days + 1
        return [day for day in (self.since + timedelta(days=n) for n in range(length)) if day not in done]


def month_bounds(month: str) -> tuple[date, date]:
    """The first and last day of ``2026-11``. Raises InvalidRequest."""
    if not _MONTH.fullmatch(month):
        raise InvalidRequest(f"write the month as 2026-11, not {month[:40]!r}")
    first = date.fromisoformat(f"{month}-01")
    return first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


async def read_day(tx: Tx, shop: str, channel: str, account: str, day: date) -> DayReport:
    """Everything about a day that people are told."""
    run = await runs.latest_of(tx, channel, account, day)
    unsettled = tuple(state.value for state in UNSETTLED)
    wanted = store.Filter(channel=channel, account=account, since=day, until=day, states=unsettled)
    return DayReport(
        shop=shop,
        channel=channel,
        account=account,
        day=day,
        run=run,
        bill=await bills.get(tx, run.bill_id) if run is not None and run.bill_id else None,
        balances=await runs.page_of_balances(tx, None, 100, channel=channel, account=account, since=day, until=day),
        tallies=await _tallies(tx, None, day, day, channel, account),
        breaks=await store.page(tx, wanted, MAX_BREAKS),
        oldest_open_at=await store.oldest_open(tx, channel, account),
    )


async def read_month(
    tx: Tx,
    shop: str | None,
    since: date,
    until: date,
    today: date,
    channel: str | None = None,
    account: str | None = None,
) -> MonthReport:
    """Every reconciled day from `since` to `until`, both included, oldest first.

    today: days whose bill cannot be there yet are none of the report's, so that they are not missed.
    """
    most = MAX_DAYS * MAX_ACCOUNTS
    found = await runs.page(tx, shop, most, since=since, until=until, channel=channel, account=account)
    balances = await runs.page_of_balances(tx, shop, most, channel=channel, account=account, since=since, until=until)
    last = min(until, today - timedelta(days=1))
    wanted = (shop, since, last, channel, account, EXPECTED_FOR_DAYS)
    return MonthReport(
        since=since,
        until=max([since, last, *(run.day for run in found)]),
        days=sorted(found, key=lambda run: (run.channel, run.account, run.day)),
        balances=sorted(balances, key=lambda one: (one.channel, one.account, one.currency, one.day)),
        tallies=await _tallies(tx, shop, since, until, channel, account),
        expected=sorted(tuple(row) for row in await tx.fetch(EXPECTED, *wanted)) if since <= last else [],
    )


async def _tallies(
    tx: Tx, shop: str | None, since: date, until: date, channel: str | None, account: str | None
) -> list[Tally]:
    return [msgspec.convert(dict(row), Tally) for row in await tx.fetch(TALLIES, shop, since, until, channel, account)]
