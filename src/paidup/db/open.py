"""The database that the settings name: a server by URL, or the embedded one of the data folder."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from paidup.db.embedded import start_embedded
from paidup.db.transaction import Database
from paidup.settings import Settings


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """Connect, starting the embedded server when no URL is set and it does not run; closed in the reverse order."""
    async with AsyncExitStack() as stack:
        dsn = settings.database_url
        if not dsn:
            dsn = (await stack.enter_async_context(await start_embedded(settings.data))).dsn
        db = await Database.connect(dsn)
        stack.push_async_callback(db.close)
        yield db
