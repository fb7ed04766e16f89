"""The door in batches against one transaction per item: how many paid callbacks a second become paid orders?"""

import time

import msgspec

from bench.result import Asked, Bar, Figure, Result, ratios
from bench.world import World, world
from paidup import ids
from paidup.checkout.place import place_order
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
    """On a database of its own."""
    async with world() as place:
        if asked.quick:
            return await measure(place, rounds=2, batched=2000, single=150)
        return await measure(place, rounds=5, batched=5000, single=400)


async def measure(world: World, *, rounds: int, batched: int, single: int) -> Result:
    """Interleaved: `batched` callbacks in batches of 500, then `single` ones, each in a transaction of its own."""
    in_batches, one_by_one = [], []
    for n in range(rounds):
        in_batches.append(await settle(world, f"b{n}", batched, 500))
        one_by_one.append(await settle(world, f"s{n}", single, 1))
    times = ratios("batches / one each", in_batches, one_by_one)
    return Result(
        figures=[
            Figure(name="in batches of 500", unit="/s", rounds=in_batches),
            Figure(name="one transaction each", unit="/s", rounds=one_by_one),
            times,
        ],
        bars=[Bar(claim="applied in batches / one transaction each", value=times.median, at_least=35)],
    )


async def settle(world: World, name: str, count: int, limit: int) -> float:
    """Callbacks applied per second."""
    async with world.db.transaction() as tx:
        await _prepare(tx, world, name, count)
    began, done = time.monotonic(), 0
    while done < count:
        done += await intake.run_once(world.db, now=world.now, limit=limit, handlers=Handlers())
    return count / (time.monotonic() - began)


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
