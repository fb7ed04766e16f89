"""The statements of the outbox and of the lanes stay look-ups, whatever the statistics of their tables say."""

import pytest

from paidup.db.transaction import Database
from paidup.delivery.store import BY_INDEX, PROMOTE
from paidup.outbox.store import TAKE


@pytest.mark.parametrize(("statement", "argument"), [(TAKE, 200), (PROMOTE, ["ord1", "ord2"])], ids=["take", "promote"])
async def test_a_queue_that_was_empty_when_it_was_looked_at_is_not_joined(
    db: Database, statement: str, argument: object
) -> None:
    """A join planned for one row compares each row of a batch with all that wait: a burst then lasts for minutes."""
    async with db.transaction() as tx:
        await tx.execute("ANALYZE outbox_queue; ANALYZE deliveries")
        await tx.execute(BY_INDEX)
        await tx.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        plan = [row[0] for row in await tx.fetch(f"EXPLAIN {statement}", argument)]
    assert [] == [line for line in plan if "Join" in line or "Nested Loop" in line or "Seq Scan" in line]
