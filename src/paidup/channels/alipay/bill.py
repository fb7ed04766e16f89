"""Alipay's bills: 业务明细 (trades) and 账务明细 (what moved on the balance).

A zip file whose member names are GBK; the CSV inside is GB18030, with lines that begin with # around the rows, and
cells that mostly end in a TAB. Source: Alipay's document 对账单下载 and a real file of 2019; see docs/how-to.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import BinaryIO

from paidup.channels.alipay.keys import AlipayAccount
from paidup.channels.alipay.trade import BEIJING
from paidup.channels.bill import (
    Bill,
    BillFault,
    BillKind,
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
    Plain,
    cut_off,
    fitted,
    lines_of,
    member,
    must_add_up,
    must_be_the_file,
    must_name_once,
    unreadable,
)

_CNY = "CNY"
ENCODING = "gb18030"
_ZIP = b"PK"
_TRADES = "业务明细"

_NUMBER = re.compile(r"[^,\t]*\t?")
_AMOUNT = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?\t?")
_ONE_OF_TWO = re.compile(r"([+-]?[0-9]+(\.[0-9]+)?)?\t?")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\t?")
_TEXT = None

TRADE_COLUMNS: dict[str, re.Pattern[str] | None] = {
    "支付宝交易号": _NUMBER, "商户订单号": _NUMBER, "业务类型": _NUMBER, "商品名称": _TEXT, "创建时间": _TIME,
    "完成时间": _TIME, "门店编号": _TEXT, "门店名称": _TEXT, "操作员": _TEXT, "终端号": _TEXT, "对方账户": _TEXT,
    "订单金额（元）": _AMOUNT, "商家实收（元）": _AMOUNT, "支付宝红包（元）": _AMOUNT, "集分宝（元）": _AMOUNT,
    "支付宝优惠（元）": _AMOUNT, "商家优惠（元）": _AMOUNT, "券核销金额（元）": _AMOUNT, "券名称": _TEXT,
    "商家红包消费金额（元）": _AMOUNT, "卡消费金额（元）": _AMOUNT, "退款批次号/请求号": _NUMBER,
    "服务费（元）": _AMOUNT, "分润（元）": _AMOUNT, "备注": _TEXT,
}  # fmt: skip
_FUND_COLUMNS: dict[str, re.Pattern[str] | None] = {
    "账务流水号": _NUMBER, "业务流水号": _NUMBER, "商户订单号": _NUMBER, "商品名称": _TEXT, "发生时间": _TIME,
    "对方账号": _TEXT, "收入金额（+元）": _ONE_OF_TWO, "支出金额（-元）": _ONE_OF_TWO, "账户余额（元）": _AMOUNT,
    "交易渠道": _TEXT, "业务类型": _TEXT, "备注": _TEXT,
}  # fmt: skip
_MORE_FUND_COLUMNS = dict.fromkeys(("业务描述", "业务账单来源", "业务基础订单号", "业务订单号"), _TEXT)
"""Newer files have these, too."""

_TRADE_KINDS = {"交易": LineKind.PAYMENT, "退款": LineKind.REFUND}
_FUND_KINDS = {
    "在线支付": LineKind.PAYMENT,
    "交易付款": LineKind.PAYMENT,
    "交易退款": LineKind.REFUND,
    "退款": LineKind.REFUND,
    "退款(交易退款)": LineKind.REFUND,
    "退款（交易退款）": LineKind.REFUND,
    "收费": LineKind.FEE,
    "服务费": LineKind.FEE,
    "退费": LineKind.FEE,
    "提现": LineKind.PAYOUT,
}

_ACCOUNT = re.compile(r"#账号：\[([0-9]{1,40})\]")
_DAYS = re.compile(r"#起始日期：\[([0-9]{4})年([0-9]{2})月([0-9]{2})日 00:00:00\]\s*终止日期：\[(.{1,40})\]")
_EXPORTED = re.compile(r"#导出时间：\[.{1,40}\]")
_TOTAL = re.compile(r"#(.{2})合计：([0-9]{1,12})笔，[^0-9-]{0,20}(-?[0-9]{1,15}(?:\.[0-9]{1,2})?)元.*")


def read_bill(
    file: BinaryIO, name: BillName, account: AlipayAccount, proof: BillProof, limits: Limits = LIMITS
) -> Bill:
    """Read a bill as it was downloaded, zipped, or its CSV alone. Raises BillRefused."""
    must_be_the_file(file, proof, limits)
    trades = name.kind is BillKind.TRADES
    title = _TRADES if trades else "账务明细"

    def read() -> BillReading:
        table = BillTable(lines_of(_plain(file, title, limits), ENCODING, limits))
        table.must_be_of(account, name.day)
        return _trades(table) if trades else _funds(table)

    return sound(account.channel, account.name, name, day_in(BEIJING, name.day), read)


def plain_trades(file: BinaryIO) -> Plain:
    """The text of 业务明细. Raises BillRefused."""
    return _plain(file, _TRADES, LIMITS)


def _plain(file: BinaryIO, title: str, limits: Limits) -> Plain:
    file.seek(0)
    is_zip = file.read(2) == _ZIP
    file.seek(0)
    return member(file, lambda name: name.endswith(f"{title}.csv"), f"{title}.csv", limits) if is_zip else file


class BillTable:
    """The rows, and the lines with # around them, as both bills have them."""

    def __init__(self, lines: Iterator[tuple[int, str]]) -> None:
        self._lines = lines
        self._head: list[str] = []
        self.names: list[str] = []
        for _, line in lines:
            if not line.startswith("#"):
                self.names = [name.strip() for name in line.split(",")]
                break
            self._head.append(line.strip())
        if not self.names:
            raise cut_off("a header") if self._head else BillRefused(BillFault.EMPTY, "the file has no content")

    def must_be_of(self, account: AlipayAccount, day: date) -> None:
        """Raises BillRefused when the first lines name another seller or day. The seller's number goes on with 0156."""
        seller = next((found[1] for line in self._head if (found := _ACCOUNT.match(line))), "")
        if not seller.startswith(account.seller_id):
            why = f"it is of account {seller or '(none stated)'}, and this one is {account.seller_id}"
            raise BillRefused(BillFault.OTHER_MERCHANT, why)
        days = next((found for line in self._head if (found := _DAYS.match(line))), None)
        if days is None:
            raise BillRefused(BillFault.UNKNOWN_FORMAT, "it does not say of which day it is (起始日期)")
        begins, ends = "-".join(days.groups()[:3]), f"{day + timedelta(days=1):%Y年%m月%d日} 00:00:00"
        if begins != day.isoformat() or days[4] != ends:
            why = f"it is from {begins} to {days[4]}, and the bill of {day} was wanted"
            raise BillRefused(BillFault.OTHER_DAY, why)

    def rows(self, columns: Mapping[str, re.Pattern[str] | None]) -> Iterator[tuple[int, str, list[str]]]:
        """Number, text and cells of each row, without the TABs."""
        forms = [columns[name] for name in self.names]
        for number, line in self._lines:
            if line.startswith("#"):
                return
            cells = fitted(line.split(","), forms)
            if cells is None:
                why = f"line {number} has {line.count(',') + 1} cells that do not fit the {len(forms)} columns"
                raise BillRefused(BillFault.UNKNOWN_FORMAT, why)
            yield number, line, [cell.strip() for cell in cells]
        raise cut_off("its totals")

    def must_state(self, counted: Mapping[str, tuple[int, int]]) -> Mapping[str, str]:
        """The totals that the file states. counted: lines and sum (without sign) by the word before 合计.

        Raises BillRefused when one is missing or other than what was counted.
        """
        stated: dict[str, str] = {}
        for _, line in self._lines:
            if found := _TOTAL.fullmatch(line.strip()):
                word, lines, amount = found.groups()
                stated |= {f"{word}合计 笔": lines, f"{word}合计 元": amount}
                if word in counted:
                    must_add_up(f"{word}合计", (int(lines), abs(minor(amount, _CNY))), counted[word])
            elif _EXPORTED.fullmatch(line.strip()):
                break
        else:
            raise cut_off("its 导出时间")
        if missing := [word for word in counted if f"{word}合计 笔" not in stated]:
            raise cut_off(f"{missing[0]}合计")
        if after := next(self._lines, None):
            raise BillRefused(BillFault.UNKNOWN_FORMAT, f"line {after[0]} stands after 导出时间")
        return stated

    def take(self, *names: str) -> Callable[[list[str]], list[str]]:
        """The cells of these columns out of a row."""
        places = [self.names.index(name) for name in names]
        return lambda cells: [cells[place] for place in places]


def _trades(table: BillTable) -> BillReading:
    must_name_once(table.names, TRADE_COLUMNS, TRADE_COLUMNS)
    take = table.take(
        "支付宝交易号", "商户订单号", "业务类型", "完成时间", "订单金额（元）", "商家实收（元）", "退款批次号/请求号",
        "服务费（元）",
    )  # fmt: skip
    count = {LineKind.PAYMENT: [0, 0], LineKind.REFUND: [0, 0], LineKind.UNKNOWN: [0, 0]}
    for number, raw, cells in table.rows(TRADE_COLUMNS):
        try:
            line = _trade(number, raw, take(cells))
        except ValueError as wrong:
            raise unreadable(number, wrong) from None
        count[line.kind][0] += 1
        count[line.kind][1] += line.net_minor + line.fee_minor
        yield line
    paid, back = count[LineKind.PAYMENT], count[LineKind.REFUND]
    return table.must_state({"交易": (paid[0], paid[1]), "退款": (back[0], -back[1])})


def _trade(number: int, raw: str, cells: list[str]) -> BillLine:
    """Raises ValueError.

    The sign comes from 业务类型: refunds are negative in files we have seen, and positive in others' tests. Whether
    服务费 is printed as a cost (negative) or as an amount differs, too; a refund gives back, all else costs.
    """
    txn, ref, word, at, ordered, received, refund_ref, fee = cells
    kind = _TRADE_KINDS.get(word, LineKind.UNKNOWN)
    amount, settled, charged = (minor(cell, _CNY) for cell in (ordered, received, fee or "0"))
    sign = -1 if kind is LineKind.REFUND else 1
    if kind is not LineKind.UNKNOWN:
        amount, settled = sign * abs(amount), sign * abs(settled)
    charged = sign * abs(charged)
    return BillLine(
        number=number,
        raw=raw,
        kind=kind,
        word=word,
        currency=_CNY,
        amount_minor=amount,
        fee_minor=charged,
        net_minor=settled - charged,
        occurred_at=_moment(at),
        channel_txn_id=number_of(txn),
        merchant_ref=number_of(ref),
        merchant_refund_ref=number_of(refund_ref),
    )


def _funds(table: BillTable) -> BillReading:
    known = _FUND_COLUMNS | _MORE_FUND_COLUMNS
    must_name_once(table.names, _FUND_COLUMNS, known)
    take = table.take(
        "账务流水号", "业务流水号", "商户订单号", "发生时间", "收入金额（+元）", "支出金额（-元）", "业务类型",
        "账户余额（元）",
    )  # fmt: skip
    count = {True: [0, 0], False: [0, 0]}
    for number, raw, cells in table.rows(known):
        try:
            line = _fund(number, raw, take(cells))
        except ValueError as wrong:
            raise unreadable(number, wrong) from None
        count[line.net_minor >= 0][0] += 1
        count[line.net_minor >= 0][1] += abs(line.net_minor)
        yield line
    came, went = count[True], count[False]
    return table.must_state({"收入": (came[0], came[1]), "支出": (went[0], went[1])})


def _fund(number: int, raw: str, cells: list[str]) -> BillLine:
    """One of 收入 and 支出 is empty or zero. Raises ValueError."""
    entry, txn, ref, at, came, went, word, left = cells
    income, expense = minor(came or "0", _CNY), abs(minor(went or "0", _CNY))
    if income < 0 or (income and expense):
        raise ValueError(f"money both came ({came[:20]}) and went ({went[:20]})")
    moved, kind = income - expense, _FUND_KINDS.get(word, LineKind.UNKNOWN)
    is_fee = kind is LineKind.FEE
    return BillLine(
        number=number,
        raw=raw,
        kind=kind,
        word=word,
        currency=_CNY,
        amount_minor=0 if is_fee else moved,
        fee_minor=-moved if is_fee else 0,
        net_minor=moved,
        occurred_at=_moment(at),
        channel_txn_id=number_of(txn),
        merchant_ref=number_of(ref),
        entry=number_of(entry),
        balance_minor=minor(left, _CNY),
    )


def _moment(text: str) -> datetime:
    """Raises ValueError."""
    if not _TIME.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no time such as 2026-11-23 08:00:00")
    return datetime.fromisoformat(f"{text}+08:00")
