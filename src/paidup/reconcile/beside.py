"""The bills of a day beside its trades: the fund flow, and what payouts took. One that is wrong stops nobody."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TypeVar

import msgspec

from paidup.channels.bill import Bill, BillKind, BillRefused
from paidup.db.transaction import Database
from paidup.reconcile import bills
from paidup.reconcile.party import Party
from paidup.reconcile.reading import read_bill
from paidup.reconcile.refusal import REFUSED, Refused
from paidup.reconcile.runs import Payout
from paidup.reconcile.tie import tied

_T = TypeVar("_T")
_Read = Callable[[Database, Party, bills.Kept], Awaitable[_T]]


class Sound(msgspec.Struct, frozen=True):
    """A bill that was read to its end, and what it says of itself."""

    kept: bills.Kept
    lines: int
    stated: Mapping[str, str]


class Beside(msgspec.Struct, frozen=True):
    """What they say; None for a bill that is not here, or is refused. Nothing of that is written yet."""

    kept: Mapping[BillKind, bills.Kept]
    funds: Bill | None
    payouts: list[Payout] | None
    refused: list[Refused]

    def sound(self) -> Iterator[Sound]:
        """Those that were read to their end."""
        if self.funds is not None:
            yield Sound(self.kept[BillKind.FUNDS], self.funds.totals.lines, self.funds.stated)
        if self.payouts is not None:
            lines = sum(part.lines for one in self.payouts for part in one.takes)
            yield Sound(self.kept[BillKind.PAYOUTS], lines, {})


async def read_beside(db: Database, party: Party, kept: Mapping[BillKind, bills.Kept]) -> Beside:
    """Read them, each to its end."""
    refused: list[Refused] = []

    async def if_sound(kind: BillKind, read: _Read[_T]) -> _T | None:
        one = kept.get(kind)
        if one is None or one.state == "none":
            return None
        try:
            return await read(db, party, one)
        except BillRefused as refusal:
            refused.append(Refused(one, REFUSED, refusal.fault, refusal.why))
            return None

    funds, payouts = await if_sound(BillKind.FUNDS, _read), await if_sound(BillKind.PAYOUTS, tied)
    return Beside(kept, funds, payouts, refused)


async def _read(db: Database, party: Party, kept: bills.Kept) -> Bill:
    """A bill of which only the totals are wanted; its file is gone then. Raises BillRefused."""
    with tempfile.TemporaryFile() as file:
        async with db.session() as tx:
            await bills.bring(tx, kept, file)
        return await asyncio.to_thread(read_bill, party, kept, file)
