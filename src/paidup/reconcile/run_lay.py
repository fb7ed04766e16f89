"""A day is laid out: its bills and our books side by side, outside of any transaction, and nothing of it is written."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path

import msgspec

from paidup.channels.bill import BillKind, BillRefused
from paidup.channels.channel import Account
from paidup.clock import monotonic_s
from paidup.db.transaction import Database, Tx
from paidup.reconcile import bills, ours, runs
from paidup.reconcile.beside import Beside, read_beside
from paidup.reconcile.judge import judge
from paidup.reconcile.known import Day, Judged, Known
from paidup.reconcile.look_up import look_up
from paidup.reconcile.match import Matched, TooDifferent, match
from paidup.reconcile.party import Party
from paidup.reconcile.reading import bounds_of, bring, lay
from paidup.reconcile.refusal import REFUSED, TOO_DIFFERENT, Refused
from paidup.reconcile.rules import Rules
from paidup.reconcile.table import Table

Progress = Callable[[str], None]
"""Told of each step that begins: read, ours, match, look up, record."""


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """What a run began with: the bills of its day, and the run that held then, if there was any."""

    trades: bills.Kept
    others: Mapping[BillKind, bills.Kept]
    last: str | None
    at: datetime


class Laid(msgspec.Struct, frozen=True, kw_only=True):
    """A day as it was found; nothing of it is written yet."""

    begun: Begun
    day: Day
    lines: int
    stated: Mapping[str, str]
    beside: Beside
    matched: Matched
    known: Known
    judged: Judged
    took_ms: dict[str, int]


async def begin(tx: Tx, party: Party, day: date, now: datetime) -> Begun | None:
    """What a run begins with; None when no bill of the day's trades is here."""
    account = party.account
    found = {kind: kept for kind in BillKind if (kept := await bill_that_holds(tx, account, day, kind)) is not None}
    trades = found.pop(BillKind.TRADES, None)
    last = await runs.latest_of(tx, account.channel, account.name, day)
    return None if trades is None else Begun(trades=trades, others=found, last=last.id if last else None, at=now)


async def bill_that_holds(tx: Tx, account: Account, day: date, kind: BillKind) -> bills.Kept | None:
    """The version that holds. "There is none" does not take the place of a bill that the channel gave before."""
    for states in (("kept", "sound"), ("none",)):
        kept = await bills.latest_of(tx, account.channel, account.name, day, kind, states=states)
        if kept is not None:
            return kept
    return None


async def lay_day(
    db: Database,
    party: Party,
    day: date,
    begun: Begun,
    table: Table,
    progress: Progress,
) -> Laid:
    """Lay the day out on this table, and judge what does not agree. Raises Refused."""
    took_ms: dict[str, int] = {}
    trades = begun.trades
    bounds = bounds_of(party, day, trades)
    copying = asyncio.create_task(ours.copy_day(db, party.account.channel, party.account.name, *bounds, table.folder))
    try:
        with _timed(took_ms, "read", progress):
            lines, stated = await _read_trades(db, party, trades, table)
            beside = await read_beside(db, party, begun.others)
        with _timed(took_ms, "ours", progress):
            paths = await copying
    finally:
        copying.cancel()
        await asyncio.wait([copying])  # it writes into a folder that is about to go
    with _timed(took_ms, "match", progress):
        try:
            matched = await asyncio.to_thread(_match, table, paths, party.rules)
        except TooDifferent as error:
            raise Refused(trades, TOO_DIFFERENT, "too_different", str(error)) from None
    with _timed(took_ms, "look up", progress):
        async with db.session() as tx:
            known = await look_up(tx, party, day, matched)
    its_day = Day(bill_id=trades.id, begins_at=bounds[0], ends_at=bounds[1], rules=party.rules)
    judged = judge(matched, known, its_day)
    return Laid(
        begun=begun, day=its_day, lines=lines, stated=stated, beside=beside, matched=matched, known=known,
        judged=judged, took_ms=took_ms,
    )  # fmt: skip


class _timed:  # noqa: N801 - reads as a statement
    """How long a step took, in milliseconds."""

    def __init__(self, into: dict[str, int], step: str, progress: Progress) -> None:
        self._into, self._step = into, step
        progress(step)

    def __enter__(self) -> None:
        self._began_s = monotonic_s()

    def __exit__(self, *_: object) -> None:
        self._into[self._step] = round((monotonic_s() - self._began_s) * 1000)


async def _read_trades(db: Database, party: Party, kept: bills.Kept, table: Table) -> tuple[int, Mapping[str, str]]:
    if kept.state == "none":
        return 0, {}
    path = table.folder / "bill"
    await bring(db, kept, path)

    def read() -> tuple[int, Mapping[str, str]]:
        with path.open("rb") as file:
            return lay(party, kept, file, table)

    try:
        return await asyncio.to_thread(read)
    except BillRefused as refusal:
        raise Refused(kept, REFUSED, refusal.fault, refusal.why) from None
    finally:
        path.unlink()


def _match(table: Table, paths: Mapping[str, Path], rules: Rules) -> Matched:
    for name, path in paths.items():
        table.add_ours(name, path)
        path.unlink()
    return match(table.sql, rules)
