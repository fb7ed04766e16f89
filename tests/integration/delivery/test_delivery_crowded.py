"""Claims about a courier that has its hands full: who else is served meanwhile."""

import asyncio
from datetime import datetime
from pathlib import Path

from aiohttp import web
from delivery_side import SHOP, Got, Receiver, an_endpoint, an_event, happened

from kept import an_offer, keep
from paidup.app import Paidup
from paidup.db.transaction import Database
from paidup.delivery.worker import MAX_UNDER_WAY
from paidup.settings import load
from paidup.testing.builders import order_id
from paidup.transactions import participants
from paidup.transactions.begin import begin
from paidup.transactions.table import Step, Table

SOON_S = 10.0
FEW = 4


async def test_a_full_courier_leaves_connections_for_participants(
    db: Database, db_dsn: str, receiver: Receiver, tmp_path: Path
) -> None:
    """As many deliveries as may be are under way at endpoints that do not answer; a saga goes on all the same."""
    over, full, asked = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def answers(got: Got) -> web.StreamResponse:
        if got.path == "/participant":
            asked.set()
        else:
            if len(receiver.got) == MAX_UNDER_WAY:
                full.set()
            await over.wait()
        return web.Response(text="{}")

    receiver.answers = answers
    shops = [f"shop{n}" for n in range(MAX_UNDER_WAY // FEW)]
    for shop in shops:
        await an_endpoint(db, receiver.url, shop=shop)
    await happened(db, *(an_event(f"{shop}{n}", shop=shop) for shop in shops for n in range(FEW)))
    async with _process(db_dsn, tmp_path) as paidup, asyncio.timeout(SOON_S):
        await full.wait()
        await _a_saga_begins(db, receiver, paidup.clock.now())
        paidup.wake("checkout")
        await asked.wait()
        over.set()


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
