"""The table `verifications`: what was proven, and up to when."""

from datetime import datetime

import msgspec

from paidup.db.transaction import Tx
from paidup.verify.check import Report

WRITE = """
INSERT INTO verifications (began_at, since, up_to, orders, holds, anchor, checks) VALUES ($1, $2, $3, $4, $5, $6, $7)"""

PROVEN = "SELECT max(up_to) FROM verifications WHERE holds"


async def write(tx: Tx, began_at: datetime, report: Report) -> None:
    """Note a verification; one that found a breach does not move the point from which the next one goes on."""
    checks = msgspec.json.encode(report.checks).decode()
    await tx.execute(
        WRITE, began_at, report.since, report.up_to, report.orders, report.holds, report.anchor, checks
    )  # fmt: skip


async def proven_up_to(tx: Tx) -> datetime | None:
    """What was changed before this moment was verified; None when nothing was yet."""
    moment: datetime | None = await tx.fetchval(PROVEN)
    return moment
