"""What keeps tables bounded: tomorrow's partitions made in time, and what has outlived its stated retention removed."""

from datetime import datetime, timedelta

from paidup.db.partitions import drop_old, ensure_partitions
from paidup.db.transaction import Database
from paidup.delivery import store as delivery
from paidup.intake import quarantine
from paidup.people import failures, sessions
from paidup.reconcile import bills
from paidup.web import idempotency

DELIVERIES_KEPT_DAYS = 90
"""As long as the events they told of."""
FORGET_AT_ONCE = 10_000
FORGET_ROUNDS = 20
"""Of so many deliveries at most, each time: a pass every ten minutes keeps up with 300 deliveries a second for ever,
and does not hold up a process that starts or ends for long."""


async def run_once(db: Database, *, now: datetime) -> None:
    """One pass; safe to run from any number of processes."""
    async with db.transaction() as tx:
        await ensure_partitions(tx, now)
        await drop_old(tx, now)
    async with db.transaction() as tx:
        await quarantine.prune(tx, now - timedelta(days=quarantine.KEEP_DAYS))
        await idempotency.prune(tx, now)
        await bills.prune(tx, now)
        await sessions.prune(tx, now)
        await failures.prune(tx, now)
    for _ in range(FORGET_ROUNDS):
        async with db.transaction() as tx:
            gone = await delivery.forget(tx, now - timedelta(days=DELIVERIES_KEPT_DAYS), FORGET_AT_ONCE)
        if gone < FORGET_AT_ONCE:
            break
