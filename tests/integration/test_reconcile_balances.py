"""Balances: a day opens with what the fund flow bill says, closes with what moved, and ties to the day before."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date, timedelta

import pytest
from test_reconcile_sandbox import _RULES as RULES
from test_reconcile_sandbox import LIMITS, laid

from bill_desk import DAY, NOON, Desk, desk
from paidup.channels.bill import BillKind
from paidup.channels.registry import CHANNELS
from paidup.db.transaction import Database
from paidup.finance.books import read_books
from paidup.finance.day import read_day, read_month
from paidup.finance.entries import Chart, journal_of
from paidup.finance.page import day_page
from paidup.finance.rows import balance_rows, payouts_of
from paidup.finance.words import Language
from paidup.reconcile import bills, runs, store
from paidup.reconcile.breaks import Kind
from paidup.reconcile.later import lay_later
from paidup.reconcile.party import Party
from paidup.reconcile.run_record import Outcome
from paidup.reconcile.states import State
from paidup.sandbox.stripe.reports import STRIPE_OPENING_MINOR
from reconcile_side import book

OPENING = 100_000_000
"""What lies in the sandbox's accounts before anything was sold."""
NEXT = DAY + timedelta(days=1)


@pytest.fixture
async def there() -> AsyncIterator[Desk]:
    async with desk() as it:
        yield it


async def balance_of(db: Database, day: object = DAY) -> runs.Balance:
    async with db.session() as tx:
        (found,) = await runs.page_of_balances(tx, None, 10, since=day, until=day)
    return found


def moved(there: Desk, channel: str) -> int:
    return sum(entry.amount_minor - entry.fee_minor for entry in there.booked(channel))


@pytest.mark.parametrize("channel", ["wechat", "alipay"])
async def test_a_first_day_opens_with_what_the_channel_says(db: Database, there: Desk, channel: str) -> None:
    """Not with zero; what moved leads from there to what the channel says that it closed with, as the report shows."""
    there.sell(channel)
    await book(db, there.booked(channel), there.account(channel))
    outcome = await laid(db, there, channel)
    found = await balance_of(db)
    assert (OPENING, OPENING, []) == (found.stated_opening_minor, found.opening_minor, outcome.changes)
    assert (OPENING + moved(there, channel), found.closing_minor) == (found.closing_minor, found.stated_closing_minor)
    async with db.session() as tx:
        report = await read_day(tx, found.shop, channel, "main", DAY)
    titles, row = balance_rows(report.balances, Language("zh"))
    assert ("渠道期初余额", (OPENING, "CNY")) == (titles[-2], row[-2])


async def test_a_channel_that_says_nothing_opens_with_what_was_left(db: Database, there: Desk) -> None:
    """Without a fund flow bill the first day opens with zero."""
    there.sell("stripe")
    await book(db, there.booked("stripe"), there.account("stripe"))
    await laid(db, there, "stripe", kinds=(BillKind.TRADES,))
    found = await balance_of(db)
    assert (0, None, moved(there, "stripe")) == (found.opening_minor, found.stated_opening_minor, found.closing_minor)


def laying(db: Database, there: Desk, channel: str, day: date = DAY) -> Callable[[], Awaitable[list[date]]]:
    """Lays anew what later days said of this one."""
    party = Party(CHANNELS[channel], there.account(channel), RULES)
    return lambda: lay_later(db, party, day, now=there.clock.now(), spill=None, limits=LIMITS, who="test")


async def three_days(db: Database, there: Desk, **faults: float) -> list[Outcome]:
    """Sales at Stripe the day before yesterday, yesterday and today; what the first day brought is paid out today."""
    days = [DAY - timedelta(days=ago) for ago in (2, 1, 0)]
    for ago, count in ((2, 9), (1, 4), (0, 5)):
        there.sell("stripe", count, at=NOON - timedelta(days=ago))
    await book(db, [entry for day in days for entry in there.booked("stripe", day)], there.account("stripe"))
    return [await laid(db, there, "stripe", day=day, **faults) for day in days]


async def test_stripes_days_open_and_close_with_what_lay_there(db: Database, there: Desk) -> None:
    """opening + in - out - fees - payouts = closing, on three days, as Stripe's balance summary says it; each opens
    with what the day before closed with, and no day breaks."""
    outcomes = await three_days(db, there)
    balances = [balance for outcome in outcomes for balance in outcome.balances]
    assert ([], 3) == ([change.after.key for outcome in outcomes for change in outcome.changes], len(balances))
    assert [(b.opening_minor, b.closing_minor) for b in balances] == [
        (b.stated_opening_minor, b.stated_closing_minor) for b in balances
    ]
    assert (STRIPE_OPENING_MINOR, [b.closing_minor for b in balances[:-1]]) == (
        balances[0].opening_minor, [b.opening_minor for b in balances[1:]],
    )  # fmt: skip
    assert [0, 0, sum(payout.net_minor for payout in there.paid_out())] == [b.payouts_minor for b in balances]
    assert balances[2].payouts_minor > 0


async def test_books_that_are_read_day_by_day_are_one_ledger(db: Database, there: Desk) -> None:
    """Three files in one ledger: what lies at the channel is there once, and the third alone, a ledger of its own,
    comes to the same."""
    *_, last = await three_days(db, there)
    days, at = [DAY - timedelta(days=ago) for ago in (2, 1, 0)], "Assets:Channels:Stripe:Main"
    async with db.session() as tx:
        files = [await read_books(tx, Chart(), None, day, day, NEXT, "stripe", "main") for day in days]
        alone = await read_books(tx, Chart(), None, DAY, DAY, NEXT, anew=True)
    lies, lies_alone = (
        sum(p.amount_minor for entry in entries for p in entry.postings if p.account == at)
        for entries in ([entry for file in files for entry in file.entries], alone.entries)
    )
    assert last.balances[0].closing_minor == lies == lies_alone
    assert ([True, False, False], True) == ([bool(file.opened) for file in files], bool(alone.opened))


async def test_a_day_shows_which_payout_took_which_trades(db: Database, there: Desk) -> None:
    """The payout of the third day took the payments and refunds of the first, each looked for in that day's bill, and
    adds up to what left the balance; so it stands in the report."""
    *_, last = await three_days(db, there)
    (truth,) = there.paid_out()
    assert last.run is not None
    (payout,) = last.run.payouts
    taken = Counter(str(entry.kind).replace("failure", "failed") for entry in truth.entries)
    first = DAY - timedelta(days=2)
    assert (truth.number, truth.net_minor, {(first, what): n for what, n in taken.items()}) == (
        payout.payout_id, payout.net_minor, {(one.day, one.what): one.lines for one in payout.takes},
    )  # fmt: skip
    assert {(True, 0)} == {(one.is_read, one.untied) for one in payout.takes}
    async with db.session() as tx:
        report = await read_day(tx, "demo", "stripe", "main", DAY)
        kept = await bills.latest_of(tx, "stripe", "main", DAY, BillKind.PAYOUTS)
    page, rows = day_page(report, Language("zh"), there.clock.now()), payouts_of(report, Language("en"))
    assert all(text in page for text in (truth.number, "提现单号", f"{truth.net_minor / 100:,.2f}"))
    assert sum(taken.values()) == sum(row[5] for row in rows[1:] if isinstance(row[5], int))
    assert kept is not None
    assert ("sound", len(truth.entries)) == (kept.state, kept.lines)


async def test_a_payout_that_does_not_tie_is_a_break(db: Database, there: Desk) -> None:
    """It takes one line more than the bill of that day has: exactly that is found, with its number and its cent."""
    *_, last = await three_days(db, there, wrong_payout=1.0)
    (truth,) = there.paid_out()
    (found,) = [change.after for change in last.changes]
    assert (Kind.PAYOUT, f"payout:{truth.number}:USD", 1) == (found.kind, found.key, found.differs_minor)
    assert f"txn_{truth.entries[0].number[3:-1]}z" in found.why
    assert [] == (await laid(db, there, "stripe", wrong_payout=1.0)).changes


async def test_what_was_paid_before_the_first_bill_is_no_break(db: Database, there: Desk) -> None:
    """Only the last of the three days is read: its payout took what no bill here has, and the report says that."""
    there.sell("stripe", 9, at=NOON - timedelta(days=2))
    there.sell("stripe", 3)
    await book(db, there.booked("stripe"), there.account("stripe"))
    outcome = await laid(db, there, "stripe")
    assert outcome.run is not None
    assert ([], {False}) == (outcome.changes, {one.is_read for it in outcome.run.payouts for one in it.takes})
    async with db.session() as tx:
        report = await read_day(tx, "demo", "stripe", "main", DAY)
    assert "当日无账单" in day_page(report, Language("zh"), there.clock.now())


async def test_a_refused_bill_beside_the_trades_stops_nobody_and_stays_refused(db: Database, there: Desk) -> None:
    """The balance summary does not add up: the day is reconciled without it, and the file is kept with its reason."""
    there.sell("stripe", 3)
    await book(db, there.booked("stripe"), there.account("stripe"))
    await laid(db, there, "stripe", kinds=(BillKind.FUNDS,), wrong_total=1.0)
    outcome = await laid(db, there, "stripe", kinds=(BillKind.TRADES, BillKind.PAYOUTS))
    assert (True, None) == (outcome.run is not None, outcome.balances[0].stated_opening_minor)
    async with db.session() as tx:
        kept = await bills.latest_of(tx, "stripe", "main", DAY, BillKind.FUNDS)
        cases = [row["kind"] for row in await tx.fetch("SELECT kind FROM cases WHERE resolved_at IS NULL")]
    assert kept is not None
    assert ("refused", "wrong_total", ["bill_refused"]) == (kept.state, kept.fault, cases)


async def test_a_day_follows_from_the_day_before(db: Database, there: Desk) -> None:
    """Lines that come a day late: both days close as the channel says, the second opens with it, and nothing breaks."""
    there.sell("wechat", 30)
    await book(db, there.booked("wechat"), there.account("wechat"))
    await laid(db, there, "wechat", wrong_day=0.3)
    await there.clock.advance(86400)
    outcome = await laid(db, there, "wechat", day=NEXT, wrong_day=0.3)
    first, second = await balance_of(db), await balance_of(db, NEXT)
    assert (first.stated_closing_minor, True) == (second.stated_opening_minor, second.trades_minor != 0)
    assert [] == [c for c in outcome.changes if c.after.kind is Kind.BALANCE]
    assert OPENING + moved(there, "wechat") == second.closing_minor


async def test_money_that_moved_unseen_between_two_days_is_a_break(db: Database, there: Desk) -> None:
    """The second day's bill opens with more than the first closed with: a break over exactly that; the books have it in
    suspense, and still close with what the channel says."""
    there.sell("wechat", 30)
    await book(db, there.booked("wechat"), there.account("wechat"))
    first = await laid(db, there, "wechat", wrong_day=0.3, missing=0.3)
    await there.clock.advance(86400)
    second = await laid(db, there, "wechat", day=NEXT, wrong_day=0.3)  # now what was missing is among what lay there
    assert first.run is not None
    (found,) = [c.after for c in second.changes if c.after.key == "opening:CNY"]
    before, after = await balance_of(db), await balance_of(db, NEXT)
    gap = after.opening_minor - before.closing_minor
    assert (gap, "opening", Kind.BALANCE) == (found.differs_minor, found.what, found.kind)
    assert gap > 0
    async with db.session() as tx:
        month = await read_month(tx, None, DAY, NEXT, NEXT, "wechat", "main")
    journal = journal_of(month.days, month.balances, Chart())
    at = "Assets:Channels:Wechat:Main"
    lies = sum(p.amount_minor for entry in journal.entries for p in entry.postings if p.account == at)
    assert after.stated_closing_minor == lies == journal.closings[-1].amount_minor
    assert [gap] == [e.postings[0].amount_minor for e in journal.entries if e.what.endswith("moved unseen")]


async def test_a_corrected_bill_settles_the_opening_of_the_day_after(db: Database, there: Desk) -> None:
    """The second day opened with more than the first closed with; then the first day's bill comes with what it lacked,
    and the second is laid again by itself: its break is healed. Once more, and there is nothing to do."""
    there.sell("wechat", 30)
    await book(db, there.booked("wechat"), there.account("wechat"))
    asked = laying(db, there, "wechat")
    await laid(db, there, "wechat", wrong_day=0.3, missing=0.3)
    assert [] == await asked()  # nobody read the next day yet
    await there.clock.advance(86400)
    second = await laid(db, there, "wechat", day=NEXT, wrong_day=0.3)
    assert "opening:CNY" in [c.after.key for c in second.changes]
    assert [] == await asked()
    await laid(db, there, "wechat", wrong_day=0.3)
    assert [NEXT] == await asked()
    async with db.session() as tx:
        states = {one.key: one.state for one in (await store.of_day(tx, "wechat", "main", NEXT)).values()}
    assert states["opening:CNY"] is State.HEALED
    assert [] == await asked()


async def test_a_payout_is_laid_beside_a_trade_bill_that_comes_late(db: Database, there: Desk) -> None:
    """It took what no bill here had; then that day's bill comes, and the payout is tied to it by itself, once."""
    first = DAY - timedelta(days=2)
    there.sell("stripe", 9, at=NOON - timedelta(days=2))
    there.sell("stripe", 3)
    await book(db, [*there.booked("stripe", first), *there.booked("stripe")], there.account("stripe"))
    await laid(db, there, "stripe")
    await there.clock.advance(3600)
    await laid(db, there, "stripe", day=first)
    asked = laying(db, there, "stripe", first)
    assert [DAY] == await asked()
    async with db.session() as tx:
        run = await runs.latest_of(tx, "stripe", "main", DAY)
    assert run is not None
    taken = [one for payout in run.payouts for one in payout.takes]
    assert {(first, True, 0)} == {(one.day, one.is_read, one.untied) for one in taken}
    assert [] == await asked()


@pytest.mark.parametrize(("days_before", "breaks"), [(2, []), (1, ["opening:CNY"])])
async def test_only_neighbours_are_compared(db: Database, there: Desk, days_before: int, breaks: list[str]) -> None:
    """After a day that was never read, whatever moved meanwhile moved there; after the day before, it moved unseen."""
    there.sell("wechat")
    await book(db, there.booked("wechat"), there.account("wechat"))
    await laid(db, there, "wechat")
    async with db.transaction() as tx:
        await tx.execute("UPDATE balances SET day = day - $1::int", days_before)  # as if it had closed so long ago
    again = await laid(db, there, "wechat")
    assert breaks == [c.after.key for c in again.changes]


async def test_an_account_that_was_added_up_from_zero_opens_with_what_its_bill_says(db: Database, there: Desk) -> None:
    """The first day's summary came too late; the next day's is the first word of what lay there, and no difference."""
    there.sell("stripe", 3)
    await book(db, there.booked("stripe"), there.account("stripe"))
    await laid(db, there, "stripe", kinds=(BillKind.TRADES,))
    await there.clock.advance(86400)
    outcome = await laid(db, there, "stripe", day=NEXT)
    first, second = await balance_of(db), await balance_of(db, NEXT)
    assert (True, []) == (first.closing_minor != second.opening_minor, outcome.changes)


async def test_a_dry_run_refuses_no_bill(db: Database, there: Desk) -> None:
    """The summary beside the trades does not add up; that is for a run to say which writes."""
    there.sell("stripe", 3)
    await laid(db, there, "stripe", kinds=(BillKind.FUNDS,), wrong_total=1.0)
    outcome = await laid(db, there, "stripe", kinds=(BillKind.TRADES,), dry_run=True)
    async with db.session() as tx:
        kept = await bills.latest_of(tx, "stripe", "main", DAY, BillKind.FUNDS)
        cases = await tx.fetch("SELECT kind FROM cases")
    assert kept is not None
    assert (True, "kept", []) == (bool(outcome.changes), kept.state, cases)
