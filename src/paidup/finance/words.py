"""What is written in reports, in English and Chinese. Words of other parts (states, kinds) are looked up here, too."""

from collections.abc import Mapping
from enum import StrEnum

from paidup.reconcile.breaks import NEXT_STEP, Kind


class Language(StrEnum):
    """In which language a report is written."""

    EN = "en"
    ZH = "zh"


WORDS: Mapping[str, tuple[str, str]] = {
    "report of the day": ("Reconciliation of the day", "日对账报告"),
    "report of the month": ("Reconciliation of the month", "月度对账汇总"),
    "channel": ("Channel", "渠道"),
    "account": ("Account", "商户账户"),
    "day": ("Day", "账单日"),
    "month": ("Month", "月份"),
    "bill": ("Bill", "渠道账单"),
    "ours": ("Our books", "我方账务"),
    "what": ("What", "项目"),
    "currency": ("Currency", "币种"),
    "lines": ("Lines", "笔数"),
    "amount": ("Amount", "金额"),
    "fee": ("Fee", "手续费"),
    "net": ("Net", "净额"),
    "matched": ("Matched", "已匹配"),
    "matched lines": ("Matched lines", "已匹配笔数"),
    "differs": ("Difference", "差额"),
    "breaks": ("Breaks", "差异"),
    "break": ("Break", "差异编号"),
    "kind": ("Kind", "差异类型"),
    "state": ("State", "处理状态"),
    "count": ("Count", "条数"),
    "balance": ("Balance at the channel", "渠道账户余额"),
    "opening": ("Opening", "期初余额"),
    "in": ("In", "收入"),
    "out": ("Out", "支出"),
    "fees": ("Fees", "手续费"),
    "payouts": ("Payouts", "提现"),
    "closing": ("Closing", "期末余额"),
    "payout": ("Payout", "提现单号"),
    "paid out": ("Paid out", "提现金额"),
    "booked on": ("Booked on", "记账日"),
    "in no bill": ("In no bill", "账单中没有的笔数"),
    "in no bill over": ("In no bill, over", "账单中没有的金额"),
    "not read": ("no bill here", "当日无账单"),
    "fund flow": ("Fund flow bill", "资金账单发生额"),
    "stated opening": ("Opening as the channel says", "渠道期初余额"),
    "stated closing": ("Closing as the channel says", "渠道期末余额"),
    "oldest": ("Oldest open break", "最早未处理差异"),
    "repaired": ("Repaired", "已自动修复"),
    "settled": ("Settled by people", "已人工处理"),
    "waiting": ("Waiting or open", "待处理"),
    "verdict agrees": ("Everything agrees.", "账单与我方账务完全一致。"),
    "verdict differs": ("Breaks that are not settled: {count}.", "还有 {count} 条差异未处理。"),
    "verdict missing": ("This day was not reconciled: no sound bill is here.", "当日尚未对账：没有可用的渠道账单。"),
    "channel number": ("Channel's number", "渠道流水号"),
    "our number": ("Our number", "商户订单号"),
    "order": ("Order", "订单"),
    "payment": ("Payment", "支付单"),
    "refund": ("Refund", "退款单"),
    "first seen": ("First seen", "首次发现"),
    "why": ("Why", "原因"),
    "next step": ("What to do", "处理建议"),
    "bill amount": ("Bill's amount", "账单金额"),
    "our amount": ("Our amount", "我方金额"),
    "version": ("Version", "版本"),
    "made at": ("Made at", "生成时间"),
    "received": ("Received", "收款"),
    "given back": ("Given back", "退款"),
    "days missing": ("Days without a reconciliation", "未对账的日期"),
    "none": ("none", "无"),
    "shown": ("The {shown} of {all} that are not settled, oldest first", "未处理差异 {all} 条，以下列出 {shown} 条"),
    "date": ("Date", "日期"),
    "entry": ("Entry", "摘要"),
    "book account": ("Account", "会计科目"),
    "debit": ("Debit", "借方"),
    "credit": ("Credit", "贷方"),
    "sums": ("Both sides added up", "双方合计"),
    # LineKind's words, as they stand in reconciliation_sums
    "sum payment": ("payments", "支付"),
    "sum refund": ("refunds", "退款"),
    "sum refund_failed": ("failed refunds", "退款失败退回"),
    "sum refund_undone": ("refunds that did not arrive", "未到账退款"),
    "sum dispute": ("disputes", "争议扣款"),
    "sum dispute_won": ("disputes won", "争议退回"),
    "sum fee": ("fees", "费用"),
    "sum payout": ("payouts", "提现"),
    "sum unknown": ("unknown lines", "未知类型"),
    "sum balance": ("balance", "余额"),
    "sum opening": ("opening balance", "期初余额"),
    # State
    "state waiting": ("waiting", "等待中"),
    "state open": ("open", "待处理"),
    "state approved": ("approved", "已批准"),
    "state healed": ("healed", "已修复"),
    "state resolved": ("resolved", "已处理"),
    # Kind
    "kind long": ("channel only (long)", "长款"),
    "kind short": ("ours only (short)", "短款"),
    "kind amount": ("amount differs", "金额不符"),
    "kind currency": ("currency differs", "币种不符"),
    "kind status": ("status differs", "状态不符"),
    "kind fee": ("fee differs", "手续费不符"),
    "kind duplicate": ("billed twice", "重复入账"),
    "kind wrong_day": ("other day (cut-off)", "跨日差异"),
    "kind refund_unknown": ("unknown refund", "未知退款"),
    "kind refund_without_payment": ("refund without payment", "无对应支付的退款"),
    "kind unknown_line": ("unknown line", "未知账单行"),
    "kind balance": ("balance differs", "余额不符"),
    "kind payout": ("payout differs", "提现不符"),
}

NEXT_STEP_ZH: Mapping[Kind, str] = {
    Kind.LONG: "渠道已收款而我方未入账。能找到支付单的会自动查单补单；找不到的请参考“建议”找到订单，关联后入账，或原路退款。",
    Kind.SHORT: "我方已入账（收款或退款），渠道账单中没有。系统会查单并核对后续账单；若仍没有，请带上流水号联系渠道客服，期间不要继续发货。",
    Kind.AMOUNT: "金额不一致。请到渠道商户后台核对订单，退回或补收差额，并登记处理结果。",
    Kind.CURRENCY: "币种不一致。请到渠道商户后台核对订单，并登记处理结果。",
    Kind.STATUS: "双方状态不一致。系统会向渠道查单并以其结果入账；若仍不一致，请到渠道商户后台核对。",
    Kind.FEE: "手续费与约定不符。请先核对规则文件中的费率与合同，再向渠道追讨差额。",
    Kind.DUPLICATE: "账单中出现多次。若客户确实付了两次，请在渠道商户后台退回一笔；若是账单有误，请向渠道索取更正后的账单。",
    Kind.WRONG_DAY: "发生在零点前后，无需处理：次日账单会自动核销，否则转为短款。",
    Kind.REFUND_UNKNOWN: "渠道已退款而我方没有退款单。系统会查询并补记；请查明是谁在渠道商户后台发起的。",
    Kind.REFUND_WITHOUT_PAYMENT: "退款对应的支付在我方未入账。请先找到该笔支付：它是当日或更早的一笔长款。",
    Kind.UNKNOWN_LINE: "无法识别的账单行。请查看账单原文，并登记它是什么。",
    Kind.BALANCE: "资金账单与交易合计不一致。请先处理当日其他差异；余下的是没有对应交易的资金变动，请咨询渠道。",
    Kind.PAYOUT: "提现与账单对不上。请先与银行到账核对；若相关日期的账单已更正，请重新获取当日提现明细，否则请向渠道查询该笔提现包含哪些交易。",
}


def word(language: Language, name: str, **values: object) -> str:
    """A word or sentence of a report. Raises KeyError for a name that has no words."""
    return WORDS[name][language is Language.ZH].format(**values)


def next_step(language: Language, kind: Kind) -> str:
    """What a finance person does about a break of this kind."""
    return NEXT_STEP_ZH[kind] if language is Language.ZH else NEXT_STEP[kind]
