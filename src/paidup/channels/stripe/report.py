"""The rows of a report's CSV, with the cells of the columns that are wanted: their order changes."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from paidup.channels.bill import BillFault, BillRefused
from paidup.channels.bill_file import Limits, csv_rows, lines_of, must_name_once


def rows_of(
    file: BinaryIO, needed: Sequence[str], perhaps: Sequence[str], limits: Limits
) -> Iterator[tuple[int, str, list[str]]]:
    """Number, text and cells of each row, in the order of `needed` and `perhaps`; what of these is absent is empty.

    Raises BillRefused for a report without a needed column, and for a row of another width.
    """
    file.seek(0)
    rows = csv_rows(lines_of(file, "utf-8", limits), limits=limits)
    _, _, names = next(rows, (0, "", []))
    must_name_once(names, needed)
    places = [names.index(column) if column in names else len(names) for column in (*needed, *perhaps)]
    for number, raw, cells in rows:
        if len(cells) != len(names):
            why = f"line {number} has {len(cells)} cells under {len(names)} columns"
            raise BillRefused(BillFault.UNKNOWN_FORMAT, why)
        cells.append("")  # what an absent column reads
        yield number, raw, [cells[place] for place in places]


def currency_of(text: str) -> str:
    """``usd`` as ``USD``. Raises ValueError."""
    code = text.upper()
    if not (len(code) == 3 and code.isascii() and code.isalpha()):
        raise ValueError(f"currency {text[:10]!r}")
    return code
