"""The reconciled days as double entry: what each entry says, and that files of several spans are one ledger."""

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from paidup.errors import InvalidRequest
from paidup.finance.day import MonthReport, Tally
from paidup.finance.entries import MAX_NAME_CHARS, Chart, Journal, account_of, journal_of, parse_chart
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


SALES, BACK, FEES, DISCOUNTS = "Income:Sales", "Income:Refunds", "Expenses:Channel-Fees", "Expenses:Discounts"
DISPUTES, SUSPENSE, BANK = "Expenses:Disputes", "Liabilities:Suspense", "Assets:Bank"


@pytest.mark.parametrize(
    ("what", "bill", "fee", "net", "ours", "postings"),
    [
        ("payment", 1000, 6, 994, 1000, {AT: 994, FEES: 6, SALES: -1000}),
        ("payment", 1000, 6, 894, 1000, {AT: 894, FEES: 6, DISCOUNTS: 100, SALES: -1000}),
        ("payment", 1000, 6, 994, 900, {AT: 994, FEES: 6, SALES: -900, SUSPENSE: -100}),
        ("payment", 1000, 6, 994, 0, {AT: 994, FEES: 6, SUSPENSE: -1000}),
        ("refund", -500, -3, -497, -500, {AT: -497, FEES: -3, BACK: 500}),
        ("refund", -500, 0, -500, -200, {AT: -500, BACK: 200, SUSPENSE: 300}),
        ("refund_failed", 500, 0, 500, 500, {AT: 500, BACK: -500}),
        ("refund_failed", 500, 0, 500, 0, {AT: 500, SUSPENSE: -500}),
        ("refund_undone", 500, 0, 500, 0, {AT: 500, SUSPENSE: -500}),
        ("dispute", -1000, 15, -1015, 0, {AT: -1015, FEES: 15, DISPUTES: 1000}),
        ("dispute_won", 1000, 0, 1000, 0, {AT: 1000, DISPUTES: -1000}),
        ("fee", -30, 0, -30, 0, {AT: -30, FEES: 30}),
        ("fee", 0, 30, -30, 0, {AT: -30, FEES: 30}),
        ("unknown", 70, 0, 70, 0, {AT: 70, SUSPENSE: -70}),
        ("payment", 0, 0, 0, 0, {}),
        ("payout", -900, 0, -900, 0, {}),
    ],
)
def test_each_kind_of_line_has_its_accounts(
    what: str, bill: int, fee: int, net: int, ours: int, postings: dict[str, int]
) -> None:
    """The channel's account moves as the bill says, our side as our books say, and what lies between is in suspense.
    Zeros are left out. A payout is entered from the balance, where it stands once."""
    one = msgspec.structs.replace(a_sum(what, bill, ours), bill_fee_minor=fee, bill_net_minor=net)
    journal = journal_of([a_run(date(2026, 11, 30), one)], [], Chart())
    assert [postings] * bool(postings) == [{p.account: p.amount_minor for p in e.postings} for e in journal.entries]
    assert [0] * bool(postings) == [sum(p.amount_minor for p in entry.postings) for entry in journal.entries]


def test_what_was_paid_out_lies_in_the_bank() -> None:
    """Out of the channel's account, on the day of the payout."""
    day = date(2026, 11, 30)
    balance = msgspec.structs.replace(a_balance(day, 900, 0), payouts_minor=900, closing_minor=0)
    journal = journal_of([], [balance], Chart(), before=[a_balance(day - timedelta(days=1), 0, 900)])
    (entry,) = journal.entries
    assert {AT: -900, BANK: 900} == {posting.account: posting.amount_minor for posting in entry.postings}
    assert (day, "CNY", "wechat/main: paid out") == (entry.day, entry.currency, entry.what)
    assert [(day, AT, "CNY", 0)] == [(one.day, one.account, one.currency, one.amount_minor) for one in journal.closings]


def test_what_a_later_day_opens_with_beyond_what_lay_there_is_in_suspense() -> None:
    """It moved between two days, unseen; days are entered in their order, whatever order they are given in."""
    first, second = a_balance(date(2026, 11, 29), 300, 100), a_balance(date(2026, 11, 30), 450, 0)
    journal = journal_of([], [second, first], Chart())
    assert [("wechat/main: opening balance", [300, -300]), ("wechat/main: moved unseen", [50, -50])] == [
        (entry.what, [posting.amount_minor for posting in entry.postings]) for entry in journal.entries
    ]
    assert [400, 450] == [one.amount_minor for one in journal.closings]
    assert {("CNY", AT): 350, ("CNY", "Equity:Opening-Balances"): -300, ("CNY", SUSPENSE): -50} == posted(journal)


def test_a_ledger_that_begins_opens_every_account_and_one_without_days_none() -> None:
    """The channel's own name stands for those accounts that have a day."""
    names = {SALES, BACK, FEES, DISCOUNTS, DISPUTES, SUSPENSE, BANK, "Equity:Opening-Balances"}
    assert sorted({AT} | names) == journal_of([], [a_balance(date(2026, 11, 30), 0, 0)], Chart()).opened
    assert sorted(names) == journal_of([a_run(date(2026, 11, 30), a_sum("payment", 0, 5))], [], Chart()).opened
    assert [] == journal_of([], [], Chart()).opened


@pytest.mark.parametrize(
    ("account", "name"), [("main", "Main"), ("ma_in", "Ma-in"), ("_a", "X-a"), ("主", "X-"), ("7a", "7a"), ("aB", "AB")]
)
def test_a_channel_account_has_a_name_that_every_program_reads(account: str, name: str) -> None:
    """Letters, digits and hyphens of ASCII, and a capital first."""
    assert f"Assets:Channels:Wechat:{name}" == account_of(Chart(), "wechat", account)


@pytest.mark.parametrize("name", ["", "A:  B", 'A:"B', "A;B", "A\nB", "A" * (MAX_NAME_CHARS + 1)])
def test_a_name_that_no_program_could_read_is_refused(name: str) -> None:
    """The refusal names the role."""
    with pytest.raises(InvalidRequest, match="bank cannot be"):
        parse_chart({"bank": name})


def test_a_chart_names_what_it_wants_to_name() -> None:
    """The rest stays as it is; a role that there is not is a slip."""
    longest = "A" * MAX_NAME_CHARS
    assert Chart(bank=longest, income="Erlöse: Tee 1") == parse_chart({"bank": longest, "income": "Erlöse: Tee 1"})
    with pytest.raises(InvalidRequest, match="chart of accounts"):
        parse_chart({"banks": "Assets:Bank"})
