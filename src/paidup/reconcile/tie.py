"""The payout report of a day, laid beside the trade bills of the days on which its lines were booked.

A day's lines are held in memory, the others are read again: payouts take what was earned in a few days.
"""

import asyncio
import tempfile
from collections.abc import Mapping
from datetime import date, tzinfo
from typing import BinaryIO

from paidup.channels.bill import Bill, BillKind, BillRefused, LineKind
from paidup.db.transaction import Database
from paidup.reconcile import bills
from paidup.reconcile.party import Party
from paidup.reconcile.payouts import Group, Untied, added, payouts_of, untied
from paidup.reconcile.reading import read_bill
from paidup.reconcile.runs import Payout


async def tied(db: Database, party: Party, kept: bills.Kept) -> list[Payout]:
    """Every payout of the report, with what it took, and what of that no bill has. Raises BillRefused."""
    zone = party.channel.bill_zone(party.account)
    with tempfile.TemporaryFile() as file:
        async with db.session() as tx:
            await bills.bring(tx, kept, file)
        bill = await asyncio.to_thread(read_bill, party, kept, file)
        report = await asyncio.to_thread(added, bill.lines(), zone)
        found: dict[date, Mapping[Group, Untied] | None] = {}
        for day in report.days:
            found[day] = await _untied_on(db, party, bill, day, zone)
    return payouts_of(report, found)


async def _untied_on(db: Database, party: Party, bill: Bill, day: date, zone: tzinfo) -> Mapping[Group, Untied] | None:
    """None where the day's trade bill is not here, or nobody can read it."""
    async with db.session() as tx:
        kept = await bills.latest_of(
            tx, party.account.channel, party.account.name, day, BillKind.TRADES, states=["kept", "sound"]
        )
    if kept is None:
        return None
    with tempfile.TemporaryFile() as file:
        async with db.session() as tx:
            await bills.bring(tx, kept, file)
        return await asyncio.to_thread(_untied, party, kept, file, bill, day, zone)


def _untied(
    party: Party, kept: bills.Kept, file: BinaryIO, bill: Bill, day: date, zone: tzinfo
) -> Mapping[Group, Untied] | None:
    try:
        trades = read_bill(party, kept, file)
    except BillRefused:  # its own run says so
        return None
    mine = (
        line
        for line in bill.lines()
        if line.kind is not LineKind.PAYOUT and line.occurred_at.astimezone(zone).date() == day
    )
    return untied(mine, trades.lines(), zone)
