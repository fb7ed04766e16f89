"""Claims about rounds that find plenty to send, and about which of an order's events is the next to go."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from delivery_side import (
    NOW,
    PATIENT_S,
    Receiver,
    after,
    an_endpoint,
    an_event,
    answering,
    claimed_at,
    happened,
    round_at,
    states,
    until_idle,
)

from paidup.db.transaction import Database
from paidup.delivery import shown, store, worker
from paidup.delivery.courier import LEASE, QUICK_MS, Courier
from paidup.delivery.plan import Answer
from paidup.delivery.send import Sender
from paidup.events import EventType


async def test_where_there_is_plenty_one_round_sends_again_while_it_writes_the_last_down(
    db: Database, receiver: Receiver, sender: Sender
):
    """Each is sent once, in the order of its order, and all that landed is recorded when the round ends."""
    await an_endpoint(db, receiver.url)
    courier = Courier(sender, per_endpoint=2, patience_s=PATIENT_S)
    await happened(db, *(an_event(f"ord{n}", seq) for n in range(4) for seq in (1, 2)))
    assert 16 == await round_at(db, courier, NOW)  # eight given out and eight delivered
    assert 8 * ["delivered"] == [state for n in range(4) for state in await states(db, f"ord{n}")]
    assert (8, 4 * [[1, 2]], False) == (len(receiver.got), [receiver.seqs(f"ord{n}") for n in range(4)], courier.busy)


async def test_a_round_ends_however_much_is_left(
    db: Database, receiver: Receiver, sender: Sender, monkeypatch: pytest.MonkeyPatch
):
    """Its clock stands still meanwhile; the next round goes on."""
    monkeypatch.setattr(worker, "WAVES", 3)
    await an_endpoint(db, receiver.url)
    courier = Courier(lambda *told: slowly(sender, *told), per_endpoint=2, patience_s=PATIENT_S)
    await happened(db, *(an_event(f"ord{n}") for n in range(10)))
    await round_at(db, courier, NOW)
    async with db.session() as tx:
        assert 6 == (await shown.summary(tx))["delivered"] == len(receiver.got)
    await until_idle(db, courier, NOW)
    assert 10 == len(receiver.got)


async def slowly(sender: Sender, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
    """By its own words too slow to be told more at once."""
    return msgspec.structs.replace(await sender(url, headers, body), elapsed_ms=QUICK_MS + 1)


@pytest.mark.parametrize("part", ["settle", "fan_out"])
async def test_what_fails_beside_attempts_under_way_leaves_them_under_way(
    db: Database, receiver: Receiver, sender: Sender, monkeypatch: pytest.MonkeyPatch, part: str
):
    """The database is gone for a moment in the middle: the round fails, and the next one records what has landed."""
    whole, calls = getattr(store, part), []

    async def away(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 2 - (part == "settle"):
            raise ConnectionResetError("gone")
        return await whole(*given)

    await an_endpoint(db, receiver.url)
    courier = Courier(sender, per_endpoint=2, patience_s=PATIENT_S)
    await happened(db, *(an_event(f"ord{n}") for n in range(4)))
    monkeypatch.setattr(store, part, away)
    with pytest.raises(ConnectionResetError):
        await round_at(db, courier, NOW)
    assert courier.busy
    await until_idle(db, courier, NOW)
    await until_idle(db, courier, NOW + LEASE)  # whose record was lost is sent again, under the same id
    assert 4 * ["delivered"] == [state for n in range(4) for state in await states(db, f"ord{n}")]
    assert 4 == len({got.id for got in receiver.got})


async def test_what_landed_is_written_down_though_no_more_can_be_claimed(
    db: Database, receiver: Receiver, sender: Sender, monkeypatch: pytest.MonkeyPatch
):
    """The database is gone for a moment between two waves: nothing of the first is sent again."""
    whole, calls = store.claim, []

    async def away(*given: Any, **named: Any) -> Any:
        calls.append(given)
        if len(calls) == 2:
            raise ConnectionResetError("gone")
        return await whole(*given, **named)

    await an_endpoint(db, receiver.url)
    courier = Courier(sender, per_endpoint=2, patience_s=PATIENT_S)
    await happened(db, *(an_event(f"ord{n}") for n in range(4)))
    monkeypatch.setattr(store, "claim", away)
    with pytest.raises(ConnectionResetError):
        await round_at(db, courier, NOW)
    assert 2 == len(receiver.got) == [s for n in range(4) for s in await states(db, f"ord{n}")].count("delivered")
    await until_idle(db, courier, NOW)
    await until_idle(db, courier, NOW + LEASE)
    assert 4 == len(receiver.got) == len({got.id for got in receiver.got})


async def test_an_event_that_nobody_wanted_lets_the_next_one_of_its_order_go(db: Database, receiver: Receiver):
    """The next was taken off the queue before it, which a clock set back brings about."""
    await an_endpoint(db, receiver.url, [EventType.ORDER_REFUNDED])
    await happened(
        db, an_event(seq=1, created_at=after(5)), an_event(seq=2, type=EventType.ORDER_REFUNDED, created_at=NOW)
    )
    for heads in ([], [2]):
        async with db.transaction() as tx:
            await store.fan_out(tx, after(9), 1)
            claimed = await store.claim(tx, after(9), after(9), 10, per_endpoint=10, room_at={})
        assert heads == [one.seq for one in claimed]


async def test_each_endpoint_of_a_shop_is_told_an_orders_first_event_at_once(db: Database):
    """Each has a lane of its own: none waits until another was told."""
    for place in ("one", "two"):
        await an_endpoint(db, f"http://127.0.0.1:1/{place}")
    await happened(db, an_event())
    assert ["/one", "/two"] == sorted(claimed.url[-4:] for claimed in await claimed_at(db, NOW))


async def test_waits_are_stretched_by_chance(db: Database, receiver: Receiver, sender: Sender):
    """So that the retries of an outage do not come all at once."""
    receiver.answers = answering(500)
    await an_endpoint(db, receiver.url)
    await happened(db, an_event())
    await until_idle(db, Courier(sender, patience_s=PATIENT_S, spread=lambda: 2.0), NOW)
    async with db.session() as tx:
        (delivery,) = await shown.deliveries_of(tx, "ord1")
    assert timedelta(seconds=10) <= delivery.due_at - NOW < timedelta(seconds=30)
