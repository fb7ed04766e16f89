"""The silent-channel alarm, and the sweep that gives a job to what lacks one."""

import json
from datetime import UTC, datetime, timedelta

from paidup.apply import Item, apply
from paidup.cases import store as cases
from paidup.checkout.place import place_order
from paidup.db.transaction import Database, Tx
from paidup.evidence import PaymentEvidence, PaymentSays, Road
from paidup.handlers import Handlers
from paidup.intake import inbox
from paidup.money import Money
from paidup.orders.order import LatePayment
from paidup.payments import store as payments
from paidup.payments.payment import Payment
from paidup.payments.states import State
from paidup.repair import silence, sweep
from paidup.schedule import store as schedule
from paidup.shops import store as shops

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
ACCOUNT = ("stripe", "main", "acme")


async def an_open_payment(tx: Tx, number: int, *, due: bool = True) -> Payment:
    await shops.put_shop(tx, "acme", LatePayment.REOPEN, NOW)
    order = await place_order(
        tx,
        shop="acme",
        shop_order_no=f"A-{number}",
        money=Money(100, "USD"),
        description="",
        ttl_s=7200,
        now=NOW,
        shard=0,
    )
    payment = Payment(
        id=f"pay{order.id[3:]}",
        shop="acme",
        order_id=order.id,
        channel="stripe",
        account="main",
        method="payment_intent",
        merchant_ref=f"m-{number}",
        payee="test",
        amount_minor=100,
        currency="USD",
        state=State.OPEN,
        created_at=NOW,
        expires_at=order.expires_at,
        updated_at=NOW,
    )
    assert await payments.insert(tx, payment)
    if due:
        await schedule.put(tx, [(payment.id, "payment", "stripe", "main", NOW)])
    return payment


async def found_by_query(db: Database, number: int, at: datetime) -> None:
    evidence = PaymentEvidence(
        road=Road.QUERY,
        channel="stripe",
        account="main",
        key=f"query:{number}",
        received_at=at,
        merchant_ref=f"m-{number}",
        says=PaymentSays.PAID,
    )
    async with db.transaction() as tx:
        await an_open_payment(tx, number)
        await apply(tx, [Item(what=evidence, shop="acme", road="query")], at, Handlers())


async def open_kinds(db: Database) -> list[str]:
    async with db.session() as tx:
        return [case.kind for case in await cases.page(tx, None, 10, with_resolved=False)]


async def look(db: Database, at: datetime) -> int:
    return await silence.run_once(db, now=at, accounts=[ACCOUNT], silent_minutes=10)


async def test_a_channel_that_only_queries_hear_is_called_silent_once(db: Database) -> None:
    """Three payments found by query and no callback for ten minutes: one case, however often one looks."""
    for number in range(3):
        await found_by_query(db, number, NOW)
    later = NOW + timedelta(minutes=11)
    assert (1, 1, ["silent_channel"]) == (await look(db, later), await look(db, later), await open_kinds(db))


async def test_a_quiet_night_is_no_alarm(db: Database) -> None:
    """No callbacks, and nothing that queries found either: nobody is woken."""
    assert (0, []) == (await look(db, NOW), await open_kinds(db))


async def test_a_callback_ends_the_alarm(db: Database) -> None:
    """The case is resolved by itself when callbacks arrive again."""
    for number in range(3):
        await found_by_query(db, number, NOW)
    later = NOW + timedelta(minutes=11)
    await look(db, later)
    row = inbox.Received(
        id="cbk1", received_at=later, shop="acme", channel="stripe", account="main", dedup_key="e1", kind="x",
        target="/callbacks/stripe/main", headers="[]", body=b"{}", merchant_ref=None, evidence="[]",
    )  # fmt: skip
    async with db.transaction() as tx:
        await inbox.store(tx, [row])
    assert (0, []) == (await look(db, later + timedelta(seconds=5)), await open_kinds(db))


async def test_the_sweep_gives_a_job_to_what_lacks_one(db: Database) -> None:
    """A payment without its row in the schedule (a restored backup) is asked about at once, and found only once."""
    async with db.transaction() as tx:
        payment = await an_open_payment(tx, 1, due=False)
    later = NOW + timedelta(minutes=5)
    assert (1, 0) == (await sweep.run_once(db, now=later, limit=10), await sweep.run_once(db, now=later, limit=10))
    async with db.session() as tx:
        assert [later] == [due.due_at for due in (await schedule.get(tx, [payment.id])).values()]


MANY = """
INSERT INTO payments SELECT (jsonb_populate_record(p, jsonb_build_object(
  'id', 'pay' || n, 'merchant_ref', 'many-' || n, 'state', 'paid'))).* FROM payments p, generate_series(1, 20000) n"""


async def test_the_sweep_reads_what_is_unfinished_and_not_the_books(db: Database) -> None:
    """It looks once a minute, so what it reads must not grow with what was ever paid."""
    async with db.transaction() as tx:
        await an_open_payment(tx, 1)
        await tx.execute(MANY)
    async with db.session() as tx:
        await tx.execute("ANALYZE payments")
        (plan,) = json.loads(await tx.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sweep.LACKING}", NOW, 500))
    assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < 100
