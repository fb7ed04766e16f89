"""Day partitions: there before they are needed, gone when nobody may need them any more."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from paidup.db.partitions import PARTITIONED, Partitioned, drop_old, ensure_partitions
from paidup.db.transaction import Database

NOW = datetime(2026, 11, 23, 23, 59, tzinfo=UTC)
INBOX = (Partitioned("inbox", keep_days=3),)
CALLBACK = """
insert into inbox (id, received_at, shop, channel, account, dedup_key, kind, target, headers, body)
values ($1, $2, 'shop', 'wechat', 'main', 'key', 'TRANSACTION.SUCCESS', '/', '[]', '\\x00')
"""


async def test_every_partitioned_table_is_looked_after(db: Database) -> None:
    """A table that is partitioned in the schema and missing from the list would end up whole in its default one."""
    query = "select partrelid::regclass::text as name from pg_partitioned_table order by 1"
    async with db.session() as tx:
        assert sorted(entry.table for entry in PARTITIONED) == [row["name"] for row in await tx.fetch(query)]


async def test_days_are_made_from_yesterday_on(db: Database) -> None:
    """A callback that was received just before midnight still finds its day."""
    async with db.transaction() as tx:
        made = await ensure_partitions(tx, NOW, 2, INBOX)
    assert ["inbox_p20261122", "inbox_p20261123", "inbox_p20261124", "inbox_p20261125"] == made


async def test_what_is_there_is_left_alone(db: Database) -> None:
    """Asked again, only the new day is made."""
    async with db.transaction() as tx:
        await ensure_partitions(tx, NOW, 2, INBOX)
        assert [] == await ensure_partitions(tx, NOW, 2, INBOX)
        assert ["inbox_p20261126"] == await ensure_partitions(tx, NOW + timedelta(days=1), 2, INBOX)


async def test_every_listed_table_can_be_cut(db: Database) -> None:
    """The whole list is made and dropped on the real schema."""
    async with db.transaction() as tx:
        made = await ensure_partitions(tx, NOW, 0)
        dropped = await drop_old(tx, NOW + timedelta(days=1000))
    assert 2 * len(PARTITIONED) == len(made)
    assert sorted(made) == sorted(dropped)


async def test_days_are_those_of_utc(db: Database) -> None:
    """A `now` in Shanghai's time, where it is tomorrow already, cuts the same days."""
    async with db.transaction() as tx:
        await ensure_partitions(tx, NOW.astimezone(timezone(timedelta(hours=8))), 0, INBOX)
        await tx.execute(CALLBACK, "late", NOW)
        await tx.execute(CALLBACK, "early", NOW + timedelta(minutes=1))
        places = await tx.fetch("select id, tableoid::regclass::text as place from inbox order by received_at")
    assert [("late", "inbox_p20261123"), ("early", "inbox_rest")] == [tuple(place) for place in places]


async def test_rows_that_waited_in_the_default_partition_are_moved(db: Database) -> None:
    """When nobody made partitions for a while nothing is lost, and making them afterwards still works."""
    async with db.transaction() as tx:
        await tx.execute(CALLBACK, "waited", NOW)
    async with db.transaction() as tx:
        await ensure_partitions(tx, NOW, 0, INBOX)
        places = await tx.fetch("select id, tableoid::regclass::text as place from inbox")
    assert [("waited", "inbox_p20261123")] == [tuple(place) for place in places]


async def test_partitions_carry_the_indexes_of_their_table(db: Database) -> None:
    """Made beside the table and attached, a partition still is keyed like its table."""
    async with db.transaction() as tx:
        await ensure_partitions(tx, NOW, 0, INBOX)
        expected = await tx.fetch("select indexrelid from pg_index where indrelid = 'inbox'::regclass")
        attached = await tx.fetch(
            "select inhparent as indexrelid from pg_index"
            " join pg_inherits on inhrelid = indexrelid where indrelid = 'inbox_p20261123'::regclass"
        )
    assert sorted(row["indexrelid"] for row in expected) == sorted(row["indexrelid"] for row in attached)


async def test_two_may_look_after_them_at_once(db: Database) -> None:
    """Two processes that make the same days do not disturb each other."""

    async def look_after() -> list[str]:
        async with db.transaction() as tx:
            return await ensure_partitions(tx, NOW, 0, INBOX)

    assert [0, 2] == sorted(len(made) for made in await asyncio.gather(look_after(), look_after()))


async def test_old_days_are_dropped_and_kept_days_kept(db: Database) -> None:
    """A day is dropped once its last moment is more than keep_days ago, and not a moment earlier."""
    async with db.transaction() as tx:
        await ensure_partitions(tx, NOW, 1, INBOX)
        last_moment = datetime(2026, 11, 26, 23, 59, tzinfo=UTC)
        assert ["inbox_p20261122"] == await drop_old(tx, last_moment, INBOX)
        assert ["inbox_p20261123"] == await drop_old(tx, last_moment + timedelta(minutes=1), INBOX)


async def test_other_partitions_are_not_ours_to_drop(db: Database) -> None:
    """The default partition, and one that somebody made by hand, stay."""
    async with db.transaction() as tx:
        await tx.execute(
            "create table inbox_archive partition of inbox for values from ('2020-01-01') to ('2021-01-01')"
        )
        assert [] == await drop_old(tx, NOW, INBOX)


def test_channels_repeat_for_three_days() -> None:
    """Keeping less than the longest retry window of any channel is refused."""
    with pytest.raises(ValueError, match="channels repeat for 3 days"):
        Partitioned("inbox", keep_days=2)


async def test_a_callback_of_three_kilobytes_stays_in_one_row(db: Database) -> None:
    """Nothing is spent on compressing ciphertext, nor on a second table for its pieces."""
    body = bytes(range(256)) * 12
    async with db.transaction() as tx:
        await ensure_partitions(tx, NOW, 0)
        await tx.execute(CALLBACK.replace("'\\x00'", "$3"), "cb1", NOW, body)
        kept = await tx.fetchrow("select tableoid::regclass::text as day, pg_column_size(body) as size from inbox")
        toast = await tx.fetchval(
            "select pg_relation_size(reltoastrelid) from pg_class where oid = 'inbox_p20261123'::regclass"
        )
    assert kept is not None
    assert ("inbox_p20261123", len(body) + 4, 0) == (kept["day"], kept["size"], toast)
