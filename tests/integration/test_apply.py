"""The door on real PostgreSQL: what one batch writes, and what it leaves alone."""

import asyncio
import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress

import asyncpg
import pytest

import paidup
from kept import (
    a_callback,
    a_callback_each,
    an_offer,
    count,
    events,
    keep,
    open_cases,
    read,
    receive,
    scheduled,
    states,
    take_in,
    told,
)
from paidup.apply import Item, Nothing, Result, apply
from paidup.db.transaction import Database, Tx
from paidup.evidence import DisputeSays, Evidence, RefundSays
from paidup.handlers import Handlers
from paidup.intake.worker import MAX_ATTEMPTS
from paidup.journal import store as journal
from paidup.outbox.store import Written
from paidup.payments.states import FINAL, State
from paidup.settle.book import AskRefund, CloseOrder, Command, Opened, Weighed
from paidup.testing.builders import (
    LONG_AGO,
    a_book,
    a_payment,
    a_refund,
    after,
    an_order,
    attempt_failed,
    closed,
    dispute_says,
    not_found,
    order_id,
    paid,
    payment_id,
    refund_id,
    refund_says,
    waiting,
)
from paidup.verify import verify


async def settle(db: Database, *items: Evidence | Command | Nothing, handlers: Handlers | None = None) -> list[Result]:
    """All through the door in one batch."""
    async with db.transaction() as tx:
        return await apply(
            tx, [Item(what=i, shop="teahouse", road="callback") for i in items], after(60), handlers or Handlers()
        )


def a_life_of_each(numbers: Sequence[int]) -> list[Evidence | Command]:
    """Evidence of every kind about these orders, taken in turns."""
    turns: list[list[Evidence | Command]] = [
        [
            waiting(n), paid(n), CloseOrder(order_id(n), "too late"), paid(n),
            refund_says(RefundSays.PENDING, n, payment=n), refund_says(RefundSays.SUCCEEDED, n, payment=n),
            dispute_says(DisputeSays.OPENED, n, payment=n), dispute_says(DisputeSays.LOST, n, payment=n),
            refund_says(RefundSays.FAILED, n, payment=n, occurred_at=after(900)),
        ]
        for n in numbers
    ]  # fmt: skip
    return [item for turn in zip(*turns, strict=True) for item in turn]


async def test_a_batch_does_what_its_items_do_one_by_one(db: Database) -> None:
    """The same states, the same events in the same order, the same cases and jobs."""
    await keep(db, *(an_offer(n) for n in range(1, 7)))
    await settle(db, *a_life_of_each([1, 2, 3]))
    for item in a_life_of_each([4, 5, 6]):
        await settle(db, item)
    for batched, single in ((1, 4), (2, 5), (3, 6)):
        assert states(await read(db, single)) == states(await read(db, batched))
        # Cases are announced at the end of their batch, so only what they stand between may differ.
        assert _without_cases(await told(db, single)) == _without_cases(await told(db, batched))
    kinds = [kind for kind, _ in await open_cases(db)]
    assert ({"dispute": 6, "refund_failed": 6}, {}) == (Counter(kinds), await scheduled(db))


def _without_cases(kinds: list[str]) -> list[str]:
    return [kind for kind in kinds if kind != "case.opened"]


async def test_each_dispute_of_a_payment_is_remembered(db: Database) -> None:
    """One callback after another: dispute 1 lost, dispute 2 won, and the first news of both once more; the money of the
    first is gone."""
    await keep(db, an_offer())
    opened = [dispute_says(DisputeSays.OPENED, n) for n in (1, 2)]
    for item in (paid(), *opened, dispute_says(DisputeSays.LOST), dispute_says(DisputeSays.WON, 2), *opened):
        await settle(db, item)
    payment = (await read(db)).payments[payment_id()]
    assert (State.CHARGED_BACK, {"dp1": "lost", "dp2": "won"}) == (payment.state, payment.all_disputes)
    assert ["payment.paid", "order.paid", "payment.disputed", "case.opened", "payment.charged_back"] == await told(db)
    assert (await verify(db)).holds


async def test_events_are_numbered_without_gaps_per_order(db: Database) -> None:
    """1, 2, 3 …, over several batches, and the order's row knows the last one."""
    await keep(db, an_offer(1), an_offer(2))
    for item in a_life_of_each([1, 2]):
        await settle(db, item)
    for number in (1, 2):
        numbers = [event.seq for event in await events(db, number)]
        assert list(range(1, len(numbers) + 1)) == numbers
        assert len(numbers) == (await read(db, number)).order.event_seq


async def test_an_event_is_queued_with_the_change_it_announces(db: Database) -> None:
    """Nobody enqueues it afterwards: what stands in `events` stands in the queue from the same commit on."""
    await keep(db, an_offer())
    await settle(db, paid())
    assert (2, 2) == (await count(db, "events"), await count(db, "outbox_queue"))


async def test_every_weighing_is_journalled_with_its_reason(db: Database) -> None:
    """What came, by which road, how it fared, what moved and why, word for word and in order."""
    await keep(db, an_offer())
    results = await settle(db, paid(), paid(), waiting())
    async with db.session() as tx:
        entries = await journal.of_order(tx, order_id(), since=LONG_AGO)
    assert ("order unpaid, payment open", "order paid, payment paid") == (entries[0].before, entries[0].after)
    assert [(r.outcome.value, r.why) for r in results] == [(e.outcome, e.why) for e in entries]


async def test_an_unfinished_payment_always_has_a_job_and_a_settled_one_never(db: Database) -> None:
    """The row in the schedule follows the state, in the transaction that changes it."""
    kinds = (waiting, paid, closed, attempt_failed, not_found)
    await keep(db, *(an_offer(n) for n in range(1, 6)), *(an_offer(n, state=State.CREATED) for n in range(6, 11)))
    await settle(db, *(kinds[n % 5](n + 1) for n in range(10)))
    unfinished = {p for n in range(1, 11) for p, row in (await read(db, n)).payments.items() if row.state not in FINAL}
    assert (unfinished, 6) == (set(await scheduled(db)), len(unfinished))


async def test_what_must_be_closed_or_sent_is_due_at_once(db: Database) -> None:
    """The withdrawn offer and the refund of a second payment do not wait for somebody to look."""
    await keep(db, a_book(payments=[a_payment(n) for n in (1, 2, 3)]))
    await settle(db, paid(1), paid(2))
    refund = next(iter((await read(db)).refunds))
    # The open offer had a job at `NOW` already; an earlier question stays earlier.
    assert {payment_id(3): after(0), refund: after(60)} == await scheduled(db)


async def test_a_requested_refund_has_a_job_until_it_is_settled(db: Database) -> None:
    """From the request to the channel's last word."""
    await keep(db, an_offer())
    await settle(db, paid(), AskRefund(order_id(), a_refund()))
    asked = set(await scheduled(db))
    await settle(db, refund_says(RefundSays.SUCCEEDED))
    assert ({refund_id()}, {}) == (asked, await scheduled(db))


async def test_evidence_that_came_before_its_order_waits_and_is_applied(db: Database) -> None:
    """Parked, journalled once however often it is looked at, and settled as soon as the order is there."""
    await receive(db, a_callback("cbk1", paid()))
    looked = [await take_in(db, 40), await take_in(db, 41), await take_in(db, 50)]
    assert ([1, 0, 1], 1, 1) == (looked, await count(db, "inbox_queue"), await count(db, "decisions"))
    await keep(db, an_offer())
    await take_in(db, 120)
    assert (["paid", "paid"], 0) == (states(await read(db)), await count(db, "inbox_queue"))


async def test_only_what_came_too_early_waits(db: Database) -> None:
    """A callback that tells of two payments, one known: the known one is paid now, the other later, each once."""
    await keep(db, an_offer(1))
    await receive(db, a_callback("cbk1", paid(1), paid(2)))
    await take_in(db, 40)
    await keep(db, an_offer(2))
    await take_in(db, 60)
    assert [["payment.paid", "order.paid"]] * 2 == [await told(db, 1), await told(db, 2)]


async def test_two_payments_may_each_have_a_refund_of_the_same_number(db: Database) -> None:
    """Refund "1" of one payment is not refund "1" of another: each is booked on its own order, once."""
    await keep(db, *(an_offer(number, state=State.PAID, channel_txn_id=f"ali{number}") for number in (1, 2)))
    back = [
        refund_says(RefundSays.SUCCEEDED, n, payment=n, merchant_refund_ref="1", channel_refund_id=None) for n in (1, 2)
    ]
    results = [result for one in (*back, *reversed(back)) for result in await settle(db, one)]
    assert ["applied", "applied", "repeated", "repeated"] == [result.outcome for result in results]
    assert [1250, 1250] == [(await read(db, n)).payments[payment_id(n)].refunded_minor for n in (1, 2)]


async def test_a_poisoned_callback_stands_alone(db: Database) -> None:
    """One of fifty names the number of somebody else's trade: 49 are applied at once, it fails alone, again and again,
    and in the end waits for a person, with one case."""
    await keep(db, an_offer(99), *(an_offer(n) for n in range(50)))
    await settle(db, paid(99))
    await receive(
        db, *a_callback_each([paid(n, **({"channel_txn_id": "ali99"} if n == 30 else {})) for n in range(50)])
    )
    assert 50 == await take_in(db, 40)
    paid_orders = {n for n in range(50) if (await read(db, n)).order.state == "paid"}
    assert set(range(50)) - {30} == paid_orders
    for n in range(1, MAX_ATTEMPTS + 1):
        await take_in(db, 40 + 100 * n)
    assert (1, [("poisoned_callback", "cbk030")]) == (
        await count(db, "inbox_queue", "state = 'poisoned' AND attempts = 5"),
        await open_cases(db),
    )
    assert ["unpaid", "open"] == states(await read(db, 30))


async def shipping(tx: Tx, event: Written) -> None:
    """A shop's handler: it writes a row of its own."""
    await tx.execute("INSERT INTO shipments VALUES ($1)", event.order_id)


@pytest.fixture
async def shop_db(db: Database) -> Database:
    """A database in which the shop has a table of its own."""
    async with db.transaction() as tx:
        await tx.execute("CREATE TABLE shipments (order_id text)")
    return db


async def test_a_handlers_write_commits_with_the_payment(shop_db: Database) -> None:
    """One shipment for one paid order, however often the payment is told."""
    handlers = Handlers()
    handlers.on("order.paid")(shipping)
    await keep(shop_db, an_offer())
    await receive(shop_db, *a_callback_each([paid(), paid(), paid()]))
    await take_in(shop_db, 40, handlers=handlers)
    assert 1 == await count(shop_db, "shipments")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no stock"),
        ConnectionRefusedError("warehouse"),
        asyncpg.InterfaceError("x"),
        asyncio.CancelledError(),
    ],
)
async def test_a_handler_that_raises_undoes_its_item_alone(shop_db: Database, error: BaseException) -> None:
    """Neither the payment nor what it wrote remains; the neighbours' do. Whatever it raises, nobody else waits."""
    handlers = Handlers()
    handlers.on("order.paid")(shipping)

    @handlers.on("order.paid")
    async def fails(tx: Tx, event: Written) -> None:
        if event.order_id == order_id(2):
            raise error

    await keep(shop_db, *(an_offer(n) for n in (1, 2, 3)))
    await receive(shop_db, *a_callback_each([paid(1), paid(2), paid(3)]))
    await take_in(shop_db, 40, handlers=handlers)
    async with shop_db.session() as tx:
        shipped = {row["order_id"] for row in await tx.fetch("SELECT order_id FROM shipments")}
    assert {order_id(1), order_id(3)} == shipped
    assert (["unpaid", "open"], []) == (states(await read(shop_db, 2)), await told(shop_db, 2))


async def test_a_handler_that_swallows_an_error_of_the_database_undoes_its_item_alone(shop_db: Database) -> None:
    """PostgreSQL has given up the transaction by then: the neighbours are paid nonetheless, and a person is called."""
    handlers = Handlers()

    @handlers.on("order.paid")
    async def ship(tx: Tx, event: Written) -> None:
        with suppress(asyncpg.UniqueViolationError):  # shipped already
            await shipping(tx, event)

    async with shop_db.transaction() as tx:
        await tx.execute("ALTER TABLE shipments ADD PRIMARY KEY (order_id)")
        await tx.execute("INSERT INTO shipments VALUES ($1)", order_id(2))
    await keep(shop_db, *(an_offer(n) for n in (1, 2, 3)))
    await receive(shop_db, *a_callback_each([paid(1), paid(2), paid(3)]))
    await take_in(shop_db, 40, handlers=handlers)
    assert [["paid", "paid"], ["unpaid", "open"], ["paid", "paid"]] == [
        states(await read(shop_db, n)) for n in (1, 2, 3)
    ]
    for n in range(1, 5):
        await take_in(shop_db, 40 + 60 * n, handlers=handlers)
    assert ["poisoned_callback"] == [kind for kind, _ in await open_cases(shop_db)]
    assert 1 == await count(shop_db, "inbox_queue", "state = 'poisoned' AND why LIKE '%ship%ON CONFLICT%'")


async def test_who_is_told_to_end_while_a_handler_runs_ends(shop_db: Database) -> None:
    """No attempt is counted: the callback waits for the next process as if nobody had taken it."""
    handlers, begun = Handlers(), asyncio.Event()

    @handlers.on("order.paid")
    async def takes_long(tx: Tx, event: Written) -> None:
        begun.set()
        await asyncio.Event().wait()

    await keep(shop_db, an_offer())
    await receive(shop_db, a_callback("cbk1", paid()))
    taking = asyncio.create_task(take_in(shop_db, 40, handlers=handlers))
    await begun.wait()
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert 1 == await count(shop_db, "inbox_queue", "attempts = 0")


async def test_a_handler_that_recovers_gets_its_event(shop_db: Database) -> None:
    """The failed callback is tried again by itself; the shop's row and the payment then stand together."""
    handlers, failures = Handlers(), iter([RuntimeError("restarting")])

    @handlers.on("order.paid")
    async def ships_at_last(tx: Tx, event: Written) -> None:
        for failure in failures:
            raise failure
        await shipping(tx, event)

    await keep(shop_db, an_offer())
    await receive(shop_db, a_callback("cbk1", paid()))
    await take_in(shop_db, 40, handlers=handlers)
    await take_in(shop_db, 60, handlers=handlers)
    assert (1, ["paid", "paid"], 0) == (
        await count(shop_db, "shipments"), states(await read(shop_db)), await count(shop_db, "inbox_queue"),
    )  # fmt: skip


async def test_what_a_handler_leaves_in_the_session_is_taken_back(shop_db: Database) -> None:
    """The same connection serves other work next."""
    handlers, backends = Handlers(), []

    @handlers.on("order.paid")
    async def leaves_things_behind(tx: Tx, _event: Written) -> None:
        await tx.execute("SET application_name = 'the shop'; SELECT pg_advisory_lock(1); LISTEN shop")
        backends.append(await tx.fetchval("SELECT pg_backend_pid()"))

    await keep(shop_db, an_offer())
    await receive(shop_db, a_callback("cbk1", paid()))
    await take_in(shop_db, 40, handlers=handlers)
    async with shop_db.session() as tx:
        row = await tx.fetchrow(
            "SELECT current_setting('application_name'), (SELECT count(*) FROM pg_listening_channels()),"
            " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = ANY($1::int[]))",
            backends,
        )
    assert row is not None
    assert (1, ("paidup", 0, 0)) == (len(backends), tuple(row))


async def test_a_callback_that_waited_long_still_has_all_its_attempts(db: Database) -> None:
    """Having been too early often is no failure: the first real failure does not poison it."""
    handlers = Handlers()

    @handlers.on("order.paid")
    async def fails(tx: Tx, event: Written) -> None:
        raise RuntimeError("not yet")

    await receive(db, a_callback("cbk1", paid()))
    for n in range(6):
        await take_in(db, 40 + 4000 * n)
    await keep(db, an_offer())
    await take_in(db, 40_000, handlers=handlers)
    await take_in(db, 40_100)
    assert ["paid", "paid"] == states(await read(db))


async def test_two_workers_on_the_same_orders_lose_and_double_nothing(db: Database) -> None:
    """They share the queue; each order is paid once, its events are numbered without gaps, the queue is empty."""
    await keep(db, *(a_book(an_order(n), payments=[a_payment(n, order_id=order_id(n))]) for n in range(20)))
    await receive(db, *a_callback_each([paid(n) for n in range(20) for _ in range(3)]))
    while sum(await asyncio.gather(*(take_in(db, 40, limit=7) for _ in range(4)))):
        pass
    for n in range(20):
        assert [(1, "payment.paid"), (2, "order.paid")] == [(e.seq, e.type) for e in await events(db, n)]
    assert (0, 60) == (await count(db, "inbox_queue"), await count(db, "decisions"))


async def test_two_batches_over_the_same_orders_in_opposite_order_never_deadlock(db: Database) -> None:
    """Locks are taken in id order, whatever the order of the items."""
    await keep(db, *(an_offer(n) for n in range(10)))
    batches = [[waiting(n) for n in range(10)], [paid(n) for n in range(9, -1, -1)]] * 5
    await asyncio.gather(*(settle(db, *batch) for batch in batches))
    assert 20 == await count(db, "events")


async def test_a_notice_without_money_is_counted_and_that_is_all(db: Database) -> None:
    """It is journalled as ignored and touches no order."""
    results = await settle(db, Nothing(kind="FUND_AUTH"))
    assert ([Weighed.IGNORED], 1) == ([r.outcome for r in results], await count(db, "decisions"))


async def test_nothing_is_written_about_an_order_to_which_nothing_happened(db: Database) -> None:
    """A repeat leaves every row as it was, time stamps included."""
    await keep(db, an_offer())
    await settle(db, Opened(order_id(), payment_id(), "ali1", {"code_url": "x"}), paid())
    before = await read(db)
    await settle(db, paid(), waiting())
    assert before == await read(db)


IN_DUCKDB = tuple(
    f"paidup.reconcile.{name}" for name in ("match", "quick", "quick_alipay", "quick_stripe", "quick_wechat", "table")
)
"""Their statements are DuckDB's, and are run by the tests of the reconciliation."""


def sql_constants() -> Iterator[tuple[str, str]]:
    """Every upper-case constant of the package that is one SQL statement of PostgreSQL."""
    for module in pkgutil.walk_packages(paidup.__path__, "paidup."):
        if not module.name.endswith("__main__") and module.name not in IN_DUCKDB:
            for name, value in vars(importlib.import_module(module.name)).items():
                if (
                    name.isupper()
                    and isinstance(value, str)
                    and re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\s", value)
                ):
                    yield f"{module.name}.{name}", value


async def test_every_statement_can_be_prepared(db_dsn: str) -> None:
    """Tables, columns and types of each stand in the migrated database; a typing error never waits for its night."""
    connection = await asyncpg.connect(db_dsn)
    broken = []
    for name, statement in sql_constants():
        try:
            await connection.prepare(statement)
        except asyncpg.PostgresError as error:
            broken.append(f"{name}: {error}")
    await connection.close()
    assert [] == broken


def test_the_statements_were_found() -> None:
    """An empty search would prove nothing: those of the door and of its neighbours are among them."""
    names = {name for name, _ in sql_constants()}
    wanted = {"paidup.payments.store.UPDATE", "paidup.intake.inbox.CLAIM", "paidup.schedule.store.CLAIM"}
    assert (True, True) == (wanted <= names, len(names) > 60)
