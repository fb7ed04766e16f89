"""What later days said of a day whose bill came late or was corrected: those of which it no longer holds are laid anew.

The next day opens with what this one closes with. And the payouts of the weeks after took lines of this day, which were
looked for in its bill: in another one than is here now, or in none.
"""

from datetime import date, datetime, timedelta
from pathlib import Path

from paidup.channels.bill import BillKind
from paidup.db.transaction import Database, Tx
from paidup.reconcile import balance, bills, runs, store
from paidup.reconcile.party import Party
from paidup.reconcile.run import reconcile
from paidup.reconcile.states import UNSETTLED
from paidup.reconcile.table import Limits

PAID_OUT_WITHIN_DAYS = 40
"""Channels pay out what was earned after some days, or once a month."""


async def lay_later(
    db: Database, party: Party, day: date, *, now: datetime, spill: Path | None, limits: Limits, who: str
) -> list[date]:
    """Lay those later days anew for which this day is another one now; gives them. A second time there are none."""
    tomorrow = day + timedelta(days=1)
    async with db.transaction() as tx:
        later = set(await _took_before(tx, party, day))
        if await _opens_otherwise(tx, party, day, tomorrow):
            later.add(tomorrow)
    for other in sorted(later):
        await reconcile(db, party, other, now=now, spill=spill, limits=limits, who=who)
    return sorted(later)


async def _opens_otherwise(tx: Tx, party: Party, day: date, tomorrow: date) -> bool:
    """Whether the breaks over tomorrow's opening are others than follow from what the day closes with."""
    channel, account = party.account.channel, party.account.name
    balances = await runs.page_of_balances(
        tx, None, 100, channel=channel, account=account, since=tomorrow, until=tomorrow
    )
    closed = await runs.closed_before(tx, channel, account, tomorrow)
    today = {currency: one for currency, one in closed.items() if one.day == day}
    follow = {found.key for found in balance.opened_otherwise(balances, today)}
    there = await store.of_day(tx, channel, account, tomorrow)
    return follow != {one.key for one in there.values() if one.what == "opening" and one.state in UNSETTLED}


async def _took_before(tx: Tx, party: Party, day: date) -> list[date]:
    """Days whose payouts took lines of this day, and were laid down before its bill came."""
    channel, account = party.account.channel, party.account.name
    if BillKind.PAYOUTS not in party.channel.bills:
        return []
    trades = await bills.latest_of(tx, channel, account, day, BillKind.TRADES)
    since, until = day + timedelta(days=1), day + timedelta(days=PAID_OUT_WITHIN_DAYS)
    after = await runs.page(tx, None, PAID_OUT_WITHIN_DAYS, since=since, until=until, channel=channel, account=account)
    return [run.day for run in after if trades and run.began_at < trades.kept_at and _took(run, day)]


def _took(run: runs.Run, day: date) -> bool:
    return any(taken.day == day for payout in run.payouts for taken in payout.takes)
