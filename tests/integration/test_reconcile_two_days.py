"""What one day's bill brings may belong to another day, whose bill was read before: it is one, not two."""

from datetime import timedelta

from test_reconcile_mends import breaks, day_of, made, next_morning, party, shop, tools, work

from merchant import Merchant
from paidup.channels.bill import BillKind
from paidup.reconcile import bills
from paidup.reconcile.breaks import Kind
from paidup.reconcile.fetch import fetch_bill, is_doubtful
from paidup.reconcile.reading import bounds_of
from paidup.reconcile.states import UNSETTLED
from paidup.reconcile.table import Limits
from paidup.reconcile.worker import Tools, run_once, work_day
from paidup.sandbox.faults import BillFaults, Faults
from paidup.sandbox.ledger import Refund, RefundState

TOLD = "SELECT type FROM events WHERE type LIKE 'reconcile.%' ORDER BY seq"

__all__ = ["shop"]


async def test_a_refund_that_only_the_next_days_bill_has_is_booked_once(shop: Merchant) -> None:
    """Made in the channel's console, and printed a day late: the bill of its own day was read when nobody knew of it.
    It is booked on its day, that day is read again, and it is not taken for two; a payment that was printed on both
    days is."""
    payment, day = await made(shop, "wechat"), day_of(shop, "wechat")
    then, trade = shop.clock.now(), shop.trade(payment)
    await next_morning(shop, "wechat", day)
    await work(shop, party(shop), day)
    refund = Refund(trade, "console-1", "50300000000001", 500, RefundState.PENDING, then)
    assert shop.sandbox.world.ledger.refund(trade, refund)
    shop.sandbox.world.ledger.settle(refund, RefundState.SUCCEEDED, then)
    shop.sandbox.faults = Faults(bill=BillFaults(wrong_day=1.0))
    await next_morning(shop, "wechat", day + timedelta(days=1))
    await work(shop, party(shop), day + timedelta(days=1))
    assert 500 == (await shop.payment(payment)).refunded_minor
    open_breaks = [
        (one.kind, one.what) for one in await breaks(shop) if one.state in UNSETTLED and one.kind is not Kind.BALANCE
    ]
    assert [(Kind.DUPLICATE, "payment")] == open_breaks


async def test_a_bill_that_was_given_is_not_taken_back(shop: Merchant) -> None:
    """Asked once more (the worker died after it had read the bill), the channel says that there is none: what it gave
    holds, and nothing is missing."""
    await made(shop, "wechat")
    day = day_of(shop, "wechat")
    await next_morning(shop, "wechat", day)
    assert (1, 1) == ((run := await work(shop, party(shop), day)).lines, run.matched)
    shop.sandbox.faults = Faults(bill=BillFaults(missing=1.0))
    denied = await fetch_bill(shop.db, shop.asker, party(shop), BillKind.TRADES, day)
    assert isinstance(denied, bills.Kept)
    assert "none" == denied.state
    outcome = await work_day(shop.db, party(shop), day, tools=tools(shop), who="test")
    assert outcome.run is not None
    assert (1, []) == (outcome.run.lines, [one.kind for one in await breaks(shop) if one.kind is not Kind.BALANCE])


async def test_that_there_is_no_bill_is_doubted_for_a_day_from_when_it_was_first_said(shop: Merchant) -> None:
    """Whoever asks days late hears it for the first time, and holds money of that day: it may be a mistake."""
    await made(shop, "wechat")
    day = day_of(shop, "wechat")
    await next_morning(shop, "wechat", day + timedelta(days=3))
    shop.sandbox.faults = Faults(bill=BillFaults(missing=1.0))
    denied = await fetch_bill(shop.db, shop.asker, party(shop), BillKind.TRADES, day)
    assert isinstance(denied, bills.Kept)
    bounds, now = bounds_of(party(shop), day, denied), shop.clock.now()
    async with shop.db.session() as tx:
        doubted = [
            await is_doubtful(tx, party(shop), denied, bounds, at) for at in (now, now + timedelta(days=1, seconds=1))
        ]
    assert ("none", [True, False]) == (denied.state, doubted)


async def test_a_day_for_which_there_is_no_room_calls_people_and_stops_nobody(shop: Merchant) -> None:
    """More memory than is allowed: the day is put off with a case that says what to do; with more of it, both end. The
    bill is sound and here: nobody is told that it is refused, or missing, however long it takes."""
    await made(shop, "wechat")
    day = day_of(shop, "wechat")
    await next_morning(shop, "wechat", day)
    little = Tools(shop.asker, shop.handlers, Limits(memory_mb=1))
    for _ in range(3):
        await run_once(shop.db, now=shop.clock.now(), limit=8, parties=[party(shop)], tools=little)
        await shop.clock.advance(3600)
    assert {"bill_no_room"} == {*await shop.cases()}
    (why,) = await shop.column("SELECT why FROM cases WHERE kind = 'bill_no_room'")
    assert "PAIDUP_RECONCILE_MEMORY_MB" in str(why)
    assert {"waiting"} == {*await shop.column("SELECT state FROM bill_fetches")}
    assert ["reconcile.put_off"] == await shop.column(TOLD)
    assert (1, 1) == ((run := await work(shop, party(shop), day)).lines, run.matched)
    assert ["reconcile.put_off", "reconcile.finished"] == await shop.column(TOLD)
    assert [] == await shop.cases()
