"""Reads any other bill by its description (bill_mapping.py). What is checked is the same as for every bill."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import BinaryIO

import msgspec

from paidup.channels.bill import (
    Bill,
    BillFault,
    BillLine,
    BillName,
    BillProof,
    BillReading,
    BillRefused,
    LineKind,
    day_in,
    minor,
    number_of,
    sound,
)
from paidup.channels.bill_file import (
    LIMITS,
    Limits,
    csv_rows,
    cut_off,
    lines_of,
    must_add_up,
    must_be_the_file,
    must_have_hash,
    must_name_once,
    unreadable,
)
from paidup.channels.bill_mapping import BillMapping, TotalsRow
from paidup.channels.bill_sheet import IN_SHORT, Rounded, moment_of, sheet_rows
from paidup.money import MAX_AMOUNT_MINOR

_OUTGOING = frozenset(
    {LineKind.REFUND, LineKind.REFUND_UNDONE, LineKind.DISPUTE, LineKind.FEE, LineKind.PAYOUT}
)  # fmt: skip
_WHOLE = re.compile(r"[+-]?[0-9]{1,16}")
_SERIAL = re.compile(r"[0-9]{1,7}(\.[0-9]{1,12})?")
_IN_WORDS = re.compile(r"-?[0-9][0-9,]*(?:\.[0-9]+)?")
_HALF_A_YEAR = timedelta(days=183)
_Row = tuple[int, str, list[str]]


def read_mapped(
    file: BinaryIO,
    name: BillName,
    mapping: BillMapping,
    proof: BillProof,
    *,
    channel: str,
    account: str,
    limits: Limits = LIMITS,
) -> Bill:
    """Read a bill by its description. Raises BillRefused."""
    must_be_the_file(file, proof, limits)
    file.seek(0)
    must_have_hash(file, proof, limits)

    def read() -> BillReading:
        return _read(_rows(file, mapping, limits), mapping, name.day)

    return sound(channel, account, name, day_in(mapping.zone, name.day), read)


# Rows ---------------------------------------------------------------------------------------------------------------


def _rows(file: BinaryIO, mapping: BillMapping, limits: Limits) -> Iterator[_Row]:
    """Number, text and bare cells of each row that is no comment, from the header's line on."""
    around = f" \t\u3000{mapping.strip}"
    for number, raw, cells in _raw_rows(file, mapping, limits):
        is_comment = mapping.comment and raw.startswith(mapping.comment)
        if number >= mapping.header and not is_comment and any(cells):
            yield number, raw, [cell if isinstance(cell, Rounded) else cell.strip(around) for cell in cells]


def _raw_rows(file: BinaryIO, mapping: BillMapping, limits: Limits) -> Iterator[_Row]:
    file.seek(0)
    if mapping.format == "xlsx":
        return ((number, "\t".join(cells), cells) for number, cells in sheet_rows(file, mapping.sheet, limits))
    lines = lines_of(file, mapping.encoding, limits)
    if mapping.format == "csv":
        return csv_rows(lines, mapping.delimiter, limits)
    return ((number, line, _cut(number, line, mapping)) for number, line in lines)


def _cut(number: int, line: str, mapping: BillMapping) -> list[str]:
    """The cells of a fixed-width line, which is counted in bytes. Raises BillRefused for a line that is too short."""
    totals = mapping.totals
    if (mapping.comment and line.startswith(mapping.comment)) or (totals and line.startswith(totals.begins)):
        return line.split()
    data, at, cells = line.encode(mapping.encoding), 0, []
    if len(data) < sum(mapping.widths) + mapping.gap * (len(mapping.widths) - 1):
        raise BillRefused(BillFault.UNKNOWN_FORMAT, f"line {number} has only {len(data)} bytes")
    for width in mapping.widths:
        cells.append(data[at : at + width].decode(mapping.encoding, "replace"))
        at += width + mapping.gap
    return cells


# Lines --------------------------------------------------------------------------------------------------------------


def _read(rows: Iterator[_Row], mapping: BillMapping, day: date) -> BillReading:
    first = next(rows, None)
    if first is None:
        raise BillRefused(BillFault.EMPTY, "the file has no row; ask for it again")
    if mapping.header:
        names, pending = first[2], None
    else:
        names, pending = [str(n + 1) for n in range(len(first[2]))], first
    reader = _Reader(mapping, names, day)
    counted, totals = [0, 0, 0, 0], mapping.totals
    for number, raw, cells in _again(pending, rows):
        if totals is not None and cells[0].startswith(totals.begins):
            return _stated(cells, rows, totals, reader, counted)
        try:
            line = reader.line(number, raw, cells)
        except ValueError as wrong:
            raise unreadable(number, wrong) from None
        for n, amount in enumerate((1, line.amount_minor, line.fee_minor, line.net_minor)):
            counted[n] += amount
        yield _as_fee(line) if line.kind is LineKind.FEE else line
    if totals is not None:
        raise cut_off(f"its totals ({totals.begins})")
    return {}


def _as_fee(line: BillLine) -> BillLine:
    """A charge by itself is all fee, as in every other bill; what the totals state is over its amount as it stands."""
    return msgspec.structs.replace(line, amount_minor=0, fee_minor=-line.net_minor)


def _again(row: _Row | None, rows: Iterator[_Row]) -> Iterator[_Row]:
    if row is not None:
        yield row
    yield from rows


def _stated(
    cells: list[str], rows: Iterator[_Row], totals: TotalsRow, reader: "_Reader", counted: list[int]
) -> Mapping[str, str]:
    """What the totals state, after it was compared. Raises BillRefused."""
    if totals.next_line:
        _, _, cells = next(rows, (0, "", []))
    stated = {}
    places = {"count": totals.count, "amount": totals.amount, "fee": totals.fee, "net": totals.net}
    for (name, place), sum_counted in zip(places.items(), counted, strict=True):
        if place:
            found = _IN_WORDS.search(cells[place - 1]) if place <= len(cells) else None
            if found is None:
                raise cut_off(f"the total of {name} in cell {place}")
            stated[name] = found[0]
            text = found[0].replace(",", "")
            value = int(text) if name == "count" and text.isdigit() else abs(reader.total(text))
            must_add_up(name, value, abs(sum_counted))
    if after := next(rows, None):
        raise BillRefused(BillFault.UNKNOWN_FORMAT, f"line {after[0]} stands after the totals")
    return stated


class _Reader:
    """Reads cells by a description and a header. Raises BillRefused when they do not go together."""

    def __init__(self, mapping: BillMapping, names: list[str], day: date) -> None:
        self._mapping = mapping
        self._day = day
        self._width = len(names)
        wanted = {field: column for field, column in msgspec.structs.asdict(mapping.columns).items() if column}
        must_name_once([name for name in names if name], {*wanted.values(), *mapping.must_be})
        self._place = {field: names.index(column) for field, column in wanted.items()}
        self._must_be = [(names.index(column), column, value) for column, value in mapping.must_be.items()]
        self._currency = mapping.currency

    def line(self, number: int, raw: str, cells: list[str]) -> BillLine:
        """One line. Raises ValueError, and BillRefused for a line of another merchant."""
        if len(cells) > self._width or (self._mapping.format == "csv" and len(cells) != self._width):
            raise ValueError(f"{len(cells)} cells under {self._width} columns")
        cells = cells + [""] * (self._width - len(cells))  # a sheet's rows end with their last cell
        for place, column, value in self._must_be:
            if cells[place] != value:
                why = f"line {number}: {column} is {cells[place][:60]!r} and must be {value!r}"
                raise BillRefused(BillFault.OTHER_MERCHANT, why)
        cell = {field: cells[place] for field, place in self._place.items()}
        self._currency = cell.get("currency", self._mapping.currency).upper()
        word = cell.get("kind", "")
        amount = self._amount(cell)
        kind = self._kind(word, amount)
        if self._mapping.sign == "kind" and kind is not LineKind.UNKNOWN:
            amount = -abs(amount) if kind in _OUTGOING else abs(amount)
        fee = self._fee(cell.get("fee", ""), kind)
        net = self._money(cell["net"]) if cell.get("net") else amount - fee
        numbers = ("channel_txn_id", "merchant_ref", "channel_refund_id", "merchant_refund_ref", "entry", "payee")
        return BillLine(
            number=number,
            raw=raw,
            kind=kind,
            word=word,
            currency=self._currency,
            amount_minor=amount,
            fee_minor=fee,
            net_minor=net,
            occurred_at=self._moment(cell["time"]),
            sub_merchant=self._number(cell.get("sub_merchant", "")),
            status=cell.get("status", ""),
            balance_minor=self._money(cell["balance"]) if cell.get("balance") else None,
            **{name: self._number(cell.get(name, "")) for name in numbers},
        )

    def total(self, text: str) -> int:
        """A sum out of the totals, in the currency of the lines. Raises BillRefused."""
        try:
            return self._money(text)
        except ValueError as wrong:
            raise BillRefused(BillFault.UNKNOWN_FORMAT, f"in the totals: {wrong}") from None

    def _amount(self, cell: Mapping[str, str]) -> int:
        if self._mapping.sign == "columns":
            income, expense = (abs(self._money(cell[name] or "0")) for name in ("income", "expense"))
            if income and expense:
                raise ValueError("money both came and went")
            return income - expense
        amount = self._money(cell["amount"])
        if self._mapping.sign != "word":
            return amount
        word = cell["direction"]
        if word not in self._mapping.directions:
            raise ValueError(f"the direction {word[:20]!r} is none of {', '.join(self._mapping.directions)}")
        return abs(amount) if self._mapping.directions[word] == "+" else -abs(amount)

    def _kind(self, word: str, amount: int) -> LineKind:
        """Without a column that says it, what comes is a payment and what goes is a refund."""
        if not self._mapping.columns.kind:
            return LineKind.REFUND if amount < 0 else LineKind.PAYMENT
        return self._mapping.kinds.get(word, LineKind.UNKNOWN)

    def _fee(self, text: str, kind: LineKind) -> int:
        fee = self._money(text or "0")
        match self._mapping.fee:
            case "cost":
                return fee
            case "deduction":
                return -fee
            case "kind":
                return -abs(fee) if kind is LineKind.REFUND else abs(fee)

    def _money(self, text: str) -> int:
        """Raises ValueError."""
        sign = 1
        if text.startswith("(") and text.endswith(")"):  # as accountants write a negative amount
            sign, text = -1, text[1:-1]
        elif text[:1] in self._mapping.letters:
            sign, text = (-1 if self._mapping.letters[text[:1]] == "-" else 1), text[1:].strip()
        if self._mapping.thousands:
            text = text.replace(self._mapping.thousands, "")
        if self._mapping.unit == "major":
            return sign * minor(text, self._currency)
        if not _WHOLE.fullmatch(text) or abs(int(text)) > MAX_AMOUNT_MINOR:
            raise ValueError(f"{text[:40]!r} is no amount in minor units")
        return sign * int(text)

    def _number(self, text: str) -> str | None:
        """Raises ValueError for a number that Excel has rounded."""
        if isinstance(text, Rounded) or (self._mapping.format == "xlsx" and IN_SHORT.fullmatch(text)):
            raise ValueError(f"Excel has rounded {text[:40]}: have such numbers exported as text")
        return number_of(text)

    def _moment(self, text: str) -> datetime:
        """Raises ValueError."""
        if self._mapping.format == "xlsx" and _SERIAL.fullmatch(text):
            return moment_of(text).replace(tzinfo=self._mapping.zone).astimezone(UTC)
        for form in self._mapping.times:
            try:
                read = self._read_time(text, form)
                return (read if read.tzinfo else read.replace(tzinfo=self._mapping.zone)).astimezone(UTC)
            except (ValueError, OverflowError):
                continue
        raise ValueError(f"{text[:40]!r} is no time such as {self._mapping.times[0]}")

    def _read_time(self, text: str, form: str) -> datetime:
        """A time without a year is the one nearest to the bill's day. Raises ValueError."""
        if "%Y" in form or "%y" in form:
            return datetime.strptime(text, form)  # noqa: DTZ007 - the caller adds the zone
        years = (self._day.year, self._day.year - 1, self._day.year + 1)
        for year in years:
            read = datetime.strptime(f"{year} {text}", f"%Y {form}")  # noqa: DTZ007
            if abs(read.date() - self._day) < _HALF_A_YEAR:
                return read
        raise ValueError(text)
