"""WeChat Pay's trade bill, read by DuckDB: some ten times as fast as line by line, and only where there is no doubt.

Whatever is not exactly as most bills are (a text with a line feed or with ``,` `` in it, another column, a sum that
does not fit) makes this give up and say nothing: the careful reader (channels/wechat/bill.py) then reads the bill, and
it alone refuses one. So a bill that is taken here is one which that reader takes, with the same lines; tests hold
the two to each other.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from hmac import compare_digest
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from paidup.channels.bill import BillProof, BillRefused, minor
from paidup.channels.bill_file import LIMITS, gunzipped, must_be_the_file, read_from
from paidup.channels.wechat.bill import MAX_ROW_CHARS, TRADE_COLUMNS, TRADE_TOTALS
from paidup.evidence import MAX_NUMBER_CHARS

if TYPE_CHECKING:
    from paidup.reconcile.table import Table

_CHUNK_BYTES = 1 << 20
_TAIL_BYTES = 64 << 10
_CNY = "CNY"
_AMOUNTS = {
    "settled": "应结订单金额", "given_back": "退款金额", "voucher": "充值券退款金额", "fee": "手续费",
    "ordered": "订单金额", "asked_back": "申请退款金额",
}  # fmt: skip
"""In the order of the totals."""
_NUMBERS = {"txn": "微信订单号", "ref": "商户订单号", "rid": "微信退款单号", "rref": "商户退款单号"}
_AMOUNT = "-?[0-9]{1,13}([.][0-9]{1,2}0{0,3})?"
_TIME = r"`(19[7-9][0-9]|2[0-9]{3})-[0-1][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9]"


class Quick(msgspec.Struct, frozen=True):
    """A bill that was laid down whole."""

    lines: int
    stated: Mapping[str, str]


def lay_wechat_trades(
    table: "Table", file: BinaryIO, mchid: str, day: tuple[datetime, datetime], proof: BillProof
) -> Quick | None:
    """Lay a bill's lines down; None, with nothing laid down, when the careful reader must look at it."""
    path = table.folder / "bill.csv"
    try:
        must_be_the_file(file, proof)
        if not _unpacked(file, path, proof):
            return None
        stated = _without_totals(path)
        return None if stated is None else _lay(table, path, mchid, day, stated)
    except (BillRefused, ValueError):
        return None  # the careful reader says why
    finally:
        path.unlink(missing_ok=True)


def _unpacked(file: BinaryIO, path: Path, proof: BillProof) -> bool:
    """Write the plain text; whether it is the one that the channel announced. Raises BillRefused for a broken file."""
    digest, size_bytes, plain = hashlib.sha1(usedforsecurity=False), 0, gunzipped(file)
    with path.open("wb") as into:
        while chunk := read_from(lambda: plain.read(_CHUNK_BYTES)):
            digest.update(chunk)
            into.write(chunk)
            size_bytes += len(chunk)
            if size_bytes > LIMITS.plain_bytes or b"\x00" in chunk:
                return False
    return proof.sha1_hex is None or compare_digest(digest.hexdigest(), proof.sha1_hex.lower())


def _without_totals(path: Path) -> dict[str, str] | None:
    """Cut the two lines of totals off the file, and give what they state; None when they or the header are unusual."""
    with path.open("r+b") as file:
        header = file.readline(_TAIL_BYTES).decode().removeprefix("\ufeff").rstrip("\r\n")
        if header.split(",") != list(TRADE_COLUMNS):
            return None
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
        names = ",".join(TRADE_TOTALS).encode()
        at = tail.rfind(b"\n" + names)
        if at < 0:
            return None
        last = tail[at + 1 :].decode().split("\n")
        cells = last[1].rstrip("\r").removeprefix("`").split(",`") if len(last) in (2, 3) else []
        if len(cells) != len(TRADE_TOTALS) or any(last[2:]) or last[0].rstrip("\r") != names.decode():
            return None
        file.truncate(size - len(tail) + at + 1)
    return dict(zip(TRADE_TOTALS, cells, strict=True))


def _lay(
    table: "Table", path: Path, mchid: str, day: tuple[datetime, datetime], stated: dict[str, str]
) -> Quick | None:
    import duckdb  # noqa: PLC0415 - see table.opened

    try:
        table.sql.execute(f"CREATE OR REPLACE TABLE quick AS {_select(path)}", {"mchid": mchid})
    except duckdb.Error:  # a row that is not as the others
        return None
    if not _adds_up(table, day, stated):
        table.sql.execute("DROP TABLE quick")
        return None
    table.see_lines(_LINES)
    return Quick(int(stated[TRADE_TOTALS[0]]), stated)


# Rows stand in the file's order, the header on its first line.
_LINES = """SELECT rowid + 2 AS n, kind, word, 'CNY' AS currency, ordered - asked_back AS amount, fee,
  settled - given_back - fee AS net, "at", txn, ref, rid, rref FROM quick"""

_SUMS = """SELECT count(*), count(*) FILTER ("at" >= $begins AND "at" < $ends), sum(settled), sum(given_back),
  sum(voucher), sum(fee), sum(ordered), sum(asked_back) FROM quick"""


def _select(path: Path) -> str:
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
    FROM read_csv('{quoted}', columns = {{{columns}}}, delim = ',`', quote = '', escape = '', header = false, skip = 1,
      auto_detect = false, null_padding = false, max_line_size = {MAX_ROW_CHARS * 4}, nullstr = '')"""


def _adds_up(table: "Table", day: tuple[datetime, datetime], stated: dict[str, str]) -> bool:
    """The rows against the totals that the file states, and against the day. Raises ValueError."""
    bounds = {"begins": int(day[0].timestamp()), "ends": int(day[1].timestamp())}
    row = table.sql.execute(_SUMS, bounds).fetchone()
    if row is None:
        return False
    count, of_day, *sums = row
    counted, *totals = stated.values()
    if not (counted.isascii() and counted.isdigit() and int(counted) == count) or (count and not of_day):
        return False
    return [int(one or 0) for one in sums] == [minor(text, _CNY) for text in totals]
