"""Tables that grow with every callback are cut by UTC day, so that old days leave by DROP, not by DELETE.

Rows of a day that has no partition yet wait in the table's default partition, and are moved when their day is made.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from paidup.clock import days_after
from paidup.db.transaction import Tx

MIN_KEEP_DAYS = 3
"""The longest time over which a channel repeats a notice (Stripe: three days)."""


@dataclass(frozen=True)
class Partitioned:
    """A table partitioned by range on one timestamptz column, and how many whole days of it are kept.

    options: storage parameters of its partitions, which do not inherit any.
    """

    table: str
    keep_days: int
    options: str = ""

    def __post_init__(self) -> None:
        if self.keep_days < MIN_KEEP_DAYS:
            raise ValueError(f"{self.table}: channels repeat for {MIN_KEEP_DAYS} days; keep at least those")


# Ciphertext and signatures do not shrink: rows of more than 2 kB would be compressed in vain and cut into pieces, which
# is a third of what keeping a callback of that size costs PostgreSQL. Two rows of 4 kB still fill a page.
_ROWS_STAY_WHOLE = "toast_tuple_target = 4080"

PARTITIONED = (
    Partitioned("inbox", keep_days=90, options=_ROWS_STAY_WHOLE),
    Partitioned("decisions", keep_days=400),
    Partitioned("channel_calls", keep_days=90),
    Partitioned("events", keep_days=90),
    Partitioned("delivery_attempts", keep_days=90),
)


async def ensure_partitions(
    tx: Tx, now: datetime, days_ahead: int = 7, tables: tuple[Partitioned, ...] = PARTITIONED
) -> list[str]:
    """Make the partitions from yesterday to `days_ahead` days after today that are missing; returns their names.

    Raises asyncpg.LockNotAvailableError when long work is in the way, such as a backup; try again in some minutes.
    """
    await _begin(tx)
    made = []
    for entry in tables:
        there = set(await _days(tx, entry.table))
        for offset in range(-1, days_ahead + 1):
            day = days_after(now, offset)
            if day.date() not in there:
                made.append(await _make(tx, entry, day))
    return made


async def drop_old(tx: Tx, now: datetime, tables: tuple[Partitioned, ...] = PARTITIONED) -> list[str]:
    """Drop the partitions whose last moment is more than keep_days ago; returns their names.

    Raises asyncpg.LockNotAvailableError when somebody reads one of them; try again in some minutes.
    """
    await _begin(tx)
    dropped = []
    for entry in tables:
        oldest_kept = days_after(now, -entry.keep_days).date()
        for day, name in sorted((await _days(tx, entry.table)).items()):
            if day < oldest_kept:
                # DROP locks the table first and the day next, and waits for whoever reads that, and all who write wait
                # with it. So it is asked first whether anybody reads the day.
                await tx.execute(f"lock table {name} in access exclusive mode nowait")
                await tx.execute(f"drop table {name}")
                dropped.append(name)
    return dropped


def partition_name(table: str, day: datetime) -> str:
    """``inbox_p20261123``; the day is that of UTC."""
    return f"{table}_p{day.astimezone(UTC):%Y%m%d}"


# Two processes may look after the partitions at the same moment. The number names the lock and means nothing else.
_LOCK = "select pg_advisory_xact_lock(7243918)"

# While we wait for a table lock, everybody who comes after us waits, too: better give up at once. There are days to
# spare in both directions.
_BE_PATIENT_BRIEFLY = "set local lock_timeout = '100ms'"


async def _begin(tx: Tx) -> None:
    await tx.execute(_LOCK)
    await tx.execute(_BE_PATIENT_BRIEFLY)


_PARTITIONS = """
select child.relname as name
from pg_inherits join pg_class child on child.oid = inhrelid
where inhparent = $1::text::regclass
"""


async def _days(tx: Tx, table: str) -> dict[date, str]:
    """The day partitions of a table. Others (the default one, or one made by hand) are not ours to judge."""
    found = {}
    for row in await tx.fetch(_PARTITIONS, table):
        prefix, _, digits = row["name"].rpartition("_p")
        if prefix == table and len(digits) == 8 and digits.isdigit():
            found[date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))] = row["name"]
    return found


_DEFAULT_PARTITION = """
select partdefid::regclass::text from pg_partitioned_table
where partrelid = $1::text::regclass and partdefid <> 0
"""

_KEY = """
select quote_ident(attname)
from pg_partitioned_table join pg_attribute on attrelid = partrelid and attnum = partattrs[0]
where partrelid = $1::text::regclass
"""


async def _make(tx: Tx, entry: Partitioned, day: datetime) -> str:
    """Made beside the table and then attached: that way nobody waits who writes to another partition."""
    table, name = entry.table, partition_name(entry.table, day)
    start, end = day.isoformat(), (day + timedelta(days=1)).isoformat()
    stored = f" with ({entry.options})" if entry.options else ""
    await tx.execute(f"create table {name} (like {table} including all excluding identity){stored}")
    rest = await tx.fetchval(_DEFAULT_PARTITION, table)
    if rest:
        key = await tx.fetchval(_KEY, table)
        # A partition cannot be attached while the default one holds rows of its range.
        await tx.execute(f"lock table {rest} in share row exclusive mode")
        await tx.execute(
            f"with moved as (delete from {rest} where {key} >= '{start}' and {key} < '{end}' returning *)"
            f" insert into {name} select * from moved"
        )
    await tx.execute(f"alter table {table} attach partition {name} for values from ('{start}') to ('{end}')")
    return name
