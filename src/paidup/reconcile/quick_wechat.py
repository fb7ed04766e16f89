"""WeChat Pay's trade bill for the quick reader."""

from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from paidup.channels.bill import ON_ITS_WAY
from paidup.channels.bill_file import Plain, gunzipped
from paidup.channels.wechat.bill import PROCESSING, TRADE_COLUMNS, TRADE_TOTALS, UNDONE, stated_of_trades
from paidup.channels.wechat.bill_table import BillTable
from paidup.evidence import MAX_NUMBER_CHARS
from paidup.reconcile.quick import AT, Unusual

_AMOUNTS = {
    "settled": "应结订单金额", "given_back": "退款金额", "voucher": "充值券退款金额", "fee": "手续费",
    "ordered": "订单金额", "asked_back": "申请退款金额",
}  # fmt: skip
"""In the order of the totals."""
_NUMBERS = {"txn": "微信订单号", "ref": "商户订单号", "rid": "微信退款单号", "rref": "商户退款单号"}
_AMOUNT = "-?[0-9]{1,13}([.][0-9]{1,2}0{0,3})?"


class WechatTrades:
    """The trade bill of the merchant with this number."""

    encoding, tail, delimiter, quote = "utf-8", ",".join(TRADE_TOTALS), ",`", ""
    sums: Sequence[str] = ("count(*)", *(f"sum({name})" for name in _AMOUNTS))
    line = """kind, word, 'CNY' AS currency, ordered - asked_back AS amount, fee, settled - given_back - fee AS net,
      "at", txn, ref, rid, rref"""

    def __init__(self, mchid: str) -> None:
        self._mchid = mchid

    def plain(self, file: BinaryIO) -> Plain:
        """Unzipped."""
        return gunzipped(file)

    def names(self, line: str) -> Sequence[str]:
        """Of the first line. Raises Unusual for other columns."""
        if line.split(",") != list(TRADE_COLUMNS):
            raise Unusual
        return list(TRADE_COLUMNS)

    def parameters(self) -> Mapping[str, str]:
        """Whose bill it must be."""
        return {"mchid": self._mchid}

    def rows(self, place: Mapping[str, str]) -> str:
        """Each column with its type."""
        word, at = place["交易状态"], place["交易时间"]
        cells = {name: place[column] for name, column in _AMOUNTS.items()}
        numbers = {name: place[column] for name, column in _NUMBERS.items()}
        undone = ", ".join(f"'{status}'" for status in UNDONE)
        # One look at all of them is several times as fast as seven.
        form = "[|]".join([f"`{AT}", *(_AMOUNT for _ in cells)])
        certain = " AND ".join([
            f"regexp_full_match(concat_ws('|', {at}, {', '.join(cells.values())}), '{form}')",
            f"{place['商户号']} = $mchid",
            f"{place['货币种类']} = 'CNY'",
            *(
                f"length({cell}) <= {MAX_NUMBER_CHARS}"
                for cell in (*numbers.values(), place["特约商户号"])
            ),
        ])  # fmt: skip
        return f"""{certain} AS is_certain,
        CASE WHEN {word} = 'SUCCESS' THEN 'payment'
          WHEN {word} = 'REFUND' AND {place["退款状态"]} IN ({undone}) THEN 'refund_undone'
          WHEN {word} IN ('REFUND', 'REVOKED') THEN 'refund'
          ELSE 'unknown' END AS kind,
        CASE WHEN {word} = 'REFUND' AND {place["退款状态"]} = '{PROCESSING}' THEN {word} || '{ON_ITS_WAY}'
          ELSE nullif({word}, '') END AS word, (epoch(substr({at}, 2)::TIMESTAMP) - 28800)::BIGINT AS "at",
        {", ".join(f"({cell}::DECIMAL(18,5) * 100)::BIGINT AS {name}" for name, cell in cells.items())},
        {", ".join(f"nullif(nullif({cell}, ''), '0') AS {name}" for name, cell in numbers.items())}"""

    def stated(self, frame: Iterator[tuple[int, str]], sums: Sequence[int]) -> Mapping[str, str]:
        """Against the two lines of totals."""
        table = BillTable(frame, TRADE_COLUMNS)
        if any(table.rows()):
            raise Unusual
        lines, *totals = sums
        return stated_of_trades(table, lines, totals)
