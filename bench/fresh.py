"""Databases of their own on the bench's server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from bench.world import World
from paidup.db.migrate import migrate
from paidup.db.transaction import Database
from paidup.housekeeping import run_once as housekeeping


@asynccontextmanager
async def fresh(world: World, name: str) -> AsyncIterator[Database]:
    """A migrated database with today's partitions; dropped afterwards."""
    admin = await asyncpg.connect(world.embedded.dsn)
    await admin.execute(f'CREATE DATABASE "{name}"')
    try:
        db = await Database.connect(dsn_of(world, name))
        try:
            await migrate(db)
            await housekeeping(db, now=world.now)
            yield db
        finally:
            await db.close()
    finally:
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)', timeout=300)
        await admin.close()


def dsn_of(world: World, name: str) -> str:
    """Where a database of the bench's server is."""
    return urlunsplit(urlsplit(world.embedded.dsn)._replace(path=f"/{name}"))
