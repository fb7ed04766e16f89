"""Bills that people bring: the channel's own file of a day, and a bank's with its description."""

import gzip
import hashlib
from datetime import date

from paidup.channels.wechat.bill import TRADE_COLUMNS, TRADE_TOTALS

DAY = date(2026, 11, 22)

BANK = """
title = "a bank's list"
times = ["%Y-%m-%d %H:%M:%S"]
timezone = "Asia/Shanghai"
currency = "CNY"
[columns]
time = "time"
amount = "amount"
merchant_ref = "order"
[totals]
begins = "total"
count = 2
"""
BANK_CSV = "time,amount,order\n2026-11-22 12:00:00,12.50,A-1\n2026-11-22 12:30:00,-2.50,A-2\ntotal,2,\n"


def wechat_bill(mchid: str, *refs: str, day: date = DAY, stated: int | None = None) -> bytes:
    """A trade bill of 12.50 under each of these numbers, gzipped. stated: another number of lines than it has."""
    rows = [_row(mchid, n, ref, day) for n, ref in enumerate(refs)]
    paid, fees = f"{12.5 * len(refs):.2f}", f"{0.08 * len(refs):.2f}"
    totals = (str(len(refs) if stated is None else stated), paid, "0.00", "0.00", fees, paid, "0.00")
    text = "\r\n".join([",".join(TRADE_COLUMNS), *rows, ",".join(TRADE_TOTALS), "`" + ",`".join(totals), ""])
    return gzip.compress(text.encode(), mtime=0)


def sha1_of(bill: bytes) -> str:
    """As WeChat Pay tells it: over the plain text."""
    return hashlib.sha1(gzip.decompress(bill), usedforsecurity=False).hexdigest()


def _row(mchid: str, n: int, ref: str, day: date) -> str:
    cells = dict.fromkeys(TRADE_COLUMNS, "") | {
        "交易时间": f"{day} 12:{n // 60 % 60:02}:{n % 60:02}", "公众账号ID": "wx1", "商户号": mchid, "特约商户号": "0",
        "微信订单号": f"4200009{n:021}", "商户订单号": ref, "交易状态": "SUCCESS", "货币种类": "CNY",
        "应结订单金额": "12.50", "代金券金额": "0.00", "微信退款单号": "0", "商户退款单号": "0", "退款金额": "0.00",
        "充值券退款金额": "0.00", "手续费": "0.08000", "订单金额": "12.50", "申请退款金额": "0.00",
    }  # fmt: skip
    return ",".join(f"`{cell}" for cell in cells.values())
