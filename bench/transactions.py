"""What does it cost that two services agree: by two-phase commit, a saga, a TCC, or a reliable message?

One workload for all: an order takes a coupon in one database and points in another. The ceiling is one transaction in
one database. Two-phase commit is PREPARE TRANSACTION over two PostgreSQL databases, called directly: it has neither
HTTP nor a journal to pay for. The others are Paidup's coordinator with two services on loopback, barrier included. All
of it, client, coordinator, services and PostgreSQL, shares this machine; every commit waits for the disk.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import quantiles

import asyncpg
import msgspec
from aiohttp import web

from bench import cpu
from bench.fresh import dsn_of
from bench.result import Asked, Figure, Result
from bench.shop import SHOP
from bench.world import World, world
from paidup import ids
from paidup.clock import SystemClock
from paidup.delivery.send import Sender
from paidup.handlers import Handlers
from paidup.orders import store as orders
from paidup.orders.order import LatePayment, Order
from paidup.orders.states import State
from paidup.participant import ASYNCPG, Barrier, Call, Operation, Reply, read_call
from paidup.shops import store as shops
from paidup.transactions import participants
from paidup.transactions.ask import Requester
from paidup.transactions.begin import begin
from paidup.transactions.states import DONE
from paidup.transactions.table import Step, Table
from paidup.transactions.worker import BATCH, Coordinator, run_once

AT_ONCE = 16
_PATIENCE = 600
"""So many tenths of a second may pass before what was begun has ended."""
ROWS = 1000
SERVICES = ("coupon", "points")
UNITS = "CREATE TABLE units (id int PRIMARY KEY, remaining bigint NOT NULL)"
FILL = "INSERT INTO units SELECT n, 1000000 FROM generate_series(0, 999) AS n"
TAKE = "UPDATE units SET remaining = remaining - 1 WHERE id = $1"
ENDED = "SELECT state, extract(epoch FROM ended_at - began_at) * 1000 AS ms FROM transactions WHERE id = ANY($1)"
GIVE = "UPDATE units SET remaining = remaining + 1 WHERE id = $1"

SAGA = Table(name="saga", step=tuple(Step(name=name, participant=name) for name in SERVICES))
BESIDE = Table(
    name="beside",
    step=(Step(name="coupon", participant="coupon"), Step(name="points", participant="points", parallel=True)),
)
TCC = Table(
    name="tcc",
    kind="tcc",
    step=(Step(name="coupon", participant="coupon"), Step(name="points", participant="points", parallel=True)),
)
MESSAGE = Table(
    name="message",
    step=(
        Step(name="coupon", participant="coupon", check_back=True, after_s=0.0),
        Step(name="points", participant="points"),
    ),
)


class Service:
    """A participant with a PostgreSQL database of its own."""

    def __init__(self, name: str, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self.name, self.pool, self.secret, self.url = name, pool, "", ""
        self._barrier = Barrier(ASYNCPG)

    async def take(self, request: web.Request) -> web.Response:
        """One request of the coordinator."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = read_call(headers, await request.read(), [self.secret], SystemClock().now())
        reply = await self.act(call)
        return web.Response(status=reply.status, body=reply.body, content_type="application/json")

    async def act(self, call: Call) -> Reply:
        """Barrier and business in one transaction. A confirmation writes nothing more: the unit is taken already."""
        async with self.pool.acquire() as connection, connection.transaction():
            return await self._barrier.run_async(
                connection,
                call,
                {
                    Operation.ACTION: _take,
                    Operation.TRY: _take,
                    Operation.CONFIRM: _nothing,
                    Operation.COMPENSATE: _give,
                    Operation.CANCEL: _give,
                },
            )


async def _take(connection: asyncpg.Connection, call: Call) -> None:  # type: ignore[type-arg]  # asyncpg has no type arguments when it runs
    await connection.execute(TAKE, call.told())


async def _give(connection: asyncpg.Connection, call: Call) -> None:  # type: ignore[type-arg]  # asyncpg has no type arguments when it runs
    await connection.execute(GIVE, call.told())


async def _nothing(_connection: asyncpg.Connection, _call: Call) -> None:  # type: ignore[type-arg]  # asyncpg has no type arguments when it runs
    """Confirmed as it is."""


@dataclass
class Place:
    """Two services, their databases, and a coordinator."""

    world: World
    services: dict[str, Service]
    coordinator: Coordinator
    numbers: int = 0


Way = Callable[[Place, int, Callable[[int], int]], Awaitable[list[float]]]
"""Does so many, on the rows that the function names; gives how long each took, in ms."""


async def run(asked: Asked) -> Result:
    """Every way in interleaved rounds: spread over a thousand rows, and all on one row."""
    rounds, count = (2, 96) if asked.quick else (4, 192)
    figures: list[Figure] = []
    async with place() as here:
        for rows, where in ((spread, "spread"), (hot, "one hot row")):
            took: dict[str, list[tuple[float, float, list[float]]]] = {name: [] for name in WAYS}
            for _ in range(rounds):
                for name, way in WAYS.items():
                    took[name].append(await measure(here, way, count, rows))
            for name, some in took.items():
                figures += _figures(f"{name}, {where}", some)
        blocked = await what_a_dead_coordinator_leaves(here)
    return Result(figures=figures, notes=[blocked])


def _figures(name: str, rounds: Sequence[tuple[float, float, list[float]]]) -> list[Figure]:
    return [
        Figure(name=name, unit="/s", rounds=[per_s for per_s, _, _ in rounds]),
        Figure(name=f"{name}: p50", unit="ms", rounds=[quantiles(ms, n=100)[49] for *_, ms in rounds], better="lower"),
        Figure(name=f"{name}: p99", unit="ms", rounds=[quantiles(ms, n=100)[98] for *_, ms in rounds], better="lower"),
        Figure(name=f"{name}: CPU", unit="µs", rounds=[cpu_us for _, cpu_us, _ in rounds], better="lower"),
    ]


async def measure(here: Place, way: Way, count: int, rows: Callable[[int], int]) -> tuple[float, float, list[float]]:
    """Per second, CPU µs of everything for each, and how long each took."""
    postmaster = await here.world.postmaster()
    cpu_before, began = time.process_time() + cpu.family_cpu_s(postmaster), time.monotonic()
    took = await way(here, count, rows)
    elapsed = time.monotonic() - began
    used = time.process_time() + cpu.family_cpu_s(postmaster) - cpu_before
    return count / elapsed, used / count * 1e6, took


def spread(n: int) -> int:
    return n * 7 % ROWS


def hot(_n: int) -> int:
    return 0


async def _at_once(count: int, one: Callable[[int], Awaitable[None]]) -> list[float]:
    """AT_ONCE callers, each one after the other; how long each call took, in ms."""
    took: list[float] = []
    numbers = iter(range(count))

    async def caller() -> None:
        for n in numbers:
            began = time.monotonic()
            await one(n)
            took.append((time.monotonic() - began) * 1000)

    await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
    return took


async def _locally(here: Place, count: int, rows: Callable[[int], int]) -> list[float]:
    pool = here.services["coupon"].pool

    async def one(n: int) -> None:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(TAKE, rows(n))
            await connection.execute("UPDATE more SET remaining = remaining - 1 WHERE id = $1", rows(n))

    return await _at_once(count, one)


async def _two_phases(here: Place, count: int, rows: Callable[[int], int]) -> list[float]:
    async def prepare(name: str, gid: str, row: int) -> None:
        async with here.services[name].pool.acquire() as connection:
            await connection.execute("BEGIN")
            await connection.execute(TAKE, row)
            await connection.execute(f"PREPARE TRANSACTION '{gid}-{name}'")

    async def one(n: int) -> None:
        here.numbers += 1
        gid = f"g{here.numbers}"
        for name in SERVICES:  # one after the other and in one order, or two that share both rows wait for each other
            await prepare(name, gid, rows(n))
        commits = (here.services[name].pool.execute(f"COMMIT PREPARED '{gid}-{name}'") for name in SERVICES)
        await asyncio.gather(*commits)

    return await _at_once(count, one)


async def _coordinated(table: Table, here: Place, count: int, rows: Callable[[int], int]) -> list[float]:
    """AT_ONCE are begun and taken to their end, again and again; from each one's beginning to its end."""
    took: list[float] = []
    for first in range(0, count, AT_ONCE):
        begun = [await _begin(here, table, rows(n)) for n in range(first, first + AT_ONCE)]
        took += await _ended(here, begun)
    return took


async def _ended(here: Place, begun: Sequence[str]) -> list[float]:
    """What each took to its end, ms. Where the machine is busy a service may answer late, and is asked again."""
    for _ in range(_PATIENCE):
        while await run_once(here.world.db, now=SystemClock().now(), limit=BATCH, coordinator=here.coordinator):
            pass
        async with here.world.db.session() as tx:
            ended = await tx.fetch(ENDED, begun)
        if {row["state"] for row in ended} <= DONE:
            return [float(row["ms"]) for row in ended]
        await asyncio.sleep(0.1)
    raise AssertionError(f"not ended: {ended}")


async def _begin(here: Place, table: Table, row: int) -> str:
    here.numbers += 1
    clock = SystemClock()
    now = clock.now()
    order = Order(
        id=ids.new_id(ids.ORDER, now), shop=SHOP, shop_order_no=f"t{here.numbers}", amount_minor=1250, currency="CNY",
        description="", state=State.UNPAID, late_payment=LatePayment.REOPEN, created_at=now, expires_at=now,
        updated_at=now,
    )  # fmt: skip
    async with here.world.db.transaction() as tx:
        await orders.insert(tx, order)
        data = dict.fromkeys(SERVICES, row)
        t = await begin(tx, shop=SHOP, order_id=order.id, table=table, data=data, key="k", now=now)
    if table is MESSAGE:  # its sender acts by itself, in its own transaction, before it is asked about it
        raw = msgspec.Raw(str(row).encode())
        await here.services["coupon"].act(
            Call(xid=t.id, step="coupon", operation=Operation.ACTION, shop=SHOP, order_id=order.id, data=raw)
        )
    return t.id


WAYS: dict[str, Way] = {
    "one transaction in one database (the ceiling)": _locally,
    "two-phase commit": _two_phases,
    "saga, one service after the other": partial(_coordinated, SAGA),
    "saga, both at once": partial(_coordinated, BESIDE),
    "TCC": partial(_coordinated, TCC),
    "message with check-back": partial(_coordinated, MESSAGE),
}


async def what_a_dead_coordinator_leaves(here: Place) -> str:
    """Dead between its two phases, and dead between two steps: who else can touch the row?"""
    pool = here.services["coupon"].pool
    async with pool.acquire() as connection:
        await connection.execute("BEGIN")
        await connection.execute(TAKE, 1)
        await connection.execute("PREPARE TRANSACTION 'dead'")
    two_phases = await _can_take(pool, 1)
    await pool.execute("ROLLBACK PREPARED 'dead'")
    await _begin(here, SAGA, 2)  # and nobody goes on with it
    call = Call(xid="dead", step="coupon", operation=Operation.ACTION, shop=SHOP, order_id="o", data=msgspec.Raw(b"2"))
    await here.services["coupon"].act(call)
    saga = await _can_take(pool, 2)
    return (
        f"A coordinator died after its first phase, or its first step: somebody else's update of the same row "
        f"{'went through' if two_phases else 'waited in vain'} with two-phase commit, and "
        f"{'went through' if saga else 'waited in vain'} with a saga."
    )


async def _can_take(pool: "asyncpg.Pool[asyncpg.Record]", row: int) -> bool:
    async with pool.acquire() as connection:
        await connection.execute("SET lock_timeout = '500ms'")
        try:
            await connection.execute(TAKE, row)
        except asyncpg.LockNotAvailableError:
            return False
        return True


@contextlib.asynccontextmanager
async def place() -> AsyncIterator[Place]:
    """A durable PostgreSQL with two more databases, two services on loopback, and a coordinator."""
    async with contextlib.AsyncExitStack() as stack:
        here = await stack.enter_async_context(world({"max_prepared_transactions": "64"}))
        sender = Sender(allow_loopback=True)
        stack.push_async_callback(sender.aclose)
        requester = Requester(sender, now_of=SystemClock().now)
        coordinator = Coordinator(requester, Handlers())
        stack.push_async_callback(coordinator.aclose)
        services = {name: await _service(here, stack, name) for name in SERVICES}
        async with here.db.transaction() as tx:
            await shops.put_shop(tx, SHOP, LatePayment.REOPEN, here.now)
            for service in services.values():
                made = await participants.put_participant(
                    tx, SHOP, service.name, service.url, here.now, allow_loopback=True
                )
                service.secret = made.secret or ""
        yield Place(here, services, coordinator)


async def _service(here: World, stack: contextlib.AsyncExitStack, name: str) -> Service:
    await _execute(here.embedded.dsn, f'CREATE DATABASE "{name}"')
    pool = await asyncpg.create_pool(dsn_of(here, name), min_size=AT_ONCE, max_size=AT_ONCE)
    stack.push_async_callback(pool.close)
    for statement in (*ASYNCPG.tables, UNITS, FILL, "CREATE TABLE more AS SELECT * FROM units"):
        await pool.execute(statement)
    await pool.execute("ALTER TABLE more ADD PRIMARY KEY (id)")
    service = Service(name, pool)
    app = web.Application()
    app.router.add_post("/", service.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    return service


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(statement)
    await connection.close()
