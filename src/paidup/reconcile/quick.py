"""A trade bill read by DuckDB: several times as fast as line by line, and only where there is no doubt.

Whatever is not exactly as most bills are (a text with a line feed, another column, an odd amount, a sum that does not
fit) makes this give up and say nothing: the careful reader (channels/*/bill.py) then reads the bill, and it alone
refuses one. So a bill that is taken here is one which that reader takes, with the same lines; tests hold the two to
each other. What stands around the rows is read by the careful reader's own code.
"""

import codecs
import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from hmac import compare_digest
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import msgspec

from paidup.channels.bill import BillProof, BillRefused
from paidup.channels.bill_file import LIMITS, Plain, lines_of, must_be_the_file, read_from

if TYPE_CHECKING:
    from paidup.reconcile.table import Table

AT = "(19[7-9][0-9]|2[0-9]{3})-[0-1][0-9]-[0-3][0-9] ([0-1][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
"""A time as all bills write it."""
_MAX_LINE_BYTES = LIMITS.line_bytes // 2
"""Half of what the careful reader takes, because the text was decoded: no line is longer here and shorter there."""
_MAX_HEAD_LINES = 100
_NO_CELL = "\x01"
_DECODED_BYTES = 32 << 10
_QUOTE_INSIDE = re.compile(rb'"(?<=[^,\n"]")[^,\r\n"]')


class Unusual(Exception):
    """Something that most bills do not have."""


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """part_bytes: so much text is read at once, and as much again unpacked meanwhile, by chunk_bytes. tail_bytes: in so
    much stands for certain what follows the rows."""

    part_bytes: int = 64 << 20
    chunk_bytes: int = 1 << 20
    tail_bytes: int = 64 << 10


SIZES = Sizes()


class Dialect(Protocol):
    """How a channel writes its trade bill. Whatever is odd raises Unusual, ValueError or BillRefused.

    tail: how the first line after the rows begins; empty where nothing follows them. delimiter, quote: between and
    around cells. sums: SQL that adds something up over the rows of the table `part`. line: SQL, the columns of
    table.LINES but the first, out of the same.
    """

    encoding: str
    tail: str
    delimiter: str
    quote: str
    sums: Sequence[str]
    line: str

    def plain(self, file: BinaryIO) -> Plain:
        """What the text is read from."""
        ...

    def names(self, line: str) -> Sequence[str] | None:
        """The columns that this line names; None while the header is still to come."""
        ...

    def rows(self, place: Mapping[str, str]) -> str:
        """SQL: the columns of the table `part`, out of text columns whose names stand in `place` by the bill's own.
        is_certain: false or NULL where the careful reader must look."""
        ...

    def parameters(self) -> Mapping[str, str]:
        """What `rows` refers to as $name."""
        ...

    def stated(self, frame: Iterator[tuple[int, str]], sums: Sequence[int]) -> Mapping[str, str]:
        """What the file states of itself, after it was found to be so. frame: the lines of the file without its
        rows."""
        ...


class Quick(msgspec.Struct, frozen=True):
    """A bill that was laid down whole."""

    lines: int
    stated: Mapping[str, str]


def lay_quickly(
    table: "Table",
    file: BinaryIO,
    dialect: Dialect,
    day: tuple[datetime, datetime],
    proof: BillProof,
    sizes: Sizes = SIZES,
) -> Quick | None:
    """Lay a bill's lines down; None, with nothing laid down, when the careful reader must look at it.

    While DuckDB reads one part of the text, the next one is unpacked.
    """
    import duckdb  # noqa: PLC0415 - see table.opened

    try:
        must_be_the_file(file, proof)
        return _lay(table, _parts(table.folder, file, dialect, proof, sizes), dialect, day, sizes)
    except (BillRefused, Unusual, ValueError, duckdb.Error):  # the careful reader says why
        table.clear_lines()
        return None


class _Part(msgspec.Struct, frozen=True):
    """Some of the plain text, in UTF-8, which ends where a line ends."""

    path: Path
    lines: int
    is_first: bool
    is_last: bool


class _Laid:
    """What is known of a bill while its parts are laid down."""

    def __init__(self, dialect: Dialect) -> None:
        self.lines, self.of_day = 0, 0
        self.sums = [0] * len(dialect.sums)
        self.head, self.tail = b"", b""
        self.columns = ""
        self.width = 0

    def count(self, lines: int, of_day: int, sums: Sequence[int | None]) -> None:
        self.lines += lines
        self.of_day += of_day
        self.sums = [total + int(more or 0) for total, more in zip(self.sums, sums, strict=True)]


def _lay(
    table: "Table", parts: Iterator[_Part], dialect: Dialect, day: tuple[datetime, datetime], sizes: Sizes
) -> Quick:
    """Raises Unusual, ValueError, BillRefused and duckdb.Error."""
    laid = _Laid(dialect)
    with ThreadPoolExecutor(max_workers=1) as ahead:
        coming = ahead.submit(next, parts, None)
        while (part := coming.result()) is not None:
            coming = ahead.submit(next, parts, None)
            if part.is_first:
                _read_head(part.path, dialect, laid)
            if part.is_last and dialect.tail:
                laid.tail = _cut_tail(part, dialect.tail, laid, sizes.tail_bytes)
            _lay_part(table, part, dialect, day, laid)
    if laid.lines > LIMITS.lines or (laid.lines and not laid.of_day):
        raise Unusual
    frame = lines_of(io.BytesIO(laid.head + laid.tail), "utf-8")
    return Quick(laid.lines, dialect.stated(frame, laid.sums))


def _parts(folder: Path, file: BinaryIO, dialect: Dialect, proof: BillProof, sizes: Sizes) -> Iterator[_Part]:
    """Write the plain text, part by part; the last one only if all of it is what the channel announced.

    Raises BillRefused for a broken file, UnicodeDecodeError for what is no text, and Unusual.
    """
    text = _text(dialect.plain(file), dialect.encoding, proof, sizes.chunk_bytes)
    rest, is_last = b"", False
    for n in count():
        path, lines, last_byte = folder / f"bill-{n}.csv", rest.count(b"\n"), rest[-1:]
        with path.open("wb") as into:
            into.write(rest)
            while not is_last:
                chunk = next(text, b"")
                is_last = not chunk
                cut = len(chunk)
                if into.tell() >= sizes.part_bytes and len(chunk) > sizes.tail_bytes:
                    # What follows the rows stands in one part.
                    cut = chunk.rfind(b"\n", 0, len(chunk) - sizes.tail_bytes) + 1 or cut
                into.write(chunk[:cut])
                lines += chunk.count(b"\n", 0, cut)
                last_byte = chunk[cut - 1 : cut] or last_byte
                rest = chunk[cut:]
                if rest:
                    break
        yield _Part(path, lines + (last_byte not in (b"", b"\n")), is_first=n == 0, is_last=is_last)
        if is_last:
            return


def _text(plain: Plain, encoding: str, proof: BillProof, chunk_bytes: int) -> Iterator[bytes]:
    """The text in UTF-8, chunk by chunk, none of them empty. Raises UnicodeDecodeError, BillRefused and Unusual."""
    digest, decoder, size_bytes = hashlib.sha1(usedforsecurity=False), codecs.getincrementaldecoder(encoding)(), 0
    while chunk := read_from(lambda: plain.read(chunk_bytes)):
        digest.update(chunk)
        size_bytes += len(chunk)
        if size_bytes > LIMITS.plain_bytes or b"\x00" in chunk or _NO_CELL.encode() in chunk:
            raise Unusual
        # UTF-8, too: DuckDB looks only at the columns that it needs. In pieces that fit the cache.
        decoded = [decoder.decode(chunk[at : at + _DECODED_BYTES]) for at in range(0, len(chunk), _DECODED_BYTES)]
        if text := chunk if encoding == "utf-8" else "".join(decoded).encode():
            yield text
    decoder.decode(b"", final=True)
    if proof.sha1_hex is not None and not compare_digest(digest.hexdigest(), proof.sha1_hex.lower()):
        raise Unusual


def _read_head(path: Path, dialect: Dialect, laid: _Laid) -> None:
    """The lines up to the header. Raises Unusual when there is none."""
    with path.open("rb") as file:
        for _ in range(_MAX_HEAD_LINES):
            line = file.readline(_MAX_LINE_BYTES)
            laid.head += line
            text = line.decode().removeprefix("\ufeff") if line is laid.head else line.decode()
            names = dialect.names(text.rstrip("\r\n"))
            if names is not None:
                place = {name: f"c{n}" for n, name in enumerate(names)}
                laid.columns, laid.width = dialect.rows(place), len(names)
                return
    raise Unusual


def _cut_tail(part: _Part, mark: str, laid: _Laid, tail_bytes: int) -> bytes:
    """Cut what follows the rows off the file, and give it. Raises Unusual when it is not there."""
    with part.path.open("r+b") as file:
        size = file.seek(0, 2)
        begins = max(len(laid.head) - 1 if part.is_first else 0, size - tail_bytes, 0)
        file.seek(begins)
        text = file.read()
        at = text.find(f"\n{mark}".encode())
        if at < 0:
            raise Unusual
        file.truncate(begins + at + 1)
    return text[at + 1 :]


def _lay_part(table: "Table", part: _Part, dialect: Dialect, day: tuple[datetime, datetime], laid: _Laid) -> None:
    """Lay the lines of a part down. Raises duckdb.Error for a row that is unusual, and Unusual when not every line of
    the file became a row that is certain."""
    skip = laid.head.count(b"\n") if part.is_first else 0
    rows = part.lines - skip - (len(laid.tail.splitlines()) if part.is_last else 0)
    if dialect.quote:
        _must_pair_quotes(part.path)
    # DuckDB passes over an empty cell too many. So one more column is read, and short rows are filled up with NULL,
    # which no cell is: _NO_CELL stands in no text.
    even = f"c{laid.width - 1} IS NOT NULL AND c{laid.width} IS NULL AS is_even"
    select = f"SELECT {laid.columns}, {even} FROM {_reading(part.path, dialect, laid.width + 1, skip)}"
    table.sql.execute(f"CREATE OR REPLACE TEMP TABLE part AS {select}", dict(dialect.parameters()))
    part.path.unlink()
    first = laid.lines + laid.head.count(b"\n") + 1
    table.add_lines_of(f"SELECT rowid + {first} AS n, {dialect.line} FROM part")
    bounds = {"begins": int(day[0].timestamp()), "ends": int(day[1].timestamp())}
    lines, earliest, of_day, *sums = (
        table.sql.execute(_COUNTED.format(", ".join(dialect.sums)), bounds).fetchone() or ()
    )
    table.sql.execute("DROP TABLE part")
    if lines != rows or (lines and earliest < 0):
        raise Unusual
    laid.count(lines, of_day, sums)


def _must_pair_quotes(path: Path) -> None:
    """Raises Unusual where readers of CSV do not agree on what a quote means: there is an odd number on a line, or one
    inside a cell."""
    with path.open("rb") as file:
        for line in file:
            if b'"' in line and (line.count(b'"') % 2 or _QUOTE_INSIDE.search(line)):
                raise Unusual


# Rows stand in the file's order.
_COUNTED = """
SELECT count(*) FILTER (is_certain AND is_even), min("at"), count(*) FILTER ("at" >= $begins AND "at" < $ends), {}
FROM part"""


def _reading(path: Path, dialect: Dialect, width: int, skip: int) -> str:
    columns = ", ".join(f"'c{n}': 'VARCHAR'" for n in range(width))
    quoted = str(path).replace("'", "''")
    return (
        f"read_csv('{quoted}', columns = {{{columns}}}, delim = '{dialect.delimiter}', quote = '{dialect.quote}', "
        f"escape = '{dialect.quote}', header = false, skip = {skip}, auto_detect = false, null_padding = true, "
        f"max_line_size = {_MAX_LINE_BYTES}, nullstr = '{_NO_CELL}')"
    )
