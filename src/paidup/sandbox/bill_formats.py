"""A day's bookings as each channel prints them, byte for byte: gzip, zip with GBK names, GB18030, CSV."""

import csv
import gzip
import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import msgspec

from paidup.money import decimals
from paidup.sandbox.bills import PAID_OUT_AFTER, BilledDay, Entry, EntryKind, Payout

BEIJING = timezone(timedelta(hours=8))

_WECHAT_TRADES = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,"
    "手续费,费率,订单金额,申请退款金额,费率备注"
)  # fmt: skip
_WECHAT_TRADE_TOTALS = (
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
)  # fmt: skip
_WECHAT_FUNDS = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),"
    "资金变更提交申请人,备注,业务凭证号"
)  # fmt: skip
_WECHAT_FUND_TOTALS = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"
_ALIPAY_TRADES = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,"
    "订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,"
    "券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)  # fmt: skip
_ALIPAY_FUNDS = (
    "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,账户余额（元）,"
    "交易渠道,业务类型,备注"
)  # fmt: skip
_ZIPPED_AT = (2026, 1, 1, 0, 0, 0)  # the same bill is the same file
_OPENING_MINOR = 1_000_000_00  # the balance before the day's first booking


# WeChat Pay ----------------------------------------------------------------------------------------------------------


def wechat_trades(day: BilledDay, mchid: str, appid: str) -> bytes:
    """The trade bill's text; newest first, as it mostly comes."""
    rows = [_wechat_trade(entry, mchid, appid) for entry in reversed(day.entries)]
    paid = sum(entry.amount_minor for entry in day.entries if not entry.is_refund)
    back = -sum(entry.amount_minor for entry in day.entries if entry.is_refund)
    fees, wrong = sum(entry.fee_minor for entry in day.entries), int(day.wrong_total)
    totals = (str(len(rows)), _yuan(paid + wrong), _yuan(back), "0.00", _fee(fees), _yuan(paid + wrong), _yuan(back))
    return _wechat(_WECHAT_TRADES, rows, _WECHAT_TRADE_TOTALS, totals)


def wechat_funds(day: BilledDay, mchid: str) -> bytes:
    """The fund flow bill's text: a payment and its fee are two movements; a refund is one, less the fee returned."""
    moves: list[tuple[Entry, str, int]] = []
    for entry in day.entries:
        if not entry.is_refund:
            moves.append((entry, "其他" if entry.kind is EntryKind.OTHER else "交易", entry.amount_minor))
            moves += [(entry, "扣除交易手续费", -entry.fee_minor)] if entry.fee_minor else []
        else:
            moves.append((entry, "退款", entry.amount_minor - entry.fee_minor))
    balance, rows = _OPENING_MINOR + day.before_minor.get("CNY", 0), []
    for n, (entry, word, moved) in enumerate(moves):
        balance += moved
        refund = word == "退款"
        rows.append((
            _beijing(entry.at), entry.refund_number if refund else entry.number, f"1{entry.number[1:]}{n:06}", word,
            word, "收入" if moved > 0 else "支出", _yuan(abs(moved)), _yuan(balance), f"{mchid}API", "",
            entry.refund_ref if refund else entry.merchant_ref,
        ))  # fmt: skip
    came, went = ([abs(moved) for *_, moved in moves if (moved > 0) is sign] for sign in (True, False))
    totals = (str(len(rows)), str(len(came)), _yuan(sum(came) + day.wrong_total), str(len(went)), _yuan(sum(went)))
    return _wechat(_WECHAT_FUNDS, rows, _WECHAT_FUND_TOTALS, totals)


def gzipped(text: bytes) -> bytes:
    """As tar_type=GZIP sends it."""
    return gzip.compress(text, mtime=0)


def _wechat_trade(entry: Entry, mchid: str, appid: str) -> Sequence[str]:
    paid, amount = not entry.is_refund, _yuan(abs(entry.amount_minor))
    word = {EntryKind.PAYMENT: "SUCCESS", EntryKind.OTHER: "ADJUST"}.get(entry.kind, "REFUND")
    status = "CHANGE" if entry.kind is EntryKind.REFUND_UNDONE else "SUCCESS"
    kind = {"h5": "MWEB"}.get(entry.method, entry.method.upper())
    return (
        _beijing(entry.at), appid, mchid, "0", "", entry.number, entry.merchant_ref, "oSandboxBuyer0000000000000", kind,
        word, "OTHERS", "CNY", amount if paid else "0.00", "0.00",
        "0" if paid else entry.refund_number, "0" if paid else entry.refund_ref, "0.00" if paid else amount, "0.00",
        "" if paid else "ORIGINAL", "" if paid else status, entry.title, entry.attach,
        _fee(entry.fee_minor), "0.60%",
        amount if paid else "0.00", "0.00" if paid else amount, "",
    )  # fmt: skip


def _wechat(header: str, rows: Sequence[Sequence[str]], totals_header: str, totals: Sequence[str]) -> bytes:
    lines = [header, *(_ticked(row) for row in rows), totals_header, _ticked(totals)]
    return "".join(f"{line}\r\n" for line in lines).encode()


def _ticked(cells: Sequence[str]) -> str:
    return "`" + ",`".join(_one_line(cell) for cell in cells)


# Alipay --------------------------------------------------------------------------------------------------------------


def alipay_trades(day: BilledDay, seller_id: str, of: date) -> bytes:
    """The zip file of 业务明细."""
    paid = [entry.amount_minor for entry in day.entries if entry.kind is EntryKind.PAYMENT]
    back = [entry.amount_minor for entry in day.entries if entry.is_refund]
    totals = (
        f"#交易合计：{len(paid)}笔，商家实收共{_yuan(sum(paid) + day.wrong_total)}元，商家优惠共0.00元",
        f"#退款合计：{len(back)}笔，商家实收退款共{_yuan(sum(back))}元，商家优惠退款共0.00元",
    )
    rows = [_alipay_trade(entry) for entry in day.entries]
    return _alipay("业务", seller_id, of, _ALIPAY_TRADES, rows, totals, crc_is_wrong=day.wrong_hash)


def alipay_funds(day: BilledDay, seller_id: str, of: date) -> bytes:
    """The zip file of 账务明细: every booking and its fee are two movements."""
    words = {EntryKind.PAYMENT: ("在线支付", "收费"), EntryKind.OTHER: ("其它", "收费")}
    moves: list[tuple[Entry, str, int]] = []
    for entry in day.entries:
        word, fee_word = words.get(entry.kind, ("交易退款", "退费"))
        moves += [(entry, word, entry.amount_minor)]
        moves += [(entry, fee_word, -entry.fee_minor)] if entry.fee_minor else []
    balance, rows = _OPENING_MINOR + day.before_minor.get("CNY", 0), []
    for n, (entry, word, moved) in enumerate(moves):
        balance += moved
        rows.append((
            f"{of:%Y%m%d}{n:012}\t", f"{entry.number}\t", f"{entry.merchant_ref}\t", _one_line(entry.title),
            _beijing(entry.at), "*箱(san***@sandbox.example)\t", _yuan(moved) if moved > 0 else "",
            _yuan(moved) if moved <= 0 else "", _yuan(balance), "支付宝\t", f"{word}\t", "",
        ))  # fmt: skip
    came, went = ([moved for *_, moved in moves if (moved > 0) is sign] for sign in (True, False))
    totals = (
        f"#支出合计：{len(went)}笔，共{_yuan(sum(went))}元",
        f"#收入合计：{len(came)}笔，共{_yuan(sum(came) + day.wrong_total)}元",
    )
    return _alipay("账务", seller_id, of, _ALIPAY_FUNDS, rows, totals, crc_is_wrong=day.wrong_hash)


def _alipay_trade(entry: Entry) -> Sequence[str]:
    paid, amount = not entry.is_refund, _yuan(entry.amount_minor)
    word = {EntryKind.PAYMENT: "交易", EntryKind.OTHER: "其它"}.get(entry.kind, "退款")
    return (
        f"{entry.number}\t", f"{entry.merchant_ref}\t", f"{word}\t", _one_line(entry.title),
        _beijing(entry.at), _beijing(entry.at), "\t", "\t", "\t", "\t", "*箱(san***@sandbox.example)\t", amount, amount,
        "0.00", "0.00", "0.00", "0.00", "0.00", "", "0.00\t", "0.00", "\t" if paid else f"{entry.refund_ref}\t",
        _yuan(-entry.fee_minor), "0.00", "",
    )  # fmt: skip


def _alipay(
    what: str,
    seller_id: str,
    of: date,
    header: str,
    rows: Sequence[Sequence[str]],
    totals: Sequence[str],
    *,
    crc_is_wrong: bool,
) -> bytes:
    after, rule = of + timedelta(days=1), "-" * 40
    lines = [
        f"#支付宝{what}明细查询",
        f"#账号：[{seller_id}0156]",
        f"#起始日期：[{of:%Y年%m月%d日} 00:00:00]   终止日期：[{after:%Y年%m月%d日} 00:00:00]",
        f"#{rule}{what}明细列表{rule}",
        header,
        *(",".join(row) for row in rows),
        f"#{rule}{what}明细列表结束{rule}",
        *totals,
        f"#导出时间：[{after:%Y年%m月%d日} 05:46:49]",
    ]
    text = "".join(f"{line}\r\n" for line in lines).encode("gb18030")
    summary = f"#支付宝{what}汇总查询\r\n#账号：[{seller_id}0156]\r\n".encode("gb18030")
    name = f"{seller_id}0156_{of:%Y%m%d}_{what}明细"
    return _zipped(((f"{name}.csv", text), (f"{name}(汇总).csv", summary)), crc_is_wrong=crc_is_wrong)


def _zipped(members: Sequence[tuple[str, bytes]], *, crc_is_wrong: bool) -> bytes:
    """Member names are GBK without the flag that says so, as Alipay writes them."""
    file = io.BytesIO()
    # The standard library would write such names as UTF-8, so they are put in place of others of the same length.
    raw_names = [name.encode("gbk") for name, _ in members]
    stand_ins = [chr(0x10 + n) * len(raw) for n, raw in enumerate(raw_names)]
    with zipfile.ZipFile(file, "w") as archive:
        for stand_in, (_, content) in zip(stand_ins, members, strict=True):
            archive.writestr(zipfile.ZipInfo(stand_in, _ZIPPED_AT), content, zipfile.ZIP_DEFLATED)
    data = file.getvalue()
    for stand_in, raw in zip(stand_ins, raw_names, strict=True):
        data = data.replace(stand_in.encode(), raw, 2)
    if crc_is_wrong:
        place = data.index(b"PK\x01\x02") + 16
        data = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
    return data


# Stripe --------------------------------------------------------------------------------------------------------------


def stripe_report(day: BilledDay, columns: Sequence[str]) -> bytes:
    """The CSV of what changed the balance, with the columns that were asked for. Raises KeyError for one that there is
    not."""
    rows = [_stripe_cells(entry, wrong_minor=int(day.wrong_total and n == 0)) for n, entry in enumerate(day.entries)]
    return _csv(columns, rows)


def stripe_payouts(day: BilledDay, columns: Sequence[str]) -> bytes:
    """The CSV of the day's payouts: each line that they took, with the payout that did."""
    rows: list[Mapping[str, str]] = []
    for payout in day.payouts:
        too_much = [stranger_in(payout)] if payout.takes_too_much else []
        for entry in (*payout.entries, *too_much):
            cells = _stripe_cells(entry, wrong_minor=int(day.wrong_total and not rows))
            leaves = f"{payout.day} 00:00:00"
            rows.append(cells | {"automatic_payout_id": payout.number, "automatic_payout_effective_at_utc": leaves})
    return _csv(columns, rows)


def stripe_balance(day: BilledDay, columns: Sequence[str], of: date) -> bytes:
    """The CSV of the balance summary: with what each currency began and ended, and what moved it."""
    rows: list[Mapping[str, str]] = []
    wrong = int(day.wrong_total)
    for currency in sorted({*day.before_minor, *(entry.currency for entry in day.entries)}):
        begins = STRIPE_OPENING_MINOR + day.before_minor.get(currency, 0) - day.paid_before_minor.get(currency, 0)
        mine = [entry for entry in day.entries if entry.currency == currency]
        gross, fees = sum(entry.amount_minor for entry in mine), -sum(entry.fee_minor for entry in mine)
        paid = -sum(payout.net_minor for payout in day.payouts if payout.currency == currency)
        said = (
            ("starting_balance", f"Starting balance ({of})", begins),
            ("activity_gross", "Account activity before fees", gross),
            ("activity_fee", "Less fees", fees),
            ("activity", "Activity", gross + fees),
            ("payouts_gross", "Payouts to bank", paid),
            ("payouts_fee", "Payout fees", 0),
            ("payouts", "Total payouts", paid),
            ("ending_balance", f"Ending balance ({of})", begins + gross + fees + paid + wrong),
        )
        places = decimals(currency)
        rows += [
            dict(zip(STRIPE_BALANCE_COLUMNS, (category, text, _major(minor, places), currency.lower()), strict=True))
            for category, text, minor in said
        ]
    return _csv(columns, rows)


def stranger_in(payout: Payout) -> Entry:
    """A line that a wrong payout takes, and that no bill has: over one minor unit, which the payout itself lacks."""
    first = payout.entries[0]
    return msgspec.structs.replace(
        first, kind=EntryKind.PAYMENT, amount_minor=1, fee_minor=0, number=f"{first.number[:-1]}z",
        refund_number="", refund_ref="",
    )  # fmt: skip


def _csv(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([cells[column] for column in columns] for cells in rows)
    return file.getvalue().encode()


STRIPE_BALANCE_COLUMNS = ("category", "description", "net_amount", "currency")
STRIPE_COLUMNS = (
    "balance_transaction_id", "created_utc", "available_on_utc", "currency", "gross", "fee", "net",
    "reporting_category", "source_id", "description", "charge_id", "payment_intent_id", "automatic_payout_id",
    "automatic_payout_effective_at_utc", "payment_metadata[paidup_payment]", "refund_metadata[paidup_refund]",
)  # fmt: skip
STRIPE_OPENING_MINOR = 1_000_00
"""What lay there before the first booking, in each currency that is ever used: the minimum that payouts leave."""


def _stripe_cells(entry: Entry, wrong_minor: int) -> dict[str, str]:
    charge, places = entry.number.replace("pi_", "ch_"), decimals(entry.currency)
    is_other = entry.kind is EntryKind.OTHER
    category = {EntryKind.PAYMENT: "charge"}.get(entry.kind, str(entry.kind))
    amounts = (_major(it, places) for it in (entry.amount_minor, entry.fee_minor, entry.net_minor + wrong_minor))
    ours = "" if entry.merchant_ref == entry.number else entry.merchant_ref
    refund_ours = "" if entry.refund_ref == entry.refund_number else entry.refund_ref
    cells = (
        f"txn_{(entry.refund_number or entry.number)[3:]}{'f' * (entry.kind is EntryKind.REFUND_FAILURE)}",
        _utc(entry.at), _utc(entry.at + PAID_OUT_AFTER), entry.currency.lower(), *amounts, category,
        entry.refund_number or charge, entry.title, *(("", "") if is_other else (charge, entry.number)), "", "", ours,
        refund_ours,
    )  # fmt: skip
    return dict(zip(STRIPE_COLUMNS, cells, strict=True))


def _major(minor: int, places: int) -> str:
    return f"{Decimal(minor).scaleb(-places):.{places}f}"


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _beijing(moment: datetime) -> str:
    return f"{moment.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"


def _yuan(amount_minor: int) -> str:
    return f"{Decimal(amount_minor).scaleb(-2):.2f}"


def _fee(amount_minor: int) -> str:
    return f"{Decimal(amount_minor).scaleb(-2):.5f}"


def _one_line(text: str) -> str:
    """A cell: neither format can hold a line feed, and Alipay's ends at a TAB."""
    return text.translate({9: " ", 10: " ", 13: " "})
