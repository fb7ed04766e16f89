"""A kept file as a bill: as its channel writes them, or by the description that it came with."""

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import BinaryIO

from paidup.channels.alipay.keys import AlipayAccount
from paidup.channels.bill import Bill, BillKind, BillName, day_in
from paidup.channels.bill_mapped import read_mapped
from paidup.channels.bill_mapping import parse_mapping
from paidup.channels.channel import Account
from paidup.channels.stripe.keys import StripeAccount
from paidup.channels.wechat.keys import WechatAccount
from paidup.db.transaction import Database
from paidup.reconcile import bills
from paidup.reconcile.party import Party
from paidup.reconcile.quick import Dialect, lay_quickly
from paidup.reconcile.quick_alipay import AlipayTrades
from paidup.reconcile.quick_stripe import StripeTrades
from paidup.reconcile.quick_wechat import WechatTrades
from paidup.reconcile.table import Limits, Table, opened


def bounds_of(party: Party, day: date, kept: bills.Kept) -> tuple[datetime, datetime]:
    """The day's first moment and the first of the next, in the time zone of the bill."""
    zone = parse_mapping(kept.mapping, kept.file_name).zone if kept.mapping else party.channel.bill_zone(party.account)
    return day_in(zone, day)


async def bring(db: Database, kept: bills.Kept, path: Path) -> None:
    """Write the raw file of a bill to this path."""
    with path.open("wb") as file:
        async with db.session() as tx:
            await bills.bring(tx, kept, file)


def read_bill(party: Party, kept: bills.Kept, file: BinaryIO) -> Bill:
    """Read it line by line. Raises BillRefused."""
    name = BillName(kind=kept.kind, day=kept.day)
    if not kept.mapping:
        return party.channel.read_bill(file, name, party.account, kept.proof)
    mapping = parse_mapping(kept.mapping, kept.file_name)
    return read_mapped(file, name, mapping, kept.proof, channel=kept.channel, account=kept.account)


def dialect_of(account: Account, day: date) -> Dialect | None:
    """How the channel writes its trade bill, where the quick reader knows that."""
    match account:
        case WechatAccount():
            return WechatTrades(account.mchid)
        case AlipayAccount():
            return AlipayTrades(account, day)
        case StripeAccount():
            return StripeTrades()
        case _:
            return None


def lay(party: Party, kept: bills.Kept, file: BinaryIO, table: Table) -> tuple[int, Mapping[str, str]]:
    """Lay the lines of a trade bill down; how many there are, and what the file says of itself. Raises BillRefused."""
    dialect = None if kept.mapping else dialect_of(party.account, kept.day)
    if dialect is not None:
        quick = lay_quickly(table, file, dialect, bounds_of(party, kept.day, kept), kept.proof)
        if quick is not None:
            return quick.lines, quick.stated
    bill = read_bill(party, kept, file)
    table.add_lines(bill.lines())
    return bill.totals.lines, bill.stated


def check(
    party: Party, kept: bills.Kept, file: BinaryIO, limits: Limits, spill: Path | None
) -> tuple[int, Mapping[str, str]]:
    """Read a bill to its end, and keep nothing of it. Raises BillRefused."""
    if kept.kind is BillKind.TRADES:
        with opened(spill, limits) as table:
            return lay(party, kept, file, table)
    bill = read_bill(party, kept, file)
    return bill.totals.lines, bill.stated
