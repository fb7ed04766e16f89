"""主动查单/补单 against a channel that speaks its real wire format: what was never told is asked for."""

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from merchant import Merchant
from paidup.cases import store as cases
from paidup.channels.accounts import Accounts
from paidup.payments.payment import Payment
from paidup.payments.states import State
from paidup.refunds.refund import Refund
from paidup.refunds.states import State as RefundState
from paidup.repair import sweep
from paidup.repair import worker as repair
from paidup.repair.due import GIVE_UP_AFTER_EXPIRY_S
from paidup.sandbox.faults import Faults
from paidup.sandbox.ledger import Trade


async def test_a_payment_whose_callback_was_lost_is_found(merchant: Merchant) -> None:
    """Nobody told us, so we ask; the order is paid within the first question."""
    order = await merchant.order()
    payment = await merchant.offer(order)
    merchant.pay(payment)
    await merchant.repair_for(30)
    assert ["payment.paid", "order.paid"] == await merchant.told(order)
    assert ["open", "query"] == await merchant.calls(payment)


async def test_what_is_settled_is_never_asked_about_again(merchant: Merchant) -> None:
    """Its job is gone with the answer that settled it."""
    payment = await merchant.offer(await merchant.order())
    merchant.pay(payment)
    await merchant.repair_for(3600)
    assert ["open", "query"] == await merchant.calls(payment)


async def test_an_expired_order_is_closed_when_the_channel_says_so(merchant: Merchant) -> None:
    """Its time is over here and there; the channel is asked, and its word closes the payment, then the order."""
    order = await merchant.order()
    payment = await merchant.offer(order)
    await merchant.repair_for(3660)
    assert (State.CLOSED, ["payment.closed", "order.closed"], "query") == (
        (await merchant.payment(payment)).state,
        await merchant.told(order),
        (await merchant.calls(payment))[-1],
    )


async def test_a_given_up_order_is_closed_at_the_channel_before_it_is_called_closed(merchant: Merchant) -> None:
    """Asked about first, then closed there, then here."""
    order = await merchant.order()
    payment = await merchant.offer(order)
    await merchant.give_up(order)
    before = await merchant.told(order)
    await merchant.repair()
    assert ([], ["payment.closed", "order.closed"]) == (before, await merchant.told(order))
    assert (["open", "query", "close"], "closed") == (await merchant.calls(payment), merchant.trade(payment).state)


async def test_a_withdrawn_offer_that_was_paid_all_the_same_is_given_back(merchant: Merchant) -> None:
    """Two codes on two screens, both paid: the second one is asked about before it is closed, found paid, refunded."""
    order = await merchant.order()
    first, second = await merchant.offer(order), await merchant.offer(order, "alipay")
    merchant.pay(first)
    merchant.pay(second)
    await merchant.repair_for(120)
    assert [1250] == [r.amount_minor for p in (first, second) for r in merchant.trade(p).refunds]
    assert [State.PAID] * 2 == [(await merchant.payment(p)).state for p in (first, second)]
    assert 1 == (await merchant.told(order)).count("order.paid")


async def test_money_of_the_last_second_is_found_by_the_question_before_the_close(merchant: Merchant) -> None:
    """Paid just before it expired, and nobody told us: the order is paid, not closed."""
    order = await merchant.order()
    payment = await merchant.offer(order)
    await merchant.clock.advance(3590)
    merchant.pay(payment)
    await merchant.repair_for(90)
    assert ["payment.paid", "order.paid"] == await merchant.told(order)


async def test_the_budget_is_shared_by_all_workers(merchant: Merchant) -> None:
    """Ten due, a budget of three a second: three are asked, whoever asks; the rest in the seconds after."""
    for n in range(10):
        await merchant.offer(await merchant.order(f"A-{n}"))
    await merchant.clock.advance(20)
    asked = await asyncio.gather(*(merchant.repair(budget_per_s=3.0) for _ in range(3)))
    rounds = []
    for _ in range(4):
        await merchant.clock.advance(2)
        rounds.append(await merchant.repair(budget_per_s=3.0))
    assert (3, 7) == (sum(asked), sum(rounds))


async def test_an_account_that_has_had_its_share_keeps_no_other_waiting(merchant: Merchant) -> None:
    """A hundred questions wait for the budget of their account: what is due after them at another account is asked
    about in the next round all the same."""
    for n in range(100):
        await merchant.offer(await merchant.order(f"A-{n}"))
    other = await merchant.offer(await merchant.order(), "alipay")
    await merchant.clock.advance(20)
    async with merchant.db.transaction() as tx:
        await tx.execute("UPDATE due SET due_at = $1 WHERE channel = 'alipay'", merchant.clock.now())
    assert 2 == await merchant.repair(budget_per_s=2.0)
    assert 1 == await merchant.repair(budget_per_s=2.0)
    assert ["open", "query"] == await merchant.calls(other)


async def test_what_a_budget_makes_wait_stands_in_line(merchant: Merchant) -> None:
    """Not all of a backlog is due again with the next token: after each second, as much as the budget has room for."""
    for n in range(20):
        await merchant.offer(await merchant.order(f"A-{n}"))
    await merchant.clock.advance(20)
    asked = [await merchant.repair(budget_per_s=2.0)]
    for _ in range(9):
        await merchant.clock.advance(1)
        now_due = "SELECT count(*) FROM due WHERE due_at <= $1"
        assert await merchant.db.read(now_due, merchant.clock.now()) <= 2
        asked.append(await merchant.repair(budget_per_s=2.0))
    assert [2] * 10 == asked


async def test_two_workers_never_ask_about_the_same_payment(merchant: Merchant) -> None:
    """A claimed row is nobody else's until its lease ends."""
    offered = [await merchant.offer(await merchant.order(f"A-{n}")) for n in range(6)]
    await merchant.clock.advance(20)
    asked = await asyncio.gather(*(merchant.repair(limit=4) for _ in range(4)))
    assert 6 == sum(asked)
    assert [["open", "query"]] * 6 == [await merchant.calls(payment) for payment in offered]


async def test_a_worker_that_died_hands_over_when_its_lease_ends(merchant: Merchant) -> None:
    """Not before, and without anybody having noticed the death."""
    payment = await merchant.offer(await merchant.order())
    merchant.pay(payment)
    await merchant.clock.advance(20)
    async with merchant.db.transaction() as tx:  # claimed, and never heard of again
        now = merchant.clock.now()
        await tx.execute(
            "UPDATE due SET due_at = $1, asked_at = $2, lease = lease + 1", now + timedelta(seconds=60), now
        )
    await merchant.clock.advance(59)
    before = await merchant.repair()
    await merchant.clock.advance(2)
    assert (0, 1, State.PAID) == (before, await merchant.repair(), (await merchant.payment(payment)).state)


TOO_MUCH = 10**12  # more than Stripe takes: it answers 400, every time


async def test_a_payment_that_stripe_declined_to_open_is_closed_and_its_order_too(merchant: Merchant) -> None:
    """It has no id to be closed by; yet nobody has anything to pay with, so that no order waits for it."""
    order = await merchant.order(currency="USD", minor=TOO_MUCH)
    payment = await merchant.offer(order, "stripe")
    declined = payment.state
    await merchant.repair()
    assert (State.CLOSING, State.CLOSED) == (declined, (await merchant.payment(payment)).state)
    await merchant.repair_for(3660)
    assert (["payment.closed", "order.closed"], []) == (await merchant.told(order), await merchant.cases())


async def test_payments_that_stripe_declined_keep_nobody_else_from_paying(merchant: Merchant) -> None:
    """A refusal is an answer: the questions about twenty declined payments do not open the account's breaker."""
    for n in range(20):
        await merchant.offer(await merchant.order(f"A-{n}", currency="USD", minor=TOO_MUCH), "stripe")
    await merchant.repair_for(90)
    good = await merchant.offer(await merchant.order("GOOD", currency="USD"), "stripe")
    assert (State.OPEN, True) == (good.state, "client_secret" in good.pay_with)


async def test_silence_never_means_failed(merchant: Merchant) -> None:
    """The channel answers nothing sensible until long after the expiry: a person is called, once, nothing is failed."""
    payment = await merchant.offer(await merchant.order())
    merchant.sandbox.faults = Faults(fail=1.0)
    await merchant.repair_for(3600 + GIVE_UP_AFTER_EXPIRY_S + 1800, step_s=600)
    assert (State.CLOSING, ["unanswered"]) == ((await merchant.payment(payment)).state, await merchant.cases())
    assert [] == await merchant.column("SELECT subject_id FROM due")


async def test_after_our_own_outage_everything_is_asked_before_anybody_is_called(merchant: Merchant) -> None:
    """We were down for two days: what was paid in the meantime is found paid, what was not is closed; no case."""
    orders = [await merchant.order(f"A-{n}") for n in range(2)]
    paid, unpaid = [await merchant.offer(order) for order in orders]
    merchant.pay(paid)
    await merchant.clock.advance(2 * 86400)
    await merchant.repair_for(300)
    assert (State.PAID, State.CLOSED, []) == (
        (await merchant.payment(paid)).state,
        (await merchant.payment(unpaid)).state,
        await merchant.cases(),
    )


async def test_after_our_own_outage_one_failed_question_is_not_the_end(merchant: Merchant) -> None:
    """Patience is counted from when we began to close, not from an expiry that we slept through."""
    payment = await merchant.offer(await merchant.order())
    merchant.pay(payment)
    await merchant.clock.advance(2 * 86400)
    merchant.sandbox.faults = Faults(fail=1.0)
    await merchant.repair_for(120)
    merchant.sandbox.faults = Faults()
    await merchant.repair_for(600)
    assert (State.PAID, []) == ((await merchant.payment(payment)).state, await merchant.cases())


async def test_a_refund_whose_answer_was_lost_goes_out_once(merchant: Merchant) -> None:
    """Sent, and the answer broke off: it is asked about under its number, and found; the channel paid once."""
    order = await merchant.order()
    payment = await merchant.offer(order)
    merchant.pay(payment)
    await merchant.repair_for(30)
    refund = await merchant.refund(payment, 500)
    merchant.sandbox.faults = Faults(drop=1.0)
    await merchant.repair()
    merchant.sandbox.faults = Faults()
    await merchant.repair_for(120)
    assert ["refund", "query_refund"] == (await merchant.calls(refund))[:2]
    assert [500] == [r.amount_minor for r in merchant.trade(payment).refunds]
    assert (RefundState.SUCCEEDED, 500) == (
        (await merchant.refund_now(refund)).state,
        (await merchant.payment(payment)).refunded_minor,
    )


async def test_a_refund_that_a_dead_worker_may_have_sent_is_asked_about_first(merchant: Merchant) -> None:
    """Stripe forgets an idempotency key after a day: sending blindly again would pay a second time."""
    payment = await merchant.offer(await merchant.order(currency="USD"), "stripe")
    merchant.pay(payment)
    await merchant.repair_for(30)
    refund = await merchant.refund(payment, 500)
    async with merchant.db.transaction() as tx:  # claimed by a worker of which nothing was heard any more
        await tx.execute("UPDATE due SET lease = lease + 1 WHERE subject_id = $1", refund.id)
    await merchant.repair()
    assert "query_refund" == (await merchant.calls(refund))[0]


async def a_refund_whose_answer_was_lost(merchant: Merchant) -> tuple[Payment, Refund]:
    """Stripe has given the money back, and nothing that it says reaches us."""
    payment = await merchant.offer(await merchant.order(currency="USD"), "stripe")
    merchant.pay(payment)
    await merchant.repair_for(30)
    refund = await merchant.refund(payment, 500)
    merchant.sandbox.faults = Faults(drop=1.0)
    await merchant.repair()
    merchant.sandbox.world.news.clear()
    assert (RefundState.REQUESTED, 500) == (
        (await merchant.refund_now(refund)).state,
        merchant.trade(payment).refunded_minor(),
    )
    return payment, refund


async def found_and_not_sent_again(merchant: Merchant, payment: Payment, refund: Refund) -> bool:
    """More than a day later Stripe answers again, and has forgotten the key; the sweep makes the job anew."""
    merchant.sandbox.faults = Faults()
    assert 1 == await sweep.run_once(merchant.db, now=merchant.clock.now(), limit=10)
    await merchant.repair_for(30)
    return (RefundState.SUCCEEDED, 500) == (
        (await merchant.refund_now(refund)).state,
        merchant.trade(payment).refunded_minor(),
    )


async def test_a_refund_whose_job_was_lost_is_asked_about_before_it_is_sent(merchant: Merchant) -> None:
    """A backup without its job is restored; the sweep's new job knows of no sending, and Stripe knows the key no more:
    the customer gets the money once."""
    payment, refund = await a_refund_whose_answer_was_lost(merchant)
    async with merchant.db.transaction() as tx:
        await tx.execute("DELETE FROM due WHERE subject_id = $1", refund.id)
    await merchant.clock.advance(2 * 86400)
    assert await found_and_not_sent_again(merchant, payment, refund)


async def test_a_refund_that_was_given_up_is_asked_about_before_it_is_sent_again(merchant: Merchant) -> None:
    """No answer for a month, and a person resolves the case: the customer gets the money once."""
    payment, refund = await a_refund_whose_answer_was_lost(merchant)
    await merchant.repair_for(31 * 86400, step_s=6 * 3600)
    async with merchant.db.transaction() as tx:
        (case,) = await cases.page(tx, None, 10, with_resolved=False)
        await cases.resolve(tx, case.id, "the network is mended", merchant.clock.now())
    assert ("unanswered", True) == (case.kind, await found_and_not_sent_again(merchant, payment, refund))


async def test_a_closed_account_is_told_and_takes_nobody_with_it(merchant: Merchant) -> None:
    """A payment of an account that was taken out of the folder waits; its neighbours are asked about."""
    lost, kept = [await merchant.offer(await merchant.order(f"A-{n}")) for n in range(2)]
    async with merchant.db.transaction() as tx:
        for table, key in (("payments", "id"), ("due", "subject_id")):
            await tx.execute(f"UPDATE {table} SET account = 'gone' WHERE {key} = $1", lost.id)
    merchant.pay(kept)
    await merchant.repair_for(30)
    assert (State.OPEN, State.PAID) == ((await merchant.payment(lost)).state, (await merchant.payment(kept)).state)


ANOTHER_MERCHANT = {
    "wechat": {"mchid": "1900009999", "payee": "1900009999/wx1"},
    "alipay": {"seller_id": "2088999999999999", "payee": "2021/2088999999999999"},
    "stripe": {"payee": "live"},
}


@pytest.mark.parametrize("channel", ANOTHER_MERCHANT)
async def test_an_account_that_is_another_merchants_now_is_not_asked(merchant: Merchant, channel: str) -> None:
    """It does not know the payment, which would be called closed though the customer can pay it, and would refuse its
    refunds. Put back, it is asked."""
    order = await merchant.order(currency="USD" if channel == "stripe" else "CNY")
    payment, there = await merchant.offer(order, channel), merchant.accounts.current
    merchant.pay(payment)
    other = msgspec.structs.replace(there.get(channel, "main"), **ANOTHER_MERCHANT[channel])
    merchant.accounts.current = Accounts({(channel, "main"): other}, "another")
    await merchant.repair_for(60)
    assert (["open"], State.OPEN) == (await merchant.calls(payment), (await merchant.payment(payment)).state)
    merchant.accounts.current = there
    await merchant.repair_for(300)
    assert State.PAID is (await merchant.payment(payment)).state


async def test_a_refund_that_cannot_be_asked_about_calls_a_person_and_takes_nobody_with_it(merchant: Merchant) -> None:
    """The channel needs a number that we do not have: one case, and the round goes on for the others."""
    payment, other = [await merchant.offer(await merchant.order(f"A-{n}", currency="USD"), "stripe") for n in range(2)]
    merchant.pay(payment)
    await merchant.repair_for(30)
    async with merchant.db.transaction() as tx:
        await tx.execute("UPDATE payments SET channel_txn_id = NULL WHERE id = $1", payment.id)
    refund = await merchant.refund(await merchant.payment(payment), 500)
    merchant.pay(other)
    await merchant.repair_for(300)
    assert (["cannot_ask"], State.PAID, RefundState.REQUESTED) == (
        await merchant.cases(),
        (await merchant.payment(other)).state,
        (await merchant.refund_now(refund)).state,
    )


async def test_looking_at_a_payment_asks_at_once_but_not_at_every_look(merchant: Merchant) -> None:
    """Query-on-read, for a customer who waits: within three seconds a second look costs no second question."""
    payment = await merchant.offer(await merchant.order())
    looks = []
    for seconds in (0, 1, 3):
        await merchant.clock.advance(seconds)
        looks.append(
            await repair.ask_now(
                merchant.db, payment.id, now=merchant.clock.now(), asker=merchant.asker, handlers=merchant.handlers,
                budget_per_s=10.0,
            )
        )  # fmt: skip
    assert [True, False, True] == looks


async def test_refunds_of_one_alipay_trade_are_sent_three_seconds_apart(merchant: Merchant) -> None:
    """Three are asked for at once. Alipay wants 3 s between them; each is sent in its turn, and all arrive."""
    payment = await merchant.offer(await merchant.order(), "alipay")
    merchant.pay(payment)
    await merchant.clock.advance(60)
    while await merchant.repair():
        pass
    for n in range(3):
        await merchant.refund(payment, 100, key=f"r{n}")
    for _ in range(12):
        await merchant.repair()
        await merchant.clock.advance(1)
    sent = await merchant.column("SELECT called_at FROM channel_calls WHERE purpose = 'refund' ORDER BY called_at")
    assert ["succeeded"] * 3 == await merchant.column("SELECT state FROM refunds")
    assert 3 == len(sent)
    assert [] == [after - before for before, after in pairwise(sent) if after - before < timedelta(seconds=3)]


async def test_a_refund_that_alipay_took_and_did_not_make_is_sent_again_under_its_number(merchant: Merchant) -> None:
    """Its first answer says that no money moved (fund_change=N), and then it knows of no such refund. That means that
    there is none, and that it may be sent again: not waiting for a month, and only once."""
    payment = await merchant.offer(await merchant.order(), "alipay")
    merchant.pay(payment)
    await merchant.repair_for(30)
    provider: Any = merchant.sandbox.world.provider("alipay", "main")
    make, taken = provider._refund, []

    def take(trade: Trade, wanted: Any, now: datetime) -> Any:
        if taken:
            return make(trade, wanted, now)
        taken.append(wanted)
        told = {"out_trade_no": trade.merchant_ref, "trade_no": trade.number, "fund_change": "N", "refund_fee": "0.00"}
        return {"code": "10000", "msg": "Success", **told}, None

    provider._refund = take
    try:
        refund = await merchant.refund(payment, 500)
        await merchant.repair_for(300)
    finally:
        provider._refund = make
    assert ["refund", "query_refund", "refund"] == (await merchant.calls(refund))[:3]
    assert [500] == [made.amount_minor for made in merchant.trade(payment).refunds]
    assert (RefundState.SUCCEEDED, 500) == (
        (await merchant.refund_now(refund)).state,
        (await merchant.payment(payment)).refunded_minor,
    )
