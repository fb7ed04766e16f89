"""A shop whose coupons and points live elsewhere: Paidup's coordinator, two services or more, and a clock to move."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec
import pytest

from kept import an_offer, keep
from paidup.apply import Item, apply
from paidup.db.transaction import Database
from paidup.delivery.send import Sender
from paidup.evidence import Evidence
from paidup.handlers import Handlers
from paidup.orders import store as orders
from paidup.orders.order import LatePayment
from paidup.settle.book import CloseOrder
from paidup.shops import store as shops
from paidup.testing.builders import NOW, SHOP, order_id
from paidup.testing.clock import ManualClock
from paidup.transactions import participants, store
from paidup.transactions.ask import Requester
from paidup.transactions.begin import begin
from paidup.transactions.table import Step, Table
from paidup.transactions.transaction import Transaction
from paidup.transactions.worker import BATCH, LEASE, Coordinator, run_once
from participant_side import Service, serve

SERVICES = ("coupon", "points", "parcel")

TIMEOUT_S = 1.0
"""Real seconds: longer than any answer of a service that answers takes."""


def a_step(name: str, **fields: object) -> Step:
    """Asked of the service of the same name."""
    return msgspec.convert({"name": name, "participant": name, "timeout_s": TIMEOUT_S} | fields, Step)


PAYMENT = Step(name="payment", waits_for="order.paid")


def a_saga(*steps: Step, **fields: object) -> Table:
    """A saga of these steps; of coupon and points when none is named."""
    named = steps or (a_step("coupon"), a_step("points"))
    return msgspec.structs.replace(Table(name="checkout", kind="saga", step=named), **fields)


def a_tcc(*steps: Step, **fields: object) -> Table:
    """A TCC of these steps."""
    return a_saga(*steps, kind="tcc", **fields)


@dataclass
class Shop:
    """What a shop does with transactions, one step at a time."""

    db: Database
    clock: ManualClock
    coordinator: Coordinator
    services: dict[str, Service] = field(default_factory=dict)

    async def order(self, number: int = 1) -> None:
        """With one open payment, unless it is there."""
        async with self.db.session() as tx:
            there = await orders.get(tx, order_id(number))
        if there is None:
            await keep(self.db, an_offer(number))

    async def hears(self, *said: Evidence) -> None:
        """What the channel says goes through the door."""
        items = [Item(what=one, shop=SHOP, road=one.road) for one in said]
        async with self.db.transaction() as tx:
            await apply(tx, items, self.clock.now(), Handlers())

    async def meet(self, service: Service) -> None:
        """Register a service as a participant."""
        self.services[service.name] = service
        async with self.db.transaction() as tx:
            await shops.put_shop(tx, SHOP, LatePayment.REOPEN, NOW)
            made = await participants.put_participant(tx, SHOP, service.name, service.url, NOW, allow_loopback=True)
        service.secret = made.secret or service.secret

    async def begin(self, table: Table, number: int = 1, key: str = "k") -> Transaction:
        """About the order of this number, which is placed if it is not there."""
        await self.order(number)
        async with self.db.transaction() as tx:
            return await begin(
                tx, shop=SHOP, order_id=order_id(number), table=table, data={}, key=key, now=self.clock.now()
            )

    async def round(self, db: Database | None = None, coordinator: Coordinator | None = None) -> int:
        """One round of a worker."""
        by = coordinator or self.coordinator
        return await run_once(db or self.db, now=self.clock.now(), limit=BATCH, coordinator=by)

    async def rest(self) -> None:
        """Rounds until nothing is due and nothing under way."""
        while await self.round() or self.coordinator.busy:
            pass

    async def to_the_end(self) -> None:
        """Let time pass until everything has ended, or waits for a person."""
        await self.rest()
        while (at := await self._next()) is not None:
            await self.clock.advance(max(0.0, (at - self.clock.now()).total_seconds()))
            await self.rest()

    async def _next(self) -> object:
        async with self.db.session() as tx:
            return await tx.fetchval("SELECT min(due_at) FROM transactions")

    async def now(self, t: Transaction) -> Transaction:
        """As it stands."""
        async with self.db.session() as tx:
            found = await store.get(tx, t.id)
        assert found is not None
        return found

    async def lines(self, t: Transaction) -> list[store.Line]:
        async with self.db.session() as tx:
            return await store.lines(tx, t.id)

    async def moves(self, t: Transaction) -> list[str]:
        """The states that the transaction was in."""
        return [line.after for line in await self.lines(t) if line.kind == "move" and line.step is None]

    async def close_order(self, number: int = 1) -> None:
        async with self.db.transaction() as tx:
            item = Item(what=CloseOrder(order_id(number), "given up"), shop=SHOP, road="shop")
            await apply(tx, [item], self.clock.now(), Handlers())

    async def order_state(self, number: int = 1) -> str:
        async with self.db.session() as tx:
            return str(await tx.fetchval("SELECT state FROM orders WHERE id = $1", order_id(number)))

    async def told(self, number: int = 1) -> list[str]:
        """The kinds of the order's events."""
        async with self.db.session() as tx:
            rows = await tx.fetch("SELECT type FROM events WHERE order_id = $1 ORDER BY seq", order_id(number))
        return [row["type"] for row in rows]

    async def cases(self) -> list[tuple[str, str]]:
        """(kind, subject) of what waits for a person."""
        async with self.db.session() as tx:
            rows = await tx.fetch("SELECT kind, subject_id FROM cases WHERE resolved_at IS NULL ORDER BY id")
        return [(row["kind"], row["subject_id"]) for row in rows]

    def left(self, t: Transaction) -> dict[str, int]:
        """How much of a transaction is left at each service."""
        return {name: service.left(t.id) for name, service in self.services.items()}

    def asked(self, *names: str) -> Sequence[str]:
        """What these services were asked for, as operations."""
        return [call.operation for name in names for call in self.services[name].got]


async def takes_over(shop: Shop) -> None:
    """The lease of whoever died is over."""
    await shop.clock.advance(LEASE.total_seconds() + timedelta(seconds=1).total_seconds())


@pytest.fixture
async def shop(db: Database) -> AsyncIterator[Shop]:
    """With three services that behave."""
    clock = ManualClock(NOW)
    sender = Sender(allow_loopback=True)
    coordinator = Coordinator(Requester(sender, now_of=clock.now), Handlers(), spread=lambda: 1.0)
    shop = Shop(db, clock, coordinator)
    services = [Service(name, clock.now) for name in SERVICES]
    runners = [await serve(service) for service in services]
    for service in services:
        await shop.meet(service)
    yield shop
    await coordinator.aclose()
    await sender.aclose()
    for runner in runners:
        await runner.cleanup()
