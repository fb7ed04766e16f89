"""Reports as one HTML file: it can be mailed, printed and opened anywhere; it loads nothing and runs nothing."""

from collections import defaultdict
from datetime import date, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from paidup.finance.amounts import shown
from paidup.finance.day import DayReport, MonthReport
from paidup.finance.rows import (
    balance_rows,
    month_rows,
    month_titles,
    payouts_of,
    spans,
    sums_of,
    tally_rows,
    verdict,
)
from paidup.finance.words import Language, next_step, word
from paidup.reconcile.runs import Balance

_TEMPLATES = Path(__file__).parent / "templates"


def day_page(report: DayReport, language: Language, made_at: datetime) -> str:
    """The report of one account's day."""
    return _render(
        "day.html",
        language=language,
        word=lambda name, **values: word(language, name, **values),
        cell=cell,
        report=report,
        verdict=verdict(report, language),
        is_well=report.run is not None and not report.unsettled,
        made_at=made_at,
        sums=sums_of(report, language),
        balances=balance_rows(report.balances, language),
        payouts=payouts_of(report, language),
        tallies=tally_rows(report.tallies, language),
        next_step=lambda kind: next_step(language, kind),
    )


def month_page(report: MonthReport, language: Language, made_at: datetime) -> str:
    """All days of a month, with a picture of what was received each day."""
    return _render(
        "month.html",
        language=language,
        word=lambda name, **values: word(language, name, **values),
        cell=cell,
        report=report,
        made_at=made_at,
        charts=_charts(report),
        missing={
            f"{channel}/{account}": spans(days)
            for channel, account in report.accounts
            if (days := report.missing(channel, account))
        },
        rows=[month_titles(language), *month_rows(report)],
    )


def cell(value: object) -> str:
    """What a cell shows."""
    match value:
        case None:
            return ""
        case (int(minor), str(currency)):
            return shown(minor, currency)
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S} UTC"
        case date():
            return value.isoformat()
        case int():
            return f"{value:,}"
        case _:
            return str(value)


def _charts(report: MonthReport) -> list[dict[str, object]]:
    """A bar a day of what came in, for each account and currency; the highest is 100 high."""
    by_account: dict[tuple[str, str, str], list[Balance]] = defaultdict(list)
    for one in report.balances:
        by_account[one.channel, one.account, one.currency].append(one)
    charts = []
    for (channel, account, currency), days in sorted(by_account.items()):
        most = max(one.in_minor for one in days) or 1
        unsettled = {
            tally.day
            for tally in report.tallies
            if (tally.channel, tally.account) == (channel, account) and tally.is_unsettled
        }
        bars = [
            {
                "x": (one.day - report.since).days * 20,
                "height": max(one.in_minor, 0) * 100 // most,
                "title": f"{one.day}: {shown(one.in_minor, currency)} {currency}",
                "day": one.day.day,
                "open": one.day in unsettled,
            }
            for one in days
        ]
        width = ((report.until - report.since).days + 1) * 20
        charts.append({"name": f"{channel}/{account} {currency}", "bars": bars, "width": width})
    return charts


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _render(template: str, **values: object) -> str:
    text: str = _environment().get_template(template).render(**values)
    return text
