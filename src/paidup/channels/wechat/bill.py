"""WeChat Pay's bills: the trade bill (交易账单) and the fund flow bill (资金账单).

Source: WeChat Pay's documents 申请交易账单, 申请资金账单 and 下载账单, and the official Java SDK, which makes the SHA-1
over the unzipped bytes. Both are UTF-8; each cell is led by a backtick, nothing is quoted, and texts may hold commas.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta, timezone
from typing import BinaryIO

from paidup.channels.bill import (
    ON_ITS_WAY,
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
    gunzipped,
    lines_of,
    must_add_up,
    must_be_the_file,
    must_have_hash,
    unreadable,
)
from paidup.channels.wechat.bill_table import (
    AMOUNT,
    CNY,
    NO_NUMBER,
    NUMBER,
    TEXT,
    TIME,
    BillTable,
    Form,
    count_of,
    moment,
    yuan,
)
from paidup.channels.wechat.keys import WechatAccount

BEIJING = timezone(timedelta(hours=8))
"""A bill's day, and the times in it, are Beijing time."""

TRADE_COLUMNS: dict[str, Form] = {
    "交易时间": TIME, "公众账号ID": NUMBER, "商户号": NUMBER, "特约商户号": NUMBER, "设备号": TEXT,
    "微信订单号": NUMBER, "商户订单号": NUMBER, "用户标识": NUMBER, "交易类型": NUMBER, "交易状态": NUMBER,
    "付款银行": NUMBER, "货币种类": NUMBER, "应结订单金额": AMOUNT, "代金券金额": AMOUNT,
    "微信退款单号": NUMBER, "商户退款单号": NUMBER, "退款金额": AMOUNT, "充值券退款金额": AMOUNT,
    "退款类型": NUMBER, "退款状态": NUMBER, "商品名称": TEXT, "商户数据包": TEXT, "手续费": AMOUNT,
    "费率": NUMBER, "订单金额": AMOUNT, "申请退款金额": AMOUNT, "费率备注": TEXT,
}  # fmt: skip
TRADE_TOTALS = (
    "总交易单数", "应结订单总金额", "退款总金额", "充值券退款总金额", "手续费总金额", "订单总金额", "申请退款总金额",
)  # fmt: skip
_SUMMED = ("应结订单金额", "退款金额", "充值券退款金额", "手续费", "订单金额", "申请退款金额")
"""The columns that the trade bill's totals are of, in the order of the totals."""

_FUND_COLUMNS: dict[str, Form] = {
    "记账时间": TIME, "微信支付业务单号": NUMBER, "资金流水单号": NUMBER, "业务名称": TEXT, "业务类型": TEXT,
    "收支类型": re.compile("收入|支出"), "收支金额(元)": AMOUNT, "账户结余(元)": AMOUNT,
    "资金变更提交申请人": TEXT, "备注": TEXT, "业务凭证号": NUMBER,
}  # fmt: skip
_FUND_TOTALS = ("资金流水总笔数", "收入笔数", "收入金额", "支出笔数", "支出金额")

# A micropay that was taken back (REVOKED) has the numbers and amounts of a refund.
_TRADE_KINDS = {"SUCCESS": LineKind.PAYMENT, "REFUND": LineKind.REFUND, "REVOKED": LineKind.REFUND}
UNDONE = ("CHANGE", "FAIL")
"""退款状态 of a refund that did not reach the customer; PROCESSING is on its way, and others are taken for done."""
PROCESSING = ON_ITS_WAY.strip()
_FUND_KINDS = {
    "交易": LineKind.PAYMENT,
    "退款": LineKind.REFUND,
    "扣除交易手续费": LineKind.FEE,
    "提现": LineKind.PAYOUT,
}


def read_bill(
    file: BinaryIO, name: BillName, account: WechatAccount, proof: BillProof, limits: Limits = LIMITS
) -> Bill:
    """Read a bill as it was downloaded, gzipped or plain. Raises BillRefused.

    The fund flow bill does not say whose it is; that it is ours rests on the request, and on its SHA-1.
    """
    must_be_the_file(file, proof, limits)
    must_have_hash(gunzipped(file), proof, limits)
    trades = name.kind is BillKind.TRADES

    def read() -> BillReading:
        table = BillTable(lines_of(gunzipped(file), "utf-8", limits), TRADE_COLUMNS if trades else _FUND_COLUMNS)
        return _trades(table, account) if trades else _funds(table)

    return sound(account.channel, account.name, name, day_in(BEIJING, name.day), read)


def _trades(table: BillTable, account: WechatAccount) -> BillReading:
    count, sums = 0, [0] * len(_SUMMED)
    summed = table.places(*_SUMMED)
    columns = table.places(
        "交易时间", "公众账号ID", "商户号", "特约商户号", "微信订单号", "商户订单号", "交易状态", "货币种类",
        "微信退款单号", "商户退款单号", "退款状态",
    )  # fmt: skip
    for number, raw, cells in table.rows():
        try:
            amounts = [minor(cells[n], CNY) for n in summed]
            line = _trade(number, raw, [cells[n] for n in columns], amounts, account)
        except ValueError as wrong:
            raise unreadable(number, wrong) from None
        count += 1
        sums = [total + amount for total, amount in zip(sums, amounts, strict=True)]
        yield line
    return stated_of_trades(table, count, sums)


def stated_of_trades(table: BillTable, lines: int, sums: Sequence[int]) -> Mapping[str, str]:
    """The totals that the file states, once all rows were read. Raises BillRefused when its lines make others."""
    stated = table.totals(TRADE_TOTALS)
    must_add_up(TRADE_TOTALS[0], count_of(stated[TRADE_TOTALS[0]]), lines)
    for name, total in zip(TRADE_TOTALS[1:], sums, strict=True):
        must_add_up(name, yuan(stated[name]), total)
    return stated


def _trade(number: int, raw: str, cells: list[str], amounts: list[int], account: WechatAccount) -> BillLine:
    """Raises ValueError, and BillRefused for a line of another merchant.

    A refund's line has the numbers of its payment, and its own time. 应结 and 退款 are what was settled: less than the
    order's 订单金额 and 申请退款金额 where the merchant gave a coupon.
    """
    at, appid, mchid, sub, txn, ref, word, currency, refund_id, refund_ref, status = cells
    if mchid != account.mchid:
        why = f"line {number} is of merchant {mchid[:40]}, and this account is {account.mchid}"
        raise BillRefused(BillFault.OTHER_MERCHANT, why)
    if currency != CNY:
        raise ValueError(f"currency {currency[:10]!r} in a bill that counts in yuan")
    settled, given_back, _, fee, ordered, asked_back = amounts
    return BillLine(
        number=number,
        raw=raw,
        kind=_trade_kind(word, status),
        word=f"{word}{ON_ITS_WAY}" if word == "REFUND" and status == PROCESSING else word,
        currency=CNY,
        amount_minor=ordered - asked_back,
        fee_minor=fee,
        net_minor=settled - given_back - fee,
        occurred_at=moment(at),
        channel_txn_id=number_of(txn, none=NO_NUMBER),
        merchant_ref=number_of(ref, none=NO_NUMBER),
        channel_refund_id=number_of(refund_id, none=NO_NUMBER),
        merchant_refund_ref=number_of(refund_ref, none=NO_NUMBER),
        payee=f"{mchid}/{appid}",
        sub_merchant=number_of(sub, none=NO_NUMBER),
        status=status,
    )


def _trade_kind(word: str, status: str) -> LineKind:
    if word == "REFUND" and status in UNDONE:
        return LineKind.REFUND_UNDONE
    return _TRADE_KINDS.get(word, LineKind.UNKNOWN)


def _funds(table: BillTable) -> BillReading:
    counts, sums = {"收入": 0, "支出": 0}, {"收入": 0, "支出": 0}
    columns = table.places(
        "记账时间",
        "微信支付业务单号",
        "资金流水单号",
        "业务类型",
        "收支类型",
        "收支金额(元)",
        "业务凭证号",
        "账户结余(元)",
    )
    for number, raw, cells in table.rows():
        try:
            at, business, entry, word, direction, amount, voucher, left = (cells[n] for n in columns)
            if direction not in counts:
                raise ValueError(f"{direction[:10]!r} is neither 收入 nor 支出")
            moved = minor(amount, CNY)
            signed, balance = moved if direction == "收入" else -moved, minor(left, CNY)
            line = _fund(number, raw, word, signed, balance, at, (business, entry, voucher))
        except ValueError as wrong:
            raise unreadable(number, wrong) from None
        counts[direction] += 1
        sums[direction] += moved
        yield line
    stated = table.totals(_FUND_TOTALS)
    all_lines, *directions = _FUND_TOTALS
    must_add_up(all_lines, count_of(stated[all_lines]), sum(counts.values()))
    for direction, how_many, how_much in zip(counts, directions[::2], directions[1::2], strict=True):
        must_add_up(how_many, count_of(stated[how_many]), counts[direction])
        must_add_up(how_much, yuan(stated[how_much]), sums[direction])
    return stated


def _fund(
    number: int, raw: str, word: str, moved: int, balance: int, at: str, numbers: tuple[str, str, str]
) -> BillLine:
    """In a refund's line 微信支付业务单号 and 业务凭证号 are the refund's, else the payment's. Raises ValueError."""
    business, entry, voucher = (number_of(it, none=NO_NUMBER) for it in numbers)
    kind = _FUND_KINDS.get(word, LineKind.UNKNOWN)
    refund = kind is LineKind.REFUND
    return BillLine(
        number=number,
        raw=raw,
        kind=kind,
        word=word,
        currency=CNY,
        amount_minor=0 if kind is LineKind.FEE else moved,
        fee_minor=-moved if kind is LineKind.FEE else 0,
        net_minor=moved,
        occurred_at=moment(at),
        channel_txn_id=None if refund else business,
        merchant_ref=None if refund else voucher,
        channel_refund_id=business if refund else None,
        merchant_refund_ref=voucher if refund else None,
        entry=entry,
        balance_minor=balance,
    )
