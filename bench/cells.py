"""A second cell: two PostgreSQL servers, each with the whole of Paidup and half of the shards.

Every id carries its shard (`paidup.ids.shard_of`), so whoever holds an id knows the cell without a look-up. A new order
has no id yet; its shard follows from what names it, the shop and its own number, so that placing it twice meets the
first one. Nothing is shared, and no transaction spans two cells. `Cells` is all that a router has to know.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import msgspec

from bench import fill
from bench.processes import drained, serving, settings_for
from bench.result import Asked, Figure, Result
from bench.world import World, world
from paidup import ids
from paidup.checkout.place import place_order
from paidup.db.embedded import start_embedded
from paidup.db.migrate import migrate
from paidup.db.transaction import Database, Tx
from paidup.evidence import PaymentEvidence, PaymentSays, Road
from paidup.housekeeping import run_once as housekeeping
from paidup.intake import inbox
from paidup.money import Money
from paidup.orders.order import LatePayment
from paidup.payments import store as payments
from paidup.payments.payment import Payment
from paidup.payments.states import State
from paidup.schedule import store as schedule
from paidup.shops import store as shops
from paidup.wakeups import NOTIFY

AMOUNT = Money(1250, "CNY")
SHARDS = {0: "first", 1: "first", 2: "second", 3: "second"}
"""More shards than cells: when a cell is full, some of its shards move to a new one, and no id changes."""


@dataclass(frozen=True)
class Cells:
    """Where what is: shard → name of the cell. The shards are 0, 1, 2 … without gaps."""

    homes: Mapping[int, str]

    def of(self, identifier: str) -> str:
        """The cell of an order, payment, refund, event or case. Raises KeyError for a shard that nobody has."""
        return self.homes[ids.shard_of(identifier)]

    def shard_for(self, shop: str, shop_order_no: str) -> int:
        """The shard of a new order; the same for the same number."""
        digest = blake2b(f"{shop}/{shop_order_no}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) % len(self.homes)


@asynccontextmanager
async def servers(world: World, names: Sequence[str]) -> AsyncIterator[dict[str, Database]]:
    """A PostgreSQL server of its own for each cell."""
    name, *rest = names
    async with await start_embedded(world.folder / f"cell-{name}") as embedded:
        db = await Database.connect(embedded.dsn)
        await migrate(db)
        await housekeeping(db, now=world.now)
        try:
            if not rest:
                yield {name: db}
                return
            async with servers(world, rest) as others:
                yield {name: db, **others}
        finally:
            await db.close()


async def run(asked: Asked) -> Result:
    """On servers of its own."""
    async with world() as place:
        return await measure(place, rounds=1 if asked.quick else 3, orders=2000 if asked.quick else 8000)


async def measure(world: World, *, rounds: int, orders: int) -> Result:
    """The same orders through one cell with two workers, and through two cells with one each; interleaved."""
    two, one = Cells(SHARDS), Cells(dict.fromkeys(SHARDS, "first"))
    together: list[float] = []
    apart: list[float] = []
    async with servers(world, ("first", "second")) as dbs:
        for n in range(rounds):
            together.append(await pay(world, one, dbs, f"one{n}", orders, workers=2))
            apart.append(await pay(world, two, dbs, f"two{n}", orders, workers=1))
        proved = [f"{await proven(world, db)} in the {name} cell" for name, db in dbs.items()]
        await assert_at_home(dbs)
    return Result(
        figures=[
            Figure(name="applied, one cell with two workers", unit="/s", rounds=together),
            Figure(name="applied, two cells with a worker each", unit="/s", rounds=apart),
        ],
        notes=[
            f"`paidup verify` holds for the orders of each cell: {', '.join(proved)}.",
            "Both cells share this machine's cores: what two machines bring is not measured here.",
        ],
    )


async def pay(
    world: World, cells: Cells, dbs: Mapping[str, Database], name: str, orders: int, *, workers: int
) -> float:
    """Place orders, bring a callback for each to its cell, and wait until all are applied; how many a second."""
    used = {cell: dbs[cell] for cell in sorted(set(cells.homes.values()))}
    async with serving_all(world, used, workers):
        refs = [await place(db, cells, cell, name, orders, world) for cell, db in used.items()]
        rows: dict[str, list[inbox.Received]] = {cell: [] for cell in used}
        for payment_id in (payment_id for its in refs for payment_id in its):
            rows[cells.of(payment_id)].append(_callback(world, payment_id))
        began = time.monotonic()
        await asyncio.gather(*(_arrive(db, rows[cell]) for cell, db in used.items()))
        await asyncio.gather(*(drained(db) for db in used.values()))
        return orders / (time.monotonic() - began)


@asynccontextmanager
async def serving_all(world: World, dbs: Mapping[str, Database], workers: int) -> AsyncIterator[None]:
    """So many workers for each cell."""
    (_, db), *rest = dbs.items()
    async with serving(world, settings_for(world, db.dsn), "intake", workers):
        if rest:
            async with serving_all(world, dict(rest), workers):
                yield
        else:
            yield


async def place(db: Database, cells: Cells, cell: str, name: str, orders: int, world: World) -> list[str]:
    """Those of the orders that belong to this cell, each with an open payment; returns the payments' ids."""
    numbers = [(f"{name}-{n}", cells.shard_for(fill.SHOP, f"{name}-{n}")) for n in range(orders)]
    async with db.transaction() as tx:
        await shops.put_shop(tx, fill.SHOP, LatePayment.REOPEN, world.now)
        return [await _open(tx, world, no, shard) for no, shard in numbers if cells.homes[shard] == cell]


async def _open(tx: Tx, world: World, shop_order_no: str, shard: int) -> str:
    order = await place_order(
        tx, shop=fill.SHOP, shop_order_no=shop_order_no, money=AMOUNT, description="", ttl_s=7200, now=world.now,
        shard=shard,
    )  # fmt: skip
    payment_id = ids.new_id(ids.PAYMENT, world.now, ids.shard_of(order.id))
    payment = Payment(
        id=payment_id, shop=fill.SHOP, order_id=order.id, channel="wechat", account="main", method="native",
        merchant_ref=payment_id, payee="m/a", amount_minor=AMOUNT.amount_minor, currency=AMOUNT.currency,
        state=State.OPEN, created_at=world.now, expires_at=order.expires_at, updated_at=world.now,
    )  # fmt: skip
    await payments.insert(tx, payment)
    await schedule.put(tx, [(payment_id, "payment", "wechat", "main", order.expires_at)])
    return payment_id


def _callback(world: World, payment_id: str) -> inbox.Received:
    evidence = PaymentEvidence(
        road=Road.CALLBACK, channel="wechat", account="main", key=payment_id, received_at=world.now,
        merchant_ref=payment_id, channel_txn_id=f"42{payment_id}", amount=AMOUNT, payee="m/a", says=PaymentSays.PAID,
    )  # fmt: skip
    return inbox.Received(
        id=ids.new_id(ids.CALLBACK, world.now, ids.shard_of(payment_id)), received_at=world.now, shop=fill.SHOP,
        channel="wechat", account="main", dedup_key=payment_id, kind="TRANSACTION.SUCCESS",
        target="/callbacks/wechat/main", headers="[]", body=b"{}", merchant_ref=payment_id,
        evidence=msgspec.json.encode((evidence,)).decode(),
    )  # fmt: skip


async def _arrive(db: Database, rows: Sequence[inbox.Received]) -> None:
    async with db.transaction() as tx:
        await inbox.store(tx, rows)
        await tx.execute(NOTIFY, "intake")  # as the web processes do


async def proven(world: World, db: Database) -> int:
    """What `paidup verify` says of one cell: how many orders hold. Raises AssertionError when it finds a breach."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "paidup", "verify", "--json", env=settings_for(world, db.dsn) | {"PYTHONPATH": _PATH},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return int(msgspec.json.decode(said)["orders"])


_PATH = str(Path(__file__).parents[1] / "src")


async def assert_at_home(dbs: Mapping[str, Database]) -> None:
    """No id of one order, payment or event carries another cell's shard than its order does."""
    for db in dbs.values():
        async with db.session() as tx:
            strays = await tx.fetchval(_STRAYS)
        assert strays == 0, f"{strays} rows carry another shard than their order"


_STRAYS = """
SELECT (SELECT count(*) FROM payments WHERE substr(id, 4, 2) <> substr(order_id, 4, 2))
  + (SELECT count(*) FROM events WHERE substr(id, 4, 2) <> substr(order_id, 4, 2))"""
