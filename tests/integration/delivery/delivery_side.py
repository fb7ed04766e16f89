"""The shop's side of deliveries: a real receiver on loopback, and what a test says about events and time."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from aiohttp import web

from paidup.db.transaction import Database
from paidup.delivery import attempts, endpoints, shown, store
from paidup.delivery.claimed import Claimed, Settled
from paidup.delivery.courier import LEASE, Courier
from paidup.delivery.endpoints import Endpoint
from paidup.delivery.plan import Answer, Plan, Step
from paidup.delivery.worker import run_once
from paidup.events import EventType
from paidup.orders.order import LatePayment
from paidup.outbox import store as outbox
from paidup.shops import store as shops
from paidup.testing.builders import LONG_AGO

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
SHOP = "teahouse"
PATIENT_S = 20.0  # longer than any answer takes: a round ends with its last answer


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


class Got(msgspec.Struct, frozen=True):
    """A request as the receiver saw it."""

    path: str
    id: str
    timestamp: str
    signature: str
    body: bytes

    @property
    def seq(self) -> int:
        return int(msgspec.json.decode(self.body)["seq"])

    @property
    def order_id(self) -> str:
        return str(msgspec.json.decode(self.body)["order_id"])


class Receiver:
    """A shop's server. `answers` decides, request by request, what it answers."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.url = ""
        self.hangs_up = False
        self.answers: Callable[[Got], Awaitable[web.StreamResponse]] = ok

    async def take(self, request: web.Request) -> web.StreamResponse:
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        got = Got(request.path, *(request.headers[name] for name in names), await request.read())
        self.got.append(got)
        if self.hangs_up and request.transport:
            request.transport.abort()
        return await self.answers(got)

    def seqs(self, order_id: str = "ord1") -> list[int]:
        return [got.seq for got in self.got if got.order_id == order_id]


async def ok(_got: Got) -> web.StreamResponse:
    return web.Response(text="OK")


def answering(status: int, **options: object) -> Callable[[Got], Awaitable[web.StreamResponse]]:
    async def answer(_got: Got) -> web.StreamResponse:
        return web.Response(status=status, **options)

    return answer


async def an_endpoint(db: Database, url: str, types: Sequence[str] = ("*",), shop: str = SHOP) -> Endpoint:
    async with db.transaction() as tx:
        await shops.put_shop(tx, shop, LatePayment.REOPEN, NOW)
        return await endpoints.create_endpoint(tx, shop, url, types, NOW, allow_loopback=True)


def an_event(order_id: str = "ord1", seq: int = 1, **changes: object) -> outbox.Written:
    event = outbox.Written(
        id=f"evt_{order_id}_{seq}",
        created_at=NOW,
        shop=SHOP,
        type=EventType.ORDER_PAID,
        order_id=order_id,
        seq=seq,
        subject_id=order_id,
        data={"amount_minor": 100},
    )
    return msgspec.structs.replace(event, **changes)


async def happened(db: Database, *events: outbox.Written) -> None:
    async with db.transaction() as tx:
        await outbox.write(tx, events)


async def round_at(db: Database, courier: Courier, now: datetime, limit: int = 100) -> int:
    return await run_once(db, now=now, limit=limit, courier=courier)


async def until_idle(db: Database, courier: Courier, now: datetime) -> None:
    while await round_at(db, courier, now):
        pass


async def states(db: Database, order_id: str = "ord1") -> list[str]:
    async with db.session() as tx:
        return [delivery.state for delivery in await shown.deliveries_of(tx, order_id)]


async def only_attempt(db: Database, order_id: str = "ord1") -> attempts.Attempt:
    async with db.session() as tx:
        (attempt,) = await attempts.attempts_of(tx, order_id, since=LONG_AGO)
    return attempt


async def claimed_at(db: Database, now: datetime) -> list[Claimed]:
    await fanned_out(db, now)
    async with db.transaction() as tx:
        return await store.claim(tx, now, now + LEASE, 100, per_endpoint=16, room_at={})


async def fanned_out(db: Database, now: datetime) -> None:
    async with db.transaction() as tx:
        await store.fan_out(tx, now, 100)


def delivered(claimed: Claimed) -> Settled:
    answer = Answer(status=200, elapsed_ms=1)
    return Settled(claimed, NOW, NOW, answer, Plan(step=Step.DELIVERED, why="200: acknowledged"))


async def an_endpoint_id(db: Database) -> str:
    async with db.session() as tx:
        return (await endpoints.list_endpoints(tx, SHOP))[0].id
