"""The books of a span of days out of what was reconciled. Only read here; written by reconcile/."""

from datetime import date

from paidup.db.transaction import Tx
from paidup.finance.day import read_month
from paidup.finance.entries import Chart, Journal, journal_of
from paidup.reconcile import runs


async def read_books(
    tx: Tx,
    chart: Chart,
    shop: str | None,
    since: date,
    until: date,
    today: date,
    channel: str | None = None,
    account: str | None = None,
    *,
    anew: bool = False,
) -> Journal:
    """The days from `since` to `until`, both included, which go on from the days before. anew: for a ledger of their
    own, which begins with what lay at the channels then."""
    found = await read_month(tx, shop, since, until, today, channel, account)
    before = [] if anew else await runs.last_balances(tx, shop, since, channel=channel, account=account)
    return journal_of(found.days, found.balances, chart, before)
