"""The form of WeChat Pay's bills: a header, rows of backticked cells, and two lines of totals."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from paidup.channels.bill import BillFault, BillRefused, minor
from paidup.channels.bill_file import cut_off, fitted, must_name_once

_MAX_ROW_CHARS = 64 << 10

Form = re.Pattern[str] | None
"""What a cell looks like; None where it is free text, which may hold commas."""
NUMBER = re.compile(r"[^,`]*")
AMOUNT = re.compile(r"-?[0-9]+(\.[0-9]+)?")
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
TEXT = None

CNY = "CNY"
NO_NUMBER = ("", "0")  # a payment's line has refund numbers 0; an ordinary merchant's has sub-merchant 0


class BillTable:
    """Header, rows, and the two lines of totals, as both bills have them."""

    def __init__(self, lines: Iterator[tuple[int, str]], columns: Mapping[str, Form]) -> None:
        self._lines = lines
        _, header = next(lines, (0, ""))
        if not header:
            raise BillRefused(BillFault.EMPTY, "the file has no content; ask the channel for it again")
        self.names = header.split(",")
        must_name_once(self.names, columns, columns)
        self._forms = [columns[name] for name in self.names]
        self._totals_header = ""

    def places(self, *names: str) -> list[int]:
        """Where these columns stand."""
        return [self.names.index(name) for name in names]

    def rows(self) -> Iterator[tuple[int, str, list[str]]]:
        """Number, text and cells of each row, up to the totals."""
        width, held = len(self.names), ""
        first = 0
        for number, line in self._lines:
            # A line that begins without a backtick goes on with a text that holds a line feed, or begins the totals.
            if held and not line.startswith("`") and held.count(",`") + 1 < width:
                held = f"{held}\n{line}"
                if len(held) > _MAX_ROW_CHARS:
                    raise BillRefused(BillFault.TOO_LARGE, f"the row on line {first} does not end")
                continue
            if held:
                yield first, held, self._cells(first, held)
            if not line.startswith("`"):
                self._totals_header = line
                return
            first, held = number, line
        raise cut_off("its totals")

    def totals(self, names: Sequence[str]) -> dict[str, str]:
        """The totals that the file states, by name, after all rows were read."""
        found = self._totals_header.split(",")
        if found != list(names):
            why = f"its totals are called {self._totals_header[:100]!r}; this bill's are {','.join(names)}"
            raise BillRefused(BillFault.UNKNOWN_FORMAT, why)
        _, line = next(self._lines, (0, ""))
        cells = line.removeprefix("`").split(",`")
        if len(cells) != len(names) or not line.startswith("`"):
            raise cut_off("the values of its totals")
        if after := next(self._lines, None):
            raise BillRefused(BillFault.UNKNOWN_FORMAT, f"line {after[0]} stands after the totals")
        return dict(zip(names, cells, strict=True))

    def _cells(self, number: int, line: str) -> list[str]:
        cells = line[1:].split(",`")
        if len(cells) == len(self._forms):
            return cells
        found = fitted(cells, self._forms)
        if found is None:
            why = f"line {number} has {len(cells)} cells that do not fit the {len(self._forms)} columns"
            raise BillRefused(BillFault.UNKNOWN_FORMAT, why)
        return found


def moment(text: str) -> datetime:
    """A time of a bill, which is Beijing time. Raises ValueError."""
    if not TIME.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no time such as 2026-11-23 08:00:00")
    return datetime.fromisoformat(f"{text}+08:00")


def count_of(text: str) -> int:
    """A total that counts lines. Raises BillRefused."""
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise BillRefused(BillFault.UNKNOWN_FORMAT, f"the total {text[:20]!r} is no number of lines")
    return int(text)


def yuan(text: str) -> int:
    """A total of money, in fen. Raises BillRefused."""
    try:
        return minor(text, CNY)
    except ValueError as wrong:
        raise BillRefused(BillFault.UNKNOWN_FORMAT, f"in the totals: {wrong}") from None
