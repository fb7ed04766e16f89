"""Twenty holes into which payment systems fall, one test each: what happens here instead."""

import asyncio
import re
import shutil
from datetime import timedelta
from pathlib import Path

import asyncpg
import msgspec
import pytest

from kept import (
    a_callback,
    a_callback_each,
    an_offer,
    count,
    keep,
    open_cases,
    read,
    receive,
    scheduled,
    states,
    take_in,
    told,
)
from merchant import Merchant
from paidup.apply import Item, apply
from paidup.channels.accounts import AccountsFolder
from paidup.channels.channel import Channel
from paidup.channels.messages import CallbackRequest
from paidup.channels.registry import CHANNELS
from paidup.db.transaction import Database, Tx
from paidup.errors import CallbackRefused, Conflict, Verdict
from paidup.evidence import RefundSays, Road
from paidup.handlers import Handlers
from paidup.intake import quarantine
from paidup.intake.receive import Receiver, replay
from paidup.money import Money
from paidup.orders.order import LatePayment
from paidup.outbox.store import Written
from paidup.payments.states import State
from paidup.resilience.breaker import Breaker, Ending
from paidup.sandbox.faults import Faults
from paidup.settle.book import CloseOrder, Command
from paidup.testing.builders import (
    NOW,
    a_book,
    a_payment,
    after,
    closed,
    order_id,
    paid,
    payment_id,
    refund_says,
)
from test_house_rules import SOURCE


async def door(db: Database, *what: object, road: str = "callback") -> None:
    async with db.transaction() as tx:
        items = [Item(what=one, shop="teahouse", road=road) for one in what]  # type: ignore[arg-type]
        await apply(tx, items, after(300), Handlers())


def give_up(number: int = 1) -> Command:
    return CloseOrder(order_id(number), "its time is over")


async def entrance(merchant: Merchant, request: CallbackRequest, account: str = "main") -> Verdict:
    """One callback through the entrance."""
    receiver = Receiver(merchant.db, merchant.accounts, max_waiting=100, keep_per_source=10)
    channel = request.target.split("/")[2]
    got = await receiver.receive(request, channel, account, source="203.0.113.7", now=merchant.clock.now())
    await receiver.close()
    return got.verdict


@pytest.mark.parametrize(
    ("policy", "order", "extra"),
    [
        (LatePayment.REOPEN, "paid", ["order.reopened", "order.paid"]),
        (LatePayment.REFUND, "closed", ["refund.requested"]),
    ],
)
async def test_trap_01_late_success_after_close(
    db: Database, policy: LatePayment, order: str, extra: list[str]
) -> None:
    """Money for a closed order: others change no row and still tell the shop "paid". Here the payment is paid in the
    books, and the order is reopened or the money goes back, whichever the shop chose."""
    book = an_offer()
    await keep(db, book.put(msgspec.structs.replace(book.order, late_payment=policy)))
    await door(db, give_up(), closed(), paid())
    assert ([order, "paid"], ["payment.closed", "order.closed", "payment.paid", *extra]) == (
        states(await read(db))[:2],
        await told(db),
    )


async def test_trap_02_amount_mismatch_leaves_something_durable(db: Database) -> None:
    """A valid signature over another amount: others log it, acknowledge it, and have nothing left. Here the payment is
    held, the evidence stands in the journal, and a person is called."""
    await keep(db, an_offer())
    await receive(db, a_callback("cbk1", paid(amount=Money(1, "CNY"))))
    await take_in(db)
    assert (["unpaid", "held"], [("mismatch", payment_id())]) == (states(await read(db)), await open_cases(db))
    assert 1 == await count(db, "decisions", "callback_id = 'cbk1' AND why LIKE '%agreed 12.50 CNY%0.01 CNY%'")


async def test_trap_03_no_row_without_its_job(db: Database) -> None:
    """Commit, crash, and no job was ever enqueued. Here the row and its job are one commit: a callback with its place
    in the queue, an event with its place in the outbox, a refund with its place in the schedule."""
    await keep(db, a_book(payments=[a_payment(1), a_payment(2)]))
    await receive(db, *a_callback_each([paid(1), paid(2)]))
    stored = await count(db, "inbox"), await count(db, "inbox_queue")
    await take_in(db)
    refund = next(iter((await read(db)).refunds))
    assert ((2, 2), {refund}) == (stored, set(await scheduled(db)))
    assert await count(db, "events") == await count(db, "outbox_queue")


async def test_trap_04_a_retry_is_not_swallowed_when_the_handler_failed(db: Database) -> None:
    """Others write the dedup row, fail in the handler, and take the channel's retry for a duplicate. Here the failed
    callback and its retry both lead to the payment, once."""
    handlers, failures = Handlers(), iter([RuntimeError("disk full")])

    @handlers.on("order.paid")
    async def fails_once(tx: Tx, event: Written) -> None:
        for failure in failures:
            raise failure

    await keep(db, an_offer())
    await receive(db, a_callback("cbk1", paid()))
    await take_in(db, 40, handlers=handlers)
    await receive(db, a_callback("cbk2", paid(), at=after(41)))
    await take_in(db, 41, handlers=handlers)
    await take_in(db, 60, handlers=handlers)
    assert (["payment.paid", "order.paid"], 0) == (await told(db), await count(db, "inbox_queue"))


@pytest.mark.parametrize("hours", [12, 24.1, 24.4, 24 * 400])
async def test_trap_05_no_memory_of_a_payment_expires(db: Database, hours: float) -> None:
    """Dedup keys that expire after a day, while channels still retry after 24 hours and 22 minutes. Here the payment
    itself is the memory: the last retry, or one a year later, changes nothing."""
    await keep(db, an_offer())
    await receive(db, a_callback("cbk1", paid()))
    await take_in(db, 40)
    before = await read(db)
    await receive(db, a_callback("cbk2", paid(), at=after(hours * 3600)))
    await take_in(db, hours * 3600 + 1)
    assert (before, ["payment.paid", "order.paid"]) == (await read(db), await told(db))


async def test_trap_06_a_restart_forgets_no_question(merchant: Merchant) -> None:
    """A polling queue in memory is gone after a restart. Here a worker that never saw the opening asks in time."""
    payment = await merchant.offer(await merchant.order())
    merchant.pay(payment)
    await merchant.clock.advance(20)
    restarted = await Database.connect(merchant.db.dsn)
    asked = await merchant.repair(db=restarted)
    await restarted.close()
    assert (1, State.PAID) == (asked, (await merchant.payment(payment)).state)


async def test_trap_07_giving_up_asking_is_no_failure(merchant: Merchant) -> None:
    """Others mark a payment failed when they stop asking; then its success arrives and finds no way in. Here a person
    is called, and the success that comes days later pays the order."""
    order = await merchant.order()
    payment = await merchant.offer(order)
    merchant.pay(payment)
    merchant.sandbox.faults = Faults(fail=1.0)
    await merchant.repair_for(9 * 3600, step_s=900)
    given_up = await merchant.cases(), (await merchant.payment(payment)).state
    await merchant.clock.advance(86400)
    for callback in merchant.callbacks(payment):
        await entrance(merchant, callback)
    await merchant.take_in()
    assert ((["unanswered"], State.CLOSING), State.PAID) == (given_up, (await merchant.payment(payment)).state)


async def test_trap_08_a_callback_before_its_order_waits(db: Database) -> None:
    """Others acknowledge and drop it. Here it waits; a person is told when nothing comes for a quarter of an hour."""
    await receive(db, a_callback("cbk1", paid()))
    await take_in(db, 40)
    early = await open_cases(db)
    await take_in(db, 40 + 16 * 60)
    late = await open_cases(db)
    await keep(db, an_offer())
    await take_in(db, 3 * 3600)
    assert ([], [("unknown_payment", "cbk1")], ["paid", "paid"]) == (early, late, states(await read(db)))
    assert [] == await open_cases(db)


async def test_trap_09_bytes_of_a_bad_signature_are_kept_and_replayed(merchant: Merchant, tmp_path: Path) -> None:
    """Our key was wrong for an hour: others answered 400 and the bytes are gone. Here they wait in quarantine, and once
    the key is mended their replay pays the order, judged by the time at which they came."""
    order = await merchant.order(currency="USD")
    payment = await merchant.offer(order, "stripe")
    merchant.pay(payment)
    secret = shutil.copytree(merchant.folder / "stripe", tmp_path / "stripe") / "main" / "webhook.secret"
    right = secret.read_bytes()
    secret.write_bytes(b"whsec_b2xk")
    merchant.accounts = AccountsFolder(tmp_path)
    refused = [await entrance(merchant, callback) for callback in merchant.callbacks(payment)]
    await merchant.clock.advance(3600)
    secret.write_bytes(right)
    merchant.accounts.refresh()
    async with merchant.db.transaction() as tx:
        kept = [await quarantine.get(tx, row["id"]) for row in await quarantine.page(tx, None, 10, with_replayed=False)]
        verdicts = [await replay(tx, one, merchant.accounts, merchant.clock.now()) for one in kept if one]
    await merchant.take_in()
    assert ({Verdict.INVALID_SIGNATURE}, {Verdict.VALID}) == (set(refused), set(verdicts))
    assert ["payment.paid", "order.paid"] == await merchant.told(order)


async def test_trap_10_one_trade_of_the_channel_belongs_to_one_payment(db: Database) -> None:
    """One line of money matched by two orders: each looks paid, once was paid. Here the channel's number belongs to the
    first payment that had it; the second claim pays nothing, and ends with a person."""
    await keep(db, an_offer(1), an_offer(2))
    await receive(db, *a_callback_each([paid(1), paid(2, channel_txn_id="ali1")]))
    for n in range(6):
        await take_in(db, 40 + 100 * n)
    assert (["paid", "paid"], ["unpaid", "open"]) == (states(await read(db, 1)), states(await read(db, 2)))
    assert [("poisoned_callback", "cbk001")] == await open_cases(db)


async def test_trap_11_money_that_we_know_nothing_of_is_not_dropped(db: Database) -> None:
    """长款: the channel tells of money for a payment that never was here. Others leave it "for now"; here it stays on
    the queue with its bytes, and a person is told."""
    await receive(db, a_callback("cbk1", paid(7)))
    for seconds in (40, 40 + 1000, 40 + 86400):
        await take_in(db, seconds)
    assert (1, 1, [("unknown_payment", "cbk1")]) == (
        await count(db, "inbox", "body = 'raw'"),
        await count(db, "inbox_queue", "state = 'parked'"),
        await open_cases(db),
    )


async def test_trap_12_workers_come_back_after_the_database_went_away(db: Database, db_dsn: str) -> None:
    """A broker restarts and the consumer stays silent for ever. Here the next round takes new connections."""
    await keep(db, an_offer())
    await receive(db, a_callback("cbk1", paid()))
    stranger = await asyncpg.connect(db_dsn)
    await stranger.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'paidup'")
    await stranger.close()
    failures = 0
    while await count_or_none(db) is None:
        failures += 1
    await take_in(db)
    assert (["paid", "paid"], True) == (states(await read(db)), failures <= 10)


async def count_or_none(db: Database) -> int | None:
    try:
        return await count(db, "inbox_queue")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        return None


async def test_trap_13_after_an_outage_the_oldest_goes_first_and_not_all_at_once(merchant: Merchant) -> None:
    """A breaker that was open for hours lets everything through at once, in any order. Here the account's budget and
    the breaker's stages pace it, and what has been due longest is asked about first."""
    offered = []
    for n in range(6):
        offered.append(await merchant.offer(await merchant.order(f"A-{n}")))
        await merchant.clock.advance(60)
    rounds = [await merchant.repair(limit=3, budget_per_s=2.0)]
    first = [n for n, payment in enumerate(offered) if "query" in await merchant.calls(payment)]
    breaker = Breaker()
    for _ in range(20):
        permit, breaker = breaker.begin(NOW)
        breaker = breaker.ended(permit, NOW, Ending.FAILED, 1.0) if permit else breaker
    later = NOW + timedelta(hours=5)
    probe, breaker = breaker.begin(later)
    second, _ = breaker.begin(later)
    assert ([2], [0, 1]) == (rounds, first)
    assert (True, False) == (probe is not None, second is not None)


async def test_trap_14_two_servers_tell_the_same_in_the_same_second(merchant: Merchant) -> None:
    """WeChat Pay says that it may happen. Both are acknowledged, and one payment comes of it, whoever is first."""
    order = await merchant.order()
    payment = await merchant.offer(order)
    merchant.pay(payment)
    callbacks = merchant.callbacks(payment) * 2
    verdicts = await asyncio.gather(*(entrance(merchant, callback) for callback in callbacks))
    await asyncio.gather(*(merchant.take_in(limit=1) for _ in range(4)))
    assert ([Verdict.VALID] * 2, ["payment.paid", "order.paid"]) == (verdicts, await merchant.told(order))


@pytest.mark.parametrize("name", sorted(CHANNELS))
async def test_trap_15_no_channel_accepts_what_nobody_signed(merchant: Merchant, name: str) -> None:
    """A base class whose verifier says yes unless overridden. Here there is no base class to inherit from, and every
    channel refuses an unsigned callback of a payment that really was made."""
    order = await merchant.order(currency="USD" if name == "stripe" else "CNY")
    payment = await merchant.offer(order, name)
    merchant.pay(payment)
    for signed in merchant.callbacks(payment):
        body = re.sub(rb"&?sign=[^&]*", b"", signed.body)
        unsigned = CallbackRequest("POST", signed.target, (("content-type", "text/plain"),), body)
        with pytest.raises(CallbackRefused):
            CHANNELS[name].read_callback(unsigned, merchant.accounts.current.get(name, "main"), merchant.clock.now())
    assert Channel not in type(CHANNELS[name]).__mro__


async def test_trap_16_a_set_that_shrinks_while_it_is_mended_is_mended_whole(merchant: Merchant) -> None:
    """Paging by OFFSET over what is due skips half of it. Here rows are claimed: every one is asked about once."""
    offered = [await merchant.offer(await merchant.order(f"A-{n}")) for n in range(20)]
    for payment in offered:
        merchant.pay(payment)
    await merchant.clock.advance(20)
    rounds = []
    while done := await merchant.repair(limit=3):
        rounds.append(done)
    assert (20, 7) == (sum(rounds), len(rounds))
    assert [["open", "query"]] * 20 == [await merchant.calls(payment) for payment in offered]


async def test_trap_17_a_late_paid_does_not_raise_a_refunded_order(db: Database) -> None:
    """A late success turns a refunded order back to processing, and ships it a second time. Here it is old news."""
    await keep(db, an_offer())
    await door(db, paid(), refund_says(RefundSays.SUCCEEDED))
    before = await told(db)
    await door(db, paid(), paid(key="another", received_at=after(86400)))
    assert (["refunded", "paid", "succeeded"], before) == (states(await read(db)), await told(db))


async def test_trap_18_all_roads_lead_through_one_door(db: Database) -> None:
    """Callback, return page and cron each confirm the order with code of their own. Here four roads at the same moment
    make one payment, because one function weighs them all."""
    await keep(db, an_offer())
    await asyncio.gather(*(door(db, paid(road=road), road=road) for road in Road))
    weighs = re.compile(r"from paidup\.settle import settle\b")
    callers = [path.name for path in SOURCE.rglob("*.py") if weighs.search(path.read_text())]
    assert (["payment.paid", "order.paid"], ["apply.py"]) == (await told(db), callers)


async def test_trap_19_the_retry_of_what_took_the_last_of_it_is_no_refusal(merchant: Merchant) -> None:
    """Stock checked before idempotency: the retry of the deduction that emptied it hears "sold out". The same rule
    where money is taken from a payment: the retry of the refund that took all of it is the same refund, and no refusal.
    """
    payment = await merchant.offer(await merchant.order())
    merchant.pay(payment)
    await merchant.repair_for(30)
    first = await merchant.refund(payment, 1250, key="k1")
    again = await merchant.refund(payment, 1250, key="k1")
    with pytest.raises(Conflict, match="more than the 0 minor units"):
        await merchant.refund(payment, 1, key="k2")
    assert first == again


async def test_trap_20_ten_at_once_who_all_find_nothing_make_one(merchant: Merchant) -> None:
    """SELECT … FOR UPDATE finds no row and locks nothing, then all insert: deadlock or doubles. Here all insert first,
    and those who come late read what is there."""
    placed = await asyncio.gather(*(merchant.order("A-1") for _ in range(10)))
    offered = await asyncio.gather(*(merchant.offer(placed[0], key="k1") for _ in range(10)))
    assert (1, 1) == (len({order.id for order in placed}), len({payment.id for payment in offered}))
