"""Count the minutes that are over, and the present one as far as it has come."""

from datetime import datetime, timedelta

from paidup.db.transaction import Database
from paidup.tally import store

ANEW = timedelta(minutes=2)
"""The last minutes are counted again: a transaction that began in one may commit half a minute later."""
AT_ONCE = timedelta(hours=1)
LOOK_BACK = timedelta(days=8)
"""How far back a first count begins: a day and a week before it, for the comparison."""


async def run_once(db: Database, *, now: datetime) -> int:
    """Count up to an hour of minutes; returns 1 while more are left. One process at a time does it."""
    async with db.transaction() as tx:
        if not await tx.fetchval(store.ALONE):
            return 0
        last = await store.counted_up_to(tx)
        since = max((last or now - LOOK_BACK) - ANEW, now - LOOK_BACK).replace(second=0, microsecond=0)
        until = min(since + ANEW + AT_ONCE, now + timedelta(minutes=1))
        await store.count(tx, since, until)
        await store.prune(tx, now)
    return int(until < now)
