"""The end of the demo's day: for the last buyers the channels neither call nor answer; the bill finds their payments.

The worker that asks is ended, so that nothing but the bill can heal what is left.
"""

import asyncio
from collections import Counter
from datetime import date, datetime, timedelta
from typing import Any

import aiohttp
import msgspec

from paidup.app import Paidup
from paidup.channels.messages import BillComing
from paidup.demo.processes import free_port
from paidup.demo.screen import Screen
from paidup.demo.world import World
from paidup.reconcile import bills, store
from paidup.reconcile.breaks import Kind
from paidup.reconcile.fetch import fetch_bill
from paidup.reconcile.party import Party
from paidup.reconcile.states import UNSETTLED
from paidup.reconcile.worker import work_day
from paidup.settings import load

_MOMENT_S = 0.25
_BUYERS_S, _TELLING_S = 20, 75
"""Real seconds to wait for the last buyers, and for the shop to be told: longer than the lease (60 s) on what a killed
worker had in hand."""
_SILENT = {"lose": 1.0, "fail": 1.0}
_FEW = 40

PAID = "SELECT count(*) FROM orders WHERE state = 'paid'"


class Evening(msgspec.Struct, frozen=True, kw_only=True):
    """What reconciliation found and healed."""

    lines: int
    matched: int
    breaks: dict[str, int]
    healed: int
    unsettled: int

    @property
    def holds(self) -> bool:
        """Every line of the bills is matched, on its day or on the one beside it, and no break is left."""
        return self.lines - self.matched <= self.breaks.get(Kind.WRONG_DAY, 0) and self.unsettled == 0

    @property
    def line(self) -> str:
        """In one line, for people."""
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.breaks.items())) or "none"
        return (
            f"the bills   {self.lines} lines, {self.matched} matched; breaks: {kinds}; "
            f"healed by the bill {self.healed}, open {self.unsettled}"
        )


def few_are_left(world: World, summary: dict[str, Any]) -> bool:
    """Whether it is evening: all but a few buyers have paid."""
    return bool(summary["buyers_waiting"] <= min(_FEW, world.plan.orders // 20))


async def spend_evening(world: World, session: aiohttp.ClientSession, screen: Screen, began_at: datetime) -> Evening:
    """Let the last buyers pay in silence, then reconcile the demo's own day."""
    await _set_faults(world, session, _SILENT)
    screen.happened("evening: for the last buyers the channels neither call nor answer questions")
    await _until_buyers_are_gone(world, session)
    worker = next(child for child in world.children if child.name == "worker")
    await worker.end()
    await _set_faults(world, session, {"bill": {"early": True}})
    teller = world.child("teller", "serve", "--roles=intake,delivery", PAIDUP_PORT=str(free_port()))
    await teller.start()
    screen.happened("the worker that asks has gone home; the channels' bills are laid beside the books")
    evening = await _reconcile(world, began_at)
    await _until_told(world)
    if not world.plan.once:
        await worker.start()
    return evening


async def _set_faults(world: World, session: aiohttp.ClientSession, faults: dict[str, Any]) -> None:
    async with session.put(f"{world.sandbox_url}/sandbox/faults", json=faults) as answer:
        answer.raise_for_status()


async def _until_buyers_are_gone(world: World, session: aiohttp.ClientSession) -> None:
    for _ in range(int(_BUYERS_S / _MOMENT_S)):
        async with session.get(f"{world.sandbox_url}/sandbox/summary") as answer:
            summary = await answer.json()
        if summary["buyers_waiting"] == 0:
            return
        await asyncio.sleep(_MOMENT_S)


async def _until_told(world: World) -> None:
    for _ in range(int(_TELLING_S / _MOMENT_S)):
        async with world.db.session() as tx:
            if await tx.fetchval(PAID) == len(world.shop.told):
                return
        await asyncio.sleep(_MOMENT_S)


async def _reconcile(world: World, began_at: datetime) -> Evening:
    settings = msgspec.structs.replace(load(world.env), roles=())
    lines = matched = 0
    kinds: Counter[str] = Counter()
    healed = unsettled = 0
    async with Paidup(settings) as paidup:
        for party in paidup.parties():
            days = _days(party, began_at, paidup.clock.now())
            for day in days:
                await _fetch(paidup, party, day)
                outcome = await work_day(paidup.db, party, day, tools=paidup.reconcile_tools(), who="demo")
                if outcome.run is not None:  # a day on which this channel sold nothing has no bill
                    lines, matched = lines + outcome.run.lines, matched + outcome.run.matched
            async with paidup.db.session() as tx:
                # When all are read: what one day has shortly before midnight may be cleared by the next one.
                account = party.account
                counted = [one for day in days for one in await store.counts(tx, account.channel, account.name, day)]
            for one in counted:
                kinds[one["kind"]] += one["breaks"]
                healed += one["breaks"] if one["state"] == "healed" else 0
                unsettled += one["breaks"] if one["state"] in UNSETTLED else 0
    return Evening(lines=lines, matched=matched, breaks=dict(kinds), healed=healed, unsettled=unsettled)


def _days(party: Party, began_at: datetime, now: datetime) -> list[date]:
    """The days that the demo saw, in the channel's own time zone."""
    zone = party.channel.bill_zone(party.account)
    first, last = began_at.astimezone(zone).date(), now.astimezone(zone).date()
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


async def _fetch(paidup: Paidup, party: Party, day: date) -> None:
    for kind in party.channel.bills:
        made_as = None
        for _ in range(20):
            found = await fetch_bill(paidup.db, paidup.asker, party, kind, day, made_as=made_as)
            if isinstance(found, bills.Kept):
                break
            made_as = found.made_as if isinstance(found, BillComing) else None
            await paidup.clock.sleep(5)
