"""A refund that has left, and not arrived, is not taken for given back: WeChat Pay's bill says so of it (PROCESSING);
of those in Stripe's bill only Stripe itself does."""

import gzip
import io
from datetime import date, datetime, time, timedelta

import pytest
from test_reconcile_mends import breaks, day_of, given_back, made, next_morning, no_bills, party, shop, tools

from merchant import Merchant
from paidup.apply import apply
from paidup.channels.bill import ON_ITS_WAY, BillKind
from paidup.channels.wechat.bill import BEIJING, TRADE_COLUMNS, TRADE_TOTALS
from paidup.orders import store as orders
from paidup.payments import store as payments
from paidup.reconcile import bills
from paidup.reconcile.breaks import Break, Kind
from paidup.reconcile.states import State as Is
from paidup.reconcile.worker import work_day
from paidup.refunds.refund import Refund
from paidup.sandbox.faults import Faults
from paidup.sandbox.ledger import Refund as Theirs
from paidup.sandbox.ledger import RefundState
from upload_side import wechat_bill

__all__ = ["no_bills", "shop"]


def bill_of(mchid: str, day: date, txn: str, ref: str, rid: str, rref: str) -> bytes:
    """A payment of 12.50, and 5.00 of it that are on their way back."""
    both = dict.fromkeys(TRADE_COLUMNS, "") | {
        "公众账号ID": "wx1", "商户号": mchid, "特约商户号": "0", "微信订单号": txn, "商户订单号": ref,
        "货币种类": "CNY", "代金券金额": "0.00", "充值券退款金额": "0.00",
    }  # fmt: skip
    paid = both | {
        "交易时间": f"{day} 12:00:00", "交易状态": "SUCCESS", "应结订单金额": "12.50", "微信退款单号": "0",
        "商户退款单号": "0", "退款金额": "0.00", "手续费": "0.08000", "订单金额": "12.50", "申请退款金额": "0.00",
    }  # fmt: skip
    back = both | {
        "交易时间": f"{day} 12:05:00", "交易状态": "REFUND", "应结订单金额": "0.00", "微信退款单号": rid,
        "商户退款单号": rref, "退款金额": "5.00", "退款类型": "ORIGINAL", "退款状态": "PROCESSING",
        "手续费": "-0.03000", "订单金额": "0.00", "申请退款金额": "5.00",
    }  # fmt: skip
    rows = [",".join(f"`{cell}" for cell in its.values()) for its in (paid, back)]
    totals = ("2", "12.50", "5.00", "0.00", "0.05", "12.50", "5.00")
    text = "\r\n".join([",".join(TRADE_COLUMNS), *rows, ",".join(TRADE_TOTALS), "`" + ",`".join(totals), ""])
    return gzip.compress(text.encode(), mtime=0)


async def kept(shop: Merchant, day: date, content: bytes, channel: str = "wechat") -> None:
    one = bills.Brought(
        shop=party(shop).account.shop, channel=channel, account="main", kind=BillKind.TRADES, day=day, source="fetched"
    )
    async with shop.db.transaction() as tx:
        await bills.keep(tx, one, io.BytesIO(content), shop.clock.now())


async def on_its_way(shop: Merchant, day: date) -> tuple[Refund, Theirs]:
    """A refund that WeChat Pay has accepted, and whose bank takes days: pending there, here, and in the bill."""
    payment = await made(shop, "wechat")
    refund = await shop.refund(payment, 500)
    while await shop.repair():
        pass
    (there,) = shop.trade(payment).refunds
    pending(there)
    async with shop.db.transaction() as tx:  # nobody asks about it meanwhile
        await tx.execute("DELETE FROM due")
    assert "pending" == (await shop.refund_now(refund)).state
    await kept(
        shop, day,
        bill_of(party(shop).account.mchid, day, shop.trade(payment).number, payment.merchant_ref, there.number,
                refund.merchant_ref),
    )  # fmt: skip
    await next_morning(shop, "wechat", day)
    pending(there)
    return refund, there


def pending(there: Theirs) -> None:
    there.state, there.settled_at = RefundState.PENDING, None


async def about(shop: Merchant, refund_id: str) -> list[Break]:
    return [one for one in await breaks(shop) if one.refund_id == refund_id]


async def test_a_refund_on_its_way_is_no_contradiction(shop: Merchant, no_bills: None) -> None:
    """The bill, our books and the channel, asked, say that it is on its way: nobody is called, also after the days that
    another bill may be waited for; when it stays so for more than a week, somebody is."""
    day = day_of(shop, "wechat")
    refund, _ = await on_its_way(shop, day)
    for days in (0, 5, 5):
        await shop.clock.advance(days * 86400)
        await work_day(shop.db, party(shop), day, tools=tools(shop), who="test")
        (one,) = await about(shop, refund.id)
        assert one.line is not None
        assert ("pending", Kind.STATUS, f"REFUND{ON_ITS_WAY}") == (
            (await shop.refund_now(refund)).state, one.kind, one.line.word,
        )  # fmt: skip
        is_late = shop.clock.now() > datetime.combine(day, time.max, BEIJING) + timedelta(days=9)
        assert (Is.OPEN if is_late else Is.WAITING) == one.state
        assert is_late is ("reconcile_status" in await shop.cases())


async def hear_of(shop: Merchant, refund: Refund) -> None:
    """The channel is asked, and what it says is weighed: as the schedule does it."""
    async with shop.db.session() as tx:
        order, payment = await orders.get(tx, refund.order_id), await payments.get(tx, refund.payment_id)
    assert order is not None
    assert payment is not None
    now = shop.clock.now()
    answer = await shop.asker.about_refund(await shop.refund_now(refund), payment, order, 1, now)
    async with shop.db.transaction() as tx:
        await apply(tx, answer.items, now, shop.handlers)


async def test_on_its_way_is_no_proof_that_money_arrived(shop: Merchant, no_bills: None) -> None:
    """The channel is silent, and the bill that we fetched from it says that the refund is on its way: so do we."""
    day = day_of(shop, "wechat")
    refund, _ = await on_its_way(shop, day)
    shop.sandbox.faults = Faults(fail=1.0)
    await work_day(shop.db, party(shop), day, tools=tools(shop), who="test")
    assert ("pending", [Is.WAITING]) == (
        (await shop.refund_now(refund)).state, [one.state for one in await about(shop, refund.id)],
    )  # fmt: skip


async def test_it_arrives_days_later_and_both_days_agree(shop: Merchant, no_bills: None) -> None:
    """Its line stands in the bill of the day on which it left, and in no other. We hear that it has arrived when the
    channel is asked, days later, and the bill of that day, which lacks it, clears the difference."""
    day = day_of(shop, "wechat")
    refund, there = await on_its_way(shop, day)
    await work_day(shop.db, party(shop), day, tools=tools(shop), who="test")
    await shop.clock.advance(2 * 86400)
    arrived = day_of(shop, "wechat")
    shop.sandbox.world.ledger.settle(there, RefundState.SUCCEEDED, shop.clock.now())
    await hear_of(shop, refund)
    assert "succeeded" == (await shop.refund_now(refund)).state
    await next_morning(shop, "wechat", arrived)
    await kept(shop, arrived, wechat_bill(party(shop).account.mchid, day=arrived))
    for its_day in (arrived, day, arrived):
        await work_day(shop.db, party(shop), its_day, tools=tools(shop), who="test")
        assert [(day, Is.HEALED, arrived.isoformat())] == [
            (one.day, one.state, one.cleared_by) for one in await about(shop, refund.id)
        ]
    assert [] == [one for one in await shop.cases() if one.startswith("reconcile")]


@pytest.mark.parametrize("fails", [0.0, 1.0], ids=["the channel says so, too", "the channel is silent"])
async def test_one_of_the_channels_console_is_booked_as_on_its_way(
    shop: Merchant, no_bills: None, fails: float
) -> None:
    """Nobody asked for it here. It is followed from now on as any other."""
    payment, day = await made(shop, "wechat"), day_of(shop, "wechat")
    given_back(shop, payment, 500)
    trade = shop.trade(payment)
    (there,) = trade.refunds
    pending(there)
    content = bill_of(
        party(shop).account.mchid, day, trade.number, payment.merchant_ref, there.number, there.merchant_ref
    )
    await kept(shop, day, content)
    await next_morning(shop, "wechat", day)
    pending(there)
    shop.sandbox.faults = Faults(fail=fails)
    await work_day(shop.db, party(shop), day, tools=tools(shop), who="test")
    assert [("pending", "at_channel")] == [tuple(row) for row in await shop.rows("SELECT state, cause FROM refunds")]
    assert {(Kind.REFUND_UNKNOWN, Is.HEALED), (Kind.STATUS, Is.WAITING)} == {
        (one.kind, one.state) for one in await breaks(shop)
    }


def stripe_bill(day: date, intent: str, refund_id: str) -> bytes:
    """The same of Stripe, whose lines do not say how far a refund is."""
    names = (
        "balance_transaction_id,created_utc,currency,gross,fee,net,reporting_category,source_id,charge_id,"
        "payment_intent_id"
    )
    paid = f"txn_1,{day} 00:10:00,usd,12.50,0.66,11.84,charge,ch_1,ch_1,{intent}"
    back = f"txn_2,{day} 00:20:00,usd,-5.00,0.00,-5.00,refund,{refund_id},ch_1,{intent}"
    return "\n".join([names, paid, back, ""]).encode()


@pytest.mark.parametrize("is_known", [True, False], ids=["asked for here", "of the channel's console"])
async def test_a_refund_that_stripe_says_is_pending_is_no_contradiction(
    shop: Merchant, no_bills: None, is_known: bool
) -> None:
    """Stripe's bill has it from the day on which it left the balance, and Stripe, asked, says that it is pending:
    nobody is called, and it is booked as that."""
    payment, day = await made(shop, "stripe"), day_of(shop, "stripe")
    if is_known:
        await shop.refund(payment, 500)
        while await shop.repair():
            pass
    else:
        given_back(shop, payment, 500)
    trade = shop.trade(payment)
    (there,) = trade.refunds
    pending(there)
    async with shop.db.transaction() as tx:  # as if Stripe had answered so; and nobody asks about it meanwhile
        await tx.execute("UPDATE refunds SET state = 'pending', settled_at = NULL")
        await tx.execute("UPDATE payments SET refunded_minor = 0")
        await tx.execute("DELETE FROM due")
    await kept(shop, day, stripe_bill(day, trade.number, there.number), "stripe")
    await next_morning(shop, "stripe", day)
    pending(there)
    await work_day(shop.db, party(shop, "stripe"), day, tools=tools(shop), who="test")
    cause = "requested" if is_known else "at_channel"
    assert [("pending", cause)] == [tuple(row) for row in await shop.rows("SELECT state, cause FROM refunds")]
    left = [(one.kind, one.wait_until - shop.clock.now() > timedelta(days=7)) for one in await breaks(shop)
            if one.state is Is.WAITING and one.wait_until is not None]  # fmt: skip
    assert ([(Kind.STATUS, True)], []) == (left, [one for one in await breaks(shop) if one.state is Is.OPEN])
