"""The silent-channel alarm: no callbacks, while queries keep finding payments that nobody told us of."""

from datetime import datetime, timedelta

from paidup import ids, log
from paidup.cases import store as cases
from paidup.db.transaction import Database, Tx
from paidup.repair.due import SilentChannel

KIND = "silent_channel"

LAST_CALLBACK = "SELECT max(received_at) FROM inbox WHERE channel = $1 AND account = $2"

# Paid payments of this account that a query found, since the last callback came.
FOUND_BY_QUERY = """
SELECT count(DISTINCT d.payment_id) FROM decisions d JOIN payments p ON p.id = d.payment_id
WHERE d.road = 'query' AND d.decided_at > $3 AND d.outcome = 'applied' AND d.after LIKE '%payment paid%'
  AND p.channel = $1 AND p.account = $2"""

LOOK_BACK = timedelta(hours=1)


async def run_once(db: Database, *, now: datetime, accounts: list[tuple[str, str, str]], silent_minutes: float) -> int:
    """Look at each account (channel, name, shop): open one alarm case, or end it. Returns how many are silent."""
    silent = 0
    for channel, name, shop in accounts:
        async with db.transaction() as tx:
            silent += await _look(tx, channel, name, shop, now, silent_minutes)
    return silent


async def _look(tx: Tx, channel: str, name: str, shop: str, now: datetime, silent_minutes: float) -> int:
    last: datetime = await tx.fetchval(LAST_CALLBACK, channel, name) or now - LOOK_BACK
    since = max(last, now - LOOK_BACK)
    found = int(await tx.fetchval(FOUND_BY_QUERY, channel, name, since))
    watched = SilentChannel(since=since).found_paid(found)
    subject = f"{channel}/{name}"
    if not watched.alarms(now, silent_minutes=silent_minutes):
        if last > now - timedelta(minutes=silent_minutes):
            await cases.resolve_kind(tx, KIND, [subject], "callbacks arrive again", now)
        return 0
    why = (
        f"no callback from {subject} since {since:%Y-%m-%d %H:%M:%S} UTC, while queries found {found} paid payments: "
        "look at the notify address, the firewall and the channel's keys"
    )
    case = cases.Case(
        id=ids.new_id(ids.CASE, now), shop=shop, kind=KIND, subject_id=subject, order_id=None, why=why, opened_at=now
    )
    if await cases.open_many(tx, [case]):
        log.error("channel.silent", account=subject, found=found)
    return 1
