"""The worker that reconciles dies at each of its uses of the database; afterwards another one comes to the same end."""

from mortal import MortalDatabase
from test_dies_at_each_step import dies_at_each_step, mortal

from merchant import Merchant
from paidup.channels.registry import CHANNELS
from paidup.db.transaction import Database
from paidup.payments.states import State
from paidup.reconcile import runs, store
from paidup.reconcile.breaks import Kind
from paidup.reconcile.party import Party
from paidup.reconcile.rules import Rules
from paidup.reconcile.states import State as Is
from paidup.reconcile.table import Limits
from paidup.reconcile.worker import LEASE, Tools, run_once

__all__ = ["mortal"]


async def test_reconciling_dies_at_each_step(merchant: Merchant, mortal: MortalDatabase) -> None:
    """Two payments that nobody told of, and the worker that fetches, keeps, lays, records and mends dies again and
    again, one step later each time: the bill is one version, each payment is paid once, each break healed."""
    clock, there = merchant.clock, Tools(merchant.asker, merchant.handlers, Limits(memory_mb=64))
    party = Party(CHANNELS["wechat"], merchant.accounts.current.get("wechat", "main"), Rules())
    day = await merchant.to_a_fresh_day()
    bought = [await merchant.offer(await merchant.order(f"A-{n}")) for n in range(2)]
    for payment in bought:
        merchant.pay(payment)
    await clock.advance(24 * 3600)

    async def round_of(db: Database) -> None:
        await run_once(db, now=clock.now(), limit=8, parties=[party], tools=there)

    async def once(_: int) -> None:
        await clock.advance(LEASE.total_seconds() + 1)
        await round_of(mortal)

    deaths = await dies_at_each_step(mortal, once)
    await clock.advance(LEASE.total_seconds() + 1)
    await round_of(merchant.db)
    assert deaths > 20
    async with merchant.db.session() as tx:
        found = await store.page(tx, store.Filter(), 10)
        run = await runs.latest_of(tx, "wechat", "main", day)
    assert [(Kind.LONG, Is.HEALED)] * 2 == [(one.kind, one.state) for one in found]
    assert run is not None
    assert (2, 2) == (run.lines, run.matched)
    assert [State.PAID] * 2 == [(await merchant.payment(payment)).state for payment in bought]
    assert 2 == (await merchant.column("SELECT type FROM events")).count("order.paid")
    assert [1] == await merchant.column("SELECT DISTINCT version FROM bills")
    assert ["done"] * 2 == await merchant.column("SELECT state FROM bill_fetches WHERE day = $1", day)
