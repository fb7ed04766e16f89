"""What callbacks and queries left is healed by the bill: at a real channel over HTTP, through the one door."""

import asyncio
import io
from datetime import date, datetime, timedelta
from importlib.resources import files

import pytest

from merchant import Merchant
from paidup.ask import Answer, Asker
from paidup.channels.bill import BillKind
from paidup.channels.messages import BillComing
from paidup.channels.registry import CHANNELS
from paidup.orders import store as orders
from paidup.orders.order import Order
from paidup.payments.payment import Payment
from paidup.payments.states import State
from paidup.people.audit import Actor
from paidup.reconcile import bill_fetches, bills, break_steps, people, runs, store, upload
from paidup.reconcile.breaks import Break, Kind
from paidup.reconcile.fetch import fetch_bill, want_bills
from paidup.reconcile.find import lines_of
from paidup.reconcile.overdue import expire
from paidup.reconcile.party import Party
from paidup.reconcile.propose import MAX_TRIES
from paidup.reconcile.rules import Rules
from paidup.reconcile.run import reconcile
from paidup.reconcile.states import State as Is
from paidup.reconcile.table import Limits
from paidup.reconcile.worker import Tools, run_once, work_day
from paidup.sandbox.faults import BillFaults, Faults
from paidup.sandbox.ledger import Refund
from paidup.sandbox.ledger import RefundState as RefundSandbox
from paidup.trace.life import trace
from paidup.wakeups import NEXT_BILL
from upload_side import wechat_bill
from waits import PID, somebody_waits_for

CHANNELS_ALL = ("wechat", "alipay", "stripe")


def party(merchant: Merchant, channel: str = "wechat", **rules: object) -> Party:
    return Party(CHANNELS[channel], merchant.accounts.current.get(channel, "main"), Rules(**rules))


def tools(merchant: Merchant) -> Tools:
    return Tools(merchant.asker, merchant.handlers, Limits(memory_mb=128))


def day_of(merchant: Merchant, channel: str) -> date:
    zone = CHANNELS[channel].bill_zone(merchant.accounts.current.get(channel, "main"))
    return merchant.clock.now().astimezone(zone).date()


async def paid(merchant: Merchant, number: str, channel: str = "wechat") -> Payment:
    """An order that was paid at the channel; the callback is lost."""
    currency = "USD" if channel == "stripe" else "CNY"
    payment = await merchant.offer(await merchant.order(number, currency=currency), channel)
    merchant.pay(payment)
    return payment


async def next_morning(merchant: Merchant, channel: str, day: date) -> None:
    """Until the channel has its bill of the day."""
    ready_at = CHANNELS[channel].bill_ready_at(day, merchant.accounts.current.get(channel, "main"))
    await until(merchant, ready_at + timedelta(minutes=30))


async def until(merchant: Merchant, moment: datetime) -> None:
    await merchant.clock.advance((moment - merchant.clock.now()).total_seconds())


@pytest.fixture
async def shop(merchant: Merchant) -> Merchant:
    await merchant.to_a_fresh_day()
    return merchant


async def work(merchant: Merchant, one: Party, day: date) -> runs.Run:
    """Rounds of the worker until the day is reconciled."""
    for _ in range(12):
        await run_once(merchant.db, now=merchant.clock.now(), limit=8, parties=[one], tools=tools(merchant))
        async with merchant.db.session() as tx:
            found = await runs.latest_of(tx, one.account.channel, "main", day)
            waiting = [row for row in await bill_fetches.page(tx, day, 10) if row["state"] == "waiting"]
        if found is not None and not waiting:
            return found
        await merchant.clock.advance(30)
    raise AssertionError(waiting)


async def breaks(merchant: Merchant) -> list[Break]:
    async with merchant.db.session() as tx:
        return await store.page(tx, store.Filter(), 100)


@pytest.mark.parametrize("channel", CHANNELS_ALL)
async def test_a_payment_that_nobody_told_of_is_healed(shop: Merchant, channel: str) -> None:
    """Paid at the channel, unpaid here: the bill shows it, the channel confirms it, and the order is paid once."""
    payment, day = await paid(shop, "A-1", channel), day_of(shop, channel)
    await next_morning(shop, channel, day)
    run = await work(shop, party(shop, channel), day)
    (healed,) = await breaks(shop)
    assert (State.PAID, Kind.LONG, Is.HEALED) == ((await shop.payment(payment)).state, healed.kind, healed.state)
    assert (1, 1) == (run.lines, run.matched)
    roads = await shop.column("SELECT road FROM decisions WHERE after LIKE '%payment paid%' AND outcome = 'applied'")
    assert ["bill"] == roads
    assert 1 == (await shop.column("SELECT type FROM events")).count("order.paid")
    async with shop.db.session() as tx:
        life = await trace(tx, payment.id)
    assert life is not None
    assert {"found", "healed"} <= {moment.what.split(":")[0] for moment in life.moments if moment.kind == "bill"}


def given_back(shop: Merchant, payment: Payment, amount_minor: int) -> None:
    """Somebody gives money back in the channel's own console; nobody tells us."""
    trade, ledger, now = shop.trade(payment), shop.sandbox.world.ledger, shop.clock.now()
    number = {"stripe": "re_console1", "wechat": "50300000000001"}.get(payment.channel, f"{trade.number}/1")
    refund = Refund(trade, f"console-{payment.id[-8:]}", number, amount_minor, RefundSandbox.PENDING, now)
    assert ledger.refund(trade, refund)
    ledger.settle(refund, RefundSandbox.SUCCEEDED, now)


async def made(shop: Merchant, channel: str, number: str = "A-1") -> Payment:
    """A payment that is paid here as well: found by the active query."""
    payment = await paid(shop, number, channel)
    await shop.clock.advance(60)
    while await shop.repair():
        pass
    return payment


@pytest.mark.parametrize("channel", CHANNELS_ALL)
async def test_a_refund_made_in_the_channels_own_console_is_booked(shop: Merchant, channel: str) -> None:
    """The bill has a refund that nobody asked for here: the channel confirms it, and the books follow."""
    payment, day = await made(shop, channel), day_of(shop, channel)
    given_back(shop, payment, 500)
    await next_morning(shop, channel, day)
    await work(shop, party(shop, channel), day)
    (healed,) = await breaks(shop)
    assert (Kind.REFUND_UNKNOWN, Is.HEALED) == (healed.kind, healed.state)
    assert 500 == (await shop.payment(payment)).refunded_minor
    assert [("succeeded", "at_channel")] == [tuple(row) for row in await shop.rows("SELECT state, cause FROM refunds")]


async def test_a_refund_that_ours_stands_in_the_way_of_is_booked_when_ours_was_declined(shop: Merchant) -> None:
    """Somebody gave money back in the channel's console while ours of all of it was under way: the bill's cannot be
    booked yet, and is not left to people, for the channel will decline ours."""
    payment, day = await made(shop, "wechat"), day_of(shop, "wechat")
    given_back(shop, payment, 500)
    await next_morning(shop, "wechat", day)
    ours = await shop.refund(payment)
    await work(shop, party(shop), day)
    assert [(Kind.REFUND_UNKNOWN, Is.WAITING)] == [(one.kind, one.state) for one in await breaks(shop)]
    await shop.repair_for(60)
    await rounds(shop, party(shop), hours=1)
    assert [(Kind.REFUND_UNKNOWN, Is.HEALED)] == [(one.kind, one.state) for one in await breaks(shop)]
    assert ("failed", 500) == ((await shop.refund_now(ours)).state, (await shop.payment(payment)).refunded_minor)


async def namesakes(shop: Merchant, *payments: Payment, amount_minor: int = 500) -> None:
    """Somebody gives back money of each in Alipay's own console, each time as refund "1"."""
    ledger = shop.sandbox.world.ledger
    for payment in payments:
        trade, now = shop.trade(payment), shop.clock.now()
        refund = Refund(trade, "1", f"99{payment.id[-8:]}", amount_minor, RefundSandbox.PENDING, now)
        assert ledger.refund(trade, refund)
        ledger.settle(refund, RefundSandbox.SUCCEEDED, now)


async def refunded(shop: Merchant, *payments: Payment) -> list[int]:
    return [(await shop.payment(payment)).refunded_minor for payment in payments]


async def test_two_trades_may_each_have_a_refund_of_the_same_number_on_a_day(shop: Merchant) -> None:
    """Alipay's refund "1" of one trade is not that of another: both are found in one bill, each by itself, and booked;
    looked for by their number, each has its own line."""
    one, other = await made(shop, "alipay", "A-1"), await made(shop, "alipay", "A-2")
    day = day_of(shop, "alipay")
    await namesakes(shop, one, other)
    await next_morning(shop, "alipay", day)
    await work(shop, party(shop, "alipay"), day)
    assert [500, 500] == await refunded(shop, one, other)
    found = await breaks(shop)
    assert [(Kind.REFUND_UNKNOWN, Is.HEALED)] * 2 == [(each.kind, each.state) for each in found]
    lines = await lines_of(shop.db, [party(shop, "alipay")], "1")
    trades = [shop.trade(payment).number for payment in (one, other)]
    assert sorted(trades) == sorted(str(each.line.channel_txn_id) for each in lines)
    assert 2 == len({each.subject_id for each in lines})


async def test_two_trades_may_each_have_a_refund_of_the_same_number_on_two_days(shop: Merchant) -> None:
    """The second day's bill has refund "1" of another trade: it is no repetition of the first day's."""
    one, other = await made(shop, "alipay", "A-1"), await made(shop, "alipay", "A-2")
    first = day_of(shop, "alipay")
    await namesakes(shop, one)
    await next_morning(shop, "alipay", first)
    await work(shop, party(shop, "alipay"), first)
    second = day_of(shop, "alipay")
    await namesakes(shop, other)
    await next_morning(shop, "alipay", second)
    await work(shop, party(shop, "alipay"), second)
    assert [500, 500] == await refunded(shop, one, other)
    assert {Is.HEALED} == {each.state for each in await breaks(shop)}


async def test_a_break_that_bears_the_number_alone_is_found_again(shop: Merchant) -> None:
    """A break of a version that named a refund by its number alone keeps its id when the day is laid again, and does
    not stand beside a second one."""
    one, other = await made(shop, "alipay", "A-1"), await made(shop, "alipay", "A-2")
    day, its = day_of(shop, "alipay"), party(shop, "alipay", approve=["refund_unknown"])
    await namesakes(shop, one, other)
    await next_morning(shop, "alipay", day)
    await work(shop, its, day)
    before = {each.key: each.id for each in await breaks(shop)}
    trades = [shop.trade(payment).number for payment in (one, other)]
    assert {f"refund:1 of {trade}" for trade in trades} == before.keys()
    async with shop.db.transaction() as tx:
        await tx.execute("UPDATE breaks SET key = 'refund:1' WHERE channel_txn_id = $1", trades[0])
        await tx.execute("UPDATE breaks SET key = 'refund:1#2' WHERE channel_txn_id = $1", trades[1])
        await tx.execute(files("paidup.db.migrations").joinpath("0027_keys_of_refunds.sql").read_text("utf-8"))
        keys = [row["key"] for row in await tx.fetch("SELECT key FROM breaks ORDER BY key")]
        assert sorted([f"refund:1 of {trades[0]}", f"refund:1 of {trades[1]}#2"]) == sorted(keys)
        await tx.execute("UPDATE breaks SET key = $1 WHERE channel_txn_id = $2", f"refund:1 of {trades[1]}", trades[1])
    now = shop.clock.now()
    outcome = await reconcile(shop.db, its, day, now=now, spill=None, limits=Limits(memory_mb=128), who="test")
    assert ([], before) == (outcome.changes, {each.key: each.id for each in await breaks(shop)})


async def test_without_an_answer_the_bill_alone_is_proof(shop: Merchant) -> None:
    """The channel does not answer questions; a bill that we fetched ourselves is its own word."""
    payment, day = await paid(shop, "A-1"), day_of(shop, "wechat")
    await next_morning(shop, "wechat", day)
    there = tools(shop)
    await fetched(shop, day)
    shop.sandbox.faults = Faults(fail=1.0)
    await work_day(shop.db, party(shop), day, tools=there, who="test")
    assert State.PAID == (await shop.payment(payment)).state
    (healed,) = await breaks(shop)
    assert Is.HEALED == healed.state


async def fetched(shop: Merchant, day: date, **faults: float) -> None:
    """The trade bill of the day, kept and not read."""
    shop.sandbox.faults = Faults(bill=BillFaults(**faults))
    assert isinstance(await fetch_bill(shop.db, shop.asker, party(shop), BillKind.TRADES, day), bills.Kept)


async def test_two_different_people_approve_what_is_above_the_limit(shop: Merchant) -> None:
    """Above the day's limit nothing is repaired; one person is not enough, nor the same one twice; two are."""
    payment, day = await paid(shop, "A-1"), day_of(shop, "wechat")
    careful = party(shop, repair_minor=1249)
    await next_morning(shop, "wechat", day)
    await fetched(shop, day)
    await work_day(shop.db, careful, day, tools=tools(shop), who="test")
    (waits,) = await breaks(shop)
    assert (Is.OPEN, State.OPEN) == (waits.state, (await shop.payment(payment)).state)

    async def agree(who: str) -> people.Agreement:
        async with shop.db.transaction() as tx:
            return await people.approve(
                tx, waits.id, shop=None, who=who, why="seen", rules=careful.rules, now=shop.clock.now()
            )

    assert [False, False, True] == [(await agree(who)).is_enough for who in ("anna", "anna", "bob")]
    await work_day(shop.db, careful, day, tools=tools(shop), who="test")
    (healed,) = await breaks(shop)
    assert (Is.HEALED, State.PAID) == (healed.state, (await shop.payment(payment)).state)
    async with shop.db.session() as tx:
        steps = [(step.step, step.who) for step in await break_steps.of_break(tx, waits.id)]
    assert [("agreed", "anna"), ("agreed", "bob")] == [one for one in steps if one[0] == "agreed"]


async def test_what_people_agreed_to_is_done_by_the_next_round(shop: Merchant) -> None:
    """No bill is due any more, and the channel was asked as often as it may be: what they said is done all the same."""
    payment, day = await paid(shop, "A-1"), day_of(shop, "wechat")
    careful = party(shop, repair_minor=1249)
    await next_morning(shop, "wechat", day)
    await work(shop, careful, day)
    (waits,) = await breaks(shop)
    async with shop.db.transaction() as tx:
        for _ in range(MAX_TRIES):
            await store.tried(tx, {waits.id: None})
        for who in ("anna", "bob"):
            await people.approve(
                tx, waits.id, shop=None, who=who, why="seen", rules=careful.rules, now=shop.clock.now()
            )

    async def round_of(parties: list[Party]) -> int:
        return await run_once(shop.db, now=shop.clock.now(), limit=8, parties=parties, tools=tools(shop))

    assert [0, 1, 0] == [await round_of(parties) for parties in ([], [careful], [careful])]
    (healed,) = await breaks(shop)
    assert (Is.HEALED, State.PAID) == (healed.state, (await shop.payment(payment)).state)


async def test_a_dry_run_changes_nothing(shop: Merchant) -> None:
    """It says what it would do; neither a break nor the payment is touched, and nobody is asked."""
    from paidup.reconcile.mend_plan import planned
    from paidup.reconcile.run import reconcile

    payment, day = await paid(shop, "A-1"), day_of(shop, "wechat")
    await next_morning(shop, "wechat", day)
    await fetched(shop, day)
    outcome = await reconcile(
        shop.db, party(shop), day, now=shop.clock.now(), spill=None, limits=Limits(), who="test", dry_run=True
    )
    async with shop.db.session() as tx:
        (proposal,) = await planned(tx, party(shop), [c.after for c in outcome.changes], shop.clock.now())
    assert (payment.id, "") == (proposal.broken.payment_id, proposal.needs)
    assert ([], 0, State.OPEN) == (
        await breaks(shop),
        len(await shop.column("SELECT id FROM reconciliations")),
        (await shop.payment(payment)).state,
    )


async def test_a_contradiction_is_left_to_people(shop: Merchant) -> None:
    """The bill has a payment which the channel, asked, does not call paid: nothing is booked."""
    payment, day = await paid(shop, "A-1"), day_of(shop, "wechat")
    await next_morning(shop, "wechat", day)
    await fetched(shop, day)
    trade = shop.trade(payment)
    trade.state, trade.paid_at = type(trade.state).WAITING, None
    await work_day(shop.db, party(shop), day, tools=tools(shop), who="test")
    (one,) = await breaks(shop)
    assert (Is.OPEN, False) == (one.state, (await shop.payment(payment)).state is State.PAID)
    assert "reconcile_breaks" in await shop.cases()


async def test_money_of_an_unknown_number_is_linked_by_people(shop: Merchant) -> None:
    """The shop registered a payment under a wrong number: the bill's line has a suggestion, and two people link it."""
    payment, day = await paid(shop, "A-1"), day_of(shop, "wechat")
    async with shop.db.transaction() as tx:
        await tx.execute("UPDATE payments SET merchant_ref = 'typo', channel_txn_id = NULL WHERE id = $1", payment.id)
    await next_morning(shop, "wechat", day)
    await fetched(shop, day)
    await work_day(shop.db, party(shop), day, tools=tools(shop), who="test")
    (one,) = await breaks(shop)
    assert one.suggestion is not None
    assert (Is.OPEN, None, payment.id) == (one.state, one.payment_id, one.suggestion.payment_id)
    for who in ("anna", "bob"):
        async with shop.db.transaction() as tx:
            await people.approve(
                tx, one.id, shop=None, who=who, why="same money", rules=Rules(), now=shop.clock.now(),
                payment_id=payment.id,
            )  # fmt: skip
    await work_day(shop.db, party(shop), day, tools=tools(shop), who="test")
    assert State.PAID == (await shop.payment(payment)).state


async def test_a_late_line_clears_by_the_next_bill_and_else_becomes_a_short(shop: Merchant) -> None:
    """What the bill books a day late waits, and heals by itself; what never comes is a short, with a case."""
    await made(shop, "wechat")
    day = day_of(shop, "wechat")
    await next_morning(shop, "wechat", day)
    await fetched(shop, day, missing=1.0)
    await work_day(shop.db, party(shop), day, tools=tools(shop), who="test")
    (one,) = await breaks(shop)
    assert (Kind.SHORT, Is.WAITING) == (one.kind, one.state)
    for _ in range(3):
        await shop.clock.advance(86400)
    await work_day(shop.db, party(shop), day, tools=tools(shop), who="test")
    (one,) = await breaks(shop)
    assert (Kind.SHORT, Is.OPEN) == (one.kind, one.state)
    assert {"reconcile_short", "reconcile_breaks"} <= set(await shop.cases())


@pytest.mark.parametrize("fails", [0.0, 1.0], ids=["asked at once", "asked once more, days later"])
async def test_a_refund_that_came_back_is_no_short(shop: Merchant, fails: float) -> None:
    """The bill does not have it, and nobody told that it came back. The channel says so when it is asked: both sides
    agree then, without another run of the day and without a person."""
    payment, day = await made(shop, "wechat"), day_of(shop, "wechat")
    refund = await shop.refund(payment, 500)
    await shop.repair_for(120)
    assert "succeeded" == (await shop.refund_now(refund)).state
    shop.sandbox.world.refund_fails(shop.trade(payment), refund.merchant_ref, shop.clock.now())
    await next_morning(shop, "wechat", day)
    await fetched(shop, day, missing=1.0)
    shop.sandbox.faults = Faults(fail=fails)
    await work_day(shop.db, party(shop), day, tools=tools(shop), who="test")
    shop.sandbox.faults = Faults()
    await shop.clock.advance(3 * 86400)
    await work(shop, party(shop), day_of(shop, "wechat") - timedelta(days=1))
    (one,) = [one for one in await breaks(shop) if one.refund_id == refund.id]
    assert (Kind.SHORT, Is.HEALED) == (one.kind, one.state)
    assert "failed" == (await shop.refund_now(refund)).state


async def test_the_channel_is_asked_once_more_before_people_are(shop: Merchant) -> None:
    """It gave no answer on the first morning. When the following bill does not bring the line either, the run over that
    bill asks again, and the case comes with what is known by then."""
    payment = await made(shop, "wechat")
    day = day_of(shop, "wechat")
    await next_morning(shop, "wechat", day)
    await fetched(shop, day, missing=1.0)
    shop.sandbox.faults = Faults(fail=1.0)
    await work_day(shop.db, party(shop), day, tools=tools(shop), who="test")
    shop.sandbox.faults = Faults()
    await shop.clock.advance(3 * 86400)
    await work(shop, party(shop), day_of(shop, "wechat") - timedelta(days=1))
    asked = "SELECT why FROM break_steps WHERE step = 'asked' ORDER BY n"
    first, second = map(str, await shop.column(asked))
    assert ("asked: paid" in first, "asked: paid" in second) == (False, True)
    assert ({"reconcile_short"}, State.PAID) == (
        {*await shop.cases()} & {"reconcile_short", "contradiction"},
        (await shop.payment(payment)).state,
    )


async def test_who_calls_people_and_who_mends_lock_the_order_first(shop: Merchant) -> None:
    """One writes down that a break has waited long enough, the other how its repair fared. Both want the order and the
    break; in the other order each would wait for the other."""
    payment = await made(shop, "wechat")
    day = day_of(shop, "wechat")
    await next_morning(shop, "wechat", day)
    await fetched(shop, day, missing=1.0)
    await work_day(shop.db, party(shop), day, tools=tools(shop), who="test")
    (one,) = await breaks(shop)
    await shop.clock.advance(3 * 86400)

    async def call_people() -> int:
        async with shop.db.transaction() as tx:
            return await expire(tx, party(shop), shop.handlers, "test", shop.clock.now())

    async with shop.db.transaction() as tx:
        await orders.lock(tx, [payment.order_id])
        calling = asyncio.create_task(call_people())
        await somebody_waits_for(shop.db, await tx.fetchval(PID))
        assert [one] == await store.get(tx, [one.id], lock=True)
    assert (1, {"reconcile_short"}) == (await calling, {*await shop.cases()} & {"reconcile_short"})


@pytest.fixture
async def no_bills(monkeypatch: pytest.MonkeyPatch) -> None:
    """No bills are fetched: whatever a round does, it does for other reasons."""

    async def want_none(*_: object) -> None:
        pass

    monkeypatch.setattr("paidup.reconcile.worker.want_bills", want_none)


async def uploaded_and_silent(shop: Merchant) -> Payment:
    """A payment that only a bill knows that people uploaded, over a day whose time to wait is over; the channel, asked,
    gave no answer."""
    payment, day = await paid(shop, "A-1"), day_of(shop, "wechat")
    await next_morning(shop, "wechat", day)
    await fetched(shop, day)
    async with shop.db.transaction() as tx:
        await tx.execute("UPDATE bills SET source = 'uploaded'")
    await shop.clock.advance(5 * 86400)
    shop.sandbox.faults = Faults(fail=1.0)
    await work_day(shop.db, party(shop), day, tools=tools(shop), who="test")
    return payment


async def rounds(shop: Merchant, one: Party, *, hours: float) -> list[int]:
    """What the rounds did that are due within so many hours, each when it is due."""
    ends_at, done = shop.clock.now() + timedelta(hours=hours), []
    while (due_at := (await shop.column(NEXT_BILL))[0]) is not None and due_at <= ends_at:  # type: ignore[operator]  # a timestamp
        await until(shop, max(due_at, shop.clock.now()))  # type: ignore[type-var]
        done.append(await run_once(shop.db, now=shop.clock.now(), limit=8, parties=[one], tools=tools(shop)))
    await until(shop, ends_at)
    return done


async def test_a_channel_that_was_silent_is_asked_again_by_itself(shop: Merchant, no_bills: None) -> None:
    """A bill that people uploaded is proof only with the channel's own word; one lost question calls nobody."""
    payment = await uploaded_and_silent(shop)
    assert ([Is.WAITING], []) == ([one.state for one in await breaks(shop)], await shop.cases())
    shop.sandbox.faults = Faults()
    assert [1] == await rounds(shop, party(shop), hours=1)
    assert ([Is.HEALED], State.PAID, []) == (
        [one.state for one in await breaks(shop)], (await shop.payment(payment)).state, await shop.cases(),
    )  # fmt: skip


async def one_of_two_is_silent(shop: Merchant, monkeypatch: pytest.MonkeyPatch) -> tuple[date, Payment]:
    """Two payments that only an uploaded bill knows, and nobody waits any more for other bills; about one of them every
    question gets lost, and about the other one there is more to mend than one pass over the day can."""
    speaks, silent, day = await paid(shop, "A-1"), await paid(shop, "A-2"), day_of(shop, "wechat")
    given_back(shop, speaks, 500)
    await next_morning(shop, "wechat", day)
    await fetched(shop, day)
    async with shop.db.transaction() as tx:
        await tx.execute("UPDATE bills SET source = 'uploaded'")
    await shop.clock.advance(5 * 86400)
    original = Asker.about_payment

    async def about_payment(asker: Asker, payment: Payment, order: Order, now: datetime) -> Answer:
        return Answer() if payment.id == silent.id else await original(asker, payment, order, now)

    monkeypatch.setattr(Asker, "about_payment", about_payment)
    return day, silent


async def test_several_questions_of_one_run_are_one_silence(
    shop: Merchant, no_bills: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People hear after three silences, which are 20 minutes: not when a run passes over the day three times."""
    day, silent = await one_of_two_is_silent(shop, monkeypatch)
    await work_day(shop.db, party(shop), day, tools=tools(shop), who="test")
    (one,) = [one for one in await breaks(shop) if one.payment_id == silent.id]
    assert (Is.WAITING, 1, []) == (one.state, one.tries, await shop.cases())


async def test_who_wants_to_know_now_has_the_channel_asked_once_more(
    shop: Merchant, no_bills: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person runs the day again before the time of the next question: it is asked, once, however many passes it
    takes."""
    day, silent = await one_of_two_is_silent(shop, monkeypatch)
    for tries, is_early in ((1, False), (1, False), (2, True)):
        await work_day(shop.db, party(shop), day, tools=tools(shop), who="test", is_early=is_early)
        (one,) = [one for one in await breaks(shop) if one.payment_id == silent.id]
        assert tries == one.tries


async def test_people_hear_of_a_channel_that_stays_silent(shop: Merchant, no_bills: None) -> None:
    """After 20 minutes there is a case, while the channel is asked on, less and less often and not for ever; when it
    speaks, the case is closed."""
    payment = await uploaded_and_silent(shop)
    assert [1, 1] == await rounds(shop, party(shop), hours=0.5)
    assert ([Is.OPEN], {"reconcile_long", "reconcile_breaks"}) == (
        [one.state for one in await breaks(shop)], set(await shop.cases()),
    )  # fmt: skip
    assert [1, 1] == await rounds(shop, party(shop), hours=8)
    shop.sandbox.faults = Faults()
    assert [1] == await rounds(shop, party(shop), hours=8)
    assert ([Is.HEALED], State.PAID) == ([one.state for one in await breaks(shop)], (await shop.payment(payment)).state)
    assert "reconcile_breaks" not in await shop.cases()


async def test_a_channel_that_never_speaks_is_not_asked_for_ever(shop: Merchant, no_bills: None) -> None:
    """MAX_TRIES questions, the next one named in each step; then it is left to the people who know of it by then."""
    await uploaded_and_silent(shop)
    assert [1] * (MAX_TRIES - 1) == await rounds(shop, party(shop), hours=24 * 30)
    assert [MAX_TRIES] == [one.tries for one in await breaks(shop)]
    steps = map(str, await shop.column("SELECT why FROM break_steps WHERE step = 'asked' ORDER BY n"))
    waits = [why.rpartition("; it is asked again in ")[2] for why in steps]
    assert ["5 min", "15 min", "60 min", *["360 min"] * (MAX_TRIES - 4)] == waits[:-1]
    assert "no answer" in waits[-1]


async def test_what_needs_people_first_is_not_asked_about_again(shop: Merchant, no_bills: None) -> None:
    """The limit of a day was lowered meanwhile: the question waits for people, and for no clock."""
    await uploaded_and_silent(shop)
    shop.sandbox.faults = Faults()
    assert [1] == await rounds(shop, party(shop, repair_minor=1), hours=24)
    assert [(Is.OPEN, 1)] == [(one.state, one.tries) for one in await breaks(shop)]


async def test_what_an_account_that_is_gone_left_waits_for_it(shop: Merchant, no_bills: None) -> None:
    """Its questions are looked at again after a lease, by whoever has the account then."""
    await uploaded_and_silent(shop)
    shop.sandbox.faults = Faults()
    await shop.clock.advance(600)
    elsewhere = await run_once(shop.db, now=shop.clock.now(), limit=8, parties=[], tools=tools(shop))
    assert (1, [Is.WAITING]) == (elsewhere, [one.state for one in await breaks(shop)])
    assert [1] == await rounds(shop, party(shop), hours=1)
    assert [Is.HEALED] == [one.state for one in await breaks(shop)]


async def test_the_bill_of_an_account_that_is_gone_waits_for_it(shop: Merchant) -> None:
    """Its folder was moved for a moment, in which its bills were due: they are fetched when it is back. What belongs to
    one that stays away is given up after two weeks."""
    payment, day = await paid(shop, "A-1"), day_of(shop, "wechat")
    await next_morning(shop, "wechat", day)
    async with shop.db.transaction() as tx:
        await want_bills(tx, [party(shop)], shop.clock.now())
    assert 0 == await run_once(shop.db, now=shop.clock.now(), limit=8, parties=[], tools=tools(shop))
    assert 0 < sum(await rounds(shop, party(shop), hours=1))
    assert (State.PAID, {"done"}) == (
        (await shop.payment(payment)).state,
        {*await shop.column("SELECT state FROM bill_fetches")},
    )
    old = [("wechat", "main", BillKind.TRADES, day - timedelta(days=n), shop.clock.now()) for n in (13, 15)]
    async with shop.db.transaction() as tx:
        await bill_fetches.want(tx, old)
    await run_once(shop.db, now=shop.clock.now(), limit=8, parties=[], tools=tools(shop))
    states = await shop.column("SELECT state FROM bill_fetches WHERE state <> 'done' ORDER BY day DESC")
    assert ["waiting", "given_up"] == states


async def test_a_refund_of_the_channels_console_that_came_back_is_no_contradiction(shop: Merchant) -> None:
    """Nobody told us of either. The bill has both lines, and the channel, asked, calls it failed: it is booked so, and
    both lines agree by that."""
    payment, day = await made(shop, "stripe"), day_of(shop, "stripe")
    given_back(shop, payment, 500)
    trade = shop.trade(payment)
    shop.sandbox.world.refund_fails(trade, trade.refunds[0].merchant_ref, shop.clock.now())
    await next_morning(shop, "stripe", day)
    await work(shop, party(shop, "stripe"), day)
    assert [(Kind.REFUND_UNKNOWN, Is.HEALED), (Kind.STATUS, Is.HEALED)] == sorted(
        (one.kind, one.state) for one in await breaks(shop)
    )
    assert [("failed", "at_channel")] == [tuple(row) for row in await shop.rows("SELECT state, cause FROM refunds")]
    assert (State.PAID, 0) == ((await shop.payment(payment)).state, (await shop.payment(payment)).refunded_minor)


async def test_an_upload_for_which_there_was_no_room_is_read_later(shop: Merchant, no_bills: None) -> None:
    """People are told that it was put off; nobody has to bring it again."""
    await made(shop, "wechat")
    one, day = party(shop), day_of(shop, "wechat")
    await next_morning(shop, "wechat", day)
    brought = upload.brought_by(one, upload.Claims(account="wechat/main", day=str(day)), "anna")
    file, roomy = io.BytesIO(wechat_bill(one.account.mchid, "B-1", day=day)), tools(shop)
    await upload.upload(
        shop.db, one, brought, file, actor=Actor("anna", "cli"), limits=roomy.limits, spill=None, now=shop.clock.now()
    )
    narrow = Tools(shop.asker, shop.handlers, Limits(memory_mb=1))
    await run_once(shop.db, now=shop.clock.now(), limit=8, parties=[one], tools=narrow)
    assert ["reconcile.put_off"] == [said for said in await shop.column("SELECT type FROM events") if "put_off" in said]  # type: ignore[operator]  # a text
    await shop.clock.advance(3600)
    await run_once(shop.db, now=shop.clock.now(), limit=8, parties=[one], tools=roomy)
    async with shop.db.session() as tx:
        assert await runs.latest_of(tx, "wechat", "main", day) is not None


@pytest.mark.parametrize("channel", CHANNELS_ALL)
@pytest.mark.parametrize("fails", [0.0, 1.0], ids=["the channel answers", "the channel is silent"])
async def test_what_the_bill_has_as_wholly_refunded_pays_no_order(shop: Merchant, channel: str, fails: float) -> None:
    """Paid, and given back in the channel's console, before we knew of it: both lines stand in the bill. Both are
    booked, and the shop is not told to ship."""
    payment, day = await paid(shop, "A-1", channel), day_of(shop, channel)
    given_back(shop, payment, 1250)
    await next_morning(shop, channel, day)
    its = party(shop, channel)
    found = await fetch_bill(shop.db, shop.asker, its, BillKind.TRADES, day)
    while isinstance(found, BillComing):
        await shop.clock.advance(60)
        found = await fetch_bill(shop.db, shop.asker, its, BillKind.TRADES, day, made_as=found.made_as)
    shop.sandbox.faults = Faults(fail=fails)
    await work_day(shop.db, its, day, tools=tools(shop), who="test")
    now = await shop.payment(payment)
    assert (State.PAID, 1250) == (now.state, now.refunded_minor)
    assert {Is.HEALED} == {one.state for one in await breaks(shop)}
    assert {"order.paid", "order.refunded"} & set(await shop.column("SELECT type FROM events")) == set()
