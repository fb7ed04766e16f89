"""The statements of the outbox and of the lanes stay look-ups, whatever the statistics of their tables say."""

import pytest

from paidup.db.transaction import Database
from paidup.delivery.store import CLAIMABLE, PROMOTE, SETTLE
from paidup.outbox.floor import BEGINNING
from paidup.outbox.store import TAKE
from paidup.testing.builders import NOW


async def plan_of(db: Database, statement: str, *arguments: object) -> list[str]:
    """As it is made when the tables are empty, and kept for whatever comes."""
    async with db.transaction() as tx:
        await tx.execute("ANALYZE outbox_queue; ANALYZE deliveries")
        await tx.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        return [row[0].strip() for row in await tx.fetch(f"EXPLAIN {statement}", *arguments)]


@pytest.mark.parametrize(
    ("statement", "arguments"), [(TAKE, (200, BEGINNING)), (PROMOTE, (["ord1", "ord2"],))], ids=["take", "promote"]
)
async def test_a_queue_that_was_empty_when_it_was_looked_at_is_not_joined(
    db: Database, statement: str, arguments: tuple[object, ...]
) -> None:
    """A join planned for one row compares each row of a batch with all that wait: a burst then lasts for minutes."""
    plan = await plan_of(db, statement, *arguments)
    assert [] == [line for line in plan if "Join" in line or "Nested Loop" in line or "Seq Scan" in line]


async def test_what_was_settled_is_looked_up_one_by_one(db: Database) -> None:
    """Each row of a batch by its id, and changed by its place; nothing reads the whole of an index."""
    plan = await plan_of(db, SETTLE, [1], [1], ["delivered"], [NOW], ["why"], [NOW], [True])
    assert [] == [line for line in plan if "Join" in line or "Seq Scan" in line]
    assert (True, True) == ("Index Cond: (id = w.id)" in plan, any(line.startswith("TID Cond:") for line in plan))


async def test_what_may_be_claimed_is_read_endpoint_by_endpoint(db: Database) -> None:
    """Of each its oldest heads and no more, in the order of their index, however many wait."""
    plan = await plan_of(db, CLAIMABLE, NOW, 200, 200, ["ept1"], [1], [1], 32)
    assert [] == [line for line in plan if "on deliveries" in line and "using deliveries_claimable" not in line]
    kinds = [line.removeprefix("->  ").split("  (")[0] for line in plan]
    limited = kinds.index("Limit")
    assert ["LockRows", "Index Scan using deliveries_claimable on deliveries"] == kinds[limited + 1 : limited + 3]
