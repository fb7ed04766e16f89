"""A day's bookings as Alipay prints them, byte for byte: a zip file with GBK names, and CSV in GB18030 in it."""

import io
import zipfile
from collections.abc import Sequence
from datetime import date, timedelta

from paidup.sandbox.bill_cells import OPENING_MINOR, beijing, one_line, yuan
from paidup.sandbox.bills import BilledDay
from paidup.sandbox.bookings import Entry, EntryKind

_TRADES = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,"
    "订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,"
    "券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)  # fmt: skip
_FUNDS = (
    "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,账户余额（元）,"
    "交易渠道,业务类型,备注"
)  # fmt: skip
_ZIPPED_AT = (2026, 1, 1, 0, 0, 0)  # the same bill is the same file


def alipay_trades(day: BilledDay, seller_id: str, of: date) -> bytes:
    """The zip file of 业务明细."""
    paid = [entry.amount_minor for entry in day.entries if entry.kind is EntryKind.PAYMENT]
    back = [entry.amount_minor for entry in day.entries if entry.is_refund]
    totals = (
        f"#交易合计：{len(paid)}笔，商家实收共{yuan(sum(paid) + day.wrong_total)}元，商家优惠共0.00元",
        f"#退款合计：{len(back)}笔，商家实收退款共{yuan(sum(back))}元，商家优惠退款共0.00元",
    )
    rows = [_trade(entry) for entry in day.entries]
    return _bill("业务", seller_id, of, _TRADES, rows, totals, crc_is_wrong=day.wrong_hash)


def alipay_funds(day: BilledDay, seller_id: str, of: date) -> bytes:
    """The zip file of 账务明细: every booking and its fee are two movements."""
    words = {EntryKind.PAYMENT: ("在线支付", "收费"), EntryKind.OTHER: ("其它", "收费")}
    moves: list[tuple[Entry, str, int]] = []
    for entry in day.entries:
        word, fee_word = words.get(entry.kind, ("交易退款", "退费"))
        moves += [(entry, word, entry.amount_minor)]
        moves += [(entry, fee_word, -entry.fee_minor)] if entry.fee_minor else []
    balance, rows = OPENING_MINOR + day.before_minor.get("CNY", 0), []
    for n, (entry, word, moved) in enumerate(moves):
        balance += moved
        rows.append((
            f"{of:%Y%m%d}{n:012}\t", f"{entry.number}\t", f"{entry.merchant_ref}\t", one_line(entry.title),
            beijing(entry.at), "*箱(san***@sandbox.example)\t", yuan(moved) if moved > 0 else "",
            yuan(moved) if moved <= 0 else "", yuan(balance), "支付宝\t", f"{word}\t", "",
        ))  # fmt: skip
    came, went = ([moved for *_, moved in moves if (moved > 0) is sign] for sign in (True, False))
    totals = (
        f"#支出合计：{len(went)}笔，共{yuan(sum(went))}元",
        f"#收入合计：{len(came)}笔，共{yuan(sum(came) + day.wrong_total)}元",
    )
    return _bill("账务", seller_id, of, _FUNDS, rows, totals, crc_is_wrong=day.wrong_hash)


def _trade(entry: Entry) -> Sequence[str]:
    paid, amount = not entry.is_refund, yuan(entry.amount_minor)
    word = {EntryKind.PAYMENT: "交易", EntryKind.OTHER: "其它"}.get(entry.kind, "退款")
    return (
        f"{entry.number}\t", f"{entry.merchant_ref}\t", f"{word}\t", one_line(entry.title),
        beijing(entry.at), beijing(entry.at), "\t", "\t", "\t", "\t", "*箱(san***@sandbox.example)\t", amount, amount,
        "0.00", "0.00", "0.00", "0.00", "0.00", "", "0.00\t", "0.00", "\t" if paid else f"{entry.refund_ref}\t",
        yuan(-entry.fee_minor), "0.00", "",
    )  # fmt: skip


def _bill(
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
