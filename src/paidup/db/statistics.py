"""What PostgreSQL believes of tables that grow fast.

A plan is kept until its table is next analyzed, and one that was made while the table was empty may read all of it for
every batch. PostgreSQL's own autovacuum looks once a minute; a new shop's first sale, or one whose data was restored a
moment ago, has a hundred thousand orders by then. So whoever works here looks every few seconds for tables of several
times the size they had when they were last analyzed. That happens some ten times in the life of a table.
"""

from paidup.db.transaction import Database, Tx

GROWN = """
SELECT c.oid::regclass::text AS name FROM pg_class c
WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace AND pg_has_role(c.relowner, 'USAGE')
  AND pg_relation_size(c.oid) / current_setting('block_size')::int > 32 + 4 * c.relpages
ORDER BY 1"""

# The number names the lock and means nothing else.
ALONE = "SELECT pg_try_advisory_xact_lock(7243920)"


async def refresh(db: Database) -> list[str]:
    """Analyze the tables that have outgrown what is known of them; returns their names.

    None while another worker does it. A table that is being vacuumed or altered is left for the next time.
    """
    async with db.transaction() as tx:
        if not await tx.fetchval(ALONE):
            return []
        grown = await _grown(tx)
        for name in grown:
            await tx.execute(f"ANALYZE (SKIP_LOCKED) {name}")  # a name of PostgreSQL's own, and quoted by it
        left = await _grown(tx) if grown else []
    return [name for name in grown if name not in left]


async def _grown(tx: Tx) -> list[str]:
    return [str(row["name"]) for row in await tx.fetch(GROWN)]
