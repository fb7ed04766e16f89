"""The demo's shop: it places orders through the API, and is told by webhooks when they are paid."""

import asyncio
import base64
import hashlib
import hmac
from collections import Counter
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from paidup.demo.plan import Plan

_METHODS = (("wechat", "native"), ("alipay", "precreate"), ("stripe", "payment_intent"))
HOT_ITEM = "HOT-01"
_WANTED_BY_EVERY = 3
_AT_ONCE = 12
_TRIES = 60


class Shop:
    """Places orders and listens. `told` maps each order it was told about to the ids of the notices."""

    def __init__(self, plan: Plan, api_url: str) -> None:
        self._plan = plan
        self._api_url = api_url
        self.api_key = ""
        self.secret = ""
        self.placed = 0
        self.opened = 0
        self.told: dict[str, set[str]] = {}
        self.hot_buyers = 0
        self.turned_away = 0
        self.refused = 0
        self.repeated = 0
        self._runner: web.AppRunner | None = None
        self._milestones: dict[float, asyncio.Event] = {}

    async def reached(self, share: float) -> None:
        """Wait until this share of the orders has been opened."""
        if self.opened < share * self._plan.orders:
            await self._milestones.setdefault(share, asyncio.Event()).wait()

    async def listen(self, port: int) -> None:
        """Begin to take webhooks in on this port of the loopback address."""
        application = web.Application(client_max_size=64 << 10)
        application.router.add_post("/paidup", self._hear)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()

    async def close(self) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()

    async def place_orders(self) -> None:
        """Place all orders and open a payment for each, through the three channels in turn."""
        gate = asyncio.Semaphore(_AT_ONCE)
        pause_s = 1 / self._plan.orders_per_s
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {self.api_key}"}) as session:
            running: list[asyncio.Task[None]] = []
            try:
                for n in range(self._plan.orders):
                    await gate.acquire()
                    task = asyncio.create_task(self._order(session, n))
                    task.add_done_callback(lambda _: gate.release())
                    running.append(task)
                    await asyncio.sleep(pause_s)
                await asyncio.gather(*running)
            finally:
                for task in running:
                    task.cancel()

    async def _order(self, session: aiohttp.ClientSession, n: int) -> None:
        channel, method = _METHODS[n % len(_METHODS)]
        amount_minor = 100 + (n * 7919) % 99_900
        body: dict[str, object] = {
            "shop_order_no": f"A-{self._plan.seed}-{n:06}",
            "amount_minor": amount_minor,
            "currency": "USD" if channel == "stripe" else "CNY",
            "description": f"demo order {n}",
        }
        order = await self._buy(session, body, n)
        self.placed += 1
        wanted = {"channel": channel, "account": "main", "method": method}
        await self._post(session, f"/v1/orders/{order['id']}/payments", wanted, f"pay-{self._plan.seed}-{n}")
        self.opened += 1
        for share, event in self._milestones.items():
            if self.opened >= share * self._plan.orders:
                event.set()

    async def _buy(self, session: aiohttp.ClientSession, body: dict[str, object], n: int) -> dict[str, Any]:
        """An order, every third with the hot item; who comes too late for that buys without it."""
        key = f"order-{self._plan.seed}-{n}"
        if n % _WANTED_BY_EVERY or not self._plan.hot_units:
            return await self._post(session, "/v1/orders", body, key)
        self.hot_buyers += 1
        hot = {"items": [{"sku": HOT_ITEM, "quantity": 1}]}
        order = await self._post(session, "/v1/orders", body | hot, f"{key}-hot")
        if "left" not in order:
            return order
        self.turned_away += 1
        return await self._post(session, "/v1/orders", body, key)

    async def _post(self, session: aiohttp.ClientSession, path: str, body: object, key: str) -> dict[str, Any]:
        """POST until it is answered (out of stock is an answer); the Idempotency-Key makes repeating it harmless."""
        why = ""
        for attempt in range(_TRIES):
            try:
                headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
                data = msgspec.json.encode(body)
                async with session.post(self._api_url + path, data=data, headers=headers) as answer:
                    text = await answer.read()
                    if answer.status < 300 or (answer.status == 409 and b"out-of-stock" in text):
                        decoded: dict[str, Any] = msgspec.json.decode(text)
                        return decoded
                    why = f"{answer.status}: {text[:200]!r}"
                    if answer.status in (400, 401, 403, 404, 422):
                        raise RuntimeError(f"POST {path} was refused: {why}")
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                why = repr(error)
            await asyncio.sleep(min(0.1 * (attempt + 1), 1))
        raise RuntimeError(f"POST {path} was not answered after {_TRIES} tries: {why}")

    async def _hear(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not self._is_genuine(request, body):
            self.refused += 1
            return web.Response(status=401)
        event = msgspec.json.decode(body)
        if event["type"] == "order.paid":
            notices = self.told.setdefault(event["order_id"], set())
            self.repeated += event["id"] in notices
            notices.add(event["id"])
        return web.json_response({"applied": True})

    def _is_genuine(self, request: web.Request, body: bytes) -> bool:
        """Standard Webhooks: HMAC-SHA256 over id, time and body, as every receiver must check it."""
        signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        expected = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        given = request.headers["webhook-signature"].split(" ")
        return any(hmac.compare_digest(expected, signature) for signature in given)

    def doubled(self) -> int:
        """Orders that were announced as paid by more than one event."""
        return sum(len(notices) > 1 for notices in self.told.values())

    def counts(self) -> Counter[str]:
        """For the screen."""
        return Counter(placed=self.placed, opened=self.opened, told=len(self.told))
