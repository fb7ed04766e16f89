"""The tables `break_repairs` and `break_approvals`: what a day's limits let be repaired, and who agreed to more."""

from collections.abc import Mapping
from datetime import date, datetime

from paidup.db.transaction import Tx
from paidup.reconcile.breaks import Break

REPAIRED = """
INSERT INTO break_repairs (break_id, version, day, channel, account, currency, amount_minor, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING"""

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 6))"

SO_FAR = """
SELECT currency, count(*) AS repairs, sum(amount_minor)::bigint AS amount_minor FROM break_repairs
WHERE channel = $1 AND account = $2 AND day = $3 GROUP BY currency"""

APPROVE = """
INSERT INTO break_approvals (break_id, version, who, why, at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (break_id, version, who) DO NOTHING"""

APPROVALS = "SELECT who FROM break_approvals WHERE break_id = $1 AND version = $2 ORDER BY at, who"


async def repaired(tx: Tx, one: Break, day: date, amount_minor: int, now: datetime) -> None:
    """Count a repair against the day's limits; the same version of a break counts once."""
    await tx.execute(REPAIRED, one.id, one.version, day, one.channel, one.account, one.currency, amount_minor, now)


async def lock(tx: Tx, channel: str, account: str) -> None:
    """Until the transaction ends nobody else repairs anything of this account: what is left of a day's limits holds."""
    await tx.execute(LOCK, f"{channel}/{account}")


async def so_far(tx: Tx, channel: str, account: str, day: date) -> Mapping[str, tuple[int, int]]:
    """(how many, how much) was repaired on a day of ours, by currency."""
    rows = await tx.fetch(SO_FAR, channel, account, day)
    return {row["currency"]: (row["repairs"], row["amount_minor"]) for row in rows}


async def approve(tx: Tx, one: Break, who: str, why: str, now: datetime) -> list[str]:
    """One more person agrees to the repair of this version; returns all who did."""
    await tx.execute(APPROVE, one.id, one.version, who, why, now)
    return await approvals(tx, one)


async def approvals(tx: Tx, one: Break) -> list[str]:
    """Who agreed to the repair of this version."""
    return [row["who"] for row in await tx.fetch(APPROVALS, one.id, one.version)]
