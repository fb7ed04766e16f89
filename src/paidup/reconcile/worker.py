"""对账, one round: fetch what is due, keep it, lay it beside our books, and mend what proof can mend.

Every step can be done again: a worker that dies gives its bill back when its lease ends, the same file is the same
version, and a second run of a day changes nothing.
"""

from collections.abc import AsyncIterator, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from pathlib import Path

import msgspec

from paidup.ask import Asker
from paidup.channels.bill import BillKind
from paidup.channels.messages import BillComing
from paidup.db.transaction import Database, Tx
from paidup.handlers import Handlers
from paidup.reconcile import bill_fetches, bills, runs, store
from paidup.reconcile.decide import Change
from paidup.reconcile.fetch import fetch_bill, is_doubtful, no_room, not_there, want_bills, without_account
from paidup.reconcile.later import lay_later
from paidup.reconcile.mend import mend
from paidup.reconcile.overdue import expire, overdue_of, tell_people
from paidup.reconcile.party import Party
from paidup.reconcile.reading import bounds_of
from paidup.reconcile.run import reconcile
from paidup.reconcile.run_lay import Progress
from paidup.reconcile.run_record import Outcome
from paidup.reconcile.table import Limits

LEASE = timedelta(minutes=30)
WHO = "reconcile"
MANY = 1000
ASKED_AT_ONCE = 10
"""So many questions are asked again where one bill would be fetched."""
PASSES = 4
"""What was mended may show what else can be: a refund needs its payment first."""


class Tools(msgspec.Struct, frozen=True):
    """What a round works with. spill: where DuckDB may write; None: the system's temporary folder."""

    asker: Asker
    handlers: Handlers
    limits: Limits
    spill: Path | None = None


async def run_once(db: Database, *, now: datetime, limit: int, parties: Sequence[Party], tools: Tools) -> int:
    """Fetch up to `limit` bills that are due and reconcile their days, those that people uploaded bills of, and those
    that a worker left half done; ask again where the channel was silent, and do the repairs that people agreed to
    since. Returns how many bills, questions and repairs that were."""
    by_account = {(party.account.channel, party.account.name): party for party in parties}
    async with db.transaction() as tx:
        await want_bills(tx, parties, now)
        fetches = await bill_fetches.claim(tx, now, now + LEASE, limit)
    there = 0
    for (channel, account, _), due in _by_day(fetches).items():
        if party := by_account.get((channel, account)):
            there += await _day(db, party, due, now, tools)
            continue
        async with db.transaction() as tx:
            for fetch in due:
                await without_account(tx, fetch, now)
    there += await _work_wanted(db, by_account, now, limit, tools)
    there += await _ask_again(db, by_account, now, limit, tools)
    return there + await _mend_approved(db, by_account, limit, tools)


async def _work_wanted(
    db: Database, by_account: Mapping[tuple[str, str], Party], now: datetime, limit: int, tools: Tools
) -> int:
    """Whoever uploaded a bill is not made to wait for the run over its day; what was begun is brought to its end."""
    async with db.transaction() as tx:
        days = await bills.claim_work(tx, now, now + LEASE, limit)
    for (channel, account, day), bill_ids in days.items():
        party = by_account.get((channel, account))
        if party is not None and (await work_day(db, party, day, tools=tools, who=WHO)).is_put_off:
            continue  # there was no room: its lease gives it back
        async with db.transaction() as tx:
            await bills.worked(tx, bill_ids)
    return len(days)


async def _ask_again(
    db: Database, by_account: Mapping[tuple[str, str], Party], now: datetime, limit: int, tools: Tools
) -> int:
    """No bill that is due leads back to a difference about which the channel was asked while it was away."""
    async with db.transaction() as tx:
        days = await store.claim_unanswered(tx, now, now + LEASE, limit * ASKED_AT_ONCE)
    for (channel, account, day), ids in days.items():
        party = by_account.get((channel, account))
        if party is None:  # the account is not here now; it waits
            continue
        async with _until_done(db, party, day, tools) as is_free:
            if not is_free:
                continue  # its lease gives it back
            if await mend(db, party, day, asker=tools.asker, handlers=tools.handlers, who=WHO, only=ids):
                await work_day(db, party, day, tools=tools, who=WHO)
            else:
                await _give_to_people(db, party, tools, WHO)
    return sum(map(len, days.values()))


async def _mend_approved(db: Database, by_account: Mapping[tuple[str, str], Party], limit: int, tools: Tools) -> int:
    """People agree when the bill of the day was read long ago: no bill that is due leads back to it."""
    async with db.session() as tx:
        days = await store.approved_days(tx, by_account, limit)  # those of an account that is not here wait
    mended = 0
    for channel, account, day in days:
        party = by_account[channel, account]
        async with _until_done(db, party, day, tools) as is_free:
            if is_free and (done := await mend(db, party, day, asker=tools.asker, handlers=tools.handlers, who=WHO)):
                mended += done
                await work_day(db, party, day, tools=tools, who=WHO)
    return mended


@asynccontextmanager
async def _until_done(db: Database, party: Party, day: date, tools: Tools) -> AsyncIterator[bool]:
    """Whoever dies meanwhile, or loses the database, leaves the day to be worked on when the lease is over: what the
    channel said may be booked already, and the day not be laid beside it. Says whether nobody else is at it."""
    account, until = party.account, tools.asker.now_of() + LEASE
    async with db.transaction() as tx:
        held = await bills.promise_work(tx, account.channel, account.name, day, until)
    yield held is not None
    async with db.transaction() as tx:
        await bills.worked(tx, held or [])


def _by_day(fetches: Sequence[bill_fetches.Fetch]) -> dict[tuple[str, str, date], list[bill_fetches.Fetch]]:
    """The trades first: without them nobody reads the rest."""
    days: dict[tuple[str, str, date], list[bill_fetches.Fetch]] = {}
    for fetch in sorted(fetches, key=lambda fetch: fetch.kind is not BillKind.TRADES):
        days.setdefault((fetch.channel, fetch.account, fetch.day), []).append(fetch)
    return days


async def _day(db: Database, party: Party, due: Sequence[bill_fetches.Fetch], now: datetime, tools: Tools) -> int:
    """Fetch the bills of a day that are due, and reconcile it once for all of them; returns how many were there."""
    found = [
        (fetch, await fetch_bill(db, tools.asker, party, fetch.kind, fetch.day, made_as=fetch.made_as)) for fetch in due
    ]
    now = max(now, tools.asker.now_of())
    came = [one for _, one in found if isinstance(one, bills.Kept)]
    whys, is_put_off = await _use(db, party, due[0].day, came, now, tools)
    async with db.transaction() as tx:
        for fetch, one in found:
            if is_put_off and isinstance(one, bills.Kept):
                await no_room(tx, party, fetch, whys[one.id], now)
            elif why := whys[one.id] if isinstance(one, bills.Kept) else _why(one):
                made_as = one.made_as if isinstance(one, BillComing) else None
                await not_there(tx, party, fetch, why, now, made_as=made_as)
            else:
                await bill_fetches.put_off(tx, fetch, now, "", state="done")
    return sum(not why for why in whys.values())


def _why(found: BillComing | str) -> str:
    return found if isinstance(found, str) else found.why


async def _use(
    db: Database, party: Party, day: date, came: Sequence[bills.Kept], now: datetime, tools: Tools
) -> tuple[dict[str, str], bool]:
    """Reconcile a day of which bills came; by bill, why it must be fetched again, or nothing; and whether the day is
    put off, though with the bills nothing is wrong."""
    async with db.session() as tx:
        whys = {kept.id: await _doubt(tx, party, kept, now) for kept in came}
    if all(whys.values()):
        return whys, False
    outcome = await work_day(db, party, day, tools=tools, who=WHO)
    async with db.session() as tx:
        for kept_id in [kept_id for kept_id, why in whys.items() if not why]:
            read = await bills.get(tx, kept_id)
            whys[kept_id] = read.why if read is not None and read.state == "refused" else outcome.refused
    return whys, outcome.is_put_off  # nobody read the fund flow, either, while the trades cannot be read


async def _doubt(tx: Tx, party: Party, kept: bills.Kept, now: datetime) -> str:
    bounds = bounds_of(party, kept.day, kept)
    if await is_doubtful(tx, party, kept, bounds, now):
        return f"the channel says that there is none, and payments of the day stand here: {kept.why}"
    if kept.kind is not BillKind.TRADES and await _trades_are_doubtful(tx, party, kept.day, bounds, now):
        return "it waits for the day's trade bill, of which the channel says that there is none"
    return ""


async def _trades_are_doubtful(
    tx: Tx, party: Party, day: date, bounds: tuple[datetime, datetime], now: datetime
) -> bool:
    account = party.account
    trades = await bills.latest_of(tx, account.channel, account.name, day, BillKind.TRADES)
    return trades is not None and await is_doubtful(tx, party, trades, bounds, now)


async def work_day(
    db: Database, party: Party, day: date, *, tools: Tools, who: str, progress: Progress = lambda _: None,
    is_early: bool = False,
) -> Outcome:  # fmt: skip
    """Reconcile a day, mend what proof can mend, and look again at what is left; then tell people of it.

    is_early: somebody wants to know now; also a channel that was silent is asked, once, before its time.
    """
    async with _until_done(db, party, day, tools):
        return await _work_day(db, party, day, tools=tools, who=who, progress=progress, is_early=is_early)


async def _work_day(
    db: Database, party: Party, day: date, *, tools: Tools, who: str, progress: Progress, is_early: bool
) -> Outcome:
    everything: list[Change] = []
    for passed in range(PASSES):
        now = tools.asker.now_of()
        outcome = await reconcile(
            db,
            party,
            day,
            now=now,
            spill=tools.spill,
            limits=tools.limits,
            who=who,
            progress=progress,
            now_of=tools.asker.now_of,
        )
        everything += outcome.changes
        if outcome.run is None:
            return outcome
        progress("ask and mend")
        mended = await mend(
            db, party, day, asker=tools.asker, handlers=tools.handlers, who=who, is_early=is_early and not passed
        )
        taken_back = {change.after.day for change in outcome.changes if change.step == "reopened"}
        if not await _read_again(db, party, day, taken_back, tools, who) and not mended:
            break
    await lay_later(db, party, day, now=tools.asker.now_of(), spill=tools.spill, limits=tools.limits, who=who)
    await _ask_about_overdue(db, party, day, tools, who)
    await _give_to_people(db, party, tools, who)
    return msgspec.structs.replace(outcome, changes=everything)


async def _give_to_people(db: Database, party: Party, tools: Tools, who: str) -> None:
    async with db.transaction() as tx:
        await expire(tx, party, tools.handlers, who, tools.asker.now_of())
        await tell_people(tx, party, tools.asker.now_of())


async def _ask_about_overdue(db: Database, party: Party, day: date, tools: Tools, who: str) -> None:
    """The channel is asked once more about what has waited for other days' bills in vain, before people are: the first
    time it may have given no answer, and much may have happened since."""
    async with db.session() as tx:
        late = await overdue_of(tx, party, tools.asker.now_of(), MANY)
    for other in sorted({one.day for one in late} - {day}):
        async with _until_done(db, party, other, tools):
            if await mend(db, party, other, asker=tools.asker, handlers=tools.handlers, who=who):
                now = tools.asker.now_of()
                await reconcile(db, party, other, now=now, spill=tools.spill, limits=tools.limits, who=who)


async def _read_again(db: Database, party: Party, day: date, taken_back: Set[date], tools: Tools, who: str) -> int:
    """Days that were read before our books had what this day's bill has of them: their bills are laid beside our books
    once more, or what is there once would be taken for two. So are those of which this day's bill had brought the other
    side, and does no more (taken_back). Returns how many."""
    channel, account = party.account.channel, party.account.name
    waiting = store.Filter(
        channel=channel, account=account, since=day, until=day, kinds=("wrong_day",), states=("waiting",)
    )
    async with db.session() as tx:
        sides = [one.ours for one in await store.page(tx, waiting, MANY) if one.line is not None]
        zone = party.channel.bill_zone(party.account)
        days = {side.at.astimezone(zone).date() for side in sides if side is not None and side.at is not None}
        read = await runs.days_read(tx, channel, account, sorted((days | taken_back) - {day}))
    for other in sorted(read):
        await reconcile(db, party, other, now=tools.asker.now_of(), spill=tools.spill, limits=tools.limits, who=who)
    return len(read)
