"""The table `sign_in_failures`: who guesses passwords too often must wait."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from paidup.db.transaction import Tx

WINDOW = timedelta(minutes=5)
PER_NAME_AND_SOURCE, PER_SOURCE, PER_NAME = 5, 20, 100
"""Failures within the window after which nothing more is tried. One address guesses at one name five times; a stranger
who guesses from everywhere locks the owner of the name out only after a hundred."""

COUNT = "SELECT key, count(*) AS failures FROM sign_in_failures WHERE key = ANY($1::text[]) AND at > $2 GROUP BY key"

ADD = "INSERT INTO sign_in_failures (key, at) SELECT key, $2 FROM unnest($1::text[]) AS k (key)"

FORGIVE = "DELETE FROM sign_in_failures WHERE key = $1"

PRUNE = "DELETE FROM sign_in_failures WHERE at < $1"


async def must_wait(tx: Tx, name: str, source: str, now: datetime, *, rate: float = 1.0) -> bool:
    """Whether this name, from this address, may not be tried now."""
    limits = _limits(name, source)
    rows = await tx.fetch(COUNT, list(limits), now - WINDOW * rate)
    return any(row["failures"] >= limits[row["key"]] for row in rows)


async def add(tx: Tx, name: str, source: str, now: datetime) -> None:
    """One more failure."""
    keys: Sequence[str] = list(_limits(name, source))
    await tx.execute(ADD, keys, now)


async def forgive(tx: Tx, name: str, source: str) -> None:
    """They knew the password after all."""
    await tx.execute(FORGIVE, next(iter(_limits(name, source))))


async def prune(tx: Tx, now: datetime) -> None:
    """Forget what no longer counts."""
    await tx.execute(PRUNE, now - timedelta(hours=1))


def _limits(name: str, source: str) -> dict[str, int]:
    name, source = name[:64], source[:80]
    return {f"both/{name}/{source}": PER_NAME_AND_SOURCE, f"source/{source}": PER_SOURCE, f"name/{name}": PER_NAME}
