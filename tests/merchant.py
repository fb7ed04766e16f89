"""A shop with a real channel: the sandbox on loopback, whose callbacks get lost, and a clock that the test moves."""

import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import msgspec
import pytest

from paidup.apply import Item, apply
from paidup.ask import Asker
from paidup.channels.accounts import AccountsFolder
from paidup.channels.http import ChannelHttp
from paidup.channels.messages import CallbackRequest, Unknown
from paidup.checkout.open import Wanted, open_payment
from paidup.checkout.place import place_order
from paidup.checkout.refund import request_refund
from paidup.db.transaction import Database
from paidup.handlers import Handlers
from paidup.intake import worker as intake
from paidup.money import Money
from paidup.orders.order import LatePayment, Order
from paidup.payments import store as payments
from paidup.payments.payment import Payment
from paidup.refunds import store as refunds
from paidup.refunds.refund import Refund
from paidup.repair import expire
from paidup.repair import worker as repair
from paidup.sandbox.faults import Faults
from paidup.sandbox.ledger import Trade
from paidup.sandbox.server import Running, SandboxConfig, serving
from paidup.settle.book import CloseOrder
from paidup.shops import store as shops
from paidup.testing.builders import NOW, SHOP
from paidup.testing.clock import ManualClock

LEASE = timedelta(seconds=60)
NOBODY = "http://127.0.0.1:9"  # the discard port: every callback is lost


class World(msgspec.Struct, frozen=True):
    """The sandbox of this run, and the clock that it lives by."""

    running: Running
    clock: ManualClock
    folder: Path


class Merchant:
    """What a shop does with Paidup, one step at a time."""

    def __init__(self, db: Database, world: World, http: ChannelHttp) -> None:
        self.db, self.clock, self.sandbox = db, world.clock, world.running.sandbox
        self.folder = world.folder
        self.accounts = AccountsFolder(world.folder)
        self.asker = Asker(http, self.accounts, now_of=world.clock.now, deadline_s=10.0)
        self.handlers = Handlers()

    async def order(
        self, number: str = "A-1", *, policy: LatePayment = LatePayment.REOPEN, currency: str = "CNY", minor: int = 1250
    ) -> Order:
        """An order of 12.50, payable for an hour."""
        now, money = self.clock.now(), Money(minor, currency)
        async with self.db.transaction() as tx:
            await shops.put_shop(tx, SHOP, policy, now)
            return await place_order(
                tx, shop=SHOP, shop_order_no=number, money=money, description="tea", ttl_s=3600, now=now, shard=0
            )  # fmt: skip

    async def offer(self, order: Order, channel: str = "wechat", *, key: str = "") -> Payment:
        """The order, offered to a customer through this channel."""
        wanted = Wanted(channel=channel, account="main", key=key)
        offer = await open_payment(
            self.db, self.asker, self.handlers, shop=SHOP, order_id=order.id, wanted=wanted, now=self.clock.now()
        )
        assert not isinstance(offer.outcome, Unknown) or self.sandbox.faults != Faults()
        return offer.payment

    async def refund(self, payment: Payment, minor: int = 1250, key: str = "r1") -> Refund:
        """Ask for money back."""
        async with self.db.transaction() as tx:
            return await request_refund(
                tx, self.handlers, shop=SHOP, payment_id=payment.id, money=Money(minor, payment.currency),
                reason="changed his mind", key=key, now=self.clock.now(),
            )  # fmt: skip

    def trade(self, payment: Payment) -> Trade:
        """The payment as the channel knows it."""
        return self.sandbox.world.find(payment.channel, "main", payment.merchant_ref, self.clock.now())

    async def to_a_fresh_day(self) -> date:
        """To noon in Beijing of a day on which nobody has sold anything yet, nor on the day before it: the sandbox is
        shared, and where UTC has still this day, Beijing may have the next one."""
        day = self.clock.now().date() + timedelta(days=3)
        await self.clock.advance((datetime.combine(day, time(4), UTC) - self.clock.now()).total_seconds())
        return day

    async def take_in(self, *, limit: int = 500) -> int:
        """One round of the intake at the time of this clock, which other tests have moved on."""
        return await intake.run_once(self.db, now=self.clock.now(), limit=limit, handlers=self.handlers)

    def pay(self, payment: Payment) -> None:
        """The customer pays, and the callback is lost."""
        assert self.sandbox.world.pay(self.trade(payment), self.clock.now())
        self.sandbox.world.news.clear()

    def callbacks(self, payment: Payment) -> list[CallbackRequest]:
        """What the channel tells of the payment, signed now."""
        world = self.sandbox.world
        world.resend(self.trade(payment), self.clock.now())
        news, world.news = world.news, []
        notices = [world.provider(one.channel, one.account).notice(one, self.clock.now()) for one in news]
        target = f"/callbacks/{payment.channel}/main"
        return [
            CallbackRequest("POST", target, tuple((k.lower(), v) for k, v in notice.headers.items()), notice.body)
            for notice in notices
        ]

    async def repair(self, *, limit: int = 32, budget_per_s: float = 100.0, db: Database | None = None) -> int:
        """One round of the repair worker."""
        return await repair.run_once(
            db or self.db, now=self.clock.now(), limit=limit, asker=self.asker, handlers=self.handlers,
            budget_per_s=budget_per_s, lease=LEASE,
        )  # fmt: skip

    async def repair_for(self, seconds: float, *, step_s: float = 30.0) -> None:
        """Let time pass, with rounds of repair and of the expiry of orders in between."""
        for _ in range(int(seconds / step_s)):
            await self.clock.advance(step_s)
            await expire.run_once(self.db, now=self.clock.now(), limit=100, handlers=self.handlers)
            while await self.repair():
                pass

    async def give_up(self, order: Order) -> None:
        """The shop wants the order closed."""
        async with self.db.transaction() as tx:
            item = Item(what=CloseOrder(order.id, "sold out"), shop=SHOP, road="shop")
            await apply(tx, [item], self.clock.now(), self.handlers)

    async def payment(self, payment: Payment) -> Payment:
        """As it stands now."""
        async with self.db.session() as tx:
            found = await payments.get(tx, payment.id)
        assert found is not None
        return found

    async def refund_now(self, refund: Refund) -> Refund:
        """As it stands now."""
        async with self.db.session() as tx:
            found = await refunds.get(tx, refund.id)
        assert found is not None
        return found

    async def column(self, query: str, *args: object) -> list[object]:
        """The first column of a query's rows."""
        async with self.db.session() as tx:
            return [row[0] for row in await tx.fetch(query, *args)]

    async def rows(self, query: str, *args: object) -> list[tuple[object, ...]]:
        """A query's rows."""
        async with self.db.session() as tx:
            return [tuple(row) for row in await tx.fetch(query, *args)]

    async def calls(self, subject: Payment | Refund) -> list[object]:
        """The purposes of the calls about it, in order."""
        query = (
            "SELECT purpose FROM channel_calls WHERE subject_id = $1 ORDER BY called_at, ctid"  # the clock stands still
        )
        return await self.column(query, subject.id)

    async def told(self, order: Order) -> list[object]:
        """The kinds of the order's events, in order."""
        return await self.column("SELECT type FROM events WHERE order_id = $1 ORDER BY seq", order.id)

    async def cases(self) -> list[object]:
        """The kinds of what waits for a person."""
        return await self.column("SELECT kind FROM cases WHERE resolved_at IS NULL ORDER BY opened_at, id")


@pytest.fixture(scope="session")
async def world() -> AsyncIterator[World]:
    """One sandbox for the run; making its keys takes longer than any test."""
    clock = ManualClock(NOW)
    with tempfile.TemporaryDirectory(prefix="paidup-accounts-") as folder:
        config = SandboxConfig(accounts_dir=Path(folder), port=0, paidup_url=NOBODY, shop=SHOP)
        async with serving(config, clock) as running:
            yield World(running, clock, Path(folder))


@pytest.fixture
async def merchant(db: Database, world: World) -> AsyncIterator[Merchant]:
    """A shop with a database of its own, at a channel that behaves."""
    http = ChannelHttp()
    world.running.sandbox.faults = Faults()
    yield Merchant(db, world, http)
    world.running.sandbox.faults = Faults()
    await http.aclose()
