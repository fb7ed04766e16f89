"""The sandbox's bills beside our books: what was planted in a bill is what is found, and nothing else."""

import io
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import date, timedelta

import pytest

from bill_desk import DAY, Desk, desk
from bill_readers import SMALL, careful, quick
from paidup.channels.bill import BillKind
from paidup.channels.registry import CHANNELS
from paidup.db.transaction import Database
from paidup.reconcile import bills, people, store
from paidup.reconcile.breaks import Kind
from paidup.reconcile.party import Party
from paidup.reconcile.rules import Rules
from paidup.reconcile.run import reconcile
from paidup.reconcile.run_record import Outcome
from paidup.reconcile.table import Limits, opened
from paidup.sandbox.bookings import Entry, EntryKind
from paidup.sandbox.faults import BillFaults, Faults
from reconcile_side import book

CHANNELS_ALL = ("wechat", "alipay", "stripe")
_RULES = Rules()
LIMITS = Limits(memory_mb=64)


@pytest.fixture
async def there() -> AsyncIterator[Desk]:
    async with desk() as it:
        yield it


async def laid(
    db: Database,
    there: Desk,
    channel: str,
    rules: Rules = _RULES,
    day: date = DAY,
    kinds: Sequence[BillKind] | None = None,
    dry_run: bool = False,
    **faults: float,
) -> Outcome:
    """The day's bills (of these kinds) under these faults, fetched, kept and reconciled."""
    there.sandbox.faults = Faults(bill=BillFaults(**faults))
    account = there.account(channel)
    for kind in kinds or CHANNELS[channel].bills:
        content, proof = await there.fetch(channel, kind, day)
        brought = bills.Brought(
            shop=account.shop, channel=channel, account="main", kind=kind, day=day, source="fetched", proof=proof
        )
        async with db.transaction() as tx:
            await bills.keep(tx, brought, io.BytesIO(content), there.clock.now())
    party = Party(CHANNELS[channel], account, rules)
    return await reconcile(
        db, party, day, now=there.clock.now(), spill=None, limits=LIMITS, who="test", dry_run=dry_run
    )


@pytest.mark.parametrize("channel", CHANNELS_ALL)
async def test_a_day_without_faults_agrees(db: Database, there: Desk, channel: str) -> None:
    """Payments and refunds as they were booked: every line is matched, no break, and the balance closes."""
    there.sell(channel)
    await book(db, there.booked(channel), there.account(channel))
    outcome = await laid(db, there, channel)
    assert outcome.run is not None
    assert ([], outcome.run.lines) == ([c.after for c in outcome.changes], outcome.run.matched)
    (balance,) = outcome.balances
    moved = sum(e.amount_minor - e.fee_minor for e in there.booked(channel)) - balance.payouts_minor
    assert balance.opening_minor + moved == balance.closing_minor


def kinds(outcome: Outcome) -> dict[str, int]:
    """How many breaks of each kind a run found."""
    return dict(Counter(change.after.kind.value for change in outcome.changes))


@pytest.mark.parametrize("channel", CHANNELS_ALL)
@pytest.mark.parametrize(
    ("fault", "kind"),
    [("missing", Kind.SHORT), ("wrong_amount", Kind.AMOUNT), ("duplicate", Kind.DUPLICATE), ("extra", Kind.LONG)],
)
async def test_what_was_planted_is_what_is_found(
    db: Database, there: Desk, channel: str, fault: str, kind: Kind
) -> None:
    """A fault in some lines of a good bill: exactly those lines are breaks, of exactly this kind."""
    there.sell(channel, 30)
    await book(db, there.booked(channel), there.account(channel))
    outcome = await laid(db, there, channel, **{fault: 0.3})
    good = Counter(line_key(entry) for entry in there.booked(channel))
    planted = Counter(line_key(entry) for entry in there.printed(channel))
    wrong = sum(((planted - good) if fault != "missing" else (good - planted)).values())
    assert wrong > 3
    found = kinds(outcome)
    assert {kind.value: wrong} == {name: count for name, count in found.items() if name != "status"}


@pytest.mark.parametrize(
    ("channel", "fault", "kind"),
    [
        *((channel, "unknown_type", Kind.UNKNOWN_LINE) for channel in CHANNELS_ALL),
        ("stripe", "wrong_currency", Kind.CURRENCY),
        ("wechat", "wrong_status", Kind.STATUS),
        ("stripe", "wrong_status", Kind.STATUS),
    ],
)
async def test_a_line_of_another_type_currency_or_status_is_its_break_and_no_other(
    db: Database, there: Desk, channel: str, fault: str, kind: Kind
) -> None:
    """Where a channel's bill has such a column: as many as were planted, about those lines, and the balance holds. (A
    line in another currency refuses WeChat Pay's bill, and Alipay's has neither column.)"""
    there.sell(channel, 30)
    await book(db, there.booked(channel), there.account(channel))
    outcome = await laid(db, there, channel, **{fault: 0.5})
    good = Counter((*line_key(entry), entry.currency) for entry in there.booked(channel))
    planted = Counter((*line_key(entry), entry.currency) for entry in there.printed(channel)) - good
    assert sum(planted.values()) > 1
    assert {kind.value: sum(planted.values())} == kinds(outcome)
    numbers = {str(key[2] or key[1]).replace("pi_", "ch_") for key in planted}
    lines = [line for change in outcome.changes if (line := change.after.line) is not None]
    assert numbers == {(it.channel_refund_id or it.channel_txn_id or "").replace("pi_", "ch_") for it in lines}


async def test_a_wrong_fee_is_found_where_one_is_agreed(db: Database, there: Desk) -> None:
    """WeChat Pay's 0.6 % is in the rules: every fee that is a fen off is a break over that fen; no other line is."""
    there.sell("wechat", 30)
    await book(db, there.booked("wechat"), there.account("wechat"))
    rules = Rules(fee_ppm=6000, fee_tolerance_minor=0)
    outcome = await laid(db, there, "wechat", rules, wrong_fee=0.3)
    good = {entry.key: entry.fee_minor for entry in there.booked("wechat") if entry.kind is EntryKind.PAYMENT}
    off = [e for e in there.printed("wechat") if e.kind is EntryKind.PAYMENT and e.fee_minor != good[e.key]]
    assert len(off) > 3
    assert {"fee": len(off)} == kinds(outcome)
    assert {1} == {change.after.differs_minor for change in outcome.changes}


async def test_a_corrected_bill_reopens_only_what_it_touches(db: Database, there: Desk) -> None:
    """The first bill lacks lines; a person resolves one. The corrected bill has them: the rest heals, and the resolved
    stays resolved. A third one lacks them again: they are open again, and nothing else is."""
    there.sell("wechat", 30)
    await book(db, there.booked("wechat"), there.account("wechat"))
    first = await laid(db, there, "wechat", missing=0.3)
    chosen = first.changes[0].after
    async with db.transaction() as tx:
        await people.resolve(tx, chosen.id, shop=None, who="anna", why="seen", now=there.clock.now())
    await laid(db, there, "wechat")
    states = await states_of(db)
    assert {chosen.id: "resolved"} | {c.after.id: "healed" for c in first.changes[1:]} == states
    third = await laid(db, there, "wechat", missing=0.3)
    assert {c.after.id for c in first.changes[1:]} == {c.after.id for c in third.changes}
    assert 3 == (await _version(db))


async def test_a_second_run_changes_nothing(db: Database, there: Desk) -> None:
    """The same bill once more, with breaks in it: no break changes, and the same file is the same version."""
    there.sell("wechat", 30)
    await book(db, there.booked("wechat"), there.account("wechat"))
    first = await laid(db, there, "wechat", missing=0.2, extra=0.2, wrong_amount=0.2)
    before = await states_of(db)
    second = await laid(db, there, "wechat", missing=0.2, extra=0.2, wrong_amount=0.2)
    assert (True, [], before, 1) == (bool(first.changes), second.changes, await states_of(db), await _version(db))


async def test_a_line_that_comes_a_day_late_clears_by_itself(db: Database, there: Desk) -> None:
    """Shorts of the first day wait; the next day's bill has them, and all of them are healed as of the wrong day."""
    there.sell("wechat", 30)
    await book(db, there.booked("wechat"), there.account("wechat"))
    first = await laid(db, there, "wechat", wrong_day=0.3)
    assert {("short", "waiting")} == {(c.after.kind.value, c.after.state.value) for c in first.changes}
    await there.clock.advance(86400)
    late = await laid(db, there, "wechat", day=DAY + timedelta(days=1), wrong_day=0.3)
    assert late.run is not None
    assert (late.run.lines, late.run.lines) == (len(first.changes), late.run.matched)
    assert {"healed"} == set((await states_of(db)).values())
    again = await laid(db, there, "wechat", wrong_day=0.3)
    assert [] == again.changes


async def test_a_refused_bill_is_kept_and_named(db: Database, there: Desk) -> None:
    """Totals that do not fit: nothing is reconciled, the file is kept with its reason, a case is open; the next, sound
    one closes it."""
    there.sell("wechat", 5)
    await book(db, there.booked("wechat"), there.account("wechat"))
    refused = await laid(db, there, "wechat", wrong_total=1.0)
    async with db.session() as tx:
        kept = await bills.latest_of(tx, "wechat", "main", DAY, BillKind.TRADES)
        parts = await tx.fetchval("SELECT count(*) FROM bill_parts")
        open_cases = await tx.fetchval("SELECT count(*) FROM cases WHERE resolved_at IS NULL AND kind = 'bill_refused'")
    assert kept is not None
    assert (None, "refused", "wrong_total", True) == (refused.run, kept.state, kept.fault, bool(parts and open_cases))
    sound = await laid(db, there, "wechat")
    assert sound.run is not None
    async with db.session() as tx:
        left = await tx.fetchval("SELECT count(*) FROM cases WHERE resolved_at IS NULL AND subject_id LIKE '%trades%'")
    assert (2, 0) == (sound.run.bill_version, left)


@pytest.mark.parametrize("channel", CHANNELS_ALL)
async def test_the_quick_reader_reads_what_the_careful_one_does(there: Desk, channel: str) -> None:
    """A bill with every fault that a line can have: the same lines in the same places, also in parts of any size; with
    other totals, a wrong hash, or cut off: whoever says something says the same."""
    there.sell(channel, 40)
    for trade in there.sandbox.world.ledger.page(0, 100):
        trade.extra = dict.fromkeys(trade.extra, "茶")  # a name that both can read
    names = (
        "missing",
        "extra",
        "wrong_amount",
        "wrong_fee",
        "duplicate",
        "unknown_type",
        "wrong_currency",
        "wrong_status",
    )
    wrong = dict.fromkeys(names, 0.2)
    with opened(None, LIMITS) as table:
        there.sandbox.faults = Faults(bill=BillFaults(**wrong))
        file, proof = await there.fetch(channel)
        said = quick(table, there.account(channel), DAY, file, proof)
        assert said is not None
        assert said == careful(table, there.account(channel), DAY, file, proof)
        assert said == quick(table, there.account(channel), DAY, file, proof, SMALL)
        for fault in ("wrong_total", "wrong_hash", "truncated"):
            there.sandbox.faults = Faults(bill=BillFaults(**{fault: 1.0}))
            file, proof = await there.fetch(channel)
            found = quick(table, there.account(channel), DAY, file, proof)
            assert found in (None, careful(table, there.account(channel), DAY, file, proof))


async def states_of(db: Database) -> dict[str, str]:
    async with db.session() as tx:
        return {one.id: one.state.value for one in await store.page(tx, store.Filter(), 1000)}


async def _version(db: Database) -> int:
    async with db.session() as tx:
        return int(await tx.fetchval("SELECT max(version) FROM bills WHERE kind = 'trades'"))


def line_key(entry: Entry) -> tuple[object, ...]:
    return (entry.kind, entry.number, entry.refund_number, entry.amount_minor)
