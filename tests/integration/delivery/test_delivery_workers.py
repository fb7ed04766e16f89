"""Claims about many workers, order within an order, and endpoints that fail broadly."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pytest
from aiohttp import web
from delivery_side import (
    NOW,
    PATIENT_S,
    Got,
    Receiver,
    after,
    an_endpoint,
    an_endpoint_id,
    an_event,
    answering,
    claimed_at,
    delivered,
    fanned_out,
    happened,
    ok,
    only_attempt,
    round_at,
    states,
    until_idle,
)

from paidup.db.transaction import Database
from paidup.delivery import shown, store
from paidup.delivery.claimed import Room
from paidup.delivery.courier import LEASE, PER_ENDPOINT, Courier
from paidup.delivery.plan import Answer, Step
from paidup.delivery.send import Sender
from paidup.events import EventType
from paidup.resilience.breaker import Rules
from paidup.resilience.breaker import State as BreakerState


async def test_an_endpoint_that_fails_broadly_is_probed_and_what_waits_keeps_its_tries(
    db: Database, receiver: Receiver, sender: Sender
):
    """Ten failures open the breaker, one probe goes out after its wait, and recovery drains everything in stages."""
    await an_endpoint(db, receiver.url)
    courier = Courier(sender, rules=Rules(min_calls=10, wait_s=30.0), per_endpoint=10, patience_s=PATIENT_S)
    receiver.answers = answering(500)
    orders = [f"ord{number}" for number in range(40)]
    await happened(db, *map(an_event, orders))
    await until_idle(db, courier, NOW)
    assert 10 == len(receiver.got)
    await until_idle(db, courier, after(29))
    assert 10 == len(receiver.got)
    await until_idle(db, courier, after(31))
    assert 11 == len(receiver.got)
    async with db.session() as tx:
        tries = sorted([(await shown.deliveries_of(tx, order_id))[0].attempts for order_id in orders])
    assert [0] * 29 == tries[:29]
    assert 11 == sum(tries)
    receiver.answers = ok
    await until_idle(db, courier, after(3600))
    assert {"delivered"} == {state for order_id in orders for state in await states(db, order_id)}
    assert BreakerState.CLOSED is courier.breaker(await an_endpoint_id(db)).state


@pytest.mark.parametrize("error", [RuntimeError("a bug"), asyncio.CancelledError()])
async def test_an_attempt_that_breaks_fails_alone(
    db: Database, receiver: Receiver, sender: Sender, error: BaseException
):
    """Whatever sending to one shop raises is that attempt's failure: what the others acknowledged stays delivered."""

    async def send(url: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        if "rogue" in url:
            raise error
        return await sender(url, headers, body)

    await an_endpoint(db, receiver.url)
    await an_endpoint(db, "https://rogue.example/hook", shop="rogue")
    courier = Courier(send, patience_s=PATIENT_S)
    await happened(db, an_event("good"), an_event("bad", shop="rogue"))
    await until_idle(db, courier, NOW)
    assert (["delivered"], ["waiting"]) == (await states(db, "good"), await states(db, "bad"))
    attempt = await only_attempt(db, "bad")
    assert (Step.AGAIN, f"no answer: {error!r}") == (attempt.outcome, attempt.why)


async def test_one_poisoned_order_does_not_stop_its_endpoint(db: Database, receiver: Receiver, courier: Courier):
    """A receiver that chokes on one order only gets all the others."""
    await an_endpoint(db, receiver.url)

    async def answers(got: Got) -> web.StreamResponse:
        return web.Response(status=500 if got.order_id == "bad" else 200)

    receiver.answers = answers
    await happened(db, an_event("bad"), *(an_event(f"ord{number}") for number in range(30)))
    await until_idle(db, courier, NOW)
    async with db.session() as tx:
        assert {"waiting": 1, "delivered": 30, "dead": 0, "skipped": 0} == await shown.summary(tx)


async def test_an_endpoint_that_answers_at_once_is_told_more_at_once_until_it_fails(
    db: Database, receiver: Receiver, sender: Sender
):
    """Twice as many after each round that it took whole; the usual number again after its first failure."""

    async def at_once(url: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        return msgspec.structs.replace(await sender(url, headers, body), elapsed_ms=1)  # on a busy machine, too

    courier = Courier(at_once, patience_s=PATIENT_S)
    await an_endpoint(db, receiver.url)
    endpoint_id = await an_endpoint_id(db)
    assert {} == courier.room_at(NOW)
    await happened(db, *(an_event(f"ord{number}") for number in range(PER_ENDPOINT)))
    await until_idle(db, courier, NOW)
    assert {endpoint_id: Room(2 * PER_ENDPOINT)} == courier.room_at(NOW)
    receiver.answers = answering(500)
    await happened(db, an_event("one more"))
    await until_idle(db, courier, NOW)
    assert {} == courier.room_at(NOW)


async def test_two_workers_lose_nothing_double_nothing_and_keep_the_order(
    db: Database, receiver: Receiver, sender: Sender
):
    """Two workers at once, small batches, events still arriving: each event once, each order in order."""
    await an_endpoint(db, receiver.url)
    orders = [f"ord{number}" for number in range(12)]

    async def worker() -> None:
        courier = Courier(sender, patience_s=PATIENT_S)
        idle = 0
        while idle < 5:
            idle = 0 if await round_at(db, courier, after(1), limit=7) else idle + 1

    async def shop() -> None:
        for seq in range(1, 7):
            await happened(db, *(an_event(order_id, seq) for order_id in orders))

    await asyncio.gather(worker(), worker(), shop())
    await until_idle(db, Courier(sender, patience_s=PATIENT_S), after(1))
    assert {order_id: [1, 2, 3, 4, 5, 6] for order_id in orders} == {id_: receiver.seqs(id_) for id_ in orders}


async def test_a_worker_that_dies_after_sending_leads_to_a_repeat_with_the_same_id(
    db: Database, receiver: Receiver, sender: Sender, courier: Courier
):
    """Nothing is sent while the lease lasts; afterwards the event is sent again and settled."""
    await an_endpoint(db, receiver.url)
    await happened(db, an_event())

    async def send_and_die(url: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        await sender(url, headers, body)
        return await asyncio.get_running_loop().create_future()

    dying = Courier(send_and_die, patience_s=0.3)
    await round_at(db, dying, NOW)
    await dying.aclose()
    await until_idle(db, courier, NOW + LEASE - timedelta(seconds=1))
    assert 1 == len(receiver.got)
    await until_idle(db, courier, NOW + LEASE)
    first, second = receiver.got
    assert (first.id, ["delivered"]) == (second.id, await states(db))


async def test_who_lost_the_lease_settles_nothing_but_the_attempt(db: Database, receiver: Receiver):
    """A worker that comes back after another took over leaves the state alone; what it sent stays on record."""
    await an_endpoint(db, receiver.url)
    await happened(db, an_event())
    late = await claimed_at(db, NOW)
    await claimed_at(db, NOW + LEASE)
    async with db.transaction() as tx:
        assert 0 == await store.settle(tx, [delivered(claimed) for claimed in late])
    assert (["waiting"], 1) == (await states(db), (await only_attempt(db)).number)


async def test_events_that_leave_the_outbox_in_the_wrong_order_are_sent_in_order(
    db: Database, receiver: Receiver, courier: Courier
):
    """The clock of the machine that wrote event 2 was behind: it comes out first, and waits for event 1."""
    await an_endpoint(db, receiver.url)
    await happened(db, an_event(created_at=after(1)), an_event(seq=2, created_at=NOW))
    await round_at(db, courier, after(2), limit=1)
    assert [] == receiver.got
    await until_idle(db, courier, after(2))
    assert [1, 2] == receiver.seqs()


async def test_a_gap_that_no_endpoint_wanted_holds_nothing_up(db: Database, receiver: Receiver, courier: Courier):
    """Event 1 is of a type that the endpoint did not ask for and comes out last: event 2 is sent once it is out."""
    await an_endpoint(db, receiver.url, [EventType.ORDER_REFUNDED])
    await happened(db, an_event(created_at=after(1)), an_event(seq=2, created_at=NOW, type=EventType.ORDER_REFUNDED))
    await round_at(db, courier, after(2), limit=1)
    assert [] == receiver.got
    await until_idle(db, courier, after(2))
    assert [2] == receiver.seqs()


async def test_two_fan_outs_at_once_strand_nothing(db: Database, receiver: Receiver, courier: Courier):
    """While one gives out event 1, which nobody wants, a second one leaves event 2 for later; then it is sent."""
    await an_endpoint(db, receiver.url, [EventType.ORDER_REFUNDED])
    await happened(db, an_event(), an_event(seq=2, created_at=after(1), type=EventType.ORDER_REFUNDED))
    async with db.transaction() as tx:
        assert 1 == await store.fan_out(tx, NOW, 1)
        await fanned_out(db, NOW)
    await until_idle(db, courier, after(2))
    assert [2] == receiver.seqs()


async def test_an_event_that_arrives_while_the_head_is_settled_is_not_stranded(db: Database, receiver: Receiver):
    """Fan-out waits for the settling transaction, and finds that its event is the head now."""
    await an_endpoint(db, receiver.url)
    await happened(db, an_event())
    (head,) = await claimed_at(db, NOW)
    await happened(db, an_event(seq=2))
    async with db.transaction() as tx:
        await store.settle(tx, [delivered(head)])
        fan_out = asyncio.create_task(fanned_out(db, NOW))
        await until_somebody_waits(db)
    await fan_out
    assert [2] == [claimed.seq for claimed in await claimed_at(db, NOW)]


async def test_an_event_that_is_given_out_while_the_head_is_settled_follows_it(db: Database, receiver: Receiver):
    """The other way round: settling waits for fan-out, and promotes the row that fan-out added."""
    await an_endpoint(db, receiver.url)
    await happened(db, an_event())
    (head,) = await claimed_at(db, NOW)
    await happened(db, an_event(seq=2))

    async def settle() -> None:
        async with db.transaction() as tx:
            await store.settle(tx, [delivered(head)])

    async with db.transaction() as tx:
        await store.fan_out(tx, NOW, 100)
        settling = asyncio.create_task(settle())
        await until_somebody_waits(db)
    await settling
    assert [2] == [claimed.seq for claimed in await claimed_at(db, NOW)]


async def test_one_busy_endpoint_does_not_take_all_the_room(db: Database, receiver: Receiver):
    """However many orders wait for one endpoint, a claim takes a share of them and the others' as well."""
    busy = await an_endpoint(db, receiver.url)
    await happened(db, *(an_event(f"ord{number}") for number in range(50)))
    quiet = await an_endpoint(db, receiver.url, shop="bakery")
    await happened(db, an_event("loaf", shop="bakery", created_at=after(1)))
    claimed = await claimed_at(db, after(2))
    counted = [sum(claim.endpoint_id == endpoint.id for claim in claimed) for endpoint in (busy, quiet)]
    assert [16, 1] == counted


async def until_somebody_waits(db: Database) -> None:
    """Until some transaction of this database waits for a lock that another one holds; 10 seconds at most."""
    query = """SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND wait_event_type = 'Lock'"""
    async with asyncio.timeout(10), db.session() as tx:
        while not await tx.fetchval(query):
            pass


@pytest.mark.parametrize("statement", [store.LOCK_LANES, store.PROMOTE, store.SKIP, store.DEMOTE])
async def test_no_batch_reads_the_whole_table(db: Database, statement: str):
    """Even before the first ANALYZE, what runs for every batch finds its rows by index."""
    async with db.transaction() as tx:
        plan = "\n".join(row[0] for row in await tx.fetch(f"EXPLAIN {statement}", ["ord1", "ord2"]))
    assert "deliveries" in plan
    assert "Seq Scan on deliveries" not in plan
