"""One example of every body about reconciliation; see examples.py."""

from datetime import UTC, date, datetime, timedelta

import msgspec

from paidup.channels.bill import BillKind
from paidup.finance.day import Tally
from paidup.finance.entries import Closing, Entry, Journal, Posting
from paidup.reconcile import break_steps, runs
from paidup.reconcile.breaks import NEXT_STEP, BillSide, Break, Kind, OurSide
from paidup.reconcile.states import State
from paidup.web.bills import BillOut, Bills
from paidup.web.reconcile import ApproveBreak, Balances, BreakLife, Breaks, Reconciliations, ResolveBreak
from paidup.web.reports import MissingDays, ReportOfDay, ReportOfMonth

_DAY, _AT = date(2026, 11, 22), datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
_RUN_ID, _BILL_ID, _BREAK_ID = (f"{kind}001yjdq3m00x7c1k5w8a2z6g4r0pk" for kind in ("rec", "bil", "brk"))
_PAYMENT_ID, _ORDER_ID = "pay001yjdp9xw05t2h8e4q6b1m9s3f", "ord001yjdp9w00n3v8k2m3q9x7c0d1"
_TXN = "4200002511222026112216000001"

_LINE = BillSide(
    bill_id=_BILL_ID, line=17, kind="payment", word="SUCCESS", currency="CNY", amount_minor=1250, fee_minor=8,
    at=_AT - timedelta(hours=15), channel_txn_id=_TXN, merchant_ref=_PAYMENT_ID,
)  # fmt: skip
_OURS = OurSide(
    payment_id=_PAYMENT_ID, order_id=_ORDER_ID, shop="teahouse", state="open", currency="CNY", amount_minor=1250,
    merchant_ref=_PAYMENT_ID, shop_order_no="A-20261122-0007",
)  # fmt: skip
_BREAK = Break(
    id=_BREAK_ID, shop="teahouse", channel="wechat", account="main", day=_DAY, key=f"payment:{_PAYMENT_ID}",
    kind=Kind.LONG, what="payment", state=State.WAITING, version=1, currency="CNY", bill_minor=1250, ours_minor=0,
    differs_minor=1250, line=_LINE, ours=_OURS, suggestion=None, payment_id=_PAYMENT_ID, refund_id=None,
    order_id=_ORDER_ID, channel_txn_id=_TXN, number=_PAYMENT_ID, why="paid in the bill, and open here",
    next_step=NEXT_STEP[Kind.LONG], run_id=_RUN_ID, first_seen_at=_AT, changed_at=_AT,
    wait_until=_AT + timedelta(days=2), tries=0, cleared_by=None,
)  # fmt: skip
_SUM = runs.Sum(
    what="payment", currency="CNY", bill_lines=1200, bill_minor=1_500_000, bill_fee_minor=9000,
    bill_net_minor=1_491_000, ours=1199, ours_minor=1_498_750, matched=1199, matched_minor=1_498_750,
    broken=1, broken_minor=1250,
)  # fmt: skip
_RUN = runs.Run(
    id=_RUN_ID, shop="teahouse", channel="wechat", account="main", day=_DAY, begins_at=_AT - timedelta(hours=35),
    ends_at=_AT - timedelta(hours=11), bill_id=_BILL_ID, bill_version=1, began_at=_AT, ended_at=_AT, lines=1200,
    matched=1199, grouped=0, opened=1, reopened=0, cleared=0, took_ms={"read": 120}, sums=[_SUM],
)  # fmt: skip
_BALANCE = runs.Balance(
    channel="wechat", account="main", shop="teahouse", day=_DAY, currency="CNY", opening_minor=250_000,
    in_minor=1_500_000, out_minor=0, fees_minor=9000, payouts_minor=1_000_000, closing_minor=741_000,
    trades_minor=1_491_000, funds_minor=1_491_000, run_id=_RUN_ID,
)  # fmt: skip
_BILL = BillOut(
    id=_BILL_ID, channel="wechat", account="main", kind=BillKind.TRADES, day=_DAY, version=1, state="sound", fault="",
    why="", source="uploaded", brought_by="key:key001yjdp8r04m7q2s9c6h1f8w3k5", file_name="All2026-11-22.csv.gz",
    sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", size_bytes=48_213, lines=1200,
    stated={"总交易单数": "1200"}, kept_at=_AT, read_at=_AT,
)  # fmt: skip
_TALLY = Tally(
    day=_DAY, channel="wechat", account="main", kind="long", state="waiting", currency="CNY", breaks=1,
    differs_minor=1250,
)  # fmt: skip
_STEP = break_steps.Step(
    id="stp001yjdq3m00x7c1k5w8a2z6g4r0p", break_id=_BREAK_ID, at=_AT, step="found", who="reconcile",
    why="paid in the bill, and open here", before="", after="waiting", order_id=_ORDER_ID,
)  # fmt: skip

_WECHAT = "Assets:Channels:Wechat:Main"
_JOURNAL = Journal(
    entries=[
        Entry(
            day=_DAY, currency="CNY", what="wechat/main: payments",
            postings=[
                Posting(_WECHAT, 1_491_000), Posting("Expenses:Channel-Fees", 9000),
                Posting("Income:Sales", -1_498_750), Posting("Liabilities:Suspense", -1250),
            ],
        ),
    ],
    closings=[Closing(day=_DAY, account=_WECHAT, currency="CNY", amount_minor=1_491_000)],
    opened=[],
)  # fmt: skip

ALL: tuple[msgspec.Struct, ...] = (
    ApproveBreak(reason="seen as paid in the merchant console"),
    ResolveBreak(reason="the customer got the difference back in cash"),
    Reconciliations(items=[_RUN]),
    Balances(items=[_BALANCE]),
    _JOURNAL,
    _BILL,
    Bills(items=[_BILL]),
    ReportOfDay(
        channel="wechat",
        account="main",
        day=_DAY,
        agrees=False,
        unsettled=1,
        oldest_open_at=_AT,
        run=_RUN,
        bill=_BILL,
        balances=[_BALANCE],
        tallies=[_TALLY],
        breaks=[_BREAK],
    ),
    ReportOfMonth(
        since=date(2026, 11, 1),
        until=_DAY,
        days=[_RUN],
        balances=[_BALANCE],
        tallies=[_TALLY],
        missing=[MissingDays(channel="wechat", account="main", days=[date(2026, 11, 21)])],
    ),
    Breaks(items=[_BREAK], next=f"{_DAY}_{_BREAK_ID}"),
    BreakLife(broken=_BREAK, steps=[_STEP], approved_by=["key:key001yjdq3m00x7c1k5w8a2z6g4r0p"]),
)
