"""How much disk and how much WAL does one paid order take, from placing it to the shop's 2xx?

Real processes take in and apply real WeChat Pay callbacks; the events go to one endpoint. Bytes, not times: they are
about the same on every machine.
"""

from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta

from bench import fill, growth
from bench.fresh import fresh
from bench.load import opened
from bench.processes import drained, serving, settings_for
from bench.result import Asked, Figure, Result
from bench.world import World, callbacks, world
from paidup.checkout.place import place_order
from paidup.db.transaction import Database, Tx
from paidup.money import Money
from paidup.payments import store as payments
from paidup.payments.payment import Payment
from paidup.payments.states import State
from paidup.schedule import store as schedule

KEPT = {
    "for ever": ("orders", "payments", "numbers"),
    "400 days": ("decisions",),
    "90 days": ("inbox", "events", "deliveries", "delivery_attempts"),
}
"""What a paid order leaves behind, and for how long (src/paidup/db/partitions.py, src/paidup/housekeeping.py)."""

_AT_ONCE = 4000  # within a few seconds, so that no connection is idle until the server closes it

_SIZES = """
SELECT coalesce(inhparent, oid)::regclass::text AS name, sum(pg_total_relation_size(oid))::bigint AS size
FROM pg_class LEFT JOIN pg_inherits ON inhrelid = oid
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace GROUP BY 1"""


async def run(asked: Asked) -> Result:
    """On a server of its own."""
    async with world() as place:
        return await measure(place, orders=4_000 if asked.quick else 20_000)


async def measure(world: World, *, orders: int) -> Result:
    """Bytes on disk by how long they are kept, and bytes of WAL by what was done."""
    wal: dict[str, float] = {}
    async with fresh(world, "bench_footprint") as db:
        await fill.endpoints(db, world.now, ["ept-shop"])
        requests = callbacks(world.keys, world.now, orders)
        settings = settings_for(world, db.dsn)
        before = await _sizes(db)
        wal["placed, with a payment opened"] = await _wal(db, orders, _place(world, db, orders))
        async with serving(world, settings, "web", 1) as ports:
            wal["callback kept"] = await _wal(db, orders, _send(ports, requests))
        wal["callback applied"] = await _wal(db, orders, _apply(world, db, settings))
        wal["delivered to one endpoint (two events)"] = await _wal(
            db, orders, growth.tell_all(db, world.now + timedelta(hours=1))
        )
        size = {name: (after - before[name]) / orders for name, after in (await _sizes(db)).items()}
        await _assert_paid(db, orders)
    disk = [
        Figure(
            name=f"disk for a paid order, kept {how_long}",
            unit="bytes",
            rounds=[sum(size[t] for t in tables)],
            better="lower",
        )
        for how_long, tables in KEPT.items()
    ]
    written = [Figure(name=f"WAL: {what}", unit="bytes", rounds=[each], better="lower") for what, each in wal.items()]
    total = Figure(name="WAL for a paid order in all", unit="bytes", rounds=[sum(wal.values())], better="lower")
    each = ", ".join(f"{name} {size[name]:,.0f}" for tables in KEPT.values() for name in tables)
    return Result(
        figures=[*disk, *written, total],
        notes=[
            f"Bytes of each table with its indexes, for one paid order: {each}.",
            "WAL is counted from a checkpoint on, so it holds the first image of every page that was touched.",
        ],
    )


async def _place(world: World, db: Database, orders: int) -> None:
    for start in range(0, orders, 500):
        async with db.transaction() as tx:
            for n in range(start, min(start + 500, orders)):
                await _open(tx, replace(world, now=world.now + timedelta(milliseconds=n)), n)


async def _open(tx: Tx, world: World, n: int) -> None:
    """An order with a payment whose number is that of the nth callback."""
    wechat = world.keys.wechat
    order = await place_order(
        tx, shop=fill.SHOP, shop_order_no=f"2026112400{n:08}", money=Money(1250, "CNY"), description="A pot of tea",
        ttl_s=7200, now=world.now, shard=0,
    )  # fmt: skip
    payment = Payment(
        id=f"pay{n:026}", shop=fill.SHOP, order_id=order.id, channel="wechat", account="main", method="native",
        merchant_ref=f"pay{n:026}", payee=f"{wechat.mchid}/{wechat.appid}", amount_minor=1250, currency="CNY",
        state=State.OPEN, created_at=world.now, expires_at=order.expires_at, updated_at=world.now,
        pay_with={"code_url": f"weixin://wxpay/bizpayurl?pr=x{n:08}"},
    )  # fmt: skip
    await payments.insert(tx, payment)
    await schedule.put(tx, [(payment.id, "payment", "wechat", "main", order.expires_at)])


async def _send(ports: list[int], requests: list[bytes]) -> None:
    """Each callback once. Raises AssertionError when one was refused."""
    for start in range(0, len(requests), _AT_ONCE):
        some = requests[start : start + _AT_ONCE]
        sent = await opened(ports, some, rate=1500, connections=32)
        assert (0, len(some)) == (sent.refused, sent.answered)


async def _apply(world: World, db: Database, settings: dict[str, str]) -> None:
    async with serving(world, settings, "intake", 1):
        await drained(db)


async def _wal(db: Database, orders: int, work: Awaitable[object]) -> float:
    """Bytes of WAL for each order that this work wrote, from a checkpoint on."""
    async with db.session() as tx:
        await tx.execute("CHECKPOINT")
        start = await tx.fetchval("SELECT pg_current_wal_lsn()")
    await work
    async with db.session() as tx:
        return float(await tx.fetchval("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), $1)", start)) / orders


async def _sizes(db: Database) -> dict[str, int]:
    async with db.session() as tx:
        return {row["name"]: row["size"] for row in await tx.fetch(_SIZES)}


async def _assert_paid(db: Database, orders: int) -> None:
    async with db.session() as tx:
        paid = await tx.fetchval("SELECT count(*) FROM orders WHERE state = 'paid'")
        told = await tx.fetchval("SELECT count(*) FROM deliveries WHERE state = 'delivered'")
    assert (orders, 2 * orders) == (paid, told), f"of {orders} orders {paid} were paid, {told} deliveries made"
