"""Balances: a day opens with what the fund flow bill says, closes with what moved, and ties to the day before."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from test_reconcile_sandbox import laid

from bill_desk import DAY, Desk, desk
from paidup.db.transaction import Database
from paidup.finance.day import read_day, read_month
from paidup.finance.entries import Chart, journal_of
from paidup.finance.rows import balance_rows
from paidup.finance.words import Language
from paidup.reconcile import runs
from paidup.reconcile.breaks import Kind
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
    """Stripe's second report lists payouts: the first day opens with zero, as before."""
    there.sell("stripe")
    await book(db, there.booked("stripe"), there.account("stripe"))
    await laid(db, there, "stripe")
    found = await balance_of(db)
    assert (0, None) == (found.opening_minor, found.stated_opening_minor)


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
