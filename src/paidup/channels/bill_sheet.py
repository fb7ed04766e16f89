"""Rows of an Excel workbook (.xlsx), one at a time, every number as the file has it.

Written against the format itself (ECMA-376) rather than with a library: those turn each number into a float on the
way, and money is not to pass through one. Documents with a DTD are refused, so there are no entities to expand.
"""

import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import BinaryIO
from xml.parsers import expat

from paidup.channels.bill import BillFault, BillRefused
from paidup.channels.bill_file import LIMITS, Limits, Plain, broken, read_from

MAX_STRING_CHARS = 256 << 20
"""All texts of a workbook that cells refer to are held in memory."""
MAX_COLUMNS = 1000
_CHUNK_BYTES = 64 << 10
_EXACT_DIGITS = 15  # what Excel keeps of a number
IN_SHORT = re.compile(r"[0-9](\.[0-9]+)?E\+[0-9]+")
"""A number as Excel shows it when it has rounded it, also where that was saved as a text."""
_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 - the caller knows the zone. Excel's day 0, its leap year 1900 included
_CELL = re.compile(r"([A-Z]{1,3})[0-9]{1,7}")


class Rounded(str):
    """A number, in a cell that is no text, of more digits than Excel keeps: an order number typed or imported as a
    number. Some of its digits are not what was entered."""

    __slots__ = ()


_Start = Callable[[str, Mapping[str, str]], None]


def sheet_rows(file: BinaryIO, sheet: str, limits: Limits = LIMITS) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each row of a sheet, the first one when `sheet` is empty. Raises BillRefused."""
    file.seek(0)
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(info.file_size for info in archive.infolist()) > limits.plain_bytes:
                raise BillRefused(
                    BillFault.TOO_LARGE, f"the workbook unpacks into more than {limits.plain_bytes} bytes"
                )
            path, strings = _path_of(archive, sheet), _strings(archive)
            with _opened(archive, path) as part:
                yield from _rows(part, strings, limits)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise broken(error) from None


def plain_number(text: str) -> str:
    """``"1.25E3"`` or ``"12.300000000000001"`` as Excel shows it: ``"1250"``, ``"12.3"``; other text as it is.

    A number of more digits than Excel keeps stays as it is, too, as Rounded.
    """
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    if number.is_finite() and number.adjusted() >= _EXACT_DIGITS:
        return Rounded(text)
    if not number.is_finite() or number.adjusted() <= -40:
        return text
    if len(number.as_tuple().digits) > _EXACT_DIGITS:
        number = round(number, _EXACT_DIGITS - 1 - number.adjusted())
    shown = f"{number:f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def moment_of(serial: str) -> datetime:
    """Excel's days since the end of 1899, as a local time without a zone. Raises ValueError."""
    try:
        return _EPOCH + timedelta(seconds=round(Decimal(serial) * 86400))
    except (InvalidOperation, OverflowError):
        raise ValueError(f"{serial[:40]!r} is no time") from None


def _path_of(archive: zipfile.ZipFile, sheet: str) -> str:
    """The part that holds the sheet. Raises BillRefused."""
    sheets: list[tuple[str, str]] = []
    targets: dict[str, str] = {}

    def workbook(name: str, attributes: Mapping[str, str]) -> None:
        if name == "sheet":
            sheets.append((attributes.get("name", ""), attributes.get("id", "")))
        if name == "workbookPr" and attributes.get("date1904") in ("1", "true"):
            raise BillRefused(BillFault.UNKNOWN_FORMAT, "the workbook counts its days from 1904; save it anew in Excel")

    def relation(name: str, attributes: Mapping[str, str]) -> None:
        if name == "Relationship":
            targets[attributes.get("Id", "")] = attributes.get("Target", "")

    for path, start in (("xl/workbook.xml", workbook), ("xl/_rels/workbook.xml.rels", relation)):
        with _opened(archive, path) as part:
            for _ in _parsed(part, start):
                pass
    found = [identifier for name, identifier in sheets if sheet in ("", name)]
    if not found:
        names = ", ".join(name for name, _ in sheets)[:200]
        raise BillRefused(BillFault.UNKNOWN_FORMAT, f"the workbook has no sheet {sheet!r}; it has {names or 'none'}")
    target = targets.get(found[0], "").removeprefix("/")
    return target if target.startswith("xl/") else f"xl/{target}"


def _strings(archive: zipfile.ZipFile) -> list[str]:
    """The texts that cells refer to by number."""
    if "xl/sharedStrings.xml" not in archive.namelist():
        return []
    strings: list[str] = []
    reader = _Texts(strings)
    with _opened(archive, "xl/sharedStrings.xml") as part:
        for _ in _parsed(part, reader.start, reader.end, reader.text):
            pass
    return strings


class _Texts:
    """Collects what stands in <t> per <si>, but for phonetic hints."""

    def __init__(self, into: list[str]) -> None:
        self._into = into
        self._parts: list[str] = []
        self._chars = 0
        self._inside = False
        self._hint = False

    def start(self, name: str, _: Mapping[str, str]) -> None:
        self._inside = name == "t" and not self._hint
        self._hint = self._hint or name == "rPh"

    def end(self, name: str) -> None:
        self._inside = False
        if name == "rPh":
            self._hint = False
        if name == "si":
            self._into.append("".join(self._parts))
            self._parts.clear()

    def text(self, data: str) -> None:
        if not self._inside:
            return
        self._chars += len(data)
        if self._chars > MAX_STRING_CHARS:
            raise BillRefused(BillFault.TOO_LARGE, "the workbook holds more text than any bill")
        self._parts.append(data)


def _rows(part: Plain, strings: list[str], limits: Limits) -> Iterator[tuple[int, list[str]]]:
    reader = _Cells(strings, limits)
    for _ in _parsed(part, reader.start, reader.end, reader.text):
        yield from reader.take()
    if not reader.is_whole:
        raise BillRefused(BillFault.BROKEN_FILE, "the sheet ends before its end")


class _Cells:
    """Turns <row>, <c>, <v> and <t> into rows of texts."""

    def __init__(self, strings: list[str], limits: Limits) -> None:
        self._strings = strings
        self._limits = limits
        self._done: list[tuple[int, list[str]]] = []
        self._row: list[str] = []
        self._number = self._chars = 0
        self._column = 0
        self._type = ""
        self._value: list[str] = []
        self._inside = False
        self.is_whole = False

    def take(self) -> list[tuple[int, list[str]]]:
        """The rows that are complete."""
        done, self._done = self._done, []
        return done

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "row":
            stated = attributes.get("r", "")
            self._number = int(stated) if stated.isdigit() and len(stated) < 9 else self._number + 1
            self._row, self._chars = [], 0
        elif name == "c":
            place = _CELL.fullmatch(attributes.get("r", ""))
            self._column = _index(place[1]) if place else len(self._row)
            self._type, self._value = attributes.get("t", "n"), []
        self._inside = name in ("v", "t")

    def end(self, name: str) -> None:
        self._inside = False
        if name == "c":
            if not len(self._row) <= self._column < MAX_COLUMNS:
                raise BillRefused(BillFault.UNKNOWN_FORMAT, f"row {self._number} has a cell out of its place")
            self._row += [""] * (self._column - len(self._row))
            self._row.append(self._text_of("".join(self._value)))
        elif name == "row":
            self._done.append((self._number, self._row))
            if self._number > self._limits.lines:
                raise BillRefused(BillFault.TOO_LARGE, f"the sheet has more than {self._limits.lines} rows")
        elif name == "sheetData":
            self.is_whole = True

    def text(self, data: str) -> None:
        if self._inside:
            self._chars += len(data)
            if self._chars > self._limits.line_bytes:
                raise BillRefused(BillFault.TOO_LARGE, f"row {self._number} holds more than {self._limits.line_bytes}")
            self._value.append(data)

    def _text_of(self, value: str) -> str:
        """Raises BillRefused."""
        if self._type == "n":
            return plain_number(value)
        if self._type != "s":
            return value
        if not (value.isascii() and value.isdigit() and len(value) < 10 and int(value) < len(self._strings)):
            raise BillRefused(BillFault.BROKEN_FILE, f"row {self._number} refers to a text that is not there")
        return self._strings[int(value)]


def _parsed(
    part: Plain,
    start: _Start,
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Feed a part to handlers, which get names without their namespaces; stops after each chunk. Raises BillRefused."""
    parser = expat.ParserCreate(namespace_separator=" ")

    def refuse(*_: object) -> None:
        raise BillRefused(BillFault.UNKNOWN_FORMAT, "the workbook holds a document type, which no bill needs")

    def started(name: str, attributes: Mapping[str, str]) -> None:
        start(name.rpartition(" ")[2], {key.rpartition(" ")[2]: value for key, value in attributes.items()})

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = started
    parser.EndElementHandler = (lambda name: end(name.rpartition(" ")[2])) if end else None
    parser.CharacterDataHandler = text
    try:
        while chunk := read_from(lambda: part.read(_CHUNK_BYTES)):
            parser.Parse(chunk, False)
            yield
        parser.Parse(b"", True)
        yield
    except expat.ExpatError as error:
        raise broken(error) from None


def _opened(archive: zipfile.ZipFile, path: str) -> Plain:
    try:
        return archive.open(path)
    except KeyError:
        why = f"the file is no Excel workbook (.xlsx): it has no {path[:80]}"
        raise BillRefused(BillFault.UNKNOWN_FORMAT, why) from None


def _index(letters: str) -> int:
    """``A`` is 0, ``AA`` is 26."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1
