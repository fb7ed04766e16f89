"""Bills that people bring: the channel's own file of a day, and a bank's with its description."""

import gzip
import hashlib
import io
from datetime import UTC, date, datetime

import msgspec

from paidup.channels.registry import CHANNELS
from paidup.channels.wechat.bill import TRADE_COLUMNS, TRADE_TOTALS
from paidup.channels.wechat.keys import WechatAccount
from paidup.db.transaction import Database
from paidup.people.audit import Actor
from paidup.reconcile import bills, upload
from paidup.reconcile.party import Party
from paidup.reconcile.rules import Rules
from paidup.reconcile.run import reconcile
from paidup.reconcile.run_record import Outcome
from paidup.reconcile.table import Limits
from paidup.sandbox.bookings import Entry, EntryKind
from reconcile_side import book

DAY = date(2026, 11, 22)
MCHID = "1900000001"
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
LIMITS = Limits(memory_mb=64)

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


def a_party(shop: str, rules: Rules | None = None) -> Party:
    """An account that signs nothing: its bills are brought."""
    known = {"channel": "wechat", "name": "main", "shop": shop, "mchid": MCHID, "appid": "wx1", "payee": f"{MCHID}/wx1"}
    fields = {field.name: known.get(field.name) for field in msgspec.structs.fields(WechatAccount)}
    return Party(CHANNELS["wechat"], WechatAccount(**fields), rules or Rules())


async def booked(db: Database, party: Party, *refs: str) -> None:
    """What the bill of these has, as paid in our books."""
    noon = datetime(2026, 11, 22, 4, tzinfo=UTC)
    entries = [
        Entry(
            kind=EntryKind.PAYMENT, at=noon, amount_minor=1250, fee_minor=8, currency="CNY", number=f"4200009{n:021}",
            merchant_ref=ref,
        )
        for n, ref in enumerate(refs)
    ]  # fmt: skip
    await book(db, entries, party.account)


async def brought(db: Database, party: Party, content: bytes, now: datetime = NOW, **claims: str) -> bills.Kept:
    """A file of DAY, as anna brings it."""
    said = upload.Claims(account=party.name, day=str(DAY), **claims)
    its = upload.brought_by(party, said, "anna")
    return await upload.upload(
        db, party, its, io.BytesIO(content), actor=Actor("anna", "cli"), limits=LIMITS, spill=None, now=now
    )


async def laid(db: Database, party: Party, now: datetime = NOW) -> Outcome:
    """DAY's latest bill beside our books."""
    return await reconcile(db, party, DAY, now=now, spill=None, limits=LIMITS, who="test")


def _row(mchid: str, n: int, ref: str, day: date) -> str:
    cells = dict.fromkeys(TRADE_COLUMNS, "") | {
        "交易时间": f"{day} 12:{n // 60 % 60:02}:{n % 60:02}", "公众账号ID": "wx1", "商户号": mchid, "特约商户号": "0",
        "微信订单号": f"4200009{n:021}", "商户订单号": ref, "交易状态": "SUCCESS", "货币种类": "CNY",
        "应结订单金额": "12.50", "代金券金额": "0.00", "微信退款单号": "0", "商户退款单号": "0", "退款金额": "0.00",
        "充值券退款金额": "0.00", "手续费": "0.08000", "订单金额": "12.50", "申请退款金额": "0.00",
    }  # fmt: skip
    return ",".join(f"`{cell}" for cell in cells.values())
