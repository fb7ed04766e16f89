"""What lies around a bill's lines: gzip, zip, text encodings, line ends; and a limit on every size.

Nothing is unpacked to disk or held in memory as a whole, so neither a path inside an archive nor a small file that
unpacks into a large one does harm.
"""

import csv
import gzip
import hashlib
import re
import zipfile
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from hmac import compare_digest
from typing import IO, BinaryIO, TypeAlias

import msgspec

from paidup.channels.bill import BillFault, BillProof, BillRefused

Plain: TypeAlias = IO[bytes] | gzip.GzipFile
"""What a bill's text is read from."""

_CHUNK_BYTES = 1 << 20
_GZIP = b"\x1f\x8b"
_ENCRYPTED = 0x1
_UTF8_NAME = 0x800


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The largest bill that is read. Five million lines of WeChat Pay are some 2 GB of text, a tenth of it gzipped."""

    file_bytes: int = 2 << 30
    plain_bytes: int = 8 << 30
    lines: int = 20_000_000
    line_bytes: int = 64 << 10
    members: int = 40


LIMITS = Limits()


def must_be_the_file(file: BinaryIO, proof: BillProof, limits: Limits = LIMITS) -> None:
    """Raises BillRefused for an empty file, one that is too large, or one of another size than the channel said."""
    size_bytes = file.seek(0, 2)
    if size_bytes == 0:
        raise BillRefused(BillFault.EMPTY, "the file has no content; ask the channel for it again")
    if size_bytes > limits.file_bytes:
        raise BillRefused(BillFault.TOO_LARGE, f"the file has {size_bytes} bytes; at most {limits.file_bytes} are read")
    if proof.size_bytes is not None and proof.size_bytes != size_bytes:
        why = f"the file has {size_bytes} bytes, and the channel says {proof.size_bytes}; ask for it again"
        raise BillRefused(BillFault.BROKEN_FILE, why)


def must_have_hash(plain: Plain, proof: BillProof, limits: Limits = LIMITS) -> None:
    """Raises BillRefused when the plain text is not what the channel made the hash of. Reads all of it."""
    if proof.sha1_hex is None:
        return
    digest, size_bytes = hashlib.sha1(usedforsecurity=False), 0
    while chunk := read_from(lambda: plain.read(_CHUNK_BYTES)):
        digest.update(chunk)
        size_bytes += len(chunk)
        if size_bytes > limits.plain_bytes:
            raise _too_large(limits)
    if not compare_digest(digest.hexdigest(), proof.sha1_hex.lower()):
        why = "the file is not the one that the channel described (its SHA-1 differs); download it again"
        raise BillRefused(BillFault.WRONG_HASH, why)


def gunzipped(file: BinaryIO) -> Plain:
    """The plain text of a gzip file, or the file itself when it is none, from its start."""
    file.seek(0)
    is_gzip = file.read(2) == _GZIP
    file.seek(0)
    return gzip.GzipFile(fileobj=file, mode="rb") if is_gzip else file


def member(file: BinaryIO, is_wanted: Callable[[str], bool], what: str, limits: Limits = LIMITS) -> Plain:
    """The one member of a zip file whose name is wanted. `what` names it for people. Raises BillRefused.

    Names without the UTF-8 flag are GBK, as Alipay writes them.
    """
    file.seek(0)
    try:
        archive = zipfile.ZipFile(file)
        found = [info for info in archive.infolist() if is_wanted(_name(info))]
        if len(archive.infolist()) > limits.members or len(found) != 1:
            names = ", ".join(_name(info)[:80] for info in archive.infolist()[:5])
            raise BillRefused(
                BillFault.UNKNOWN_FORMAT, f"the zip file should hold one {what}; it holds {names or 'nothing'}"
            )
        if found[0].flag_bits & _ENCRYPTED:
            raise BillRefused(BillFault.UNKNOWN_FORMAT, f"the {what} in the zip file is encrypted")
        if found[0].file_size > limits.plain_bytes:
            raise _too_large(limits)
        return archive.open(found[0])
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, EOFError) as error:
        raise broken(error) from None


def lines_of(plain: Plain, encoding: str, limits: Limits = LIMITS) -> Iterator[tuple[int, str]]:
    """Number and text of every line that is not empty, without its end. Raises BillRefused.

    Only for encodings in which the byte of a line feed is never part of another character (UTF-8, GB18030).
    """
    size_bytes = number = 0
    while line := read_from(lambda: plain.readline(limits.line_bytes + 1)):
        number += 1
        size_bytes += len(line)
        if len(line) > limits.line_bytes:
            raise BillRefused(BillFault.TOO_LARGE, f"line {number} has more than {limits.line_bytes} bytes")
        if number > limits.lines or size_bytes > limits.plain_bytes:
            raise _too_large(limits)
        try:
            text = line.rstrip(b"\r\n").decode(encoding)
        except UnicodeDecodeError:
            raise BillRefused(BillFault.BROKEN_FILE, f"line {number} is no text in {encoding}") from None
        if "\x00" in text:
            raise BillRefused(BillFault.BROKEN_FILE, f"line {number} holds a NUL, which no text has")
        if text:
            yield number, text.removeprefix("\ufeff") if number == 1 else text


def csv_rows(
    lines: Iterator[tuple[int, str]], delimiter: str = ",", limits: Limits = LIMITS
) -> Iterator[tuple[int, str, list[str]]]:
    """Number, text and cells of each row of a file whose cells may be quoted, delimiters and line feeds inside.

    Raises BillRefused for a row that does not end.
    """
    for number, line in lines:
        row = line
        while row.count('"') % 2:
            _, more = next(lines, (0, None))
            if more is None or len(row) > limits.line_bytes:
                raise cut_off(f"the end of the quoted text on line {number}")
            row = f"{row}\n{more}"
        try:
            cells = next(csv.reader([row], delimiter=delimiter, strict=True)) if '"' in row else row.split(delimiter)
        except csv.Error as wrong:
            raise BillRefused(BillFault.UNKNOWN_FORMAT, f"line {number} is no row of a CSV file: {wrong}") from None
        yield number, row, cells


def must_name_once(names: Sequence[str], needed: Iterable[str], known: Container[str] | None = None) -> None:
    """Raises BillRefused when a header lacks a column, names one twice, or has one that is not known."""
    for name in needed:
        if names.count(name) != 1:
            raise BillRefused(BillFault.UNKNOWN_FORMAT, f"its header must name the column {name!r} once")
    for name in names if known is not None else ():
        if known is not None and name not in known:
            why = f"its header names {name[:40]!r}, which is no column of this bill that Paidup knows"
            raise BillRefused(BillFault.UNKNOWN_FORMAT, why)
    if len(set(names)) != len(names):
        raise BillRefused(BillFault.UNKNOWN_FORMAT, "its header names a column twice")


def fitted(cells: Sequence[str], forms: Sequence[re.Pattern[str] | None]) -> list[str] | None:
    """Cells that were split once too often, because a text held the separator, put back into their columns.

    forms: per column what its cell looks like, None for free text. None when they do not fit, or when a column that is
    no free text could be either of two cells.
    """
    if len(cells) == len(forms):
        return list(cells)
    if len(cells) < len(forms):
        return None
    first, last = _placed(cells, forms, 1), _placed(cells, forms, -1)
    if first is None or last is None:
        return None
    # Ways to place them cross like paths do: where the two extremes agree, all those in between agree, too.
    if any(first[n] != last[n] for n, form in enumerate(forms) if form is not None):
        return None
    ends = [*first[1:], len(cells)]
    return [",".join(cells[begin:end]) for begin, end in zip(first, ends, strict=True)]


def _placed(cells: Sequence[str], forms: Sequence[re.Pattern[str] | None], order: int) -> list[int] | None:
    """At which cell each column begins, when texts are as short as possible (order 1), or as long (-1)."""
    dead: set[tuple[int, int]] = set()

    def place(column: int, at: int) -> list[int] | None:
        if column == len(forms):
            return []
        form, left = forms[column], len(forms) - column
        spare = len(cells) - at - left
        if (column, at) in dead or (form is not None and not form.fullmatch(cells[at])):
            return None
        counts = range(spare + 1) if form is None else range(1)
        for more in counts[::order] if column + 1 < len(forms) else [spare] * (form is None or spare == 0):
            rest = place(column + 1, at + 1 + more)
            if rest is not None:
                return [at, *rest]
        dead.add((column, at))
        return None

    return place(0, 0)


def unreadable(number: int, wrong: ValueError) -> BillRefused:
    """The refusal for a cell that cannot be read."""
    return BillRefused(BillFault.UNKNOWN_FORMAT, f"line {number}: {wrong}")


def must_add_up(what: str, stated: object, counted: object) -> None:
    """Raises BillRefused when a total that the file states is not what its lines add up to."""
    if stated != counted:
        why = f"{what} is stated as {stated}, and its lines make {counted}; ask the channel for the bill again"
        raise BillRefused(BillFault.WRONG_TOTAL, why)


def cut_off(what: str) -> BillRefused:
    """The refusal for a file that ends before its end."""
    return BillRefused(BillFault.BROKEN_FILE, f"the file ends without {what}: it was cut off; download it again")


def read_from(read: Callable[[], bytes]) -> bytes:
    """The next bytes out of an archive. Raises BillRefused when it is cut off or damaged."""
    try:
        return read()
    except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as error:
        raise broken(error) from None


def broken(error: Exception) -> BillRefused:
    """The refusal for an archive that cannot be unpacked."""
    why = f"the file is cut off or damaged ({type(error).__name__}: {str(error)[:100]}); download it again"
    return BillRefused(BillFault.BROKEN_FILE, why)


def _too_large(limits: Limits) -> BillRefused:
    return BillRefused(
        BillFault.TOO_LARGE, f"it unpacks into more than {limits.lines} lines or {limits.plain_bytes} bytes"
    )


def _name(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & _UTF8_NAME:
        return info.filename
    return info.orig_filename.encode("cp437", "replace").decode("gb18030", "replace")
