"""The quick and the careful reader beside each other: what each lays down of a file, and what that states of itself."""

import io
from datetime import date

from paidup.channels.bill import BillKind, BillName, BillProof, BillRefused, day_in
from paidup.channels.channel import Account
from paidup.channels.registry import CHANNELS
from paidup.reconcile.quick import SIZES, Sizes, lay_quickly
from paidup.reconcile.reading import dialect_of
from paidup.reconcile.table import Table

Said = tuple[list[tuple[object, ...]], dict[str, str]]
SMALL = Sizes(part_bytes=1, chunk_bytes=700, tail_bytes=600)


def careful(table: Table, account: Account, day: date, file: bytes, proof: BillProof) -> Said | None:
    """None where it refuses the file."""
    try:
        name = BillName(kind=BillKind.TRADES, day=day)
        bill = CHANNELS[account.channel].read_bill(io.BytesIO(file), name, account, proof)
    except BillRefused:
        return None
    table.add_lines(bill.lines())
    return _laid(table), dict(bill.stated)


def quick(
    table: Table, account: Account, day: date, file: bytes, proof: BillProof, sizes: Sizes = SIZES
) -> Said | None:
    """None where it says nothing; then it has laid nothing down, either."""
    dialect, zone = dialect_of(account, day), CHANNELS[account.channel].bill_zone(account)
    assert dialect is not None
    said = lay_quickly(table, io.BytesIO(file), dialect, day_in(zone, day), proof, sizes)
    lines = _laid(table)
    assert said is not None or lines == []
    return (lines, dict(said.stated)) if said is not None else None


def _laid(table: Table) -> list[tuple[object, ...]]:
    found = table.sql.execute("SELECT * FROM lines ORDER BY n").fetchall()
    table.clear_lines()
    return found
