"""What a demo runs on: a database of its own, the sandbox, two Paidup processes, and the shop."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from datetime import datetime

import asyncpg

from paidup.checkout.warehouse import Change, Described, change, put_sku
from paidup.clock import SystemClock
from paidup.db.embedded import Embedded, start_embedded
from paidup.db.migrate import migrate
from paidup.db.transaction import Database, Tx
from paidup.delivery.endpoints import create_endpoint
from paidup.demo.plan import Plan
from paidup.demo.processes import Child, answering, free_port
from paidup.demo.shop import HOT_ITEM, Shop
from paidup.inventory.states import Kind
from paidup.orders.order import LatePayment
from paidup.sandbox.faults import SHARES
from paidup.shops import store as shops
from paidup.shops.store import Scope

SHOP = "demo"


class World:
    """Everything that runs during a demo."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.web_port, self.sandbox_port, self.shop_port = free_port(), free_port(), free_port()
        self.web_url = f"http://127.0.0.1:{self.web_port}"
        self.sandbox_url = f"http://127.0.0.1:{self.sandbox_port}"
        self.shop = Shop(plan, self.web_url)
        self.env: dict[str, str] = {}
        self.children: list[Child] = []
        self.embedded: Embedded
        self.db: Database

    def child(self, name: str, *args: str, **env: str) -> Child:
        """A `paidup …` process of this world, not started yet."""
        child = Child(name, args, self.env | env, self.plan.folder)
        self.children.append(child)
        return child


@contextlib.asynccontextmanager
async def world_of(plan: Plan) -> AsyncIterator[World]:
    """Database, sandbox, two Paidup processes and the shop; all ended at the end."""
    shutil.rmtree(plan.folder / "accounts", ignore_errors=True)
    plan.folder.mkdir(parents=True, exist_ok=True)
    world = World(plan)
    async with contextlib.AsyncExitStack() as stack:
        world.embedded = await stack.enter_async_context(await start_embedded(plan.folder / "data"))
        dsn = await _fresh_database(world.embedded.dsn)
        world.env = environment(world, dsn)
        world.db = await Database.connect(dsn)
        stack.push_async_callback(world.db.close)
        await migrate(world.db)
        stack.push_async_callback(world.shop.close)
        await world.shop.listen(world.shop_port)
        await shop_in_database(world)
        stack.push_async_callback(_end_all, world)
        await _start_children(world)
        yield world


def environment(world: World, dsn: str) -> dict[str, str]:
    """The settings that all processes of a world share, its clock among them: it starts now."""
    plan = world.plan
    return {
        "PAIDUP_DATABASE_URL": dsn,
        "PAIDUP_DATA": str(plan.folder / "data"),
        "PAIDUP_ACCOUNTS": str(plan.folder / "accounts"),
        "PAIDUP_CLOCK": f"{SystemClock().now().isoformat(timespec='seconds')}*{plan.speed:g}",
        "PAIDUP_PORT": str(world.web_port),
        "PAIDUP_ALLOW_LOOPBACK_ENDPOINTS": "true",
        "PAIDUP_QUERY_BUDGET_PER_S": "50",
        "PAIDUP_CALL_DEADLINE_S": "1.5",  # real seconds; the clocks run faster
    }


async def _fresh_database(dsn: str) -> str:
    """An empty database for this run, on the demo's own server."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("DROP DATABASE IF EXISTS demo WITH (FORCE)")
        await connection.execute("CREATE DATABASE demo")
    finally:
        await connection.close()
    base, mark, query = dsn.partition("?")
    return base.rpartition("/")[0] + "/demo" + mark + query


async def shop_in_database(world: World) -> None:
    """The shop, its API key, and its endpoint, which is told of paid orders."""
    now = SystemClock().now()
    async with world.db.transaction() as tx:
        await shops.put_shop(tx, SHOP, LatePayment.REOPEN, now)
        world.shop.api_key = await shops.create_key(tx, SHOP, list(Scope), now)
        endpoint = await create_endpoint(
            tx, SHOP, f"http://127.0.0.1:{world.shop_port}/paidup", ["order.paid"], now, allow_loopback=True
        )
        await _fill_the_shelf(tx, world.plan.hot_units, now)
    world.shop.secret = endpoint.secret or ""


async def _fill_the_shelf(tx: Tx, units: int, now: datetime) -> None:
    """The hot item."""
    await put_sku(tx, Described(shop=SHOP, sku=HOT_ITEM, name="the hot item"), now)
    if units:
        delivery = Change(
            shop=SHOP, sku=HOT_ITEM, kind=Kind.RESTOCK, quantity=units, reason="for the sale", operator="demo", key="1"
        )
        await change(tx, delivery, now)


async def start_sandbox(world: World) -> Child:
    """The channels, with the faults of the plan; they have written the account folders when this returns."""
    plan = world.plan
    sandbox = world.child(
        "sandbox",
        "sandbox",
        f"--port={world.sandbox_port}",
        f"--paidup-url={world.web_url}",
        f"--seed={plan.seed}",
        f"--accounts-dir={plan.folder / 'accounts'}",
        *(f"--{name.replace('_', '-')}={getattr(plan, name)}" for name in SHARES),
    )
    await sandbox.start()
    await answering(world.sandbox_port, sandbox)
    return sandbox


async def _start_children(world: World) -> None:
    await start_sandbox(world)
    web = world.child("web", "serve", "--roles=web", PAIDUP_ROLES="web")
    worker = world.child("worker", "serve", "--roles=intake,repair,delivery", PAIDUP_PORT=str(free_port()))
    await web.start()
    await worker.start()
    await answering(world.web_port, web)


async def _end_all(world: World) -> None:
    await asyncio.gather(*(child.end() for child in reversed(world.children)))
