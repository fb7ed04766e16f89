"""A running Paidup without workers, the sandbox beside it, and a client with a key: where tests of the API start."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from paidup.app import Paidup
from paidup.apply import Item, apply
from paidup.clock import SystemClock
from paidup.hand.confirm import Confirm, put_through
from paidup.hand.desk import Desk
from paidup.orders.order import LatePayment
from paidup.people.audit import Actor
from paidup.sandbox.keys import Keys, make_keys
from paidup.sandbox.server import Running, Sandbox, SandboxConfig, serving
from paidup.settings import load
from paidup.settle.book import CloseOrder
from paidup.shops import store as shops
from paidup.shops.store import Scope
from paidup.spans.tell import Spans
from served import served

ORDER = {"shop_order_no": "A-1", "amount_minor": 1250, "currency": "CNY"}


@dataclass
class Api:
    """A running Paidup (no workers), the sandbox beside it, and a client with a key."""

    paidup: Paidup
    session: aiohttp.ClientSession
    url: str
    running: Running
    key: str

    @property
    def sandbox(self) -> Sandbox:
        return self.running.sandbox

    @property
    def env(self) -> dict[str, str]:
        """What a command beside it needs."""
        settings = self.paidup.settings
        return {"PAIDUP_DATABASE_URL": settings.database_url, "PAIDUP_DATA": str(settings.data), "PAIDUP_APP": ""}

    @property
    def desk(self) -> Desk:
        """What people's deeds need of it."""
        p = self.paidup
        return Desk(p.db, p.asker, p.accounts, p.handlers, p.clock, p.settings)

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, once: str | None = None
    ) -> tuple[int, Any]:
        headers = {"authorization": f"Bearer {key or self.key}"} | ({"idempotency-key": once} if once else {})
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        async with self.session.request(method, self.url + path, data=data, headers=headers) as answer:
            return answer.status, json.loads(await answer.read())

    async def an_order(self, number: str = "A-1") -> str:
        return (await self.call("POST", "/v1/orders", ORDER | {"shop_order_no": number}))[1]["id"]

    async def an_open_payment(self, number: str = "A-1", channel: str = "wechat") -> dict[str, Any]:
        order_id = await self.an_order(number)
        status, payment = await self.call(
            "POST", f"/v1/orders/{order_id}/payments", {"channel": channel}, once=f"open-{number}"
        )
        assert 201 == status, payment
        return payment

    async def close_order(self, order_id: str, *, seconds_ago: float) -> None:
        """Through the door, as if it had been so long ago."""
        close = Item(what=CloseOrder(order_id, "the shop gives it up"), shop="acme", road="shop")
        then = self.paidup.clock.now() - timedelta(seconds=seconds_ago)
        async with self.paidup.db.transaction() as tx:
            await apply(tx, [close], then, self.paidup.handlers)

    async def a_key(self, *scopes: Scope, shop: str = "acme") -> str:
        """Another API key; the shop is made if it is not there."""
        now = self.paidup.clock.now()
        async with self.paidup.db.transaction() as tx:
            await shops.put_shop(tx, shop, LatePayment.REOPEN, now)
            return await shops.create_key(tx, shop, scopes or list(Scope), now)

    async def second_agrees(self, asked: dict[str, Any]) -> tuple[int, Any]:
        """Somebody with another key agrees to what waits."""
        path = f"/v1/approvals/{asked['approval_id']}/approve"
        return await self.call("POST", path, {"reason": "I looked, too"}, key=await self.a_key())

    async def testify(self, payment: dict[str, Any], txn_id: str = "42000001") -> tuple[int, Any]:
        """Two people say that it was paid as agreed; the payment afterwards, or why not."""
        money = {"amount_minor": payment["amount_minor"], "currency": payment["currency"]}
        word = {"payment_id": payment["id"], "channel_txn_id": txn_id, "reason": "seen in the console"} | money
        status, asked = await self.call("POST", "/v1/evidence", word, once=f"evidence-{payment['id']}-{txn_id}")
        if status == 200 and asked["approval_id"]:
            status, asked = await self.second_agrees(asked)
        return await self.call("GET", f"/v1/payments/{payment['id']}") if status == 200 else (status, asked)

    async def confirmed(self, payment: dict[str, Any], txn_id: str) -> dict[str, Any]:
        """A person's word put through the door as it is once a second one has agreed, without asking the channel."""
        wanted = Confirm(
            payment_id=payment["id"], channel_txn_id=txn_id, amount_minor=payment["amount_minor"],
            currency=payment["currency"], why="seen in the console",
        )  # fmt: skip
        async with self.paidup.db.transaction() as tx:
            await put_through(tx, self.desk, Actor("key:tests", "api"), wanted)
        self.paidup.wake("delivery", "repair")
        return (await self.call("GET", f"/v1/payments/{payment['id']}"))[1]

    async def a_paid_payment(self, number: str = "A-1") -> dict[str, Any]:
        payment = await self.an_open_payment(number)
        paid = await self.confirmed(payment, f"42-{number}")
        assert "paid" == paid["state"]
        return paid

    async def a_mismatch(self, number: str = "M-1") -> dict[str, Any]:
        """Less came than was agreed: held, and a case for a person."""
        return await self.confirmed(
            (await self.an_open_payment(number)) | {"amount_minor": 1}, f"wrong-amount-{number}"
        )

    async def buyer_pays(self, payment: dict[str, Any]) -> None:
        which = {"channel": payment["channel"], "merchant_ref": payment["merchant_ref"]}
        async with self.session.post(f"{self.running.base_url}/sandbox/pay", json=which) as answer:
            assert 200 == answer.status, await answer.text()


@pytest.fixture(scope="session")
def channel_keys() -> dict[str, Keys]:
    """Making them takes half a second; one set serves all."""
    return {"main": make_keys(SystemClock().now())}


@pytest.fixture
async def api(db_dsn: str, tmp_path: Path, channel_keys: dict[str, Keys]) -> AsyncIterator[Api]:
    async with an_api(db_dsn, tmp_path, channel_keys) as running:
        yield running


@contextlib.asynccontextmanager
async def an_api(
    db_dsn: str, folder: Path, channel_keys: dict[str, Keys], *, spans: Spans | None = None, **settings: str
) -> AsyncIterator[Api]:
    """Start it, with the shop acme and a key for everything. settings: more of them, by their names."""
    async with contextlib.AsyncExitStack() as stack:
        # Callbacks go to a port where nobody listens: whatever these tests learn, they learn by asking.
        config = SandboxConfig(accounts_dir=folder / "accounts", port=0, paidup_url="http://127.0.0.1:9", shop="acme")
        running = await stack.enter_async_context(serving(config, SystemClock(), channel_keys))
        environ = {
            "PAIDUP_DATABASE_URL": db_dsn,
            "PAIDUP_DATA": str(folder),
            "PAIDUP_ROLES": "web",
            "PAIDUP_ALLOW_LOOPBACK_ENDPOINTS": "true",
        } | settings
        paidup = Paidup(load(environ))
        paidup.spans = spans
        await stack.enter_async_context(paidup)
        now = SystemClock().now()
        async with paidup.db.transaction() as tx:
            await shops.put_shop(tx, "acme", LatePayment.REOPEN, now)
            key = await shops.create_key(tx, "acme", list(Scope), now)
        url = await stack.enter_async_context(served(paidup))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Api(paidup, session, url, running, key)
