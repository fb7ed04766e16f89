"""The table `sign_in_failures`: who guesses passwords too often must wait."""

from datetime import datetime, timedelta

from paidup.db.transaction import Tx

WINDOW = timedelta(minutes=5)
PER_NAME_AND_SOURCE, PER_SOURCE, PER_NAME = 5, 20, 100
"""Failures within the window after which nothing more is tried. One address guesses at one name five times; a stranger
who guesses from everywhere locks the owner of the name out only after a hundred."""

COUNT = "SELECT key, count(*) AS failures FROM sign_in_failures WHERE key = ANY($1::text[]) AND at > $2 GROUP BY key"

ADD = "INSERT INTO sign_in_failures (key, at) SELECT key, $2 FROM unnest($1::text[]) AS k (key)"

LOCK = """
SELECT pg_advisory_xact_lock(hashtextextended(key, 5))
FROM (SELECT key FROM unnest($1::text[]) AS k (key) ORDER BY key) AS in_order"""

FORGIVE = "DELETE FROM sign_in_failures WHERE key = $1"

TAKE_BACK = """
DELETE FROM sign_in_failures
WHERE ctid IN (SELECT DISTINCT ON (key) ctid FROM sign_in_failures WHERE key = ANY($1::text[]) AND at = $2)"""

PRUNE = "DELETE FROM sign_in_failures WHERE at < $1"


async def begin(tx: Tx, name: str, source: str, now: datetime, *, rate: float = 1.0) -> bool:
    """Whether this name may be tried now, from this address. If so, it counts as a failure until it is forgiven: those
    who guess at the same moment are counted one after the other, before any of them is tried."""
    limits = _limits(name, source)
    await tx.execute(LOCK, list(limits))
    rows = await tx.fetch(COUNT, list(limits), now - WINDOW * rate)
    if any(row["failures"] >= limits[row["key"]] for row in rows):
        return False
    await tx.execute(ADD, list(limits), now)
    return True


async def forgive(tx: Tx, name: str, source: str, now: datetime) -> None:
    """They knew the password after all. now: when the try began."""
    both, *others = _limits(name, source)
    await tx.execute(FORGIVE, both)
    await tx.execute(TAKE_BACK, others, now)


async def prune(tx: Tx, now: datetime) -> None:
    """Forget what no longer counts."""
    await tx.execute(PRUNE, now - timedelta(hours=1))


def _limits(name: str, source: str) -> dict[str, int]:
    name, source = name[:64], source[:80]
    return {f"both/{name}/{source}": PER_NAME_AND_SOURCE, f"source/{source}": PER_SOURCE, f"name/{name}": PER_NAME}
