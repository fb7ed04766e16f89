"""What keeps tables bounded: tomorrow's partitions made in time, and what has outlived its stated retention removed."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import asyncpg

from paidup import log
from paidup.db.partitions import PARTITIONED, Partitioned, drop_old, ensure_partitions
from paidup.db.transaction import Database, Tx
from paidup.delivery import store as delivery
from paidup.intake import quarantine
from paidup.people import failures, sessions
from paidup.reconcile import bill_fetches, bills
from paidup.web import idempotency

DELIVERIES_KEPT_DAYS = 90
"""As long as the events they told of."""
FORGET_AT_ONCE = 10_000
FORGET_ROUNDS = 20
"""Of so many rows of a table at most, each time: a pass every ten minutes keeps up with 300 new ones a second for ever,
and does not hold up a process that starts or ends for long."""

Forget = Callable[[Tx, int], Awaitable[int]]
"""Forgets up to so many rows; says how many it were. Fewer than that: no more are over their time."""


async def run_once(db: Database, *, now: datetime) -> None:
    """One pass; safe to run from any number of processes."""
    for entry in PARTITIONED:
        await _partitions(db, now, entry)
    async with db.transaction() as tx:
        await bills.prune(tx, now)
        await bill_fetches.prune(tx, now)
        await sessions.prune(tx, now)
        await failures.prune(tx, now)
    await _forget(db, lambda tx, limit: quarantine.prune(tx, now - timedelta(days=quarantine.KEEP_DAYS), limit))
    await _forget(db, lambda tx, limit: idempotency.prune(tx, now, limit))
    await _forget(db, lambda tx, limit: delivery.forget(tx, now - timedelta(days=DELIVERIES_KEPT_DAYS), limit))


async def _forget(db: Database, forget: Forget) -> None:
    for _ in range(FORGET_ROUNDS):
        async with db.transaction() as tx:
            gone = await forget(tx, FORGET_AT_ONCE)
        if gone < FORGET_AT_ONCE:
            break


async def _partitions(db: Database, now: datetime, entry: Partitioned) -> None:
    """Make and drop days of one table. What somebody is in the way of (a backup, a report) is left to the next pass:
    until their day is made rows wait in the default partition, and an old day may be there longer."""
    for look_after in (ensure_partitions, drop_old):
        try:
            async with db.transaction() as tx:
                await look_after(tx, now, tables=(entry,))
        except asyncpg.LockNotAvailableError:
            log.info("partitions.postponed", table=entry.table, why="somebody reads them for long, as a backup does")
