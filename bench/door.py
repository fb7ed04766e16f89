"""The door in batches against one transaction per item: how many paid callbacks a second become paid orders?

Two peers: the same code with batches of one, and a plain worker as people write it (bench/typical_worker.py). The
first says what batches are worth to us, the second what they are worth to somebody who has such a worker.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from bench import cpu
from bench.result import Asked, Bar, Figure, Result, ratios
from bench.typical_worker import one_each, sessions_of
from bench.world import World, as_on_slower_disk, world
from paidup import ids
from paidup.checkout.place import place_order
from paidup.cli.serve import calm_collector
from paidup.db.transaction import Tx
from paidup.evidence import PaymentEvidence, PaymentSays, Road
from paidup.handlers import Handlers
from paidup.intake import inbox
from paidup.intake import worker as intake
from paidup.money import Money
from paidup.orders.order import LatePayment
from paidup.payments import store as payments
from paidup.payments.payment import Payment
from paidup.payments.states import State
from paidup.schedule import store as schedule
from paidup.shops import store as shops

AMOUNT = Money(1250, "CNY")


async def run(asked: Asked) -> Result:
    """On a database of its own, in a process set up as `paidup serve` does."""
    calm_collector()
    async with world(as_on_slower_disk(asked.flush_ms)) as place:
        if asked.quick:
            return await measure(place, rounds=2, batched=2000, single=150)
        return await measure(place, rounds=5, batched=5000, single=400)


async def measure(world: World, *, rounds: int, batched: int, single: int) -> Result:
    """Interleaved: `batched` callbacks in batches of 500, then `single` ones, each in a transaction of its own."""
    in_batches, one_by_one, plain = [], [], []
    async with sessions_of(world.embedded.dsn) as sessions:
        for n in range(rounds):
            in_batches.append(await settle(world, f"b{n}", batched, 500))
            one_by_one.append(await settle(world, f"s{n}", single, 1))
            plain.append(await one_each(sessions, f"p{n}", single))
    batches_per_s = [pace.per_s for pace in in_batches]
    times = ratios("batches / one each", batches_per_s, [pace.per_s for pace in one_by_one])
    against_plain = ratios("batches / a plain worker", batches_per_s, plain)
    return Result(
        figures=[
            Figure(name="in batches of 500", unit="/s", rounds=batches_per_s),
            Figure(name="one transaction each", unit="/s", rounds=[pace.per_s for pace in one_by_one]),
            Figure(name="a plain worker with SQLAlchemy, one transaction each", unit="/s", rounds=plain),
            *_cpu("in batches", in_batches),
            *_cpu("one transaction each", one_by_one),
            times,
            against_plain,
        ],
        bars=[
            Bar(claim="applied in batches / one transaction each", value=times.median, at_least=35),
            Bar(claim="applied in batches / a plain worker's", value=against_plain.median, at_least=35),
        ],
    )


class Pace(NamedTuple):
    """Callbacks applied a second, and what each took of this process's CPU and of PostgreSQL's, µs."""

    per_s: float
    python_us: float
    database_us: float


def _cpu(how: str, paces: Sequence[Pace]) -> list[Figure]:
    python, database = [pace.python_us for pace in paces], [pace.database_us for pace in paces]
    return [
        Figure(name=f"CPU of Python for each, {how}", unit="µs", rounds=python, better="lower"),
        Figure(name=f"CPU of PostgreSQL for each, {how}", unit="µs", rounds=database, better="lower"),
    ]


async def settle(world: World, name: str, count: int, limit: int) -> Pace:
    """Apply so many callbacks as a worker does, batches two at a time; with a limit of one, one after another."""
    run = intake.run_many if limit > 1 else intake.run_once
    async with world.db.transaction() as tx:
        await _prepare(tx, world, name, count)
    postmaster = await world.postmaster()
    began, python_s, database_s, done = time.monotonic(), time.process_time(), cpu.family_cpu_s(postmaster), 0
    while done < count:
        done += await run(world.db, now=world.now, limit=limit, handlers=Handlers())
    return Pace(
        count / (time.monotonic() - began),
        (time.process_time() - python_s) / count * 1e6,
        (cpu.family_cpu_s(postmaster) - database_s) / count * 1e6,
    )


async def _prepare(tx: Tx, world: World, name: str, count: int) -> None:
    now = world.now
    await shops.put_shop(tx, "bench", LatePayment.REOPEN, now)
    rows = []
    for n in range(count):
        order = await place_order(
            tx, shop="bench", shop_order_no=f"{name}-{n}", money=AMOUNT, description="", ttl_s=7200, now=now, shard=0
        )
        payment = Payment(
            id=ids.new_id(ids.PAYMENT, now), shop="bench", order_id=order.id, channel="wechat", account="main",
            method="native", merchant_ref=f"{name}-{n}", payee="m/a", amount_minor=AMOUNT.amount_minor,
            currency=AMOUNT.currency, state=State.OPEN, created_at=now, expires_at=order.expires_at, updated_at=now,
        )  # fmt: skip
        await payments.insert(tx, payment)
        await schedule.put(tx, [(payment.id, "payment", "wechat", "main", order.expires_at)])
        rows.append(_callback(world, payment))
    await inbox.store(tx, rows)


def _callback(world: World, payment: Payment) -> inbox.Received:
    evidence = PaymentEvidence(
        road=Road.CALLBACK, channel="wechat", account="main", key=payment.id, received_at=world.now,
        merchant_ref=payment.merchant_ref, channel_txn_id=f"42{payment.id}", amount=AMOUNT, payee="m/a",
        says=PaymentSays.PAID,
    )  # fmt: skip
    return inbox.Received(
        id=ids.new_id(ids.CALLBACK, world.now), received_at=world.now, shop="bench", channel="wechat", account="main",
        dedup_key=payment.id, kind="TRANSACTION.SUCCESS", target="/callbacks/wechat/main", headers="[]", body=b"{}",
        merchant_ref=payment.merchant_ref, evidence=msgspec.json.encode((evidence,)).decode(),
    )  # fmt: skip
