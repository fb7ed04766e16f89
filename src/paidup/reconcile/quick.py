"""WeChat Pay's trade bill, read by DuckDB: some ten times as fast as line by line, and only where there is no doubt.

Whatever is not exactly as most bills are (a text with a line feed or with ``,` `` in it, another column, a sum that
does not fit) makes this give up and say nothing: the careful reader (channels/wechat/bill.py) then reads the bill, and
it alone refuses one. So a bill that is taken here is one which that reader takes, with the same lines; tests hold
the two to each other.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from hmac import compare_digest
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from paidup.channels.bill import BillProof, BillRefused, minor
from paidup.channels.bill_file import LIMITS, gunzipped, must_be_the_file, read_from
from paidup.channels.wechat.bill import MAX_ROW_CHARS, TRADE_COLUMNS, TRADE_TOTALS
from paidup.evidence import MAX_NUMBER_CHARS

if TYPE_CHECKING:
    from paidup.reconcile.table import Table

_CNY = "CNY"
_AMOUNTS = {
    "settled": "应结订单金额", "given_back": "退款金额", "voucher": "充值券退款金额", "fee": "手续费",
    "ordered": "订单金额", "asked_back": "申请退款金额",
}  # fmt: skip
"""In the order of the totals."""
_NUMBERS = {"txn": "微信订单号", "ref": "商户订单号", "rid": "微信退款单号", "rref": "商户退款单号"}
_AMOUNT = "-?[0-9]{1,13}([.][0-9]{1,2}0{0,3})?"
_TIME = r"`(19[7-9][0-9]|2[0-9]{3})-[0-1][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9]"


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """part_bytes: so much text is read at once, and as much again unpacked meanwhile, by chunk_bytes. tail_bytes: in so
    much stand the totals for certain."""

    part_bytes: int = 64 << 20
    chunk_bytes: int = 1 << 20
    tail_bytes: int = 64 << 10


_SIZES = Sizes()


class Quick(msgspec.Struct, frozen=True):
    """A bill that was laid down whole."""

    lines: int
    stated: Mapping[str, str]


def lay_wechat_trades(
    table: "Table",
    file: BinaryIO,
    mchid: str,
    day: tuple[datetime, datetime],
    proof: BillProof,
    sizes: Sizes = _SIZES,
) -> Quick | None:
    """Lay a bill's lines down; None, with nothing laid down, when the careful reader must look at it.

    While DuckDB reads one part of the text, the next one is unpacked.
    """
    import duckdb  # noqa: PLC0415 - see table.opened

    try:
        must_be_the_file(file, proof)
        return _lay(table, _parts(table.folder, file, proof, sizes), mchid, day, sizes)
    except (BillRefused, _Unusual, ValueError, duckdb.Error):  # the careful reader says why
        table.clear_lines()
        return None


class _Unusual(Exception):
    """Something that most bills do not have."""


class _Part(msgspec.Struct, frozen=True):
    """Some of the plain text, which ends where a line ends."""

    path: Path
    is_first: bool
    is_last: bool


def _lay(table: "Table", parts: Iterator[_Part], mchid: str, day: tuple[datetime, datetime], sizes: Sizes) -> Quick:
    """Raises _Unusual, ValueError and duckdb.Error."""
    stated: dict[str, str] = {}
    counted = [0] * len(_COUNTED)
    with ThreadPoolExecutor(max_workers=1) as ahead:
        coming = ahead.submit(next, parts, None)
        while (part := coming.result()) is not None:
            coming = ahead.submit(next, parts, None)
            if part.is_first:
                _must_have_header(part.path, sizes.tail_bytes)
            if part.is_last:
                stated = _without_totals(part.path, sizes.tail_bytes)
            its = _lay_part(table, part, mchid, day, lines_before=counted[0])
            counted = [total + int(more or 0) for total, more in zip(counted, its, strict=True)]
    _must_add_up(counted, stated)
    return Quick(counted[0], stated)


def _parts(folder: Path, file: BinaryIO, proof: BillProof, sizes: Sizes) -> Iterator[_Part]:
    """Write the plain text, part by part; the last one only if all of it is what the channel announced.

    Raises BillRefused for a broken file, and _Unusual.
    """
    digest, plain, size_bytes = hashlib.sha1(usedforsecurity=False), gunzipped(file), 0
    rest, is_last = b"", False
    for n in count():
        path = folder / f"bill-{n}.csv"
        with path.open("wb") as into:
            into.write(rest)
            while not is_last:
                chunk = read_from(lambda: plain.read(sizes.chunk_bytes))
                digest.update(chunk)
                size_bytes += len(chunk)
                is_last = not chunk
                if size_bytes > LIMITS.plain_bytes or b"\x00" in chunk:
                    raise _Unusual
                if into.tell() >= sizes.part_bytes and len(chunk) > sizes.tail_bytes:
                    cut = chunk.rfind(b"\n", 0, len(chunk) - sizes.tail_bytes) + 1  # the totals stand in one part
                    into.write(chunk[:cut])
                    rest = chunk[cut:]
                    break
                into.write(chunk)
        if is_last and proof.sha1_hex is not None and not compare_digest(digest.hexdigest(), proof.sha1_hex.lower()):
            raise _Unusual
        yield _Part(path, is_first=n == 0, is_last=is_last)
        if is_last:
            return


def _must_have_header(path: Path, max_bytes: int) -> None:
    with path.open("rb") as file:
        header = file.readline(max_bytes).decode().removeprefix("\ufeff").rstrip("\r\n")
    if header.split(",") != list(TRADE_COLUMNS):
        raise _Unusual


def _without_totals(path: Path, tail_bytes: int) -> dict[str, str]:
    """Cut the two lines of totals off the file, and give what they state. Raises _Unusual when they are unusual."""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - tail_bytes))
        tail = file.read()
        names = ",".join(TRADE_TOTALS).encode()
        at = tail.rfind(b"\n" + names)
        last = tail[at + 1 :].decode().split("\n") if at >= 0 else []
        cells = last[1].rstrip("\r").removeprefix("`").split(",`") if len(last) in (2, 3) else []
        if len(cells) != len(TRADE_TOTALS) or any(last[2:]) or last[0].rstrip("\r") != names.decode():
            raise _Unusual
        file.truncate(size - len(tail) + at + 1)
    return dict(zip(TRADE_TOTALS, cells, strict=True))


def _lay_part(
    table: "Table", part: _Part, mchid: str, day: tuple[datetime, datetime], *, lines_before: int
) -> Sequence[int | None]:
    """Lay the lines of a part down, and count them (_COUNTED). Raises duckdb.Error for a row that is unusual."""
    select = _select(part.path, skip=int(part.is_first))
    table.sql.execute(f"CREATE OR REPLACE TEMP TABLE part AS {select}", {"mchid": mchid})
    part.path.unlink()
    table.add_lines_of(_LINES.format(first=lines_before + 2))
    bounds = {"begins": int(day[0].timestamp()), "ends": int(day[1].timestamp())}
    its = table.sql.execute(f"SELECT {', '.join(_COUNTED)} FROM part", bounds).fetchone()
    table.sql.execute("DROP TABLE part")
    return its or ()


# Rows stand in the file's order, the header on its first line.
_LINES = """SELECT rowid + {first} AS n, kind, word, 'CNY' AS currency, ordered - asked_back AS amount, fee,
  settled - given_back - fee AS net, "at", txn, ref, rid, rref FROM part"""

_COUNTED = ("count(*)", 'count(*) FILTER ("at" >= $begins AND "at" < $ends)', *(f"sum({name})" for name in _AMOUNTS))


def _select(path: Path, *, skip: int) -> str:
    """Each column with its type; a row that is not certain ends the reading."""
    place = {name: f"c{n}" for n, name in enumerate(TRADE_COLUMNS)}
    word, at = place["交易状态"], place["交易时间"]
    columns = ", ".join(f"'c{n}': 'VARCHAR'" for n in range(len(TRADE_COLUMNS)))
    quoted = str(path).replace("'", "''")
    amounts = {name: f"({place[column]}::DECIMAL(18,5) * 100)::BIGINT AS {name}" for name, column in _AMOUNTS.items()}
    numbers = {name: f"nullif(nullif({place[column]}, ''), '0') AS {name}" for name, column in _NUMBERS.items()}
    texts = f"concat_ws('|', {at}, {', '.join(place[column] for column in _AMOUNTS.values())})"
    form = "[|]".join(
        [_TIME, *(_AMOUNT for _ in _AMOUNTS)]
    )  # one look at all of them is several times as fast as seven
    certain = " AND ".join([
        f"regexp_full_match({texts}, '{form}')",
        f"{place['商户号']} = $mchid",
        f"{place['货币种类']} = '{_CNY}'",
        *(f"coalesce(length({place[column]}), 0) <= {MAX_NUMBER_CHARS}" for column in _NUMBERS.values()),
    ])  # fmt: skip
    return f"""SELECT CASE WHEN NOT coalesce({certain}, false) THEN error('unusual')
      WHEN {word} = 'SUCCESS' THEN 'payment' WHEN {word} IN ('REFUND', 'REVOKED') THEN 'refund'
      ELSE 'unknown' END AS kind,
    {word} AS word, (epoch(substr({at}, 2)::TIMESTAMP) - 28800)::BIGINT AS "at", {", ".join(amounts.values())},
    {", ".join(numbers.values())}
    FROM read_csv('{quoted}', columns = {{{columns}}}, delim = ',`', quote = '', escape = '', header = false,
      skip = {skip}, auto_detect = false, null_padding = false, max_line_size = {MAX_ROW_CHARS * 4}, nullstr = '')"""


def _must_add_up(counted: Sequence[int], stated: Mapping[str, str]) -> None:
    """The rows against the totals that the file states, and against the day. Raises _Unusual and ValueError."""
    lines, of_day, *sums = counted
    stated_lines, *totals = stated.values()
    if not (stated_lines.isascii() and stated_lines.isdigit() and int(stated_lines) == lines) or (lines and not of_day):
        raise _Unusual
    if sums != [minor(text, _CNY) for text in totals]:
        raise _Unusual
