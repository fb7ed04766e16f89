"""What finance people are given says what the bills and the books say, to the minor unit, in every form."""

import asyncio
import io
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from bill_desk import DAY, Desk, desk
from finance_side import reconciled
from paidup.channels.bill_sheet import moment_of, sheet_rows
from paidup.db.transaction import Database
from paidup.finance.day import DayReport, MonthReport, read_day, read_month
from paidup.finance.entries import Chart, Journal, journal_of
from paidup.finance.journal import beancount, ledger
from paidup.finance.page import day_page, month_page
from paidup.finance.rows import missing_rows
from paidup.finance.words import Language
from paidup.finance.workbook import breaks_workbook, day_workbook, month_workbook
from paidup.reconcile.breaks import Kind
from paidup.sandbox.bookings import EntryKind

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
NOVEMBER = date(2026, 11, 1), date(2026, 11, 30)


@pytest.fixture
async def there() -> AsyncIterator[Desk]:
    async with desk() as it:
        yield it


async def day_of(db: Database, channel: str) -> DayReport:
    async with db.session() as tx:
        return await read_day(tx, "demo", channel, "main", DAY)


async def november(db: Database) -> MonthReport:
    async with db.session() as tx:
        return await read_month(tx, None, *NOVEMBER, NOW.date())


def cells(workbook: bytes, sheet: str = "") -> list[list[str]]:
    return [row for _, row in sheet_rows(io.BytesIO(workbook), sheet)]


@pytest.mark.parametrize("channel", ["wechat", "alipay", "stripe"])
async def test_a_day_that_agrees_says_so(db: Database, there: Desk, channel: str) -> None:
    """One sentence on top, and no break below it, in both languages."""
    await reconciled(db, there, channel)
    report = await day_of(db, channel)
    said = {language: day_page(report, language, NOW) for language in Language}
    assert (0, []) == (report.unsettled, list(report.breaks))
    assert "Everything agrees." in said[Language.EN]
    assert "账单与我方账务完全一致" in said[Language.ZH]


async def test_a_day_that_differs_shows_each_break_with_its_money(db: Database, there: Desk) -> None:
    """Lines missing in the bill: each is a short with the amount of its payment, on the page and in the sheet."""
    outcome = await reconciled(db, there, "wechat", missing=0.4)
    shorts = [change.after for change in outcome.changes if change.after.kind is Kind.SHORT]
    report = await day_of(db, "wechat")
    page, book = day_page(report, Language.ZH, NOW), cells(day_workbook(report, Language.ZH, NOW), "差异")
    assert len(shorts) > 0
    assert f"还有 {report.unsettled} 条差异未处理" in page
    for one in shorts:
        assert one.id in page
        (row,) = [row for row in book[1:] if row[-1] == one.id]
        assert ["短款", Decimal(one.differs_minor) / 100] == [row[3], Decimal(row[7])]
    assert "长款" not in [row[3] for row in book]


async def test_a_breaks_sheet_has_chinese_titles_and_real_dates(db: Database, there: Desk) -> None:
    """Excel gets numbers and dates, not texts that look like them."""
    await reconciled(db, there, "wechat", missing=0.7)
    report = await day_of(db, "wechat")
    titles, first, *_ = cells(breaks_workbook(report.breaks, Language.ZH))
    assert ["账单日", "渠道", "商户账户", "差异类型"] == titles[:4]
    assert DAY == moment_of(first[0]).date()
    assert ("渠道流水号", str(report.breaks[0].channel_txn_id)) == (titles[9], first[9])


async def test_what_a_shop_wrote_is_text_on_the_page_and_no_formula_in_the_sheet(db: Database, there: Desk) -> None:
    """A reason that is markup, or begins like a formula, is shown as it is."""
    await reconciled(db, there, "wechat", missing=0.7)
    async with db.transaction() as tx:
        await tx.execute("UPDATE breaks SET why = '=HYPERLINK(1)<script>alert(1)</script>'")
    report = await day_of(db, "wechat")
    book = cells(breaks_workbook(report.breaks, Language.EN))
    page = day_page(report, Language.EN, NOW)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "=HYPERLINK(1)<script>alert(1)</script>" in book[1]


async def test_a_month_names_the_days_that_are_missing(db: Database, there: Desk) -> None:
    """One day was reconciled: the 21 before it stand there as missing; sums are those of the day."""
    outcome = await reconciled(db, there, "wechat")
    report = await november(db)
    book = month_workbook(report, Language.EN)
    rows, missing = cells(book), cells(book, "Days without a reconciliation")
    (done,) = [row for row in rows[1:] if row[3] == "CNY"]
    (balance,) = outcome.balances
    assert [date(2026, 11, n) for n in range(1, 22)] == [moment_of(row[2]).date() for row in missing[1:]]
    assert Decimal(balance.closing_minor) / 100 == Decimal(done[13])
    assert "2026-11-22: " in month_page(report, Language.ZH, NOW)


@pytest.mark.parametrize(
    ("month", "today", "missing"),
    [
        ((date(2026, 12, 1), date(2026, 12, 31)), date(2026, 12, 4), 3),
        ((date(2026, 12, 1), date(2026, 12, 31)), date(2026, 12, 1), None),
        ((date(2027, 3, 1), date(2027, 3, 31)), date(2027, 4, 1), None),
    ],
    ids=["a month in which it stopped", "a month of which no day is over", "long after"],
)
async def test_a_month_names_an_account_without_any_reconciled_day(
    db: Database, there: Desk, month: tuple[date, date], today: date, missing: int | None
) -> None:
    """Its bills never came in that month, and did in the one before: every day stands there as missing."""
    await reconciled(db, there, "wechat")
    async with db.session() as tx:
        report = await read_month(tx, None, *month, today)
        its_own = await read_month(tx, "another", *month, today)
    rows = missing_rows(report, Language.EN)[1:]
    assert ([] if missing is None else [("wechat", "main")], []) == (report.accounts, its_own.accounts)
    assert [["wechat", "main", month[0] + timedelta(days=n)] for n in range(missing or 0)] == rows


def proven(journal: Journal) -> None:
    """Each entry adds up to zero, and each account closes each day as the bill says."""
    assert {0} == {sum(posting.amount_minor for posting in entry.postings) for entry in journal.entries}
    for closing in journal.closings:
        assert closing.amount_minor == sum(
            posting.amount_minor
            for entry in journal.entries
            for posting in entry.postings
            if (posting.account, entry.currency) == (closing.account, closing.currency) and entry.day <= closing.day
        )


@pytest.mark.parametrize("faults", [{}, {"missing": 0.3}, {"extra": 0.5, "wrong_amount": 0.3}, {"duplicate": 0.5}])
@pytest.mark.parametrize("channel", ["wechat", "alipay", "stripe"])
async def test_the_books_close_as_the_bill_does(
    db: Database, there: Desk, channel: str, faults: dict[str, float]
) -> None:
    """Whatever differs: the channel's account follows the bill, income our books, and the rest is in suspense."""
    outcome = await reconciled(db, there, channel, **faults)
    assert outcome.run is not None
    report = await november(db)
    journal = journal_of(report.days, report.balances, Chart())
    proven(journal)
    posted = [posting for entry in journal.entries for posting in entry.postings]
    income = -sum(posting.amount_minor for posting in posted if posting.account == "Income:Sales")
    suspense = sum(posting.amount_minor for posting in posted if posting.account == "Liabilities:Suspense")
    assert sum(one.ours_minor for one in outcome.run.sums if one.what == "payment") == income
    booked = [one for one in outcome.run.sums if one.what in ("payment", "refund", "refund_failed", "unknown")]
    assert sum(one.bill_minor - one.ours_minor for one in booked) == -suspense


async def test_without_breaks_nothing_is_in_suspense(db: Database, there: Desk) -> None:
    """Some of Stripe's refunds fail on the very day, and every line agrees: what was given back is what did not come
    back, and nothing is left between the two sides."""
    outcome = await reconciled(db, there, "stripe")
    report = await november(db)
    totals: Counter[str] = Counter()
    for entry in journal_of(report.days, report.balances, Chart()).entries:
        totals.update({posting.account: posting.amount_minor for posting in entry.postings})
    booked = there.booked("stripe")
    kept, came_back = (
        -sum(one.amount_minor for one in booked if one.kind in kinds)
        for kinds in ((EntryKind.REFUND, EntryKind.REFUND_FAILURE), (EntryKind.REFUND_FAILURE,))
    )
    assert ([], True) == (outcome.changes, came_back != 0)
    assert (0, kept) == (totals["Liabilities:Suspense"], totals["Income:Refunds"])


async def test_ledger_agrees_with_our_journal(db: Database, there: Desk) -> None:
    """Another program reads the books: its balance of the channel's account is the bill's, and its assertions hold."""
    if not shutil.which("ledger"):
        pytest.skip("ledger is not installed here (Debian: apt-get install ledger); our own sums were checked above")
    outcome = await reconciled(db, there, "alipay", missing=0.3)
    report = await november(db)
    text = "\n".join(ledger(journal_of(report.days, report.balances, Chart())))
    command = ["ledger", "-f", "-", "balance", "--flat", "Assets:Channels"]
    ran = await asyncio.to_thread(subprocess.run, command, input=text, capture_output=True, text=True, check=False)
    (balance,) = outcome.balances
    assert "" == ran.stderr
    assert Decimal(balance.closing_minor) / 100 == Decimal(ran.stdout.split()[0])


async def test_a_beancount_file_opens_what_it_uses_and_asserts_the_day_after(db: Database, there: Desk) -> None:
    """Every account is opened once; the balance of a day is asserted at the beginning of the next."""
    await reconciled(db, there, "stripe")
    report = await november(db)
    journal = journal_of(report.days, report.balances, Chart())
    lines = list(beancount(journal))
    opened = [line.split()[2] for line in lines if " open " in line]
    asserted = [line for line in lines if " balance " in line]
    used = {posting.account for entry in journal.entries for posting in entry.postings}
    assert (sorted(set(opened)), set()) == (opened, used - set(opened))
    assert [str(one.day + timedelta(days=1)) for one in journal.closings] == [line.split()[0] for line in asserted]


async def test_a_day_without_a_bill_is_said_to_be_missing(db: Database) -> None:
    """A report of nothing says so, and is no error."""
    page = day_page(await day_of(db, "wechat"), Language.EN, NOW)
    assert "This day was not reconciled" in page
