"""The database that the settings name: a server by URL, or the embedded one of the data folder."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from paidup import log
from paidup.clock import SystemClock
from paidup.db.embedded import Embedded, start_embedded
from paidup.db.transaction import Database, DatabaseAway
from paidup.settings import Settings

PAUSE_S = 0.5
TELL_EACH = 20  # attempts: every ten seconds


@asynccontextmanager
async def open_database(settings: Settings, *, patience_s: float = 0) -> AsyncIterator[Database]:
    """Connect, starting the embedded server when no URL is set and it does not run; closed in the reverse order.

    patience_s: how long a database that starts or recovers is waited for, before DatabaseAway is raised.
    """
    async with open_with_server(settings, patience_s=patience_s) as (db, _):
        yield db


@asynccontextmanager
async def open_with_server(
    settings: Settings, *, patience_s: float = 0
) -> AsyncIterator[tuple[Database, Embedded | None]]:
    """As open_database, for those who stay: with the embedded server, if it is that, to be looked after."""
    async with AsyncExitStack() as stack:
        server = None if settings.database_url else await stack.enter_async_context(await start_embedded(settings.data))
        db = await _connect(server.dsn if server else settings.database_url, patience_s)
        stack.push_async_callback(db.close)
        yield db, server


async def _connect(dsn: str, patience_s: float) -> Database:
    clock = SystemClock()
    for n in range(int(patience_s / PAUSE_S)):
        try:
            return await Database.connect(dsn)
        except DatabaseAway as away:
            if n % TELL_EACH == 0:
                log.warning("database.awaited", why=str(away)[:200], gives_up_in_s=round(patience_s - n * PAUSE_S))
            await clock.sleep(PAUSE_S)
    return await Database.connect(dsn)
