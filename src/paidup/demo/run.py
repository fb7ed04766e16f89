"""The demo from beginning to end: processes, orders, faults, a kill, a crash, and the verdict."""

import asyncio
import contextlib
import logging
import os
import shlex
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec
from rich.console import Console

from paidup.checkout.warehouse import Change, Described, change, put_sku
from paidup.clock import SystemClock, parse_clock
from paidup.db.embedded import Embedded, start_embedded
from paidup.db.migrate import migrate
from paidup.db.transaction import Database, Tx
from paidup.delivery.endpoints import create_endpoint
from paidup.demo.evening import few_are_left, spend_evening
from paidup.demo.plan import Plan
from paidup.demo.processes import Child, answering, free_port
from paidup.demo.screen import Screen, print_verdict
from paidup.demo.shop import HOT_ITEM, Shop
from paidup.demo.verdict import Verdict, compare
from paidup.inventory.states import Kind
from paidup.orders.order import LatePayment
from paidup.people import sessions
from paidup.people import store as users
from paidup.people.user import Role
from paidup.report import print_checks, print_life
from paidup.sandbox.faults import SHARES
from paidup.shops import store as shops
from paidup.shops.store import Scope
from paidup.trace.life import trace
from paidup.verify import verify

SHOP = "demo"
MOMENT_S = 0.5
PATIENCE_S = 150
"""Real seconds to wait after the last order for everything to be settled; then the verdict is spoken as it is."""

PAID = """
SELECT (SELECT count(*) FROM payments WHERE state IN ('paid', 'disputed', 'charged_back')) AS payments,
  (SELECT count(*) FROM orders WHERE state = 'paid') AS orders"""


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


async def run(plan: Plan) -> bool:
    """Run the demo; True when the verdict holds and `verify` finds no breach."""
    logging.getLogger("asyncpg").setLevel(logging.CRITICAL)  # it would report the crash that we cause
    async with _world(plan) as world:
        holds = await _play(world)
        if not plan.once:
            await _stay(world)
        return holds


@contextlib.asynccontextmanager
async def _world(plan: Plan) -> AsyncIterator[World]:
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


async def _play(world: World) -> bool:
    plan = world.plan
    async with aiohttp.ClientSession() as session:
        with Screen() as screen:
            began_at = parse_clock(world.env["PAIDUP_CLOCK"]).now()
            orders = asyncio.create_task(world.shop.place_orders())
            trouble = asyncio.create_task(_trouble(world, screen)) if plan.kill else None
            running = [task for task in (orders, trouble) if task]
            try:
                summary = await _watch(world, session, screen, orders)
                await asyncio.gather(*running)
            finally:  # before what they work with ends: trouble would start a worker that nobody ends
                await _cancel(running)
            evening = await spend_evening(world, session, screen, began_at)
        truth = await ledger(session, world.sandbox_url)
    verdict = await compare(world.db, truth, world.shop)
    report = await verify(world.db)
    holds = verdict.holds and report.holds and evening.holds
    if plan.as_json:
        told = {"holds": holds, "verdict": verdict, "bills": evening, "checks": report.checks}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(told)).decode() + "\n")
        return holds
    console = Console(highlight=False, soft_wrap=True)
    print_verdict(console, verdict, speed=plan.speed, summary=summary)
    console.print(evening.line)
    console.print()
    print_checks(report.checks)
    await _show_one(world, verdict, console)
    return holds


async def _cancel(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _watch(
    world: World, session: aiohttp.ClientSession, screen: Screen, orders: "asyncio.Task[None]"
) -> dict[str, Any]:
    """Draw until everything is settled, or patience is over."""
    summary: dict[str, Any] = {}
    paid = (0, 0)
    waited_s = 0.0
    while waited_s < PATIENCE_S:
        await asyncio.sleep(MOMENT_S)
        for child in world.children:
            child.must_live()
        async with session.get(f"{world.sandbox_url}/sandbox/summary") as answer:
            summary = await answer.json()
        paid = await paid_counts(world.db) or paid
        screen.show(world.plan.orders, world.shop.counts(), summary, paid[0])
        if orders.done():
            waited_s += MOMENT_S
            if orders.exception() or few_are_left(world, summary):
                break
    return summary


def is_quiet(world: World, summary: dict[str, Any], paid: tuple[int, int]) -> bool:
    """Every buyer who will pay has paid, no first callback is under way, and everybody agrees."""
    at_channel = sum(channel["paid"] for channel in summary["channels"].values())
    # A callback that was corrupted is sent again in minutes; its payment is found long before.
    still = summary["buyers_waiting"] + summary["callbacks_under_way"] - summary["callbacks_retrying"]
    payments, orders = paid
    return bool(still == 0 and at_channel == payments and orders == len(world.shop.told))


async def paid_counts(db: Database) -> tuple[int, int] | None:
    """Paid payments and paid orders; None while the database is being restarted."""
    try:
        async with db.session() as tx:
            row = await tx.fetchrow(PAID)
            return (row["payments"], row["orders"]) if row else None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return None


async def _trouble(world: World, screen: Screen) -> None:
    """In the middle: SIGKILL for the worker, a crash for the database."""
    worker = next(child for child in world.children if child.name == "worker")
    await world.shop.reached(0.4)
    screen.happened(f"worker {worker.pid} gets SIGKILL")
    await worker.kill()
    await asyncio.sleep(1.5)
    await worker.start()
    screen.happened(f"a new worker, {worker.pid}, takes over")
    await world.shop.reached(0.7)
    screen.happened("the database crashes (immediate shutdown, as after a power cut)")
    await world.embedded.restart("immediate")
    screen.happened("the database has recovered")


async def ledger(session: aiohttp.ClientSession, sandbox_url: str) -> list[dict[str, Any]]:
    """All trades of the sandbox: the truth."""
    trades: list[dict[str, Any]] = []
    while True:
        async with session.get(f"{sandbox_url}/sandbox/ledger", params={"offset": len(trades)}) as answer:
            page = await answer.json()
        if not page:
            return trades
        trades += page


async def _show_one(world: World, verdict: Verdict, console: Console) -> None:
    """The life of one payment whose callback was lost."""
    if verdict.healed_example is None:
        return
    async with world.db.session() as tx:
        life = await trace(tx, verdict.healed_example)
    if life:
        console.print(f"\none healed order, as `paidup trace {verdict.healed_example}` shows it:")
        print_life(life)


async def _sign_in_link(world: World) -> str:
    """An admin of the console, and a link that signs them in once."""
    clock = parse_clock(world.env["PAIDUP_CLOCK"])
    async with world.db.transaction() as tx:
        await users.add(tx, "demo", Role.ADMIN, clock.now())
        token = await sessions.make_link(tx, "demo", clock.now(), rate=clock.rate)
    return f"{world.web_url}/console/link?token={token}"


def to_look_around(env: Mapping[str, str]) -> str:
    """What another shell types to use these settings: `paidup` is found, and every command knows this world's accounts,
    files and clock."""
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in env.items())
    return f"  export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH\n  export {settings}"


async def _stay(world: World) -> None:
    """Keep everything running until Ctrl-C."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)  # what is broken over two lines cannot be copied
    console.print(
        f"\nEverything stays up until Ctrl-C. The API is at {world.web_url}/docs (key {world.shop.api_key}), "
        f"the sandbox at {world.sandbox_url}/sandbox/summary.\nTo look around from another shell:"
    )
    console.print(to_look_around(world.env | {"PAIDUP_PUBLIC_URL": world.web_url}))
    console.print("The console, signed in as its admin by this link, once, within half an hour:", style="bold")
    console.print(await _sign_in_link(world))
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stopped.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    console.print(f"ending process {os.getpid()} and its children …")
