"""What the doctor says of reconciliation: days that nobody could lay beside a bill, and repairs that nobody does."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from paidup.db.doctor import Finding, Severity
from paidup.db.transaction import Database
from paidup.reconcile.party import Party

TOPIC = "reconcile"
UNPROVEN_AFTER = timedelta(days=3)
"""Money that came so long ago should have stood in a bill."""
PEOPLE_AFTER = timedelta(days=2)
APPROVED_AFTER = timedelta(hours=1)
"""What people agreed to is booked within a minute, where the worker runs."""
_NAMED = 3

UNPROVEN = """
SELECT w.channel || '/' || w.account AS name FROM unnest($1::text[], $2::text[]) AS w (channel, account)
WHERE NOT EXISTS (SELECT FROM reconciliations r WHERE r.channel = w.channel AND r.account = w.account)
  AND EXISTS (SELECT FROM payments p WHERE p.channel = w.channel AND p.account = w.account AND p.paid_at < $3)
ORDER BY 1"""

MISSING = """
SELECT f.channel || '/' || f.account || ' ' || f.kind || ' ' || f.day AS name FROM bill_fetches f
WHERE (f.state = 'given_up' OR f.state = 'waiting' AND f.alarmed)
  AND NOT EXISTS (SELECT FROM bills b WHERE b.channel = f.channel AND b.account = f.account AND b.day = f.day
    AND b.kind = f.kind AND b.state IN ('sound', 'none'))
ORDER BY f.day DESC, 1 LIMIT 1000"""

REFUSED = """
SELECT b.channel || '/' || b.account || ' ' || b.kind || ' ' || b.day AS name FROM bills b
WHERE b.state = 'refused' AND NOT EXISTS (SELECT FROM bills s WHERE s.channel = b.channel AND s.account = b.account
  AND s.day = b.day AND s.kind = b.kind AND s.state IN ('sound', 'none'))
GROUP BY b.channel, b.account, b.kind, b.day ORDER BY b.day DESC, 1 LIMIT 1000"""

PEOPLE = """
SELECT b.id AS name FROM breaks b WHERE b.state = 'open' AND b.first_seen_at < $1
  AND EXISTS (SELECT FROM break_steps s WHERE s.break_id = b.id AND s.step IN ('approval wanted', 'agreed'))
ORDER BY b.first_seen_at LIMIT 1000"""

APPROVED = "SELECT id AS name FROM breaks WHERE state = 'approved' AND changed_at < $1 ORDER BY changed_at LIMIT 1000"

LAST = "SELECT max(day) FROM reconciliations"


async def examine(db: Database, parties: Sequence[Party], now: datetime) -> list[Finding]:
    """Everything that keeps a day from being proven; one OK when there is nothing."""
    accounts = [(party.account.channel, party.account.name) for party in parties]
    channels, names = [channel for channel, _ in accounts], [name for _, name in accounts]
    looks: tuple[tuple[str, tuple[object, ...], str], ...] = (
        (UNPROVEN, (channels, names, now - UNPROVEN_AFTER), "took money, and no bill was ever laid beside it: run the "
         "role reconcile, or upload bills with their mapping (docs/how-to/describe-a-bill.md)"),
        (MISSING, (), "never came: `paidup reconcile run --day …` asks again, `paidup reconcile upload` takes a file"),
        (REFUSED, (), "was refused whole, and no sound one came: see the case, and ask the channel for it again"),
        (PEOPLE, (now - PEOPLE_AFTER,), "waits for people to agree to its repair for more than two days: "
         "`paidup reconcile approve`, or the console"),
        (APPROVED, (now - APPROVED_AFTER,), "was approved, and nobody repaired it for an hour: is the role reconcile "
         "running, and is its account still here?"),
    )  # fmt: skip
    found = []
    async with db.session() as tx:
        for query, values, says in looks:
            rows = await tx.fetch(query, *values)
            if rows:
                found.append(Finding(TOPIC, Severity.WARN, f"{_named(rows)} {says}"))
        last = await tx.fetchval(LAST)
    if found:
        return found
    says = f"nothing is missing; the last day that was reconciled is {last}" if last else "no day was reconciled yet"
    return [Finding(TOPIC, Severity.OK, says)]


def _named(rows: Iterable[Any]) -> str:
    """``a, b, c and 7 more``."""
    names = [str(row["name"]) for row in rows]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
