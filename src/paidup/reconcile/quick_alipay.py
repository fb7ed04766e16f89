"""Alipay's trade bill for the quick reader."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import BinaryIO

from paidup.channels.alipay.bill import ENCODING, TRADE_COLUMNS, BillTable, plain_trades
from paidup.channels.alipay.keys import AlipayAccount
from paidup.channels.bill_file import Plain
from paidup.evidence import MAX_NUMBER_CHARS
from paidup.reconcile.quick import AT, Unusual

_AMOUNTS = {"ordered": "订单金额（元）", "received": "商家实收（元）", "charged": "服务费（元）"}
_NUMBERS = {"txn": "支付宝交易号", "ref": "商户订单号", "rref": "退款批次号/请求号"}
_AMOUNT = "[+-]?[0-9]{1,13}([.][0-9]{1,2}0{0,3})?\t?"
_NUMBER = r"[!-~]*\t?"
_FORM = "[|]".join(
    [f"{AT}\t?", _AMOUNT, _AMOUNT, f"({_AMOUNT}|\t?)", r"[\p{L}\p{N}]*\t?", *(_NUMBER for _ in _NUMBERS)]
)


class AlipayTrades:
    """业务明细 of an account's day."""

    encoding, tail, delimiter, quote = ENCODING, "#", ",", ""
    sums: Sequence[str] = (
        "count(*) FILTER (kind = 'payment')", "sum(net + fee) FILTER (kind = 'payment')",
        "count(*) FILTER (kind = 'refund')", "sum(net + fee) FILTER (kind = 'refund')",
    )  # fmt: skip
    line = """kind, word, 'CNY' AS currency, amount, fee, net, "at", txn, ref, NULL AS rid, rref"""

    def __init__(self, account: AlipayAccount, day: date) -> None:
        self._account, self._day = account, day

    def plain(self, file: BinaryIO) -> Plain:
        """The one of the zip file's members, or the file itself."""
        return plain_trades(file)

    def names(self, line: str) -> Sequence[str] | None:
        """Of the first line without #. Raises Unusual for other columns."""
        if line.startswith("#"):
            return None
        names = [name.strip() for name in line.split(",")]
        if sorted(names) != sorted(TRADE_COLUMNS):
            raise Unusual
        return names

    def parameters(self) -> Mapping[str, str]:
        """None: whose bill it is stands in the lines before the header."""
        return {}

    def rows(self, place: Mapping[str, str]) -> str:
        """Each column with its type. A sign comes from 业务类型, as in the careful reader."""
        word, at = _stripped(place["业务类型"]), place["完成时间"]
        cells = {name: place[column] for name, column in _AMOUNTS.items()}
        numbers = {name: place[column] for name, column in _NUMBERS.items()}
        texts = [at, *cells.values(), place["业务类型"], *numbers.values()]
        short = " AND ".join(f"length({cell}) <= {MAX_NUMBER_CHARS}" for cell in numbers.values())
        return f"""regexp_full_match(concat_ws('|', {", ".join(texts)}), '{_FORM}') AND {short} AS is_certain,
        CASE WHEN {word} = '交易' THEN 'payment' WHEN {word} = '退款' THEN 'refund' ELSE 'unknown' END AS kind,
        {word} AS word, (epoch({_stripped(at)}::TIMESTAMP) - 28800)::BIGINT AS "at",
        CASE kind WHEN 'refund' THEN -1 ELSE 1 END AS sign,
        {", ".join(f"{_minor(cell)} AS {name}" for name, cell in cells.items())},
        CASE kind WHEN 'unknown' THEN ordered ELSE sign * abs(ordered) END AS amount, sign * abs(charged) AS fee,
        CASE kind WHEN 'unknown' THEN received ELSE sign * abs(received) END - fee AS net,
        {", ".join(f"{_stripped(cell)} AS {name}" for name, cell in numbers.items())}"""

    def stated(self, frame: Iterator[tuple[int, str]], sums: Sequence[int]) -> Mapping[str, str]:
        """Against the lines with # around the rows."""
        table = BillTable(frame)
        table.must_be_of(self._account, self._day)
        if any(table.rows(TRADE_COLUMNS)):
            raise Unusual
        paid, paid_minor, back, back_minor = sums
        return table.must_state({"交易": (paid, paid_minor), "退款": (back, -back_minor)})


def _stripped(cell: str) -> str:
    """SQL: without the TAB at the end; NULL where nothing is left."""
    return f"nullif(rtrim({cell}, chr(9)), '')"


def _minor(cell: str) -> str:
    """SQL: an amount in yuan as fen."""
    return f"(coalesce({_stripped(cell)}, '0')::DECIMAL(18,5) * 100)::BIGINT"
