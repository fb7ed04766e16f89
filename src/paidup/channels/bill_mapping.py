"""The description of any other bill, in TOML: where what stands in a CSV, fixed-width or Excel file.

How such a file is read by it: bill_mapped.py. How one is written: docs/how-to/describe-a-bill.md.
"""

import tomllib
from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from paidup.channels.bill import LineKind
from paidup.errors import ConfigError

_UTC = "Etc/UTC"
_ENCODINGS = frozenset("ascii utf-8 gb18030 gbk gb2312 big5 shift_jis euc-kr latin-1 cp1252".split())
"""Encodings in which a line feed's byte is never part of another character."""


class Columns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The column in which each thing stands, by its name in the header; by its number, from 1, where there is none.

    Needed are `time` and either `amount` or both `income` and `expense`.
    """

    time: str
    amount: str = ""
    income: str = ""
    expense: str = ""
    direction: str = ""
    kind: str = ""
    fee: str = ""
    net: str = ""
    currency: str = ""
    channel_txn_id: str = ""
    merchant_ref: str = ""
    channel_refund_id: str = ""
    merchant_refund_ref: str = ""
    entry: str = ""
    payee: str = ""
    sub_merchant: str = ""
    status: str = ""
    balance: str = ""


class TotalsRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The row of totals begins with this text (with next_line: the row after it). The others are the places, from 1, of
    the cells that state the number of lines and the sums, whose signs do not count."""

    begins: str
    next_line: bool = False
    count: int = 0
    amount: int = 0
    fee: int = 0
    net: int = 0


class BillMapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a file is to be read. Raises ConfigError for what contradicts itself.

    header: the header's line, from 1; 0: there is none. widths, gap: bytes per cell of a fixed-width line, and between
    them. comment: rows that begin so are passed over. strip: characters taken off both ends of every cell, beside
    blanks. times: formats as of strptime; one without a year gets the bill's. currency: where no column says it.
    sign: amounts are as `printed`, or without sign, which `kind`, the `columns` income and expense, or the `word` in
    the column direction gives. fee: what a fee is printed as: a positive `cost`, a negative `deduction`, or by the
    line's `kind`. letters: what leads an amount and gives its sign (UnionPay: C and D). kinds: the channel's words;
    others are unknown lines. must_be: what these columns must hold in every row, or it is another merchant's bill.
    """

    title: str
    times: tuple[str, ...]
    columns: Columns
    format: Literal["csv", "fixed", "xlsx"] = "csv"
    encoding: str = "utf-8"
    delimiter: str = ","
    sheet: str = ""
    widths: tuple[int, ...] = ()
    gap: int = 0
    header: int = 1
    comment: str = ""
    strip: str = ""
    timezone: str = _UTC
    currency: str = ""
    unit: Literal["major", "minor"] = "major"
    thousands: str = ""
    sign: Literal["printed", "kind", "columns", "word"] = "printed"
    fee: Literal["cost", "deduction", "kind"] = "cost"
    letters: Mapping[str, Literal["+", "-"]] = {}
    kinds: Mapping[str, LineKind] = {}
    directions: Mapping[str, Literal["+", "-"]] = {}
    must_be: Mapping[str, str] = {}
    totals: TotalsRow | None = None

    def __post_init__(self) -> None:
        needs = {
            "columns.amount, or columns.income with sign 'columns'": self.sign == "columns" or self.columns.amount,
            "columns.income and columns.expense": self.sign != "columns"
            or (self.columns.income and self.columns.expense),
            "columns.direction and directions": self.sign != "word" or (self.columns.direction and self.directions),
            "columns.kind and kinds": self.sign != "kind" or (self.columns.kind and self.kinds),
            "currency, or columns.currency": self.currency or self.columns.currency,
            "widths": self.format != "fixed" or (self.widths and min(self.widths) > 0 <= self.gap),
            "a delimiter of one character": len(self.delimiter) == 1 and self.delimiter not in '"\r\n',
            "times": self.times,
            f"an encoding out of {', '.join(sorted(_ENCODINGS))}": self.encoding in _ENCODINGS,
            "a timezone such as Asia/Shanghai": _zone(self.timezone) is not None,
        }
        if missing := [what for what, there in needs.items() if not there]:
            raise ConfigError(f"the description {self.title!r} of a bill needs {missing[0]}")

    @property
    def zone(self) -> tzinfo:
        """In which the times in the file, and the bill's day, are."""
        return _zone(self.timezone) or UTC


def parse_mapping(text: str, where: str) -> BillMapping:
    """A description out of TOML; `where` names it for people. Raises ConfigError naming what is wrong."""
    try:
        return msgspec.convert(tomllib.loads(text), BillMapping)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as wrong:
        raise ConfigError(f"{where}: {wrong}") from None


def _zone(name: str) -> tzinfo | None:
    try:
        return UTC if name == _UTC else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
