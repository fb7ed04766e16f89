"""Waiting for quiet, and the proof that nothing was lost or doubled meanwhile."""

import asyncio
import contextlib
import json
import os
import sys
from collections import Counter

import aiohttp
import asyncpg
import msgspec

from chaos.arena import Arena
from paidup.clock import monotonic_s
from paidup.db.transaction import Database
from paidup.demo.run import is_quiet, ledger, paid_counts
from paidup.demo.verdict import Verdict, compare

LOOK_EVERY_S = 0.5
PATIENCE_S = 150.0

PASSING = (
    OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, aiohttp.ClientError,
)  # fmt: skip
"""What looking at a world may raise while parts of it are down; the next look will tell."""

LEFT = """
SELECT (SELECT count(*) FROM inbox_queue WHERE state <> 'poisoned') AS callbacks,
  (SELECT count(*) FROM outbox_queue) AS events,
  (SELECT count(*) FROM deliveries WHERE state = 'waiting') AS deliveries"""

GIVEN_UP = """
SELECT (SELECT count(*) FROM inbox_queue WHERE state = 'poisoned') AS poisoned_callbacks,
  (SELECT count(*) FROM deliveries WHERE state = 'dead') AS dead_letters"""

KEPT = "SELECT sha256(body) AS digest, count(*) AS kept FROM inbox GROUP BY 1"


class Proof(msgspec.Struct, kw_only=True):
    """What was true when it was quiet. breaches: in words, empty when everything holds."""

    paid_at_channel: int = 0
    paid_here: int = 0
    told_to_shop: int = 0
    lost: int = 0
    untold: int = 0
    doubled: int = 0
    invented: int = 0
    acknowledged: int = 0
    acknowledged_and_missing: int = 0
    checks: int = 0
    breaches: list[str] = []


async def drained(world: Arena) -> tuple[float, str]:
    """Seconds until everything was settled, and what was not when patience was over (empty: nothing)."""
    began = monotonic_s()
    left = "nobody has looked yet"
    while left and monotonic_s() - began < PATIENCE_S:
        await asyncio.sleep(LOOK_EVERY_S)
        await world.start_fallen()
        with contextlib.suppress(*PASSING):
            left = await _left(world)
    return monotonic_s() - began, left


async def _left(world: Arena) -> str:
    """What is not settled yet; empty when everything is."""
    url = f"{world.sandbox_url}/sandbox/summary"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        summary = await answer.json()
    paid = await paid_counts(world.db)
    if not is_quiet(world, summary, paid):
        at_channel = sum(channel["paid"] for channel in summary["channels"].values())
        return (
            f"{summary['buyers_waiting']} buyers and {summary['callbacks_under_way']} callbacks on their way, "
            f"{at_channel} payments paid at the channels, {paid[0]} here, {len(world.shop.told)} told to the shop"
        )
    async with world.db.session() as tx:
        queued = await tx.fetchrow(LEFT)
    return ", ".join(f"{name} {count}" for name, count in dict(queued or {}).items() if count)


async def prove(world: Arena) -> Proof:
    """Compare the channels' ledger with us and the shop, the acknowledged callbacks with the inbox, and run verify."""
    acknowledged = Counter(world.balancer.acknowledged)  # before we look: late repeats may still come in
    async with aiohttp.ClientSession() as session:
        truth = await ledger(session, world.sandbox_url)
    db = await Database.connect(world.servers.url, max_size=2)
    try:
        verdict = await compare(db, truth, world.shop)
        missing = await _missing(db, acknowledged)
        given_up = await _given_up(db)
    finally:
        await db.close()
    checks, breaches = await _verify(world)
    return Proof(
        paid_at_channel=verdict.paid_at_channel,
        paid_here=verdict.paid_here,
        told_to_shop=verdict.told_to_shop,
        lost=len(verdict.lost),
        untold=len(verdict.untold),
        doubled=verdict.doubled,
        invented=len(verdict.invented),
        acknowledged=acknowledged.total(),
        acknowledged_and_missing=missing,
        checks=checks,
        breaches=[*_broken(verdict, missing), *given_up, *breaches],
    )


def _broken(verdict: Verdict, missing: int) -> list[str]:
    named = {
        "paid at the channel and not here": verdict.lost,
        "paid and the shop was not told": verdict.untold,
        "paid here and not at the channel": verdict.invented,
        "told to the shop more than once as different events": [str(verdict.doubled)] if verdict.doubled else [],
        "acknowledged to a channel and not in the inbox": [str(missing)] if missing else [],
    }
    return [f"{what}: {', '.join(which)}" for what, which in named.items() if which]


async def _missing(db: Database, acknowledged: Counter[bytes]) -> int:
    """Acknowledgements without a row. Each repeat is stored, so each acknowledgement has a row of its own."""
    async with db.session() as tx:
        kept = {bytes(row["digest"]): row["kept"] for row in await tx.fetch(KEPT)}
    return sum(max(0, times - kept.get(digest, 0)) for digest, times in acknowledged.items())


async def _given_up(db: Database) -> list[str]:
    async with db.session() as tx:
        row = await tx.fetchrow(GIVEN_UP)
    return [f"{name}: {count}" for name, count in dict(row or {}).items() if count]


async def _verify(world: Arena) -> tuple[int, list[str]]:
    """`paidup verify --json`, as a process of its own: how many checks, and what they found."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PAIDUP_")} | world.env
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "paidup", "verify", "--json", env=env,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        said, complained = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    try:
        checks = json.loads(said)["checks"]
    except ValueError:
        return 0, [f"verify said nothing: {complained.decode(errors='replace')[-500:]}"]
    broken = [f"verify: {check['name']}: {', '.join(check['breaches'])}" for check in checks if check["breaches"]]
    return len(checks), broken or ([f"verify ended with {process.returncode}"] if process.returncode else [])
