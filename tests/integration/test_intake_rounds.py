"""A round of the intake while much waits: full batches, two at a time."""

import json

import asyncpg
import pytest

from kept import a_callback_each, an_offer, count, keep, receive
from paidup.db.transaction import Database, Tx
from paidup.errors import ConfigError
from paidup.handlers import Handlers
from paidup.intake import inbox
from paidup.intake.worker import run_many
from paidup.outbox.floor import Floor
from paidup.outbox.store import Written
from paidup.testing.builders import NOW, after, order_id, paid

MANY = """
INSERT INTO inbox_queue (callback_id, received_at, shop, channel, account, evidence, available_at)
SELECT 'cbk' || n, $1, 'teahouse', 'alipay', 'main', '[]', $1::timestamptz + n * interval '10 ms'
FROM generate_series(1, $2) n"""


async def waiting(db: Database, many: int) -> None:
    """So many paid callbacks, each of an order of its own."""
    numbers = range(1, many + 1)
    await keep(db, *(an_offer(n) for n in numbers))
    await receive(db, *a_callback_each([paid(n) for n in numbers]))


@pytest.mark.parametrize(("limit", "taken"), [(500, 23), (23, 23), (4, 23), (1, 17)])
async def test_a_round_takes_what_waits_and_has_an_end(db: Database, limit: int, taken: int) -> None:
    """One batch, and eight more in each of two lanes at most; each order is paid once."""
    await waiting(db, 23)
    assert taken == await run_many(db, now=after(40), limit=limit, handlers=Handlers())
    left = await count(db, "inbox_queue")
    assert (taken, taken, 23 - taken) == (
        await count(db, "orders", "state = 'paid'"), await count(db, "events", "type = 'order.paid'"), left,
    )  # fmt: skip


async def test_a_batch_that_fails_is_raised_when_the_others_have_ended(db: Database) -> None:
    """The connection of one is cut: what the others did is committed, and it waits as it did."""
    await waiting(db, 9)
    handlers = Handlers()

    async def fails(tx: Tx, event: Written) -> None:
        if event.order_id == order_id(9):
            await tx.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    handlers.on("order.paid")(fails)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await run_many(db, now=after(40), limit=1, handlers=handlers)
    assert (8, 1) == (await count(db, "orders", "state = 'paid'"), await count(db, "inbox_queue"))


async def test_who_is_older_than_the_database_blames_no_callback(db: Database) -> None:
    """A newer version has changed a table under us: what waits is left to it, as it is, and no person is called."""
    await waiting(db, 3)
    async with db.transaction() as tx:
        await tx.execute("ALTER TABLE numbers ADD COLUMN whose text NOT NULL DEFAULT ''")
        await tx.execute("ALTER TABLE numbers ALTER COLUMN whose DROP DEFAULT")
        await tx.execute("INSERT INTO schema_migrations (version, name, sha256) VALUES (9999, 'whose_number', '')")
    for minute in range(1, 10):
        with pytest.raises(ConfigError, match="9999_whose_number"):
            await run_many(db, now=after(60 * minute), limit=500, handlers=Handlers())
    assert (3, 0) == (await count(db, "inbox_queue", "state = 'waiting' AND attempts = 0"), await count(db, "cases"))


async def test_a_round_does_not_walk_over_what_was_taken_before_it(db: Database) -> None:
    """A backup reads, so that no entry of the index is cleared away: a look begins where the last one did."""
    floor, at = Floor(), after(400)
    async with db.transaction() as backup:
        await backup.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await backup.fetchval("SELECT count(*) FROM inbox_queue")
        async with db.transaction() as tx:
            await tx.execute(MANY, NOW, 20_000)
        async with db.transaction() as tx:
            for _ in range(39):
                await inbox.done(tx, [row.seq for row in await inbox.claim(tx, at, 500, floor)])
        async with db.transaction() as tx:
            explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {inbox.CLAIM}"
            (plan,) = json.loads(await tx.fetchval(explained, at, 10, floor.begin(at)))
    assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < 100


async def test_what_was_committed_late_is_taken_within_a_second(db: Database) -> None:
    """Its moment lies before where a look begins; one look in each second is at all."""
    floor = Floor()
    async with db.transaction() as tx:
        await tx.execute(MANY, after(100), 2)
        assert 1 == len(await inbox.claim(tx, after(200), 1, floor))
        await tx.execute(MANY, NOW, 1)
        found = [len(await inbox.claim(tx, after(200 + s), 9, floor)) for s in (0.5, 1.0)]
    assert [2, 3] == found
