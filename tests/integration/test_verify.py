"""What verify finds: a row that was edited, added or taken away by hand is named; an honest life holds."""

from datetime import timedelta

import msgspec
import pytest

from kept import a_callback, an_offer, keep, receive, take_in
from merchant import Merchant
from paidup.cases import store as cases
from paidup.db.transaction import Database
from paidup.delivery.store import fan_out
from paidup.evidence import PaymentEvidence
from paidup.orders.states import State as OrderState
from paidup.payments.states import State as PaymentState
from paidup.refunds.states import State as RefundState
from paidup.seal import seal
from paidup.settle.book import Book
from paidup.testing.builders import (
    AMOUNT,
    SHOP,
    a_payment,
    a_refund,
    after,
    an_order,
    attempt_failed,
    order_id,
    paid,
    payment_id,
    waiting,
)
from paidup.verify import Report, verify
from paidup.verify.store import proven_up_to, write

WHOLE = AMOUNT.amount_minor


async def a_life(db: Database) -> None:
    """Order 1 was offered, tried in vain, and paid; order 2 waits for its customer."""
    await keep(db, an_offer(1), an_offer(2))
    await receive(db, a_callback("cbk1", attempt_failed(1, key="k1")), a_callback("cbk2", waiting(2)))
    await take_in(db, 40)
    await receive(db, a_callback("cbk3", paid(1)), a_callback("cbk4", paid(1, key="again")))
    await take_in(db, 50)


def broken(report: Report) -> dict[str, list[str]]:
    """The claims that do not hold, and what breaks them."""
    return {check.name: check.breaches for check in report.checks if not check.holds}


async def by_hand(db: Database, statement: str) -> int:
    """Somebody with a database shell."""
    async with db.transaction() as tx:
        return int((await tx.execute(statement)).split()[-1])


async def test_an_honest_life_holds(merchant: Merchant) -> None:
    """Paid, refunded in part, closed, paid twice: all claims hold, and every row and link was looked at."""
    order = await merchant.order()
    payment = await merchant.offer(order)
    other = await merchant.offer(order, key="other")
    for one in (payment, other):
        merchant.pay(one)
    await merchant.repair_for(600)
    await merchant.refund(payment, 100)
    await merchant.repair_for(600)
    given_up = await merchant.order("A-2")
    await merchant.offer(given_up)
    await merchant.give_up(given_up)
    await merchant.repair_for(3600, step_s=60)
    report = await verify(merchant.db, now=merchant.clock.now())
    sums = {check.name: check.sums for check in report.checks}
    assert {} == broken(report)
    assert (2, 2, {"sealed_rows": 7}) == (report.orders, sums["paid once"]["paid_events"], sums["seals"])
    assert sums["journal"]["links"] >= 8


EDITS = {
    "an amount of an order": ("UPDATE orders SET amount_minor = 1 WHERE id = '{order}'", "orders", "{order}"),
    "a description": ("UPDATE orders SET description = 'gold' WHERE id = '{order}'", "seals", "{order}"),
    "the state of a payment": ("UPDATE payments SET state = 'closed' WHERE id = '{payment}'", "seals", "{payment}"),
    "the channel's number": ("UPDATE payments SET channel_txn_id = 'x' WHERE id = '{payment}'", "seals", "{payment}"),
    "what a decision says": ("UPDATE decisions SET why = 'ok' WHERE outcome = 'applied'", "journal", "dec"),
    "what a decision was made on": (
        "UPDATE decisions SET evidence = '[]' WHERE outcome = 'applied'",
        "journal",
        "dec",
    ),
    "a decision that is gone": ("DELETE FROM decisions WHERE outcome = 'applied'", "journal", "{order}"),
    "a decision that was put in": (
        "INSERT INTO decisions (id, decided_at, road, outcome, why, shop, order_id, evidence, prev)"
        " SELECT 'dec0', decided_at, road, outcome, 'forged', shop, order_id, evidence, prev FROM decisions"
        " WHERE outcome = 'applied' LIMIT 1",
        "journal",
        "dec",
    ),
    "what an event told": ("UPDATE events SET data = '{{}}' WHERE type = 'order.paid'", "journal", "evt"),
    "an event that is gone": ("DELETE FROM events WHERE type = 'order.paid'", "event order", "{order}"),
    "an event told twice": (
        "INSERT INTO events SELECT 'evt0', created_at, shop, type, order_id, 3, subject_id, data FROM events"
        " WHERE type = 'payment.paid'",
        "paid once",
        "{payment}",
    ),
    "a job that is gone": ("DELETE FROM due WHERE subject_id = '{other}'", "jobs", "{other}"),
    "a callback that became nothing": ("DELETE FROM decisions WHERE callback_id = 'cbk4'", "callbacks", "cbk4"),
    "a queued event that does not exist": (
        "UPDATE outbox_queue SET event_id = 'evt9' WHERE type = 'order.paid'",
        "told",
        "evt9",
    ),
}


@pytest.mark.parametrize(("statement", "claim", "named"), EDITS.values(), ids=EDITS.keys())
async def test_what_is_edited_by_hand_is_named(db: Database, statement: str, claim: str, named: str) -> None:
    """The claim that breaks says which row it was."""
    await a_life(db)
    assert {} == broken(await verify(db))
    names = {"order": order_id(1), "payment": payment_id(1), "other": payment_id(2)}
    assert await by_hand(db, statement.format(**names)) >= 1
    found = broken(await verify(db))
    assert any(name.startswith(named.format(**names)) for name in found[claim]), found


async def test_money_that_does_not_add_up_is_named(db: Database) -> None:
    """A row written whole, seal and all, by a program that is wrong: the sums still find it."""
    payment = a_payment(1, order_id=order_id(1), refunded_minor=5)
    await keep(db, Book(an_order(1), {payment.id: payment}, {}))
    assert {"refunds": [payment_id(1)]} == broken(await verify(db))


@pytest.mark.parametrize(
    ("minor", "state", "was_told", "holds"),
    [
        (WHOLE, RefundState.REQUESTED, False, True),
        (WHOLE, RefundState.SUCCEEDED, False, True),
        (1, RefundState.SUCCEEDED, False, False),
        (WHOLE, RefundState.FAILED, False, False),
        (WHOLE, RefundState.FAILED, True, True),
    ],
)
async def test_a_second_payment_goes_back_whole(
    db: Database, minor: int, state: RefundState, was_told: bool, holds: bool
) -> None:
    """The customer paid twice. A refund of one cent gives nothing back, and neither does one that failed, unless people
    were told of it."""
    order = an_order(1, state=OrderState.PAID, paid_by=payment_id(1))
    first, second = (a_payment(n, order_id=order.id, state=PaymentState.PAID) for n in (1, 2))
    back = a_refund(9, order_id=order.id, payment_id=second.id, amount_minor=minor, state=state)
    await keep(db, Book(order, {first.id: first, second.id: second}, {back.id: back}))
    if was_told:
        async with db.transaction() as tx:
            told = cases.Case(
                id="cas1", shop=SHOP, kind="refund_failed", subject_id=back.id, order_id=order.id, why="it came back",
                opened_at=after(0),
            )  # fmt: skip
            await cases.open_many(tx, [told])
    assert holds is ("given back" not in broken(await verify(db)))


async def test_batches_that_overtake_each_other_stay_a_chain(db: Database) -> None:
    """A worker whose batch began earlier commits later: the links follow the lock, not the clock."""
    await keep(db, an_offer(1))
    await receive(db, a_callback("cbk1", attempt_failed(1, key="k1", channel_txn_id="first")))
    await take_in(db, 60)
    await receive(db, a_callback("cbk2", paid(1)))
    await take_in(db, 50)
    assert {} == broken(await verify(db))


async def test_only_what_changed_is_looked_at_again(db: Database) -> None:
    """After a run that held, the next one may begin where that one ended; a run that found a breach moves nothing."""
    await a_life(db)
    whole = await verify(db, now=after(3600))
    async with db.transaction() as tx:
        await write(tx, after(3600), whole)
        since = await proven_up_to(tx)
    nothing = await verify(db, now=after(7200), since=since)
    await receive(db, a_callback("cbk5", paid(2)))
    await take_in(db, 7000)
    await by_hand(db, f"UPDATE orders SET description = 'gold' WHERE id = '{order_id(2)}'")
    one = await verify(db, now=after(7200), since=since)
    async with db.transaction() as tx:
        await write(tx, after(7200), one)
        assert since == await proven_up_to(tx) == after(3600) - timedelta(minutes=2)
    assert (2, 0, 1) == (whole.orders, nothing.orders, one.orders)
    assert {"seals": [order_id(2)]} == broken(one)


ENDPOINT = """
INSERT INTO endpoints (id, shop, url, types, secrets, created_at)
SELECT 'ept1', shop, 'https://shop.example/hook', '{{order.paid}}', '{{s}}', now() - interval '{ago}' FROM shops"""
"""It wants one of the two events of a payment."""


async def test_an_event_that_nobody_was_given_is_named(db: Database) -> None:
    """An endpoint wants it, and its row of the queue is lost before it was given out: nobody would hear. What is so
    old that its delivery may be forgotten is not missed, and an endpoint that came later wants nothing of it."""
    await a_life(db)
    await by_hand(db, ENDPOINT.format(ago="100 years"))
    assert {} == broken(await verify(db))
    await by_hand(db, "DELETE FROM outbox_queue")
    async with db.session() as tx:
        [event] = await tx.fetch("SELECT id, created_at FROM events WHERE type = 'order.paid'")
    lost = {"told": [event["id"]]}
    whole, part = await verify(db, now=after(3600)), await verify(db, now=after(3600), since=event["created_at"])
    assert [lost, lost, {}] == [
        broken(one) for one in (whole, part, await verify(db, now=event["created_at"] + timedelta(days=90)))
    ]
    await by_hand(db, "UPDATE endpoints SET created_at = (SELECT max(created_at) FROM events)")
    assert {} == broken(await verify(db, now=after(3600)))


async def test_an_event_that_was_given_out_is_told(db: Database) -> None:
    """It left the queue, and its delivery says what became of it."""
    await a_life(db)
    await by_hand(db, ENDPOINT.format(ago="100 years"))
    async with db.transaction() as tx:
        assert 2 == await fan_out(tx, after(60), 10)
    assert {} == broken(await verify(db, now=after(3600)))


async def test_what_left_by_age_is_not_missed(db: Database) -> None:
    """Events are kept for 90 days; an order that is older is judged by its rows."""
    await a_life(db)
    await by_hand(db, "DELETE FROM events")
    await by_hand(db, "DELETE FROM outbox_queue")
    young, old = await verify(db, now=after(3600)), await verify(db, now=after(100 * 86400))
    assert ({"paid once", "event order", "journal"}, {}) == (set(broken(young)), broken(old))


async def test_a_callback_that_waits_longer_than_its_bytes_are_kept_is_not_missed(db: Database) -> None:
    """It speaks of a payment that nobody here knows, and waits for ever; the raw bytes leave after 90 days."""
    await receive(db, a_callback("cbk1", paid(7)))
    await take_in(db, 60)
    await by_hand(db, "DELETE FROM inbox")
    young, old = await verify(db, now=after(3600)), await verify(db, now=after(91 * 86400))
    assert ({"callbacks"}, {}) == (set(broken(young)), broken(old))


@pytest.mark.parametrize("evidence", [[paid(7)], [paid(2), paid(7)]], ids=["all of it", "a part of it"])
async def test_a_callback_that_waits_no_more_and_was_never_weighed_is_named(
    db: Database, evidence: list[PaymentEvidence]
) -> None:
    """It came too early, and was taken off the queue by hand: nothing became of it, though it stands in the journal."""
    await a_life(db)
    await receive(db, a_callback("cbk9", *evidence))
    await take_in(db, 60)
    assert {} == broken(await verify(db))
    await by_hand(db, "DELETE FROM inbox_queue WHERE callback_id = 'cbk9'")
    assert {"callbacks": ["cbk9"]} == broken(await verify(db))


async def test_a_callback_that_waited_and_was_weighed_is_no_breach(db: Database) -> None:
    """Its payment came after it, and paid its order."""
    await receive(db, a_callback("cbk1", paid()))
    await take_in(db, 40)
    await keep(db, an_offer())
    await take_in(db, 60)
    report = await verify(db)
    assert ({}, 1) == (broken(report), report.checks[0].sums["applied"])


async def test_a_machine_whose_clock_is_behind_is_no_breach(db: Database) -> None:
    """One placed the order, another that is some seconds behind took its callback in: nothing of it is missed."""
    await keep(db, an_offer())
    await receive(db, a_callback("cbk1", paid(), at=after(-5)))
    await take_in(db, -4)
    assert {} == broken(await verify(db, now=after(3600)))


async def test_the_anchor_follows_from_every_row(db: Database) -> None:
    """It is the same for the same orders, and another after any change."""
    await a_life(db)
    first, same = await verify(db), await verify(db)
    await receive(db, a_callback("cbk5", paid(2)))
    await take_in(db, 60)
    assert first.anchor == same.anchor != (await verify(db)).anchor


async def test_a_forger_who_seals_anew_changes_the_anchor(merchant: Merchant) -> None:
    """Somebody doubles a refund, and seals it and its payment anew. Every claim holds; the anchor, which was noted
    elsewhere, is another one."""
    payment = await merchant.offer(await merchant.order())
    merchant.pay(payment)
    await merchant.repair_for(600)
    refund = await merchant.refund(payment, 500)
    await merchant.repair_for(600)
    noted = await verify(merchant.db, now=merchant.clock.now())
    forged = msgspec.structs.replace(await merchant.refund_now(refund), amount_minor=1000)
    paid_back = msgspec.structs.replace(await merchant.payment(payment), refunded_minor=1000)
    async with merchant.db.transaction() as tx:
        await tx.execute("UPDATE refunds SET amount_minor = 1000, seal = $2 WHERE id = $1", refund.id, seal(forged))
        await tx.execute(
            "UPDATE payments SET refunded_minor = 1000, seal = $2 WHERE id = $1", payment.id, seal(paid_back)
        )
    found = await verify(merchant.db, now=merchant.clock.now())
    assert (True, True) == (noted.holds, found.holds)
    assert noted.anchor != found.anchor
