"""The rows of reports, the same on a page and in a workbook. An amount is (minor units, currency)."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from paidup.finance.day import DayReport, MonthReport, Tally
from paidup.finance.words import Language, next_step, word
from paidup.reconcile.breaks import Break
from paidup.reconcile.runs import Balance, Payout, Run, Sum, Taken

Amount = tuple[int, str]
Cell = str | int | date | datetime | Amount | None
Row = Sequence[Cell]


def verdict(report: DayReport, language: Language) -> str:
    """The first sentence of a day's report."""
    if report.run is None:
        return word(language, "verdict missing")
    if not report.unsettled:
        return word(language, "verdict agrees")
    return word(language, "verdict differs", count=report.unsettled)


def day_rows(report: DayReport, language: Language, made_at: datetime) -> list[Row]:
    """A whole day for a sheet: parts are separated by an empty row."""
    return [
        [f"{report.channel}/{report.account}", report.day, verdict(report, language)],
        [word(language, "made at"), made_at],
        [],
        *sums_of(report, language),
        [],
        *balance_rows(report.balances, language),
        [],
        *payouts_of(report, language),
        [],
        *tally_rows(report.tallies, language),
    ]


def sums_of(report: DayReport, language: Language) -> list[Row]:
    """Both sides of a report's day added up, with titles."""
    return [sum_titles(language), *(sum_rows(report.run, language) if report.run else [])]


_SUM_TITLES = (
    "what", "currency", "lines", "bill amount", "fee", "net", "our amount", "differs", "matched lines", "matched",
)  # fmt: skip


def sum_titles(language: Language) -> list[str]:
    """The titles of `sum_rows`."""
    return [word(language, name) for name in _SUM_TITLES]


def sum_rows(run: Run, language: Language) -> list[Row]:
    """Both sides of a day added up."""
    return [_sum_row(one, language) for one in run.sums]


def _sum_row(one: Sum, language: Language) -> Row:
    is_booked = one.what in ("payment", "refund", "refund_failed")
    return [
        word(language, f"sum {one.what}"),
        one.currency,
        one.bill_lines,
        (one.bill_minor, one.currency),
        (one.bill_fee_minor, one.currency),
        (one.bill_net_minor, one.currency),
        (one.ours_minor, one.currency) if is_booked else None,
        (one.bill_minor - one.ours_minor, one.currency) if is_booked else None,
        one.matched,
        (one.matched_minor, one.currency),
    ]


_BALANCE_TITLES = (
    "currency", "opening", "in", "out", "fees", "payouts", "closing", "fund flow", "stated opening", "stated closing",
)  # fmt: skip


def balance_rows(balances: Sequence[Balance], language: Language) -> list[Row]:
    """opening + in − out − fees − payouts = closing, and what the fund flow bill says."""
    return [[word(language, name) for name in _BALANCE_TITLES], *([one.currency, *_balance(one)] for one in balances)]


def _balance(one: Balance) -> list[Amount | None]:
    moved = (one.opening_minor, one.in_minor, one.out_minor, one.fees_minor, one.payouts_minor, one.closing_minor)
    return [
        *((minor, one.currency) for minor in moved),
        *(
            None if minor is None else (minor, one.currency)
            for minor in (one.funds_minor, one.stated_opening_minor, one.stated_closing_minor)
        ),
    ]


_PAYOUT_TITLES = (
    "payout", "currency", "paid out", "booked on", "what", "lines", "amount", "fee", "net", "in no bill",
    "in no bill over",
)  # fmt: skip


def payouts_of(report: DayReport, language: Language) -> list[Row]:
    """Which payout took which trades, by the day on which they were booked; with titles."""
    payouts = report.run.payouts if report.run else []
    titles = [word(language, name) for name in _PAYOUT_TITLES]
    return [titles, *(_taken(payout, taken, language) for payout in payouts for taken in payout.takes)]


def _taken(payout: Payout, taken: Taken, language: Language) -> Row:
    paid = payout.net_minor if payout.stated_minor is None else payout.stated_minor
    amounts = ((minor, payout.currency) for minor in (taken.amount_minor, taken.fee_minor, taken.net_minor))
    return [
        payout.payout_id,
        payout.currency,
        (paid, payout.currency),
        taken.day,
        word(language, f"sum {taken.what}"),
        taken.lines,
        *amounts,
        taken.untied if taken.is_read else word(language, "not read"),
        (taken.untied_minor, payout.currency) if taken.is_read else None,
    ]


def tally_rows(tallies: Sequence[Tally], language: Language) -> list[Row]:
    """Breaks by kind and state, with their money."""
    rows: list[Row] = [[word(language, name) for name in ("kind", "state", "count", "differs")]]
    for t in tallies:
        kind, state = word(language, f"kind {t.kind}"), word(language, f"state {t.state}")
        rows.append([kind, state, t.breaks, (t.differs_minor, t.currency)])
    return rows


_BREAK_COLUMNS = (
    ("day", 12), ("channel", 10), ("account", 12), ("kind", 22), ("state", 12), ("bill amount", 14), ("our amount", 14),
    ("differs", 14), ("currency", 9), ("channel number", 34), ("our number", 34), ("payment", 32), ("refund", 32),
    ("order", 32), ("first seen", 20), ("why", 60), ("next step", 90), ("break", 32),
)  # fmt: skip


def break_titles(language: Language) -> list[str]:
    """The titles of `break_row`."""
    return [word(language, name) for name, _ in _BREAK_COLUMNS]


def break_widths() -> list[int]:
    """How wide the columns of `break_row` are, in characters."""
    return [width for _, width in _BREAK_COLUMNS]


def break_row(one: Break, language: Language) -> Row:
    """A break with both sides, its money and what to do."""
    bill, ours, differs = (
        None if minor is None else (minor, one.currency)
        for minor in (one.bill_minor, one.ours_minor, one.differs_minor)
    )
    return [
        one.day, one.channel, one.account, word(language, f"kind {one.kind.value}"),
        word(language, f"state {one.state.value}"), bill, ours, differs, one.currency, one.channel_txn_id or "",
        one.number or "", one.payment_id or "", one.refund_id or "", one.order_id or "", one.first_seen_at, one.why,
        next_step(language, one.kind), one.id,
    ]  # fmt: skip


_MONTH_TITLES = (
    "day", "channel", "account", "currency", "lines", "matched lines", "received", "given back", "opening", "in", "out",
    "fees", "payouts", "closing", "breaks", "waiting", "repaired", "settled",
)  # fmt: skip


def month_titles(language: Language) -> list[str]:
    """The titles of `month_rows`."""
    return [word(language, name) for name in _MONTH_TITLES]


def month_rows(report: MonthReport) -> list[Row]:
    """One row for each account, day and currency, of a currency that only our own books have, too."""
    balances: dict[tuple[str, str, date], dict[str, Balance]] = defaultdict(dict)
    tallies: dict[tuple[str, str, date], list[Tally]] = defaultdict(list)
    for balance in report.balances:
        balances[balance.channel, balance.account, balance.day][balance.currency] = balance
    for tally in report.tallies:
        tallies[tally.channel, tally.account, tally.day].append(tally)
    rows: list[Row] = []
    for run in report.days:
        whose = (run.channel, run.account, run.day)
        its, broken = balances[whose], tallies[whose]
        currencies = {*its, *(one.currency for one in run.sums), *(one.currency for one in broken)}
        rows += [_month_row(run, one, its.get(one), broken) for one in currencies or {""}]
    return sorted(rows, key=lambda row: (str(row[1]), str(row[2]), str(row[0]), str(row[3])))


def missing_rows(report: MonthReport, language: Language) -> list[Row]:
    """The days that were not reconciled, with titles."""
    rows: list[Row] = [[word(language, name) for name in ("channel", "account", "days missing")]]
    for channel, account in report.accounts:
        rows += [[channel, account, day] for day in report.missing(channel, account)]
    return rows


def missing_spans(report: MonthReport, language: Language) -> list[Row]:
    """The same for a page: one row for each account, days that follow each other as one."""
    rows: list[Row] = [[word(language, name) for name in ("channel", "account", "days missing")]]
    for channel, account in report.accounts:
        if days := report.missing(channel, account):
            rows.append([channel, account, ", ".join(spans(days))])
    return rows


def spans(days: Sequence[date]) -> list[str]:
    """Ascending days, those that follow each other as ``2026-11-01 – 2026-11-18``."""
    found: list[list[date]] = []
    for day in days:
        if found and day - found[-1][-1] == timedelta(days=1):
            found[-1].append(day)
        else:
            found.append([day])
    return [f"{its[0]} – {its[-1]}" if len(its) > 1 else str(its[0]) for its in found]


def _month_row(run: Run, currency: str, balance: Balance | None, broken: Sequence[Tally]) -> Row:
    mine = [one for one in run.sums if one.currency == currency]
    tallies = [one for one in broken if one.currency == currency]
    received, given_back = (
        (sum(one.bill_minor for one in mine if one.what == what), currency) if currency else None
        for what in ("payment", "refund")
    )
    moved = _balance(balance)[:6] if balance else [None] * 6
    return [
        run.day, run.channel, run.account, currency, sum(one.bill_lines for one in mine),
        sum(one.matched for one in mine), received, given_back, *moved, sum(t.breaks for t in tallies),
        *(sum(t.breaks for t in tallies if t.state in states) for states in _STATES),
    ]  # fmt: skip


_STATES = (("waiting", "open", "approved"), ("healed",), ("resolved",))
