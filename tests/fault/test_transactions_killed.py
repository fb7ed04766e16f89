"""A real coordinator, `paidup serve --roles checkout`, is killed with SIGKILL again and again under load, at moments
that a seed chooses; services answer over HTTP, and badly. Afterwards every transaction has ended, and all agree."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from paidup.clock import SystemClock
from paidup.db.transaction import Database
from paidup.delivery.send import Sender
from paidup.demo.processes import Child, free_port
from paidup.handlers import Handlers
from paidup.participant import Call, Operation
from paidup.testing.builders import closed, paid
from paidup.transactions.ask import Requester
from paidup.transactions.check import run, together
from paidup.transactions.transaction import Transaction
from paidup.transactions.worker import Coordinator
from paidup.wakeups import CHANNEL
from participant_side import Mischief, Service, serve
from transaction_side import PAYMENT, SERVICES, Shop, a_saga, a_step, a_tcc

KILLS = 8
AT_ONCE = 12
"""So many transactions begin before each kill."""
ENDS_WITHIN_S = 240.0
"""Twice a lease, with all tries of a service that fails."""
UNFINISHED = "SELECT count(*) FROM transactions WHERE ended_at IS NULL AND state <> 'MANUAL'"
STEP = {"timeout_s": 2.0}
TABLES = (
    a_saga(a_step("coupon", **STEP), PAYMENT, a_step("points", **STEP), a_step("parcel", parallel=True, **STEP)),
    a_tcc(a_step("points", **STEP), a_step("coupon", parallel=True, **STEP), PAYMENT),
    a_saga(a_step("coupon", **STEP), a_step("points", parallel=True, **STEP), a_step("parcel", **STEP)),
)


class Arrivals:
    """Counts requests as they arrive; and answers some of them badly."""

    def __init__(self, seed: int) -> None:
        self.count = 0
        self._dice = random.Random(seed)
        self._more = asyncio.Event()

    def plan(self, call: Call, n: int) -> Mischief:
        self.count += 1
        self._more.set()
        if call.operation is Operation.REPORT or n > 1:
            return Mischief.NONE
        if call.operation in (Operation.ACTION, Operation.TRY) and n == 0 and self._dice.random() < 0.1:
            return Mischief.REFUSE
        bad = (Mischief.ERROR, Mischief.ACT_AND_500, Mischief.ACT_AND_ABORT, Mischief.TWICE)
        return self._dice.choice(bad) if self._dice.random() < 0.2 else Mischief.NONE

    async def more(self, count: int) -> None:
        """Returns when so many more have arrived."""
        wanted = self.count + count
        while self.count < wanted:
            self._more.clear()
            await self._more.wait()


@asynccontextmanager
async def a_town(db: Database, plan: object) -> AsyncIterator[Shop]:
    """A shop with three services on loopback, on the machine's own clock."""
    clock, sender = SystemClock(), Sender(allow_loopback=True)
    requester = Requester(sender, now_of=clock.now)
    shop = Shop(db, clock, Coordinator(requester, Handlers()))  # type: ignore[arg-type]  # it is never advanced
    services = [Service(name, clock.now) for name in SERVICES]
    runners = [await serve(service) for service in services]
    for service in services:
        service.plan = plan  # type: ignore[assignment]
        await shop.meet(service)
    try:
        yield shop
    finally:
        await sender.aclose()
        for runner in runners:
            await runner.cleanup()


async def some_begin(shop: Shop, first: int) -> list[Transaction]:
    """So many, of each table; of those that wait for their payment most are paid, some closed."""
    begun = []
    for number in range(first, first + AT_ONCE):
        begun.append(await shop.begin(TABLES[number % 3], number))
        if number % 3 != 2:
            if number % 4 == 0:
                await shop.close_order(number)
            await shop.hears(closed(number) if number % 4 == 0 else paid(number))
    return begun


async def is_killed_again_and_again(shop: Shop, arrivals: Arrivals, child: Child, seed: int) -> list[Transaction]:
    """Each time after some requests have arrived, and some moments of the database have passed."""
    dice, begun = random.Random(seed), list[Transaction]()
    for n in range(KILLS):
        begun += await some_begin(shop, 1 + n * AT_ONCE)
        await child.start()
        await arrivals.more(dice.randint(1, 2 * AT_ONCE))
        async with shop.db.session() as tx:
            for _ in range(dice.randint(0, 30)):
                await tx.fetchval("SELECT 1")
        child.must_live()
        await child.kill()
    return begun


async def all_end(db: Database) -> None:
    """Looks whenever the coordinator says that something was done."""
    connection, heard = await asyncpg.connect(db.dsn), asyncio.Event()
    await connection.add_listener(CHANNEL, lambda *_: heard.set())
    while await connection.fetchval(UNFINISHED):
        heard.clear()
        await heard.wait()
    await connection.close()


@pytest.mark.fault
async def test_a_coordinator_that_is_killed_again_and_again(db: Database, tmp_path: Path) -> None:
    """Started once more at last, it takes up what its predecessors had in their hands when their leases are over:
    each has ended, or has one person; nothing is half, each deed was done once, and the comparison finds nothing."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    arrivals = Arrivals(seed)
    async with a_town(db, arrivals.plan) as shop:
        env = {"PAIDUP_DATABASE_URL": db.dsn, "PAIDUP_DATA": str(tmp_path)}
        env["PAIDUP_ALLOW_LOOPBACK_ENDPOINTS"] = "true"
        child = Child("coordinator", ("serve", "--roles=checkout", f"--port={free_port()}"), env, tmp_path)
        try:
            begun = await is_killed_again_and_again(shop, arrivals, child, seed)
            await child.start()
            async with asyncio.timeout(ENDS_WITHIN_S):
                await all_end(db)
            child.must_live()
        finally:
            await child.kill()
        ended = [await shop.now(t) for t in begun]
        assert {"DONE", "CONFIRMED", "COMPENSATED", "CANCELLED"} == {t.state for t in ended} - {"MANUAL"}
        stuck = sorted(("transaction_stuck", t.id) for t in ended if t.state == "MANUAL")
        assert stuck == sorted(await shop.cases())
        for t in ended:
            for service in shop.services.values():
                deeds = service.deeds(t.id)
                assert len(deeds) == len(set(deeds)), (t.id, service.name, deeds)
        parts = run(db, shop.coordinator.requester, Handlers(), shop=None, since=None, mend=False)
        assert () == together([part async for part in parts]).differences
        assert [] == [
            (t.id, t.state, name, left) for t in ended for name, left in shop.left(t).items() if wrong(t, name, left)
        ]
        asked_again = sum(count > 1 for service in shop.services.values() for count in service.keys.values())
        assert (KILLS * AT_ONCE, True) == (len(ended), asked_again > 0)


def wrong(t: Transaction, name: str, left: int) -> bool:
    """Whether something else is left there than the transaction's state says; what waits for a person says nothing."""
    is_asked = any(step.participant == name for step in t.table.step)
    return t.state != "MANUAL" and left != int(is_asked and t.state in ("DONE", "CONFIRMED"))
