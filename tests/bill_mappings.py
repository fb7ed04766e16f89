"""Files that no channel made, with their descriptions: CSV, fixed width and Excel."""

from bill_side import GOLDEN

CSV = """
title = "a bank"
encoding = "gb18030"
header = 2
comment = "#"
timezone = "Asia/Shanghai"
times = ["%Y/%m/%d %H:%M:%S", "%Y-%m-%d %H:%M"]
currency = "CNY"
thousands = ","
sign = "kind"
fee = "kind"

[columns]
time = "时间"
kind = "类型"
amount = "金额"
fee = "手续费"
channel_txn_id = "流水号"
merchant_ref = "订单号"

[kinds]
"消费" = "payment"
"退货" = "refund"

[must_be]
"商户" = "M1"

[totals]
begins = "合计"
count = 2
amount = 3
fee = 4
"""
CSV_ROWS = (
    "某银行,对账单",
    "时间,流水号,订单号,类型,金额,手续费,商户",
    '2026/11/22 08:00:00,b1,pay1,消费,"1,234.50",7.42,M1',
    "# a remark",
    "2026-11-22 09:30,b2,pay1,退货,34.50,0.21,M1",
    "2026-11-22 09:31,b3,,冲正,1.00,,M1",
    "合计,3笔,1201.00元,7.21",
)

FIXED = """
title = "UnionPay, in small"
format = "fixed"
encoding = "gb18030"
widths = [3, 6, 10, 13, 6]
gap = 1
header = 0
timezone = "Asia/Shanghai"
times = ["%m%d%H%M%S"]
currency = "CNY"
unit = "minor"
sign = "kind"

[columns]
kind = "1"
merchant_ref = "2"
time = "3"
fee = "4"
amount = "5"

[kinds]
S22 = "payment"
S30 = "refund"

[letters]
C = "-"
D = "+"
"""
FIXED_ROWS = (
    "S22 订单一 1122080000 D000000000006 001000",
    "S30 pay1   1122090000 C000000000002 000400",
)  # 订单一 is six bytes

XLSX = """
title = "a bank's workbook"
format = "xlsx"
sheet = "明细"
header = 3
timezone = "Asia/Shanghai"
times = ["%Y-%m-%d %H:%M:%S"]
sign = "kind"
fee = "kind"

[columns]
time = "交易时间"
entry = "流水号"
merchant_ref = "商户订单号"
kind = "类型"
amount = "金额"
fee = "手续费"
currency = "币种"

[kinds]
"消费" = "payment"
"退货" = "refund"

[totals]
begins = "合计"
count = 3
amount = 5
fee = 6
"""
WORKBOOK = (GOLDEN / "bank.xlsx").read_bytes()

OTHERS = {
    "fixed": ("bank.txt", FIXED, "\n".join(FIXED_ROWS).encode("gb18030"), 2),
    "xlsx": ("bank.xlsx", XLSX, WORKBOOK, 3),
}
"""By format: what it is called, its description, the file, and how many lines it has."""
