"""The bench's own shop: prepared orders that can be paid, and a receiver of webhooks that does as little as it can."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import cast

import msgspec

from bench.world import World
from paidup import ids
from paidup.db.transaction import Tx
from paidup.delivery.endpoints import create_endpoint
from paidup.money import Money
from paidup.orders import store as orders
from paidup.orders.order import LatePayment, Order
from paidup.orders.states import State as OrderState
from paidup.payments import store as payments
from paidup.payments.payment import Payment
from paidup.payments.states import State
from paidup.schedule import store as schedule
from paidup.seal import seal
from paidup.shops import store as shops

AMOUNT = Money(1250, "CNY")
SHOP = "bench"
_AT_ONCE = 1000


async def prepare(world: World, refs: Sequence[str], now: datetime, *, payee: str) -> None:
    """An order with an open payment for each of these numbers, as after its opening at the channel."""
    async with world.db.transaction() as tx:
        await shops.put_shop(tx, SHOP, LatePayment.REOPEN, now)
    for start in range(0, len(refs), _AT_ONCE):
        async with world.db.transaction() as tx:
            await _prepare(tx, refs[start : start + _AT_ONCE], now, payee)
    async with world.db.session() as tx:
        await tx.execute("ANALYZE")


async def _prepare(tx: Tx, refs: Sequence[str], now: datetime, payee: str) -> None:
    offers = [_offer(ref, now, payee) for ref in refs]
    await tx.executemany(orders.INSERT, [(*msgspec.structs.astuple(order), seal(order)) for order, _ in offers])
    rows = [msgspec.structs.asdict(payment) | dict.fromkeys(payments.IN_JSON, "{}") for _, payment in offers]
    seals = [seal(payment) for _, payment in offers]
    await tx.executemany(payments.INSERT, [(*row.values(), s) for row, s in zip(rows, seals, strict=True)])
    await schedule.put(tx, [(p.id, "payment", p.channel, p.account, p.expires_at) for _, p in offers])


def _offer(ref: str, now: datetime, payee: str) -> tuple[Order, Payment]:
    order = Order(
        id=ids.new_id(ids.ORDER, now), shop=SHOP, shop_order_no=ref, amount_minor=AMOUNT.amount_minor,
        currency=AMOUNT.currency, description="", state=OrderState.UNPAID, late_payment=LatePayment.REOPEN,
        created_at=now, expires_at=_later(now), updated_at=now,
    )  # fmt: skip
    payment = Payment(
        id=ids.new_id(ids.PAYMENT, now), shop=SHOP, order_id=order.id, channel="wechat", account="main",
        method="native", merchant_ref=ref, payee=payee, amount_minor=AMOUNT.amount_minor, currency=AMOUNT.currency,
        state=State.OPEN, created_at=now, expires_at=order.expires_at, updated_at=now,
    )  # fmt: skip
    return order, payment


def _later(now: datetime) -> datetime:
    return datetime.fromtimestamp(now.timestamp() + 7200, now.tzinfo)


class Receiver:
    """An HTTP server that answers every webhook with 200, and notes when each came.

    It checks no signature and writes nothing down: it is here to be told, not to be measured.
    """

    def __init__(self) -> None:
        self.told: list[tuple[float, bytes]] = []
        self.enough = asyncio.Event()
        self._wanted = 0
        self._server: asyncio.Server | None = None

    async def listen(self) -> int:
        """Begin; returns the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Hearing(self._hear), "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Stop listening."""
        if self._server:
            self._server.close()

    def expect(self, count: int) -> None:
        """Forget what was told; `enough` is set when so many more came."""
        self.told.clear()
        self.enough.clear()
        self._wanted = count

    def paid(self) -> dict[str, float]:
        """When an order.paid first came, by the id of its order."""
        first: dict[str, float] = {}
        for at, body in self.told:
            event = _event.decode(body)
            if event.type == "order.paid":
                first.setdefault(event.order_id, at)
        return first

    def _hear(self, body: bytes) -> None:
        self.told.append((time.monotonic(), body))
        if len(self.told) >= self._wanted:
            self.enough.set()


class _Event(msgspec.Struct):
    type: str
    order_id: str


_event = msgspec.json.Decoder(_Event)
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 16\r\n\r\n" + b'{"applied":true}'


class _Hearing(asyncio.Protocol):
    """One connection of ours; the client sends one request at a time."""

    def __init__(self, hear: Callable[[bytes], None]) -> None:
        self._hear = hear
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r")[0])
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        self._hear(rest[:length])
        self._transport.write(_ANSWER)


async def endpoint(world: World, port: int, types: Sequence[str], path: str = "") -> None:
    """Let the shop be told of these events at this port."""
    async with world.db.transaction() as tx:
        await create_endpoint(tx, SHOP, f"http://127.0.0.1:{port}/{path}", types, world.now, allow_loopback=True)
