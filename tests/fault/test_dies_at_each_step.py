"""The process dies at each of its uses of the database in turn; afterwards somebody else goes on, and nothing is lost
and nothing happened twice."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from mortal import Died, Fate, MortalDatabase

from kept import a_callback, an_offer, count, events, keep, open_cases, read, receive, scheduled, states, take_in, told
from merchant import LEASE, Merchant
from paidup.checkout.open import Wanted, open_payment
from paidup.db.transaction import Database
from paidup.evidence import RefundSays
from paidup.handlers import Handlers
from paidup.intake.worker import run_once
from paidup.payments.states import State
from paidup.refunds.states import State as RefundState
from paidup.testing.builders import SHOP, a_payment, after, order_id, paid, payment_id, refund_says

MOST_STEPS = 200


@pytest.fixture
async def mortal(db: Database) -> AsyncIterator[MortalDatabase]:
    """The test's database in the hands of a process that dies; `db` is in the hands of one that does not."""
    database = await MortalDatabase.connect(db.dsn)
    yield database
    await database.close()


async def dies_at_each_step(mortal: MortalDatabase, once: Callable[[int], Awaitable[None]]) -> int:
    """Call `once(n)` for n = 1, 2 …, dying one step later each time, until it comes through; returns the deaths."""
    for at in range(1, MOST_STEPS):
        mortal.fate = Fate(at)
        try:
            await once(at)
        except Died:
            continue
        finally:
            mortal.fate = Fate(0)
        return at - 1
    raise AssertionError(f"not through after {MOST_STEPS} steps")


async def test_the_intake_dies_at_each_step(db: Database, mortal: MortalDatabase) -> None:
    """A paid callback, a second payment's, and a refund of the first: whenever the worker dies, the next round ends in
    the same state, with every event announced once and numbered without a gap."""

    async def once(n: int) -> None:
        first, second = 1000 + n, 2000 + n
        book = an_offer(n).put(a_payment(first, order_id=order_id(n)), a_payment(second, order_id=order_id(n)))
        await keep(db, book)
        told_of = [paid(first), paid(second), refund_says(RefundSays.SUCCEEDED, n, payment=first)]
        await receive(db, *(a_callback(f"cbk{n}-{k}", evidence) for k, evidence in enumerate(told_of)))
        await run_once(mortal, now=after(40), limit=500, handlers=Handlers())

    deaths = await dies_at_each_step(mortal, once)
    while await take_in(db, 4000):
        pass
    for n in range(1, deaths + 2):
        assert ["refunded", "closing", "paid", "paid", "requested", "succeeded"] == [
            states(await read(db, n))[0], *states(await read(db, n))[1:4], *sorted(states(await read(db, n))[4:])
        ]  # fmt: skip
        kinds = await told(db, n)
        assert (2, 1, 1, 1) == tuple(
            kinds.count(k) for k in ("payment.paid", "order.paid", "refund.succeeded", "order.refunded")
        )
        assert list(range(1, len(kinds) + 1)) == [event.seq for event in await events(db, n)]
    assert (0, [], True) == (await count(db, "inbox_queue"), await open_cases(db), deaths > 20)


async def test_the_poison_path_dies_at_each_step(db: Database, mortal: MortalDatabase) -> None:
    """While a bad callback is singled out, too: its neighbour is applied, it ends with a person, with one case."""
    await keep(db, an_offer(999))
    await receive(db, a_callback("cbk999", paid(999)))
    await take_in(db)

    async def once(n: int) -> None:
        await take_in(db, 40)  # somebody else goes on with what the last one left behind
        await keep(db, an_offer(n), an_offer(2000 + n))
        bad, good = paid(n, channel_txn_id="ali999"), paid(2000 + n)
        await receive(db, a_callback(f"bad{n}", bad), a_callback(f"good{n}", good))
        await run_once(mortal, now=after(40), limit=500, handlers=Handlers())

    deaths = await dies_at_each_step(mortal, once)
    for n in range(8):
        while await take_in(db, 4000 + 100 * n):
            pass
    numbers = range(1, deaths + 2)
    assert {("unpaid", "paid")} == {
        (str((await read(db, n)).order.state), str((await read(db, 2000 + n)).order.state)) for n in numbers
    }
    assert sorted(("poisoned_callback", f"bad{n}") for n in numbers) == sorted(await open_cases(db))


async def test_repair_dies_at_each_step(merchant: Merchant, mortal: MortalDatabase) -> None:
    """Paid at the channel and never told: whenever the worker that asks dies, another asks when the lease is over, and
    finds each payment once."""
    orders = []

    async def once(n: int) -> None:
        orders.append(await merchant.order(f"A-{n}"))
        payment = await merchant.offer(orders[-1])
        merchant.pay(payment)
        await merchant.clock.advance(20)
        await merchant.repair(limit=1, db=mortal)

    deaths = await dies_at_each_step(mortal, once)
    await merchant.clock.advance(LEASE.total_seconds() + 1)
    while await merchant.repair():
        pass
    assert {("payment.paid", "order.paid")} == {tuple(await merchant.told(order)) for order in orders}
    assert ({}, True) == (await scheduled(merchant.db), deaths > 20)


@pytest.mark.parametrize("channel", ["wechat", "alipay", "stripe"])
async def test_sending_a_refund_dies_at_each_step(merchant: Merchant, mortal: MortalDatabase, channel: str) -> None:
    """Before and after it was sent: another worker takes over, the channel pays each refund once, and we know."""
    pairs = []

    async def once(n: int) -> None:
        currency = "USD" if channel == "stripe" else "CNY"
        payment = await merchant.offer(await merchant.order(f"A-{n}", currency=currency), channel)
        merchant.pay(payment)
        await merchant.clock.advance(LEASE.total_seconds() + 1)
        while await merchant.repair():
            pass
        # Half of it: sent twice under two numbers, both halves would go through.
        pairs.append((payment, await merchant.refund(payment, 625)))
        await merchant.repair(limit=1, db=mortal)

    deaths = await dies_at_each_step(mortal, once)
    for _ in range(5):
        await merchant.clock.advance(LEASE.total_seconds() + 1)
        while await merchant.repair():
            pass
    assert [[625]] * (deaths + 1) == [[r.amount_minor for r in merchant.trade(payment).refunds] for payment, _ in pairs]
    assert {(RefundState.SUCCEEDED, 625)} == {
        ((await merchant.refund_now(refund)).state, (await merchant.payment(payment)).refunded_minor)
        for payment, refund in pairs
    }
    assert (0, True) == (await count(merchant.db, "cases"), deaths > 20)


async def test_opening_a_payment_dies_at_each_step(merchant: Merchant, mortal: MortalDatabase) -> None:
    """The shop tries again with its key: one payment and one trade come of it, and it is asked about and found paid."""
    orders = []

    async def opens(db: Database, n: int) -> None:
        wanted = Wanted(channel="wechat", account="main", key="k1")
        await open_payment(
            db, merchant.asker, merchant.handlers, shop=SHOP, order_id=orders[n - 1].id, wanted=wanted,
            now=merchant.clock.now(),
        )  # fmt: skip

    async def once(n: int) -> None:
        orders.append(await merchant.order(f"A-{n}"))
        await opens(mortal, n)

    deaths = await dies_at_each_step(mortal, once)
    for n in range(1, deaths + 2):
        await opens(merchant.db, n)
    names = await merchant.column("SELECT merchant_ref FROM payments")
    assert (deaths + 1, {1}) == (len(names), {_trades(merchant, str(name)) for name in names})
    assert (set(names), {State.OPEN}) == (
        set(await scheduled(merchant.db)),
        set(await merchant.column("SELECT state FROM payments")),
    )


def _trades(merchant: Merchant, merchant_ref: str) -> int:
    return merchant.sandbox.world.ledger.how_many("wechat", "main", merchant_ref)


async def test_a_death_leaves_nothing_half_done(db: Database, mortal: MortalDatabase) -> None:
    """Right after each death, before anybody recovers: an order with its events, or neither; a job, or its effect."""

    async def once(n: int) -> None:
        await keep(db, an_offer(n))
        await receive(db, a_callback(f"cbk{n}", paid(n)))
        try:
            await run_once(mortal, now=after(40), limit=1, handlers=Handlers())
        finally:
            is_paid = (await read(db, n)).payments[payment_id(n)].state is State.PAID
            queued = await count(db, "inbox_queue", f"callback_id = 'cbk{n}'")
            jobs = set(await scheduled(db)) & {payment_id(n)}
            assert (
                (2, 0, set()) == (len(await told(db, n)), queued, jobs)
                if is_paid
                else ((0, 1, {payment_id(n)}) == (len(await told(db, n)), queued, jobs))
            )
            await take_in(db, 40)

    assert await dies_at_each_step(mortal, once) > 15
