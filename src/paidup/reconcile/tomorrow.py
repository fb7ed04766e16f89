"""The day after a day: it opens with what that one closes with.

A day may be laid after its next one, when its bill came late or was corrected. What the next one said of its opening
then, for or against, no longer holds, and it is laid once more.
"""

from datetime import date, datetime, timedelta
from pathlib import Path

from paidup.db.transaction import Database, Tx
from paidup.reconcile import balance, runs, store
from paidup.reconcile.party import Party
from paidup.reconcile.run import Outcome, reconcile
from paidup.reconcile.states import UNSETTLED
from paidup.reconcile.table import Limits


async def lay_tomorrow(
    db: Database, party: Party, day: date, *, now: datetime, spill: Path | None, limits: Limits, who: str
) -> Outcome | None:
    """Lay the next day again if its opening is another question now; None: it is not, or nobody read that day."""
    tomorrow = day + timedelta(days=1)
    async with db.transaction() as tx:
        if not await _opens_otherwise(tx, party, day, tomorrow):
            return None
    return await reconcile(db, party, tomorrow, now=now, spill=spill, limits=limits, who=who)


async def _opens_otherwise(tx: Tx, party: Party, day: date, tomorrow: date) -> bool:
    """Whether the breaks over its opening are others than follow from what the day closes with."""
    channel, account = party.account.channel, party.account.name
    balances = await runs.page_of_balances(
        tx, None, 100, channel=channel, account=account, since=tomorrow, until=tomorrow
    )
    closed = await runs.closed_before(tx, channel, account, tomorrow)
    today = {currency: one for currency, one in closed.items() if one.day == day}
    follow = {found.key for found in balance.opened_otherwise(balances, today)}
    there = await store.of_day(tx, channel, account, tomorrow)
    return follow != {one.key for one in there.values() if one.what == "opening" and one.state in UNSETTLED}
