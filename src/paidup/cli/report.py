"""`paidup report …` 报表: what finance people are given of the reconciled days."""

import tomllib
from collections.abc import Callable, Iterable
from datetime import date
from enum import StrEnum
from pathlib import Path

import click

from paidup.cli.breaks import account_option, its_date, split
from paidup.cli.output import emit, emit_json, json_option, run, say
from paidup.clock import parse_clock
from paidup.db.transaction import Database, Tx
from paidup.errors import InvalidRequest, NotFound
from paidup.finance.books import read_books
from paidup.finance.day import MAX_DAYS, DayReport, MonthReport, month_bounds, read_day, read_month
from paidup.finance.entries import Chart, Journal, parse_chart
from paidup.finance.journal import beancount, ledger, sheet
from paidup.finance.page import cell, day_page, month_page
from paidup.finance.rows import (
    balance_rows,
    missing_spans,
    month_rows,
    month_titles,
    payouts_of,
    sums_of,
    tally_rows,
    verdict,
)
from paidup.finance.words import Language
from paidup.finance.workbook import breaks_workbook, day_workbook, month_workbook
from paidup.reconcile import runs, store
from paidup.reconcile.breaks import Break
from paidup.reconcile.states import UNSETTLED
from paidup.settings import Settings

MAX_EXPORTED = 1_000_000

_NO_DAY = "no day of these was reconciled; `paidup reconcile show` lists those that were"


class Form(StrEnum):
    """What a report is written as."""

    TEXT = "text"
    HTML = "html"
    XLSX = "xlsx"


_FORMS = [form.value for form in Form]
form_option = click.option("--format", "form", type=click.Choice(_FORMS), default="text", show_default=True)
language_option = click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True)
out_option = click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="the folder for html and xlsx files"
)


@click.group()
def command() -> None:
    """报表: what finance people are given of the reconciled days.

    \b
    paidup report day                                        the newest day of every account
    paidup report day --day 2026-11-22 --format xlsx --lang zh
    paidup report month --month 2026-11 --format html
    paidup report books --month 2026-11 --format beancount > november.beancount
    """


@command.command()
@click.option("--day", help="a day in the channel's own time zone, such as 2026-11-22; the newest one unless given")
@account_option
@form_option
@language_option
@out_option
@json_option
def day(day: str | None, account: str | None, form: str, lang: str, out: Path, as_json: bool) -> None:
    """One day of each account: both sides, balances, breaks by kind, and what is still open.

    \b
    paidup report day --account wechat/main
    paidup report day --day 2026-11-22 --format html --lang zh --out reports
    """
    its_day, language = its_date(day) if day else None, Language(lang)

    async def work(db: Database, settings: Settings) -> None:
        async with db.session() as tx:
            found = await _days(tx, its_day, account)
        now = parse_clock(settings.clock).now()
        if as_json:
            emit_json(found)
        elif form == Form.TEXT:
            for report in found:
                _print_day(report, language)
        for report in [] if as_json else found:
            name = f"{report.channel}-{report.account}-{report.day}"
            if form == Form.HTML:
                _write(out, f"{name}.{lang}.html", day_page(report, language, now).encode())
            elif form == Form.XLSX:
                _write(out, f"{name}.{lang}.xlsx", day_workbook(report, language, now))

    run(work)


async def _days(tx: Tx, day: date | None, account: str | None) -> list[DayReport]:
    """The reports of a day. Raises NotFound when nothing was reconciled."""
    channel, name = split(account)
    newest = await runs.page(tx, None, 1, until=day, since=day, channel=channel, account=name)
    if not newest:
        raise NotFound("nothing was reconciled yet for that; `paidup reconcile run` does it, `… show` lists the days")
    its_day = newest[0].day
    found = await runs.page(tx, None, 1000, since=its_day, until=its_day, channel=channel, account=name)
    return [await read_day(tx, one.shop, one.channel, one.account, one.day) for one in found]


def _print_day(report: DayReport, language: Language) -> None:
    click.echo(f"{report.channel}/{report.account} {report.day}: {verdict(report, language)}")
    for rows in (
        sums_of(report, language),
        balance_rows(report.balances, language),
        payouts_of(report, language),
        tally_rows(report.tallies, language),
    ):
        _print(rows)
    click.echo()


def _print(rows: Iterable[Iterable[object]]) -> None:
    titles, *rest = [list(row) for row in rows]
    emit([dict(zip(map(str, titles), map(cell, row), strict=False)) for row in rest], as_json=False, empty="")


@command.command()
@click.option("--month", required=True, help="such as 2026-11")
@account_option
@form_option
@language_option
@out_option
@json_option
def month(month: str, account: str | None, form: str, lang: str, out: Path, as_json: bool) -> None:
    """Every day of a month: received, given back, fees, balances, breaks, and the days that are missing.

    \b
    paidup report month --month 2026-11 --format xlsx --lang zh --out reports
    """
    language, (since, until) = Language(lang), month_bounds(month)

    async def work(db: Database, settings: Settings) -> None:
        report = await _month(db, settings, since, until, account)
        if as_json:
            emit_json(report)
        elif form == Form.HTML:
            page = month_page(report, language, parse_clock(settings.clock).now())
            _write(out, f"month-{month}.{lang}.html", page.encode())
        elif form == Form.XLSX:
            _write(out, f"month-{month}.{lang}.xlsx", month_workbook(report, language))
        elif not (report.days or report.accounts):
            say(_NO_DAY)
        else:
            for rows in ([month_titles(language), *month_rows(report)], missing_spans(report, language)):
                _print(rows)

    run(work)


async def _month(db: Database, settings: Settings, since: date, until: date, account: str | None) -> MonthReport:
    channel, name = split(account)
    async with db.session() as tx:
        return await read_month(tx, None, since, until, parse_clock(settings.clock).now().date(), channel, name)


@command.command()
@click.option("--since", help="the first day, such as 2026-11-01; all days unless given")
@click.option("--until", help="the last day")
@account_option
@click.option("--all", "with_settled", is_flag=True, help="also those that healed or were resolved")
@language_option
@out_option
@json_option
def breaks(
    since: str | None,
    until: str | None,
    account: str | None,
    with_settled: bool,
    lang: str,
    out: Path,
    as_json: bool,
) -> None:
    """Breaks as an Excel workbook; `paidup reconcile export` writes them as CSV.

    \b
    paidup report breaks --lang zh --out reports
    """
    channel, name = split(account)
    wanted = store.Filter(
        channel=channel,
        account=name,
        since=its_date(since) if since else None,
        until=its_date(until) if until else None,
        states=None if with_settled else tuple(state.value for state in UNSETTLED),
    )

    async def work(db: Database, _settings: Settings) -> list[Break]:
        async with db.session() as tx:
            return await store.page(tx, wanted, MAX_EXPORTED)

    found = run(work)
    if as_json:
        emit_json(found)
        return
    _write(out, f"breaks.{lang}.xlsx", breaks_workbook(found, Language(lang)))


@command.command()
@click.option("--month", help="such as 2026-11; or --since and --until")
@click.option("--since", help="the first day, such as 2026-11-01")
@click.option("--until", help="the last day")
@account_option
@click.option(
    "--format", "form", type=click.Choice(["beancount", "ledger", "csv"]), default="beancount", show_default=True
)
@click.option(
    "--chart", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="your names of the accounts, in TOML"
)
@click.option("--new-ledger", is_flag=True, help="begin with what lay there; else they go on from the days before")
@language_option
@json_option
def books(
    month: str | None,
    since: str | None,
    until: str | None,
    account: str | None,
    form: str,
    chart: Path | None,
    new_ledger: bool,
    lang: str,
    as_json: bool,
) -> None:
    """The reconciled days as double entry (复式记账) on stdout, with balance assertions that prove them.

    Each month goes on from the one before: take all of them into one ledger.

    \b
    paidup report books --month 2026-11 --format ledger > november.journal
    paidup report books --since 2026-11-01 --until 2026-11-07 --format csv --lang zh > week.csv
    """
    first, last = month_bounds(month) if month else (_needed(since, "--since"), _needed(until, "--until"))
    if (last - first).days >= MAX_DAYS:
        raise InvalidRequest(f"no more than {MAX_DAYS} days at once; ask for them year by year")
    names = _chart(chart) if chart else Chart()

    async def work(db: Database, settings: Settings) -> Journal:
        today = parse_clock(settings.clock).now().date()
        async with db.session() as tx:
            return await read_books(tx, names, None, first, last, today, *split(account), anew=new_ledger)

    journal = run(work)
    if as_json:
        emit_json(journal)
        return
    as_text: dict[str, Callable[[Journal], Iterable[str]]] = {
        "beancount": beancount,
        "ledger": ledger,
        "csv": lambda it: sheet(it, Language(lang)),
    }
    for line in as_text[form](journal):
        click.echo(line)
    if not journal.entries:
        say(_NO_DAY)


def _needed(text: str | None, option: str) -> date:
    if text is None:
        raise InvalidRequest(f"give --month, or --since and --until; {option} is missing")
    return its_date(text)


def _chart(path: Path) -> Chart:
    try:
        return parse_chart(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path}: {error}") from None


def _write(folder: Path, name: str, content: bytes) -> None:
    """Write a file and say where."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    click.echo(path)
