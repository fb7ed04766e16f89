"""Reports as Excel workbooks. Texts are written as texts, so that nothing a channel or shop wrote becomes a formula.

Amounts are decimal numbers of at most 15 digits, which is what Excel keeps: the number that it shows is exact.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

from paidup.finance.amounts import exact
from paidup.finance.day import DayReport, MonthReport
from paidup.finance.rows import (
    break_row,
    break_titles,
    break_widths,
    day_rows,
    missing_rows,
    month_rows,
    month_titles,
    sum_rows,
    sum_titles,
)
from paidup.finance.words import Language, word
from paidup.money import decimals
from paidup.reconcile.breaks import Break

if TYPE_CHECKING:
    from xlsxwriter.workbook import Workbook
    from xlsxwriter.worksheet import Worksheet

MAX_ROWS = 1_000_000
"""Excel holds 1,048,576 rows."""

Cell = str | int | date | datetime | tuple[int, str] | None
"""(amount_minor, currency) is an amount."""


def day_workbook(report: DayReport, language: Language, made_at: datetime) -> bytes:
    """The day's report: both sides, balances and tallies on the first sheet, unsettled breaks on the second."""
    book = _Book()
    book.sheet(word(language, "report of the day"), day_rows(report, language, made_at), widths=[30, *[18] * 10])
    _breaks(book, report.breaks, language)
    return book.done()


def month_workbook(report: MonthReport, language: Language) -> bytes:
    """One row for each account, day and currency; the days that are missing; and both sides of each day."""
    book = _Book()
    titles = month_titles(language)
    book.sheet(word(language, "report of the month"), [titles, *month_rows(report)], widths=[14] * len(titles))
    named = [word(language, "account"), word(language, "day"), *sum_titles(language)]
    rows = [[f"{run.channel}/{run.account}", run.day, *row] for run in report.days for row in sum_rows(run, language)]
    book.sheet(word(language, "days missing"), missing_rows(report, language), widths=[14, 14, 30])
    book.sheet(word(language, "sums"), [named, *rows], widths=[14] * len(named))
    return book.done()


def breaks_workbook(breaks: Sequence[Break], language: Language) -> bytes:
    """Breaks, one row each."""
    book = _Book()
    _breaks(book, breaks, language)
    return book.done()


def _breaks(book: "_Book", breaks: Sequence[Break], language: Language) -> None:
    rows = (break_row(one, language) for one in breaks[:MAX_ROWS])
    book.sheet(word(language, "breaks"), [break_titles(language), *rows], widths=break_widths(), freeze=True)


class _Book:
    """A workbook that is being written."""

    def __init__(self) -> None:
        import xlsxwriter  # noqa: PLC0415 - only whoever wants a workbook pays for it

        self._into = BytesIO()
        never = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
        self._book: Workbook = xlsxwriter.Workbook(self._into, {"in_memory": True, "remove_timezone": True, **never})
        self._bold = self._book.add_format({"bold": True, "bottom": 1})
        self._day = self._book.add_format({"num_format": "yyyy-mm-dd"})
        self._moment = self._book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._amounts: dict[int, Any] = {}

    def sheet(self, title: str, rows: Iterable[Sequence[Cell]], *, widths: Sequence[int], freeze: bool = False) -> None:
        """A sheet; the first row, and every row that follows an empty one, is a title."""
        sheet = self._book.add_worksheet(title[:31])
        for column, width in enumerate(widths):
            sheet.set_column(column, column, width)
        if freeze:
            sheet.freeze_panes(1, 0)
        is_title = True
        for n, row in enumerate(rows):
            for column, cell in enumerate(row):
                self._write(sheet, n, column, cell, is_title=is_title)
            is_title = not row

    def done(self) -> bytes:
        """The file."""
        self._book.close()
        return self._into.getvalue()

    def _write(self, sheet: "Worksheet", row: int, column: int, cell: Cell, *, is_title: bool) -> None:
        match cell:
            case None | "":
                return
            case (int(minor), str(currency)):
                sheet.write_number(row, column, exact(minor, currency), self._amount(decimals(currency)))
            case int():
                sheet.write_number(row, column, cell)
            case datetime():
                sheet.write_datetime(row, column, cell, self._moment)
            case date():
                sheet.write_datetime(row, column, cell, self._day)
            case _:
                sheet.write_string(row, column, str(cell), self._bold if is_title else None)

    def _amount(self, places: int) -> Any:
        if places not in self._amounts:
            shown = "#,##0" + ("." + "0" * places if places else "")
            self._amounts[places] = self._book.add_format({"num_format": shown})
        return self._amounts[places]
