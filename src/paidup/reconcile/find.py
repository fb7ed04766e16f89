"""The very lines of a kept bill about one payment: what agreed is only counted, and the file has every line."""

import asyncio
import tempfile
from collections.abc import Sequence
from datetime import date, timedelta
from typing import BinaryIO

import msgspec

from paidup.channels.bill import BillKind, BillLine
from paidup.db.transaction import Database, Tx
from paidup.errors import NotFound
from paidup.reconcile import bills, ours
from paidup.reconcile.breaks import OurSide
from paidup.reconcile.naming import names_in_bill, names_of
from paidup.reconcile.party import Party
from paidup.reconcile.reading import read_bill

DAYS_AFTER = 1
"""A line that is late stands in the bill of the day after."""

NAMED = """
SELECT id, NULL AS refund_id FROM payments WHERE id = $1 OR merchant_ref = $1 OR channel_txn_id = $1
UNION ALL SELECT NULL, id FROM refunds WHERE id = $1 OR merchant_ref = $1 OR channel_refund_id = $1"""

BROKEN = "SELECT id FROM breaks WHERE channel_txn_id = $1 ORDER BY day DESC LIMIT 1"


class InBill(msgspec.Struct, frozen=True, kw_only=True):
    """A line, and the bill that it stands in."""

    subject_id: str
    channel: str
    account: str
    day: date
    bill_id: str
    version: int
    line: BillLine


async def lines_of(db: Database, parties: Sequence[Party], number: str) -> list[InBill]:
    """Every line about the payment or refund of this number, of the channel's or ours. Raises NotFound."""
    async with db.session() as tx:
        sides = await _named(tx, number)
        if not sides:
            raise NotFound(
                f"no payment or refund of ours has the number {number[:60]!r}; {await _elsewhere(tx, number)}"
            )
        wanted = [(side, party, kept) for side in sides for party, kept in await _bills(tx, parties, side)]
    found = []
    for side, party, kept in wanted:
        with tempfile.TemporaryFile() as file:
            async with db.session() as tx:
                await bills.bring(tx, kept, file)
            found += await asyncio.to_thread(_in, party, kept, file, side)
    return found


async def _elsewhere(tx: Tx, number: str) -> str:
    """Where a number stands that only a bill has: its line made a break."""
    broken = await tx.fetchval(BROKEN, number)
    return f"a bill has it: `paidup reconcile explain {broken}`" if broken else "no bill that was read has it, either"


async def _named(tx: Tx, number: str) -> list[OurSide]:
    rows = await tx.fetch(NAMED, number)
    payments, refunds = ([row[name] for row in rows if row[name]] for name in ("id", "refund_id"))
    return list((await ours.by_id(tx, payments, refunds)).values())


async def _bills(tx: Tx, parties: Sequence[Party], side: OurSide) -> list[tuple[Party, bills.Kept]]:
    """The latest sound bills of its day and the day after, at the account that it went through."""
    account = await ours.account_of(tx, side.payment_id)
    found = []
    for party in parties:
        if side.at is None or (party.account.channel, party.account.name) != account:
            continue
        day = side.at.astimezone(party.channel.bill_zone(party.account)).date()
        for after in range(DAYS_AFTER + 1):
            its = day + timedelta(days=after)
            kept = await bills.latest_of(tx, *account, its, BillKind.TRADES, states=["kept", "sound"])
            found += [(party, kept)] if kept else []
    return found


def _in(party: Party, kept: bills.Kept, file: BinaryIO, side: OurSide) -> list[InBill]:
    """Its lines, of the whole file. Raises BillRefused should the file be broken."""
    numbers, names = {side.channel_txn_id, side.merchant_ref} - {None}, set(names_of(side)) if side.refund_id else set()
    return [
        InBill(
            subject_id=side.subject_id,
            channel=kept.channel,
            account=kept.account,
            day=kept.day,
            bill_id=kept.id,
            version=kept.version,
            line=line,
        )
        for line in read_bill(party, kept, file).lines()
        if (names & set(names_in_bill(line)) if side.refund_id else numbers & {line.channel_txn_id, line.merchant_ref})
    ]
