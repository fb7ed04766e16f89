"""Who waits for whose lock, so that a test can let two transactions meet without sleeping."""

import asyncio

from paidup.db.transaction import Database

PID = "SELECT pg_backend_pid()"
WAITS_FOR = "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))"


async def somebody_waits_for(db: Database, pid: int) -> None:
    """Returns once somebody waits for a lock that this server process holds."""
    async with asyncio.timeout(20), db.session() as tx:
        while not await tx.fetchval(WAITS_FOR, pid):
            pass
