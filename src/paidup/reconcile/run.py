"""One reconciliation: a day of one account. The bill and our books are laid side by side outside of any transaction;
what is found is written in one."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from itertools import repeat
from pathlib import Path

import msgspec

from paidup import ids, log
from paidup.cases import store as cases
from paidup.channels.bill import BillKind, BillRefused
from paidup.channels.channel import Account
from paidup.clock import monotonic_s
from paidup.db.transaction import Database, Tx
from paidup.errors import Conflict
from paidup.reconcile import balance, bills, ours, runs, store, tell
from paidup.reconcile.beside import Beside, Sound, read_beside
from paidup.reconcile.breaks import Break
from paidup.reconcile.decide import Change, Whose, clear, decide, part, uncleared
from paidup.reconcile.judge import judge
from paidup.reconcile.known import Day, Judged, Known
from paidup.reconcile.look_up import look_up, with_runs
from paidup.reconcile.match import Matched, TooDifferent, match
from paidup.reconcile.party import Party
from paidup.reconcile.payouts import payout_breaks
from paidup.reconcile.reading import bounds_of, bring, lay
from paidup.reconcile.refusal import NO_ROOM, REFUSED, TOO_DIFFERENT, Refused, refuse
from paidup.reconcile.rules import Rules
from paidup.reconcile.states import UNSETTLED
from paidup.reconcile.table import Limits, NoRoom, Table, opened

Progress = Callable[[str], None]
"""Told of each step that begins: read, ours, match, look up, record."""

MAX_OVERTAKEN = 5
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 4))"
MAX_GAP_DAYS = 31


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


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found, and what it would change or has changed. refused: why the bill was not used. is_put_off: with
    the bill nothing is wrong, there was no room here to read it."""

    run: runs.Run | None = None
    changes: list[Change] = []
    balances: list[runs.Balance] = []
    refused: str = ""
    is_put_off: bool = False


async def reconcile(
    db: Database, party: Party, day: date, *, now: datetime, spill: Path | None, limits: Limits, who: str,
    dry_run: bool = False, progress: Progress = lambda _: None, now_of: Callable[[], datetime] | None = None,
) -> Outcome:  # fmt: skip
    """Lay the latest bill of a day beside our books, and write down what differs. Doing it again changes nothing.

    now_of: tells the time when it is written, for runs that take long.

    A bill that is refused is marked so, with its reason and a case. Raises Conflict when other runs of the day are
    always first.
    """
    for _ in range(MAX_OVERTAKEN):
        async with db.session() as tx:
            begun = await _begin(tx, party, day, now)
        if begun is None:
            return Outcome(refused=f"no bill of {day} is here yet")
        try:
            with opened(spill, limits) as table:
                laid = await _lay(db, party, day, begun, table, progress)
        except (Refused, NoRoom) as error:
            refusal = error if isinstance(error, Refused) else Refused(begun.trades, NO_ROOM, "no_room", str(error))
            if not dry_run:
                await refuse(db, refusal, now)
            return Outcome(refused=str(refusal), is_put_off=refusal.kind == NO_ROOM)
        for wrong in () if dry_run else laid.beside.refused:
            await refuse(db, wrong, now)
        progress("record")
        now = now_of() if now_of else now
        async with db.transaction() as tx:
            outcome = await _record(tx, party, day, laid, now=now, who=who, dry_run=dry_run)
        if outcome is not None:
            return _logged(outcome, party, day, dry_run=dry_run)
        log.info("reconcile.overtaken", account=party.name, day=day.isoformat())
    raise Conflict(f"{MAX_OVERTAKEN} times another run of {party.name} {day} was first; run it again")


def _logged(outcome: Outcome, party: Party, day: date, *, dry_run: bool) -> Outcome:
    if outcome.run and not dry_run:
        log.info(
            "reconcile.finished", account=party.name, day=day.isoformat(), lines=outcome.run.lines,
            matched=outcome.run.matched, opened=outcome.run.opened,
        )  # fmt: skip
    return outcome


async def _begin(tx: Tx, party: Party, day: date, now: datetime) -> Begun | None:
    """None when no bill of the day's trades is here."""
    account = party.account
    found = {kind: kept for kind in BillKind if (kept := await _bill(tx, account, day, kind)) is not None}
    trades = found.pop(BillKind.TRADES, None)
    last = await runs.latest_of(tx, account.channel, account.name, day)
    return None if trades is None else Begun(trades=trades, others=found, last=last.id if last else None, at=now)


async def _bill(tx: Tx, account: Account, day: date, kind: BillKind) -> bills.Kept | None:
    """The version that holds. "There is none" does not take the place of a bill that the channel gave before."""
    for states in (("kept", "sound"), ("none",)):
        kept = await bills.latest_of(tx, account.channel, account.name, day, kind, states=states)
        if kept is not None:
            return kept
    return None


# Laying --------------------------------------------------------------------------------------------------------------


async def _lay(
    db: Database,
    party: Party,
    day: date,
    begun: Begun,
    table: Table,
    progress: Progress,
) -> Laid:
    """Raises Refused."""
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


# Recording -----------------------------------------------------------------------------------------------------------


async def _record(
    tx: Tx, party: Party, day: date, laid: Laid, *, now: datetime, who: str, dry_run: bool
) -> Outcome | None:
    """Everything that follows from a run, in the caller's transaction; None when it no longer holds."""
    channel, account = party.account.channel, party.account.name
    await tx.execute(LOCK, party.name)
    before = await runs.latest_of(tx, channel, account, day)
    trades = await _bill(tx, party.account, day, BillKind.TRADES)
    if (before.id if before else None, trades and trades.id) != (laid.begun.last, laid.begun.trades.id):
        return None  # another run, which perhaps read a newer bill, or newer books, was first
    laid = await _judged_again(tx, party, day, laid)
    run_id = ids.new_id("rec", now)
    whose = balance.Whose(channel=channel, account=account, shop=party.account.shop, day=day, run_id=run_id)
    closed = await runs.closed_before(tx, channel, account, day)
    funds, payouts = laid.beside.funds, laid.beside.payouts
    fund_totals = funds.totals if funds else None
    balances = balance.balances_of(whose, laid.matched.sums, fund_totals, payouts or [], closed)
    unbroken = {currency: one for currency, one in closed.items() if await _is_unbroken(tx, party, one.day, day)}
    off = [*balance.balance_breaks(balances, unbroken), *payout_breaks(payouts, balances)]
    found = [*laid.judged.breaks, *off]
    mine = Whose(run_id=run_id, shop=party.account.shop, channel=channel, account=account, day=day, now=now)
    touched = await store.lock_touched(tx, channel, account, day, laid.judged.cleared)
    stored = {one.key: one for one in touched if one.day == day}
    changes = decide(stored, found, mine, (ids.new_id("brk", now) for _ in repeat(None)))
    changes += _elsewhere(laid.judged, [one for one in touched if one.day != day], day, now)
    run = _run(party, day, laid, changes, run_id=run_id, now=now)
    if not dry_run:
        await runs.write(tx, run)
        await runs.put_balances(tx, run, balances)
        await store.write(tx, changes, who, now)
        await _close_cases(tx, laid, changes, now)
        await _tell(tx, before, run, changes, now)
    return Outcome(run=run, changes=changes, balances=balances)


async def _judged_again(tx: Tx, party: Party, day: date, laid: Laid) -> Laid:
    """Runs of other days may have ended since it was judged: what they said of the same payments counts."""
    known = await with_runs(tx, party, day, laid.known)
    if known == laid.known:
        return laid
    return msgspec.structs.replace(laid, known=known, judged=judge(laid.matched, known, laid.day))


async def _is_unbroken(tx: Tx, party: Party, since: date, day: date) -> bool:
    """Whether every day between was reconciled, so that one opens with what the other closed with."""
    between = [since + timedelta(days=n) for n in range(1, min((day - since).days, MAX_GAP_DAYS + 1))]
    read = await runs.days_read(tx, party.account.channel, party.account.name, between)
    return len(between) < MAX_GAP_DAYS and len(read) == len(between)


async def _tell(tx: Tx, before: runs.Run | None, run: runs.Run, changes: list[Change], now: datetime) -> None:
    """What is new of the day; a second run over the same changes nothing, and says nothing."""
    news = tell.of_breaks(changes)
    if changes or before is None or before.bill_id != run.bill_id:
        counts = await store.counts(tx, run.channel, run.account, run.day)
        news.append(tell.of_run(run, sum(one["breaks"] for one in counts if one["state"] in UNSETTLED)))
    await tell.write(tx, news, now)


def _elsewhere(judged: Judged, others: Iterable[Break], day: date, now: datetime) -> Iterator[Change]:
    """What this day's bill means for the breaks of other days; what it cleared before, their own runs judge."""
    cleared = set(judged.cleared)
    for one in others:
        if one.cleared_by == day.isoformat():
            change = None if one.id in cleared else uncleared(one, day, now)
        elif one.cleared_by is None and one.id in cleared and one.state in UNSETTLED:
            change = part(one, judged.apart[one.id], day, now) if one.id in judged.apart else clear(one, day, now)
        else:  # another run was first
            change = None
        if change is not None:
            yield change


async def _close_cases(tx: Tx, laid: Laid, changes: list[Change], now: datetime) -> None:
    """The bill is sound, and what agrees again needs nobody any more."""
    trades = [Sound(laid.begun.trades, laid.lines, laid.stated)] if laid.begun.trades.state != "none" else []
    for one in [*trades, *laid.beside.sound()]:
        kept = one.kept
        await bills.was_read(tx, kept.id, "sound", now, lines=one.lines, stated=one.stated)
        subject = f"{kept.channel}/{kept.account} {kept.kind} {kept.day}"
        for kind in (REFUSED, TOO_DIFFERENT, NO_ROOM, "no_bill"):
            await cases.resolve_kind(tx, kind, [subject], "a sound bill was read", now)
    ended = [c.after.id for c in changes if c.after.state.value in ("healed", "resolved")]
    await cases.resolve_kind(tx, "reconcile_break", ended, "both sides agree now", now)


def _run(party: Party, day: date, laid: Laid, changes: list[Change], *, run_id: str, now: datetime) -> runs.Run:
    trades = laid.begun.trades
    sums = list(_sums(laid))
    steps = [change.step for change in changes]
    return runs.Run(
        id=run_id, shop=party.account.shop, channel=party.account.channel, account=party.account.name, day=day,
        begins_at=laid.day.begins_at, ends_at=laid.day.ends_at, bill_id=trades.id, bill_version=trades.version,
        began_at=laid.begun.at, ended_at=now, lines=laid.lines, matched=sum(one.matched for one in sums),
        grouped=sum(one.in_group for one in laid.judged.agreed), opened=steps.count("found"),
        reopened=steps.count("changed") + steps.count("reopened"),
        cleared=steps.count("cleared") + steps.count("healed"), took_ms=laid.took_ms,
        payouts=laid.beside.payouts or [], sums=sums,
    )  # fmt: skip


def _sums(laid: Laid) -> Iterator[runs.Sum]:
    """Both sides added up: every line is matched but for those that were left over and did not agree after all. Those
    stand in breaks, which are counted by themselves: `paidup verify` holds that nothing is lost between the two."""
    broken: dict[tuple[str, str], list[int]] = {}
    for found in laid.judged.breaks:
        if found.line is not None:
            _count(broken, found.line.kind, found.line.currency, found.line.amount_minor, 1)
    left: dict[tuple[str, str], list[int]] = {}
    came_back: dict[tuple[str, str], list[int]] = {}
    for line in (
        *(line for line, _ in laid.matched.payments if line),
        *(line for line, _ in laid.matched.refunds if line),
        *laid.matched.others,
    ):
        _count(left, line.kind, line.currency, line.amount, 1)
    for agreed in laid.judged.agreed:
        _count(left, agreed.line.kind, agreed.line.currency, agreed.line.amount, -1)
        _count(came_back, agreed.line.kind, agreed.line.currency, agreed.ours_minor, int(agreed.ours_minor != 0))
    for one in laid.matched.sums:
        lines, minor = left.get((one.what, one.currency), (0, 0))
        in_breaks, broken_minor = broken.get((one.what, one.currency), (0, 0))
        booked = one.what not in ("fee", "payout")
        ours_too, ours_too_minor = came_back.get((one.what, one.currency), (0, 0))
        more = {"ours": one.ours + ours_too, "ours_minor": one.ours_minor + ours_too_minor}
        yield runs.Sum(
            **msgspec.structs.asdict(one) | more,
            matched=one.bill_lines - lines if booked else 0,
            matched_minor=one.bill_minor - minor if booked else 0,
            broken=in_breaks,
            broken_minor=broken_minor,
        )


def _count(into: dict[tuple[str, str], list[int]], kind: str, currency: str, amount: int, by: int) -> None:
    at = into.setdefault((kind, currency), [0, 0])
    at[0] += by
    at[1] += by * amount
