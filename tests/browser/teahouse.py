"""A tea house on a Friday: the shop, its customers and the channels, whose clock jumps ahead between two things.

Everything real: Paidup with all its workers, an embedded PostgreSQL, the sandbox, and a shop that hears. Only the time
between two happenings is not waited for.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api_side import Api
from paidup.app import Paidup
from paidup.clock import SystemClock
from paidup.orders.order import LatePayment
from paidup.sandbox.faults import Faults
from paidup.sandbox.ledger import Trade
from paidup.sandbox.server import SandboxConfig, serving
from paidup.settings import load
from paidup.shops import store as shops
from paidup.shops.store import Scope
from served import served

SHOP = "teahouse"
SHANGHAI = ZoneInfo("Asia/Shanghai")
FRIDAY = datetime(2026, 11, 27, 9, 30, tzinfo=SHANGHAI)
_LOOK_S, _PATIENCE_S = 0.02, 20.0
_WORKERS = ("intake", "repair", "delivery", "reconcile", "tally", "silence", "expiry", "checkout")


class JumpingClock:
    """The machine's clock, moved on at will; whoever sleeps past a jump wakes at once."""

    rate = 1.0

    def __init__(self, start: datetime) -> None:
        self._ahead = start - SystemClock().now()

    def now(self) -> datetime:
        return SystemClock().now() + self._ahead

    async def sleep(self, seconds: float) -> None:
        until = self.now() + timedelta(seconds=seconds)
        while (left := (until - self.now()).total_seconds()) > 0:  # noqa: ASYNC110  a jump may come at any time
            await asyncio.sleep(min(left, _LOOK_S))

    def jump(self, seconds: float) -> None:
        """So much time has passed."""
        self._ahead += timedelta(seconds=seconds)


@dataclass
class TeaHouse:
    """The shop at work."""

    clock: JumpingClock
    api: Api
    is_shut: bool = False

    async def hear(self, _request: Request) -> Response:
        """The shop's own endpoint: it applies what it is told, unless it is shut."""
        return JSONResponse({"error": "maintenance"}, 503) if self.is_shut else JSONResponse({"applied": True})

    def jump(self, seconds: float) -> None:
        """Time passes, and the workers look what is due by now."""
        self.clock.jump(seconds)
        self.api.paidup.wake(*_WORKERS)

    def jump_to(self, moment: datetime) -> None:
        """On to this moment, if it has not passed."""
        self.jump(max(0.0, (moment - self.clock.now()).total_seconds()))

    def faults(self, **faults: Any) -> None:
        """What the channels do wrong from now on; nothing unless named."""
        self.api.sandbox.faults = Faults(**faults)

    async def order(self, number: str, amount_minor: int, what: str, *, currency: str = "CNY", **more: Any) -> str:
        """A customer orders. more: other fields of the order."""
        body = {"shop_order_no": number, "amount_minor": amount_minor, "currency": currency, "description": what}
        status, made = await self.api.call("POST", "/v1/orders", body | more)
        assert status == 201, made
        return str(made["id"])

    async def offer(self, order_id: str, channel: str, method: str = "") -> dict[str, Any]:
        """… and is sent to a channel."""
        body = {"channel": channel} | ({"method": method} if method else {})
        status, made = await self.api.call("POST", f"/v1/orders/{order_id}/payments", body, once=f"offer-{order_id}")
        assert status in (201, 502), made
        return dict(made)

    def trade(self, payment: dict[str, Any]) -> Trade:
        """The payment as the channel has it."""
        return self.api.sandbox.world.find(payment["channel"], "main", payment["merchant_ref"], self.clock.now())

    async def pays(self, payment: dict[str, Any]) -> None:
        """The customer pays."""
        await self.api.buyer_pays(payment)

    async def until(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait, in real time, until the workers have done it."""
        for _ in range(int(_PATIENCE_S / _LOOK_S)):
            if await holds():
                return
            self.api.paidup.wake(*_WORKERS)
            await asyncio.sleep(_LOOK_S)
        raise AssertionError(f"it never came to it: {what}")

    async def until_row(self, query: str, *values: object) -> None:
        """Wait until this gives true."""

        async def holds() -> bool:
            async with self.api.paidup.db.session() as tx:
                return bool(await tx.fetchval(query, *values))

        await self.until(holds, f"{query} {values}")

    async def until_applied(self, order_id: str) -> None:
        """Wait until the shop has said that it acted on everything about an order."""
        await self.until_row(
            "SELECT count(*) > 0 AND bool_and(applied_at IS NOT NULL) FROM deliveries WHERE order_id = $1", order_id
        )


@asynccontextmanager
async def a_tea_house(folder: Path) -> AsyncIterator[TeaHouse]:
    """Open it, a week before FRIDAY."""
    clock = JumpingClock(FRIDAY - timedelta(days=7))
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(256)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    (folder / "reconcile.toml").write_text("[default]\nrepair_minor = 100\napprovers = 2\n", encoding="utf-8")
    async with AsyncExitStack() as stack:
        config = SandboxConfig(accounts_dir=folder / "accounts", port=0, paidup_url=url, shop=SHOP)
        running = await stack.enter_async_context(serving(config, clock))
        environ = {"PAIDUP_DATA": str(folder), "PAIDUP_ALLOW_LOOPBACK_ENDPOINTS": "true", "PAIDUP_PUBLIC_URL": url}
        paidup = Paidup(load(environ))
        paidup.clock = clock
        await stack.enter_async_context(paidup)
        async with paidup.db.transaction() as tx:
            await shops.put_shop(tx, SHOP, LatePayment.REOPEN, clock.now())
            key = await shops.create_key(tx, SHOP, list(Scope), clock.now())
        await stack.enter_async_context(served(paidup, listener))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        house = TeaHouse(clock, Api(paidup, session, url, running, key))
        hears = await stack.enter_async_context(
            served(Starlette(routes=[Route("/paid", house.hear, methods=["POST"])]))
        )
        status, told = await house.api.call("POST", "/v1/endpoints", {"url": f"{hears}/paid"})
        assert status == 201, told
        yield house
