"""The reconciled days as double entry: what each entry says, and that files of several spans are one ledger."""

from datetime import UTC, date, datetime, timedelta

from paidup.finance.day import MonthReport, Tally
from paidup.finance.entries import Chart, Journal, journal_of
from paidup.finance.journal import beancount
from paidup.finance.rows import month_rows
from paidup.reconcile.runs import Balance, Run, Sum

AT = "Assets:Channels:Wechat:Main"
NOON = datetime(2026, 12, 2, 12, tzinfo=UTC)


def a_run(day: date, *sums: Sum) -> Run:
    return Run(
        id=f"rec{day}", shop="s", channel="wechat", account="main", day=day, begins_at=NOON,
        ends_at=NOON + timedelta(days=1), bill_id=None, bill_version=1, began_at=NOON, ended_at=NOON, lines=1,
        matched=1, grouped=0, opened=0, reopened=0, cleared=0, sums=list(sums),
    )  # fmt: skip


def a_sum(what: str, bill_minor: int, ours_minor: int, currency: str = "CNY") -> Sum:
    return Sum(
        what=what, currency=currency, bill_lines=1, bill_minor=bill_minor, bill_fee_minor=0, bill_net_minor=bill_minor,
        ours=1, ours_minor=ours_minor, matched=1, matched_minor=bill_minor,
    )  # fmt: skip


def a_balance(day: date, opening_minor: int, moved_minor: int, currency: str = "CNY") -> Balance:
    return Balance(
        channel="wechat", account="main", shop="s", day=day, currency=currency, opening_minor=opening_minor,
        in_minor=moved_minor, out_minor=0, fees_minor=0, payouts_minor=0, closing_minor=opening_minor + moved_minor,
        trades_minor=moved_minor, funds_minor=None, run_id=f"rec{day}",
    )  # fmt: skip


NOVEMBER = a_run(date(2026, 11, 30), a_sum("payment", 10_000, 10_000)), a_balance(date(2026, 11, 30), 300, 10_000)
DECEMBER = a_run(date(2026, 12, 1), a_sum("payment", 500, 500)), a_balance(date(2026, 12, 1), 10_300, 500)


def posted(*journals: Journal) -> dict[tuple[str, str], int]:
    """What was posted to each account, by currency; accounts with nothing are left out."""
    totals: dict[tuple[str, str], int] = {}
    for entry in (entry for journal in journals for entry in journal.entries):
        for posting in entry.postings:
            key = (entry.currency, posting.account)
            totals[key] = totals.get(key, 0) + posting.amount_minor
    return {key: minor for key, minor in totals.items() if minor}


def test_two_months_books_are_one_ledger() -> None:
    """December's go on from November's: what lay at the channel is there once, and each account is opened once."""
    (run, balance), (later, its_balance) = NOVEMBER, DECEMBER
    november = journal_of([run], [balance], Chart())
    december = journal_of([later], [its_balance], Chart(), before=[balance])
    totals = posted(november, december)
    assert (10_800, -300) == (totals["CNY", AT], totals["CNY", "Equity:Opening-Balances"])
    opened = [line for journal in (november, december) for line in beancount(journal) if " open " in line]
    assert len(opened) == len(set(opened)) > 1
    assert [] == [line for line in beancount(december) if " open " in line]


def test_an_account_that_comes_later_begins_with_its_own_first_day() -> None:
    """Another account stands in the ledger already: this one's opening balance is entered, and only it is opened."""
    another = a_balance(date(2026, 11, 29), 7, 0)
    before = [Balance(**{name: getattr(another, name) for name in Balance.__struct_fields__} | {"account": "second"})]
    journal = journal_of([NOVEMBER[0]], [NOVEMBER[1]], Chart(), before=before)
    assert ([AT], -300) == (journal.opened, posted(journal)["CNY", "Equity:Opening-Balances"])


def test_money_of_a_currency_that_the_bill_lacks_is_in_the_books_and_the_month() -> None:
    """20.00 EUR were paid here, and the bill has only CNY: the sale is in the books, what is open of it in suspense,
    and its break in the month's row of that currency."""
    day, ours = date(2026, 11, 30), a_sum("payment", 0, 2000, "EUR")
    run = a_run(day, ours, a_sum("payment", 10_000, 10_000))
    balance = a_balance(day, 0, 10_000)
    tally = Tally(
        day=day, channel="wechat", account="main", kind="short", state="open", currency="EUR", breaks=1,
        differs_minor=-2000,
    )  # fmt: skip
    totals = posted(journal := journal_of([run], [balance], Chart()))
    assert (-2000, 2000) == (totals["EUR", "Income:Sales"], totals["EUR", "Liabilities:Suspense"])
    assert [("CNY", 10_000)] == [(one.currency, one.amount_minor) for one in journal.closings]
    month = MonthReport(since=day, until=day, days=[run], balances=[balance], tallies=[tally])
    assert [("CNY", (10_000, "CNY"), 0), ("EUR", (0, "EUR"), 1)] == [(r[3], r[6], r[14]) for r in month_rows(month)]


def test_a_day_without_any_money_has_one_row_in_the_month() -> None:
    """It was reconciled; there is no currency to name."""
    day = date(2026, 11, 30)
    (row,) = month_rows(MonthReport(since=day, until=day, days=[a_run(day)], balances=[], tallies=[]))
    assert (day, "", None, 0) == (row[0], row[3], row[6], row[14])
