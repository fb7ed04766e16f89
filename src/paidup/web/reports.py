"""What finance people are given, over the API: a day of one account, and a month of days; as JSON, HTML and Excel."""

from collections.abc import AsyncIterator
from datetime import date, datetime
from enum import StrEnum

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from paidup.errors import InvalidRequest, NotFound
from paidup.finance.day import DayReport, MonthReport, Tally, month_bounds, read_day, read_month
from paidup.finance.page import day_page, month_page
from paidup.finance.words import Language
from paidup.finance.workbook import day_workbook, month_workbook
from paidup.reconcile import runs
from paidup.reconcile.breaks import Break
from paidup.shops.store import ApiKey, Scope
from paidup.web import respond
from paidup.web.bills import DAY, BillOut, shown
from paidup.web.context import Context
from paidup.web.reconcile import ACCOUNT, account_of, day_of
from paidup.web.route import Query, Route

MONTH = Query("month", "such as 2026-11")


class Form(StrEnum):
    """As which file a report is given."""

    HTML = "html"
    XLSX = "xlsx"


FORM = Query("form", f"one of {', '.join(Form)}")
LANGUAGE = Query("language", f"one of {', '.join(Language)}; en unless given")


class ReportOfDay(msgspec.Struct, frozen=True, kw_only=True):
    """One account's reconciled day: both sides and the payouts (in `run`), balances, breaks by kind and state, and at
    most 500 of those that are not settled. agrees: none is."""

    channel: str
    account: str
    day: date
    agrees: bool
    unsettled: int
    oldest_open_at: datetime | None
    run: runs.Run
    bill: BillOut | None
    balances: list[runs.Balance]
    tallies: list[Tally]
    breaks: list[Break]


class MissingDays(msgspec.Struct, frozen=True, kw_only=True):
    """Days of an account that were not reconciled."""

    channel: str
    account: str
    days: list[date]


class ReportOfMonth(msgspec.Struct, frozen=True, kw_only=True):
    """Every reconciled day from `since` to `until`, both included, and the days that are missing. A day whose bill
    cannot be there yet is none of them."""

    since: date
    until: date
    days: list[runs.Run]
    balances: list[runs.Balance]
    tallies: list[Tally]
    missing: list[MissingDays]


async def day(context: Context, key: ApiKey, request: Request) -> ReportOfDay:
    """The report of one account's day."""
    its, run = await _day(context, key, request)
    return ReportOfDay(
        channel=its.channel,
        account=its.account,
        day=its.day,
        agrees=not its.unsettled,
        unsettled=its.unsettled,
        oldest_open_at=its.oldest_open_at,
        run=run,
        bill=shown(its.bill) if its.bill else None,
        balances=list(its.balances),
        tallies=list(its.tallies),
        breaks=list(its.breaks),
    )


async def day_file(context: Context, key: ApiKey, request: Request) -> Response:
    """The report of one account's day as a file, in English or Chinese."""
    form, language = _form_of(request), _language_of(request)
    its, _ = await _day(context, key, request)
    content = file_of_day(its, form, language, context.clock.now())
    return _file(content, f"{its.channel}-{its.account}-{its.day}.{language}.{form}")


async def month(context: Context, key: ApiKey, request: Request) -> ReportOfMonth:
    """The report of a month: every account's days, or those of one."""
    its = await _month(context, key, request)
    return ReportOfMonth(
        since=its.since,
        until=its.until,
        days=list(its.days),
        balances=list(its.balances),
        tallies=list(its.tallies),
        missing=[
            MissingDays(channel=channel, account=account, days=its.missing(channel, account))
            for channel, account in its.accounts
        ],
    )


async def month_file(context: Context, key: ApiKey, request: Request) -> Response:
    """The report of a month as a file, in English or Chinese."""
    form, language = _form_of(request), _language_of(request)
    its = await _month(context, key, request)
    content = file_of_month(its, form, language, context.clock.now())
    return _file(content, f"month-{its.since:%Y-%m}.{language}.{form}")


def file_of_day(its: DayReport, form: Form, language: Language, now: datetime) -> bytes:
    """A day's report as people keep, print and mail it."""
    return day_page(its, language, now).encode() if form is Form.HTML else day_workbook(its, language, now)


def file_of_month(its: MonthReport, form: Form, language: Language, now: datetime) -> bytes:
    """A month's report as people keep, print and mail it."""
    return month_page(its, language, now).encode() if form is Form.HTML else month_workbook(its, language)


async def _day(context: Context, key: ApiKey, request: Request) -> tuple[DayReport, runs.Run]:
    """Raises InvalidRequest, and NotFound for a day that was not reconciled, or is another shop's."""
    (channel, account), its_day = account_of(request), day_of(request, DAY.name)
    if channel is None or account is None or its_day is None:
        raise InvalidRequest("give ?account= and ?day=, such as wechat/main and 2026-11-22")
    async with context.db.session() as tx:
        run = await runs.latest_of(tx, channel, account, its_day)
        if run is None or run.shop != key.shop:
            raise NotFound("that day was not reconciled; GET /v1/reconciliations lists those that were")
        return await read_day(tx, run.shop, channel, account, its_day), run


async def _month(context: Context, key: ApiKey, request: Request) -> MonthReport:
    """Raises InvalidRequest."""
    channel, account = account_of(request)
    since, until = month_bounds(request.query_params.get(MONTH.name, ""))
    async with context.db.session() as tx:
        return await read_month(tx, key.shop, since, until, context.clock.now().date(), channel, account)


def _form_of(request: Request) -> Form:
    try:
        return Form(request.query_params.get(FORM.name, ""))
    except ValueError:
        raise InvalidRequest(f"?form= is one of {', '.join(Form)}") from None


def _language_of(request: Request) -> Language:
    try:
        return Language(request.query_params.get(LANGUAGE.name, Language.EN))
    except ValueError:
        raise InvalidRequest(f"?language= is one of {', '.join(Language)}") from None


def _file(content: bytes, name: str) -> Response:
    async def whole() -> AsyncIterator[bytes]:
        yield content

    return respond.file(whole(), name, len(content))


ROUTES = (
    Route("GET", "/v1/reports/day", day, Scope.READ, gives=ReportOfDay, query=(ACCOUNT, DAY)),
    Route("GET", "/v1/reports/day/file", day_file, Scope.READ, gives=None, query=(ACCOUNT, DAY, FORM, LANGUAGE)),
    Route("GET", "/v1/reports/month", month, Scope.READ, gives=ReportOfMonth, query=(MONTH, ACCOUNT)),
    Route("GET", "/v1/reports/month/file", month_file, Scope.READ, gives=None, query=(MONTH, ACCOUNT, FORM, LANGUAGE)),
)
