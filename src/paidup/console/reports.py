"""对账报告: a reconciled day and a month of them, as a page, and as files to keep, to print or to mail."""

from datetime import date, timedelta

from starlette.responses import Response

from paidup.console.gate import Visit
from paidup.console.pages import HEADERS, page
from paidup.errors import InvalidRequest, NotFound
from paidup.finance.day import DayReport, MonthReport, month_bounds, read_day, read_month
from paidup.finance.page import cell
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
from paidup.finance.words import Language, word
from paidup.reconcile import runs
from paidup.web.reports import Form, file_of_day, file_of_month

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_NO_REPORT = "there is no such report; the list of the latest days links those that there are"


async def day(visit: Visit) -> Response:
    """A reconciled day: what is to be settled, both sides, balances, payouts, and breaks by kind."""
    its, language = await _day(visit), _language(visit)
    parts = {
        "sums": sums_of(its, language),
        "balance": balance_rows(its.balances, language),
        "payouts": payouts_of(its, language),
        "breaks": tally_rows(its.tallies, language),
    }
    values = {
        "title": f"{word(language, 'report of the day')} {its.day}", "whose": (its.channel, its.account),
        "verdict": verdict(its, language), "is_well": not its.unsettled,
        "parts": {word(language, name): rows for name, rows in parts.items() if name != "payouts" or len(rows) > 1},
        "files": f"/reconcile/{its.channel}/{its.account}/{its.day}/report", "cell": cell, "months": None,
        "none": word(language, "none"), "month": f"{its.day:%Y-%m}", "breaks": its.breaks,
    }  # fmt: skip
    return page(visit.visitor, visit.context.clock.now(), "report.html", values)


async def day_file(visit: Visit) -> Response:
    """A reconciled day as a file, in the reader's language."""
    form, its = _form(visit), await _day(visit)
    content = file_of_day(its, form, _language(visit), visit.context.clock.now())
    return _file(visit, content, f"{its.channel}-{its.account}-{its.day}", form)


async def month(visit: Visit) -> Response:
    """All accounts' days of a month, each with a way to its own report, and the days that are missing."""
    its, language = await _month(visit), _language(visit)
    rows, missing = [month_titles(language), *month_rows(its)], missing_spans(its, language)
    gone = {word(language, "days missing"): missing} if len(missing) > 1 else {}
    before, after = its.since - timedelta(days=1), its.since + timedelta(days=31)
    values = {
        "title": f"{word(language, 'report of the month')} {its.since:%Y-%m}", "whose": None,
        "verdict": "", "is_well": True, "parts": {word(language, "day"): rows} | gone, "cell": cell,
        "files": f"/reconcile/months/{its.since:%Y-%m}/report", "months": (f"{before:%Y-%m}", f"{after:%Y-%m}"),
        "month": None, "none": word(language, "none"), "breaks": (),
    }  # fmt: skip
    return page(visit.visitor, visit.context.clock.now(), "report.html", values)


async def month_file(visit: Visit) -> Response:
    """A month as a file, in the reader's language."""
    form, its = _form(visit), await _month(visit)
    content = file_of_month(its, form, _language(visit), visit.context.clock.now())
    return _file(visit, content, f"month-{its.since:%Y-%m}", form)


async def _day(visit: Visit) -> DayReport:
    """Raises NotFound for a day that was not reconciled."""
    where = visit.request.path_params
    its_day = _date(where["day"])
    async with visit.context.db.session() as tx:
        run = await runs.latest_of(tx, where["channel"], where["account"], its_day)
        if run is None:
            raise NotFound(_NO_REPORT)
        return await read_day(tx, run.shop, run.channel, run.account, its_day)


async def _month(visit: Visit) -> MonthReport:
    """Raises NotFound for what is no month."""
    try:
        since, until = month_bounds(visit.request.path_params["month"])
    except InvalidRequest:
        raise NotFound("there is no such month; write it as 2026-11") from None
    today = visit.context.clock.now().astimezone(visit.visitor.zone).date()
    async with visit.context.db.session() as tx:
        return await read_month(tx, None, since, until, today)


def _file(visit: Visit, content: bytes, name: str, form: Form) -> Response:
    named = f'attachment; filename="{name}.{_language(visit)}.{form}"'
    kind = "text/html; charset=utf-8" if form is Form.HTML else XLSX
    return Response(content, 200, {**HEADERS, "content-disposition": named}, kind)


def _form(visit: Visit) -> Form:
    try:
        return Form(visit.request.path_params["form"])
    except ValueError:
        raise NotFound(_NO_REPORT) from None


def _language(visit: Visit) -> Language:
    return Language(visit.visitor.language)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise NotFound("there is no such day; write it as 2026-11-22") from None
