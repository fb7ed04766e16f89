"""Claims about a courier that has its hands full: who else is served meanwhile."""

import asyncio
from datetime import datetime
from pathlib import Path

from aiohttp import web
from delivery_side import SHOP, Got, Receiver, after, an_endpoint, an_event, happened, round_at, states

from kept import an_offer, keep
from paidup.app import Paidup
from paidup.db.transaction import Database
from paidup.delivery import store
from paidup.delivery.claimed import Room
from paidup.delivery.courier import MAX_UNDER_WAY, PER_ENDPOINT, SPARE, Courier
from paidup.delivery.send import Sender
from paidup.delivery.store import FEW
from paidup.settings import load
from paidup.testing.builders import order_id
from paidup.transactions import participants
from paidup.transactions.begin import begin
from paidup.transactions.table import Step, Table

SOON_S = 10.0


async def test_a_full_courier_leaves_connections_for_participants(
    db: Database, db_dsn: str, receiver: Receiver, tmp_path: Path
) -> None:
    """As many deliveries as may be are under way at endpoints that do not answer; a saga goes on all the same."""
    over, full, asked = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def answers(got: Got) -> web.StreamResponse:
        if got.path == "/participant":
            asked.set()
        else:
            if len(receiver.got) == MAX_UNDER_WAY + SPARE:
                full.set()
            await over.wait()
        return web.Response(text="{}")

    receiver.answers = answers
    shops = [f"shop{n}" for n in range((MAX_UNDER_WAY + SPARE) // FEW)]
    for shop in shops:
        await an_endpoint(db, receiver.url, shop=shop)
    await happened(db, *(an_event(f"{shop}{n}", shop=shop) for shop in shops for n in range(FEW)))
    async with _process(db_dsn, tmp_path) as paidup, asyncio.timeout(SOON_S):
        await full.wait()
        await _a_saga_begins(db, receiver, paidup.clock.now())
        paidup.wake("checkout")
        await asked.wait()
        over.set()


async def test_slow_endpoints_leave_room_for_one_that_has_little_to_be_told(
    db: Database, receiver: Receiver, sender: Sender
) -> None:
    """All that may be is under way at eight endpoints that answer late, and more waits for them, for longer than for
    the ninth's one event. That is told in the next round, before any of the others has answered."""
    over = asyncio.Event()

    async def answers(got: Got) -> web.StreamResponse:
        if got.path != "/quick":
            await over.wait()
        return web.Response(text="OK")

    receiver.answers = answers
    slow = [f"slow{n}" for n in range(MAX_UNDER_WAY // PER_ENDPOINT)]
    for shop in slow:
        await an_endpoint(db, receiver.url, shop=shop)
    await an_endpoint(db, receiver.url.replace("/hook", "/quick"), shop="quick")
    await happened(db, *(an_event(f"{shop}{n}", shop=shop) for shop in slow for n in range(2 * PER_ENDPOINT)))
    courier = Courier(sender, patience_s=0.1)
    for second in range(5):
        await round_at(db, courier, after(second), limit=200)
    assert (MAX_UNDER_WAY, 0) == (len(receiver.got), courier.room)
    await happened(db, an_event("quick", shop="quick", created_at=after(5)))
    await round_at(db, courier, after(6))
    assert ["delivered"] == await states(db, "quick")
    await courier.aclose()


async def test_room_that_is_freed_goes_to_whoever_has_least_of_it(db: Database) -> None:
    """Not to the longest queue: one that came later has its turn at once, and then they take turns."""
    busy = await an_endpoint(db, "http://127.0.0.1:9/busy")
    idle = await an_endpoint(db, "http://127.0.0.1:9/idle", shop="idle")
    await happened(db, *(an_event(f"busy{n}") for n in range(9)))
    await happened(db, *(an_event(f"idle{n}", shop="idle", created_at=after(1)) for n in range(9)))
    async with db.transaction() as tx:
        await store.fan_out(tx, after(2), 100)

    async def claimed(limit: int, room: Room, spare: int = 0) -> list[int]:
        async with db.transaction() as tx:
            rows = await store.claim(
                tx, after(2), after(60), limit, per_endpoint=32, room_at={busy.id: room}, spare=spare
            )
        return [sum(row.endpoint_id == endpoint.id for row in rows) for endpoint in (busy, idle)]

    assert [1, 3] == await claimed(4, Room(30, busy=2))
    assert [0, FEW] == await claimed(0, Room(28, busy=FEW), spare=8)
    assert [3, 2] == await claimed(9, Room(3))


def _process(dsn: str, folder: Path) -> Paidup:
    environ = {
        "PAIDUP_DATABASE_URL": dsn, "PAIDUP_DATA": str(folder), "PAIDUP_ROLES": "delivery,checkout",
        "PAIDUP_ALLOW_LOOPBACK_ENDPOINTS": "true",
    }  # fmt: skip
    return Paidup(load(environ))


async def _a_saga_begins(db: Database, receiver: Receiver, now: datetime) -> None:
    await keep(db, an_offer())
    table = Table(name="checkout", kind="saga", step=(Step(name="points", participant="points", timeout_s=2.0),))
    url = receiver.url.replace("/hook", "/participant")
    async with db.transaction() as tx:
        await participants.put_participant(tx, SHOP, "points", url, now, allow_loopback=True)
        await begin(tx, shop=SHOP, order_id=order_id(1), table=table, data={}, key="k", now=now)
