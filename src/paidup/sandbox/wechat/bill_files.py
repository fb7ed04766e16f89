"""A day's bookings as WeChat Pay prints them, byte for byte: CSV with ticks, perhaps gzipped."""

import gzip
from collections.abc import Sequence
from decimal import Decimal

from paidup.sandbox.bill_cells import OPENING_MINOR, beijing, one_line, yuan
from paidup.sandbox.bills import BilledDay
from paidup.sandbox.bookings import Entry, EntryKind

_TRADES = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,"
    "手续费,费率,订单金额,申请退款金额,费率备注"
)  # fmt: skip
_TRADE_TOTALS = (
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
)  # fmt: skip
_FUNDS = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),"
    "资金变更提交申请人,备注,业务凭证号"
)  # fmt: skip
_FUND_TOTALS = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"


def wechat_trades(day: BilledDay, mchid: str, appid: str) -> bytes:
    """The trade bill's text; newest first, as it mostly comes."""
    rows = [_trade(entry, mchid, appid) for entry in reversed(day.entries)]
    paid = sum(entry.amount_minor for entry in day.entries if not entry.is_refund)
    back = -sum(entry.amount_minor for entry in day.entries if entry.is_refund)
    fees, wrong = sum(entry.fee_minor for entry in day.entries), int(day.wrong_total)
    totals = (str(len(rows)), yuan(paid + wrong), yuan(back), "0.00", _fee(fees), yuan(paid + wrong), yuan(back))
    return _bill(_TRADES, rows, _TRADE_TOTALS, totals)


def wechat_funds(day: BilledDay, mchid: str) -> bytes:
    """The fund flow bill's text: a payment and its fee are two movements; a refund is one, less the fee returned."""
    moves: list[tuple[Entry, str, int]] = []
    for entry in day.entries:
        if not entry.is_refund:
            moves.append((entry, "其他" if entry.kind is EntryKind.OTHER else "交易", entry.amount_minor))
            moves += [(entry, "扣除交易手续费", -entry.fee_minor)] if entry.fee_minor else []
        else:
            moves.append((entry, "退款", entry.amount_minor - entry.fee_minor))
    balance, rows = OPENING_MINOR + day.before_minor.get("CNY", 0), []
    for n, (entry, word, moved) in enumerate(moves):
        balance += moved
        refund = word == "退款"
        rows.append((
            beijing(entry.at), entry.refund_number if refund else entry.number, f"1{entry.number[1:]}{n:06}", word,
            word, "收入" if moved > 0 else "支出", yuan(abs(moved)), yuan(balance), f"{mchid}API", "",
            entry.refund_ref if refund else entry.merchant_ref,
        ))  # fmt: skip
    came, went = ([abs(moved) for *_, moved in moves if (moved > 0) is sign] for sign in (True, False))
    totals = (str(len(rows)), str(len(came)), yuan(sum(came) + day.wrong_total), str(len(went)), yuan(sum(went)))
    return _bill(_FUNDS, rows, _FUND_TOTALS, totals)


def gzipped(text: bytes) -> bytes:
    """As tar_type=GZIP sends it."""
    return gzip.compress(text, mtime=0)


def _trade(entry: Entry, mchid: str, appid: str) -> Sequence[str]:
    paid, amount = not entry.is_refund, yuan(abs(entry.amount_minor))
    word = {EntryKind.PAYMENT: "SUCCESS", EntryKind.OTHER: "ADJUST"}.get(entry.kind, "REFUND")
    status = "CHANGE" if entry.kind is EntryKind.REFUND_UNDONE else "SUCCESS"
    kind = {"h5": "MWEB"}.get(entry.method, entry.method.upper())
    return (
        beijing(entry.at), appid, mchid, "0", "", entry.number, entry.merchant_ref, "oSandboxBuyer0000000000000", kind,
        word, "OTHERS", "CNY", amount if paid else "0.00", "0.00",
        "0" if paid else entry.refund_number, "0" if paid else entry.refund_ref, "0.00" if paid else amount, "0.00",
        "" if paid else "ORIGINAL", "" if paid else status, entry.title, entry.attach,
        _fee(entry.fee_minor), "0.60%",
        amount if paid else "0.00", "0.00" if paid else amount, "",
    )  # fmt: skip


def _bill(header: str, rows: Sequence[Sequence[str]], totals_header: str, totals: Sequence[str]) -> bytes:
    lines = [header, *(_ticked(row) for row in rows), totals_header, _ticked(totals)]
    return "".join(f"{line}\r\n" for line in lines).encode()


def _ticked(cells: Sequence[str]) -> str:
    return "`" + ",`".join(one_line(cell) for cell in cells)


def _fee(amount_minor: int) -> str:
    return f"{Decimal(amount_minor).scaleb(-2):.5f}"
