"""The demo from beginning to end: orders, faults, a kill, a crash, and the verdict."""

import asyncio
import logging
import sys
from collections.abc import Sequence
from typing import Any

import aiohttp
import asyncpg
import msgspec
from rich.console import Console

from paidup.clock import parse_clock
from paidup.db.transaction import Database
from paidup.demo.evening import few_are_left, spend_evening
from paidup.demo.look_around import stay
from paidup.demo.plan import Plan
from paidup.demo.screen import Screen, print_verdict
from paidup.demo.verdict import Verdict, compare
from paidup.demo.world import World, world_of
from paidup.report import print_checks, print_life
from paidup.trace.life import trace
from paidup.verify import verify

MOMENT_S = 0.5
PATIENCE_S = 150
"""Real seconds to wait after the last order for everything to be settled; then the verdict is spoken as it is."""

PAID = """
SELECT (SELECT count(*) FROM payments WHERE state IN ('paid', 'disputed', 'charged_back')) AS payments,
  (SELECT count(*) FROM orders WHERE state = 'paid') AS orders"""


async def run(plan: Plan) -> bool:
    """Run the demo; True when the verdict holds and `verify` finds no breach."""
    logging.getLogger("asyncpg").setLevel(logging.CRITICAL)  # it would report the crash that we cause
    async with world_of(plan) as world:
        holds = await _play(world)
        if not plan.once:
            await stay(world)
        return holds


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
