"""Counters that no restart and no retention can falsify.

A counter that is ``count(*)`` of a table falls when an old day is dropped; Prometheus takes that for a restart from
zero, and adds millions that never happened. A counter in a process's memory is its own business only. So each counter
here is the number of rows *of this UTC day*: a function of the database alone, the same in every process and after
every restart. It begins anew at midnight UTC, which ``rate()`` and ``increase()`` take for the restart that it is, and
the rows of today are the ones that retention touches last.

Rows become visible when their transaction commits, later than the time they carry. So a day is counted in two parts:
what is older than SETTLED_AFTER once, and what is younger anew each time. The cost of a reading is that of the last
minutes, whatever the size of the tables. A row that comes even later is found after the next restart.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING

from paidup import ids
from paidup.channels.registry import CHANNELS
from paidup.clock import days_after
from paidup.db.transaction import Tx
from paidup.events import EventType
from paidup.evidence import Road
from paidup.metrics import families as f
from paidup.metrics.readings import Distribution, Readings, fresh

if TYPE_CHECKING:
    from asyncpg import Record

SETTLED_AFTER = timedelta(minutes=3)
"""Longer than any lease, and than any transaction may live (statements end after 30 s, idle ones after 60 s)."""
AT_ONCE = timedelta(hours=1)
"""What a process that starts late in the day counts with one statement."""
_SKEW = timedelta(minutes=1)
"""Partitions are chosen by a timestamp that may differ a little from the one inside the row's id."""

Account = tuple[str, str]  # channel and name

# By account, because that is the index there is: it is read, and the rows are not.
CALLBACKS = """
SELECT a.channel, a.account, n.rows
FROM unnest($3::text[], $4::text[]) AS a (channel, account)
CROSS JOIN LATERAL (
  SELECT count(*) AS rows FROM inbox i
  WHERE i.channel = a.channel AND i.account = a.account AND i.received_at >= $1 AND i.received_at < $2) n"""

QUARANTINED = """
SELECT channel, verdict, count(*) AS rows FROM quarantine WHERE received_at >= $1 AND received_at < $2 GROUP BY 1, 2"""

EVENTS = """
SELECT n.type, sum(n.rows)::bigint AS rows
FROM shops s
CROSS JOIN LATERAL (
  SELECT type, count(*) AS rows FROM events
  WHERE shop = s.shop AND created_at >= $1 AND created_at < $2 GROUP BY type) n
GROUP BY 1"""

# The others are found by id, which begins with the time; the timestamps only leave other days' partitions out.
DECISIONS = """
SELECT road, outcome, count(*) AS rows FROM decisions
WHERE id >= $1 AND id < $2 AND decided_at >= $3 AND decided_at < $4 GROUP BY 1, 2"""

# The first arrival of the money, not a dispute that was won. Half a microsecond less, because Prometheus counts a value
# that equals a bound below it, and width_bucket above.
PAID = """
SELECT p.channel, d.road, width_bucket(s.seconds - 0.0000005, $5::float8[]) AS bucket, count(*) AS rows,
  sum(s.seconds) AS seconds
FROM decisions d JOIN payments p ON p.id = d.payment_id
CROSS JOIN LATERAL (
  SELECT greatest(0, extract(epoch FROM d.decided_at - coalesce(p.paid_at, d.decided_at)))::float8 AS seconds) s
WHERE d.id >= $1 AND d.id < $2 AND d.decided_at >= $3 AND d.decided_at < $4
  AND d.outcome = 'applied' AND d.after LIKE '%payment paid%'
  AND d.before NOT LIKE ALL (ARRAY['%payment paid%', '%payment disputed%', '%payment charged_back%'])
GROUP BY 1, 2, 3"""

CALLS = """
SELECT channel, purpose, outcome, width_bucket(elapsed_ms / 1000.0::float8 - 0.0000005, $5::float8[]) AS bucket,
  count(*) AS rows, sum(elapsed_ms) / 1000.0::float8 AS seconds
FROM channel_calls
WHERE id >= $1 AND id < $2 AND called_at >= $3 AND called_at < $4 GROUP BY 1, 2, 3, 4"""

ATTEMPTS = """
SELECT outcome, width_bucket(elapsed_ms / 1000.0::float8 - 0.0000005, $5::float8[]) AS bucket, count(*) AS rows,
  sum(elapsed_ms) / 1000.0::float8 AS seconds
FROM delivery_attempts
WHERE id >= $1 AND id < $2 AND attempted_at >= $3 AND attempted_at < $4 GROUP BY 1, 2"""

_ROADS = tuple(road.value for road in Road)
_COMMANDS = ("shop", "clock")
_OUTCOMES = ("applied", "repeated", "parked", "rejected", "ignored")
_ATTEMPTS = ("delivered", "again", "dead", "gone")


class Tallies:
    """The counters of a day, as one process has counted them so far. One reading at a time."""

    def __init__(self, settled_after: timedelta = SETTLED_AFTER) -> None:
        self._settled_after = settled_after
        self._up_to: datetime | None = None
        self._settled = Readings()

    async def read(self, tx: Tx, now: datetime, accounts: Sequence[Account]) -> Readings:
        """Every counter as of now."""
        midnight, tomorrow = days_after(now, 0), days_after(now, 1)
        if self._up_to is None or not midnight <= self._up_to < tomorrow:
            self._up_to, self._settled = midnight, _nothing(accounts)
        horizon = max(self._up_to, now - self._settled_after)
        while self._up_to < horizon:
            until = min(self._up_to + AT_ONCE, horizon)
            part = await _count(tx, self._up_to, until, accounts)
            self._up_to, self._settled = until, self._settled.plus(part)
        return self._settled.plus(await _count(tx, self._up_to, tomorrow, accounts))


def _nothing(accounts: Sequence[Account]) -> Readings:
    """Every series that can be foreseen at zero, so that the first of its kind is seen as an increase."""
    zero = Readings()
    for account in accounts:
        zero.count(f.CALLBACKS, 0, *account)
    for road, outcome in product((*_ROADS, *_COMMANDS), _OUTCOMES):
        zero.count(f.DECISIONS, 0, road, outcome)
    for road in _ROADS:
        zero.spread(f.PAID_AFTER, fresh(f.PAID_AFTER), road)
        for channel in sorted({channel for channel, _ in accounts}):
            zero.count(f.PAID, 0, channel, road)
    for event in EventType:
        zero.count(f.EVENTS, 0, event.value)
    for outcome in _ATTEMPTS:
        zero.count(f.ATTEMPTS, 0, outcome)
    zero.spread(f.ATTEMPT_TOOK, fresh(f.ATTEMPT_TOOK))
    return zero


async def _count(tx: Tx, since: datetime, until: datetime, accounts: Sequence[Account]) -> Readings:
    """The rows dated from `since` to before `until`."""
    found = Readings()
    names = [channel for channel, _ in accounts], [name for _, name in accounts]
    for row in await tx.fetch(CALLBACKS, since, until, *names):
        found.count(f.CALLBACKS, row["rows"], row["channel"], row["account"])
    for row in await tx.fetch(QUARANTINED, since, until):
        known = row["channel"] if row["channel"] in CHANNELS else "unknown"  # a stranger may have written anything
        found.count(f.QUARANTINED, row["rows"], known, row["verdict"])
    for row in await tx.fetch(EVENTS, since, until):
        found.count(f.EVENTS, row["rows"], row["type"])
    for row in await tx.fetch(DECISIONS, *_between("dec", since, until)):
        found.count(f.DECISIONS, row["rows"], row["road"], row["outcome"])
    for row in await tx.fetch(PAID, *_between("dec", since, until), f.PAID_AFTER.buckets):
        found.count(f.PAID, row["rows"], row["channel"], row["road"])
        found.spread(f.PAID_AFTER, _bucket(f.PAID_AFTER, row), row["road"])
    for row in await tx.fetch(CALLS, *_between(ids.CALL, since, until), f.CALL_TOOK.buckets):
        found.count(f.CALLS, row["rows"], row["channel"], row["purpose"], row["outcome"])
        found.spread(f.CALL_TOOK, _bucket(f.CALL_TOOK, row), row["channel"])
    for row in await tx.fetch(ATTEMPTS, *_between("att", since, until), f.ATTEMPT_TOOK.buckets):
        found.count(f.ATTEMPTS, row["rows"], row["outcome"])
        found.spread(f.ATTEMPT_TOOK, _bucket(f.ATTEMPT_TOOK, row))
    return found


def _between(kind: str, since: datetime, until: datetime) -> tuple[str, str, datetime, datetime]:
    return ids.first_of(kind, since), ids.first_of(kind, until), since - _SKEW, until + _SKEW


def _bucket(family: f.Family, row: "Record") -> Distribution:
    """A row that counts one bucket of a histogram."""
    part = fresh(family)
    part.counts[row["bucket"]] = row["rows"]
    part.total = float(row["seconds"])
    return part
