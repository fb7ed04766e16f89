"""What a run found is written, all in one transaction: its row, breaks and balances, cases, what the shop is told."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from itertools import repeat

import msgspec

from paidup import ids
from paidup.cases import store as cases
from paidup.channels.bill import BillKind
from paidup.db.transaction import Tx
from paidup.reconcile import balance, bills, runs, store, tell
from paidup.reconcile.beside import Sound
from paidup.reconcile.breaks import Break
from paidup.reconcile.decide import Change, Whose, clear, decide, part, uncleared
from paidup.reconcile.judge import judge
from paidup.reconcile.known import Judged
from paidup.reconcile.look_up import with_runs
from paidup.reconcile.party import Party
from paidup.reconcile.payouts import payout_breaks
from paidup.reconcile.refusal import NO_ROOM, REFUSED, TOO_DIFFERENT
from paidup.reconcile.run_lay import Laid, bill_that_holds
from paidup.reconcile.run_sums import run_of
from paidup.reconcile.states import UNSETTLED

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 4))"
MAX_GAP_DAYS = 31


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found, and what it would change or has changed. refused: why the bill was not used. is_put_off: with
    the bill nothing is wrong, there was no room here to read it."""

    run: runs.Run | None = None
    changes: list[Change] = []
    balances: list[runs.Balance] = []
    refused: str = ""
    is_put_off: bool = False


async def record(
    tx: Tx, party: Party, day: date, laid: Laid, *, now: datetime, who: str, dry_run: bool
) -> Outcome | None:
    """Everything that follows from a run, in the caller's transaction; None when it no longer holds."""
    channel, account = party.account.channel, party.account.name
    await tx.execute(LOCK, party.name)
    before = await runs.latest_of(tx, channel, account, day)
    trades = await bill_that_holds(tx, party.account, day, BillKind.TRADES)
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
    run = run_of(party, day, laid, changes, run_id=run_id, now=now)
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


async def _tell(tx: Tx, before: runs.Run | None, run: runs.Run, changes: list[Change], now: datetime) -> None:
    """What is new of the day; a second run over the same changes nothing, and says nothing."""
    news = tell.of_breaks(changes)
    if changes or before is None or before.bill_id != run.bill_id:
        counts = await store.counts(tx, run.channel, run.account, run.day)
        news.append(tell.of_run(run, sum(one["breaks"] for one in counts if one["state"] in UNSETTLED)))
    await tell.write(tx, news, now)
