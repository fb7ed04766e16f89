"""The table `tally`: callbacks and paid payments, per minute and account."""

from datetime import datetime, timedelta

import msgspec

from paidup import ids
from paidup.db.transaction import Tx

KEPT = timedelta(days=40)
_ROUNDED = timedelta(seconds=1)
"""More than the time in an id and the one beside it differ by."""
ROADS = ("callback", "query", "bill", "operator")

# The number names the lock and means nothing else.
ALONE = "SELECT pg_try_advisory_xact_lock(7243923)"

COUNTED_UP_TO = "SELECT max(minute) FROM tally"

# Rows are found by id, which begins with the time; the exact times decide. A block range index on the times would do as
# much once it is summarized, and makes this read all of a day that vacuum has not seen.
COUNT = """
INSERT INTO tally (minute, channel, account, callbacks, callback, query, bill, operator)
SELECT minute, channel, account, sum(callbacks), sum(callback), sum(query), sum(bill), sum(operator) FROM (
  SELECT date_trunc('minute', received_at) AS minute, channel, account,
    1 AS callbacks, 0 AS callback, 0 AS query, 0 AS bill, 0 AS operator
  FROM inbox WHERE id >= $3 AND id < $4 AND received_at >= $1 AND received_at < $2
  UNION ALL
  SELECT date_trunc('minute', d.decided_at), p.channel, p.account,
    0, (d.road = 'callback')::int, (d.road = 'query')::int, (d.road = 'bill')::int, (d.road = 'operator')::int
  FROM decisions d JOIN payments p ON p.id = d.payment_id
  WHERE d.id >= $5 AND d.id < $6 AND d.decided_at >= $1 AND d.decided_at < $2 AND d.outcome = 'applied'
    AND d.after LIKE '%payment paid%' AND coalesce(d.before, '') NOT LIKE '%payment paid%'
  UNION ALL
  SELECT date_trunc('minute', $2::timestamptz - interval '1 microsecond'), '', '', 0, 0, 0, 0, 0
) AS happened
GROUP BY minute, channel, account
ON CONFLICT (minute, channel, account) DO UPDATE SET callbacks = excluded.callbacks, callback = excluded.callback,
  query = excluded.query, bill = excluded.bill, operator = excluded.operator"""

PRUNE = "DELETE FROM tally WHERE minute < $1"

ACCOUNTS = """
SELECT channel, account,
  coalesce(sum(callbacks) FILTER (WHERE minute > t - interval '1 hour'), 0)::int AS callbacks_hour,
  coalesce(sum(callbacks) FILTER (
    WHERE minute > t - interval '169 hours' AND minute <= t - interval '168 hours'), 0)::int AS callbacks_before,
  coalesce(sum(callback + query + bill + operator) FILTER (WHERE minute > t - interval '1 hour'), 0)::int AS paid_hour,
  coalesce(sum(callback + query + bill + operator) FILTER (
    WHERE minute > t - interval '169 hours' AND minute <= t - interval '168 hours'), 0)::int AS paid_hour_before,
  coalesce(sum(callback + query + bill + operator) FILTER (WHERE minute > t - interval '1 day'), 0)::int AS paid_day,
  coalesce(sum(callback + query + bill + operator) FILTER (
    WHERE minute <= t - interval '7 days'), 0)::int AS paid_day_before,
  coalesce(sum(callback) FILTER (WHERE minute > t - interval '1 day'), 0)::int AS by_callback,
  coalesce(sum(query) FILTER (WHERE minute > t - interval '1 day'), 0)::int AS by_query,
  coalesce(sum(bill) FILTER (WHERE minute > t - interval '1 day'), 0)::int AS by_bill,
  coalesce(sum(operator) FILTER (WHERE minute > t - interval '1 day'), 0)::int AS by_operator
FROM tally, (SELECT $1::timestamptz AS t) AS clock
WHERE channel <> '' AND (minute > t - interval '1 day'
  OR (minute > t - interval '8 days' AND minute <= t - interval '7 days'))
GROUP BY channel, account ORDER BY channel, account"""

SERIES = """
SELECT date_bin($2, minute, $1) AS at, sum(callback)::int AS callback, sum(query + bill + operator)::int AS healed
FROM tally WHERE minute > $3 AND minute <= $1 AND channel <> '' GROUP BY 1 ORDER BY 1"""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """How one account fared: callbacks and paid payments in the last hour and day, and at the same time last week."""

    channel: str
    account: str
    callbacks_hour: int
    callbacks_before: int
    paid_hour: int
    paid_hour_before: int
    paid_day: int
    paid_day_before: int
    by_callback: int
    by_query: int
    by_bill: int
    by_operator: int


class Point(msgspec.Struct, frozen=True):
    """Payments that became paid in one step of time: by their callback, or healed by another road."""

    at: datetime
    callback: int
    healed: int


async def counted_up_to(tx: Tx) -> datetime | None:
    """The last minute that was counted."""
    return await tx.fetchval(COUNTED_UP_TO)  # type: ignore[no-any-return]  # the column is timestamptz


async def count(tx: Tx, since: datetime, until: datetime) -> None:
    """Count these minutes anew."""
    edges = since - _ROUNDED, until + _ROUNDED
    named = [ids.first_of(kind, at) for kind in (ids.CALLBACK, "dec") for at in edges]
    await tx.execute(COUNT, since, until, *named)


async def prune(tx: Tx, now: datetime) -> None:
    """Forget what is too old to compare with."""
    await tx.execute(PRUNE, now - KEPT)


async def accounts(tx: Tx, now: datetime) -> list[Account]:
    """Each account that had any traffic in the last day or at the same time last week."""
    return [Account(**dict(row)) for row in await tx.fetch(ACCOUNTS, now)]


async def series(tx: Tx, now: datetime, step: timedelta, length: timedelta) -> list[Point]:
    """What became paid, step by step, oldest first; steps without any are left out."""
    return [Point(*row) for row in await tx.fetch(SERIES, now, step, now - length)]
