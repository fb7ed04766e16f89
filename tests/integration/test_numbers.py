"""Whatever number a customer reads out leads to the order, also the end of it."""

import re
from collections.abc import Iterable
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import pytest
from bench.plans import explain

from kept import an_offer, keep
from paidup import numbers
from paidup.apply import Item, apply
from paidup.checkout.place import place_order
from paidup.db.migrate import migrate
from paidup.db.transaction import Database
from paidup.evidence import RefundSays
from paidup.handlers import Handlers
from paidup.money import Money
from paidup.orders.order import LatePayment
from paidup.settle.book import AskRefund
from paidup.shops import store as shops
from paidup.testing.builders import (
    NOW,
    SHOP,
    a_book,
    a_paid_payment,
    a_refund,
    after,
    an_order,
    order_id,
    paid,
    refund_says,
)
from paidup.trace.find import find

OURS = "4200009876543210"
BACK = "5030000123456789"


async def found(db: Database, *tails: str) -> list[list[str]]:
    async with db.transaction() as tx:
        return [await find(tx, tail) for tail in tails]


async def test_a_placed_order_is_found_by_its_id_and_by_the_shops_number(db: Database) -> None:
    async with db.transaction() as tx:
        await shops.put_shop(tx, SHOP, LatePayment.REOPEN, NOW)
        order = await place_order(
            tx, shop=SHOP, shop_order_no="T-2026-001234", money=Money(100, "CNY"), description="", ttl_s=60, now=NOW,
            shard=0,
        )  # fmt: skip
    assert [[order.id], [order.id], []] == await found(db, order.id[-6:], "001234", "001235")


async def test_the_numbers_that_the_channel_gives_are_found_once_they_are_known(db: Database) -> None:
    """Those of the payment and of its refund; what comes twice is written once."""
    await keep(db, an_offer())
    refund = a_refund()
    refunded = refund_says(RefundSays.SUCCEEDED, channel_refund_id=BACK)
    assert [[], []] == await found(db, OURS[-8:], BACK[-8:])
    said = paid(channel_txn_id=OURS)
    for item in (said, said, AskRefund(order_id(), refund), refunded, refunded):
        async with db.transaction() as tx:
            await apply(tx, [Item(what=item, shop=SHOP, road="callback")], after(90), Handlers())
    assert [[order_id()]] * 3 == await found(db, OURS[-8:], BACK[-8:], refund.id[-12:])
    async with db.session() as tx:
        rows = await tx.fetch("SELECT number FROM numbers ORDER BY number")
    assert sorted([OURS, BACK, refund.id]) == [row["number"] for row in rows]


async def test_another_shops_number_is_not_found(db: Database) -> None:
    await keep(db, an_offer())
    async with db.transaction() as tx:
        await numbers.write(tx, numbers.of_order(an_order(1, shop_order_no="B-777777")))
        assert [[order_id()], []] == [await find(tx, "777777", shop) for shop in (SHOP, "another")]


async def test_an_amount_that_was_changed_is_found_by_both(db: Database) -> None:
    """The customer reads out what they paid, the shop what it asked for."""
    before = a_paid_payment()
    after_ = a_paid_payment(amount_minor=before.amount_minor + 1)
    async with db.transaction() as tx:
        await shops.put_shop(tx, SHOP, LatePayment.REOPEN, NOW)
        await numbers.write(tx, numbers.of_payment(before) + numbers.of_payment(after_, before))
        amounts = [before.amount_minor, after_.amount_minor, after_.amount_minor + 1]
        seen = [await numbers.by_amount(tx, [minor], NOW, after(60), None, 5) for minor in amounts]
    assert [[order_id()], [order_id()], []] == seen


MANY = """INSERT INTO numbers SELECT 'n' || n, 'ord' || n, $2, 990, $1::timestamptz + n * interval '1 second'
          FROM generate_series(1, 20000) AS n"""


@pytest.mark.parametrize("shop", [SHOP, None])
async def test_of_a_price_that_every_order_has_only_what_is_shown_is_read(db: Database, shop: str | None) -> None:
    """However many orders are over it, here or in another shop, and whatever the planner guesses: the newest few, from
    the end of the index."""
    wanted = ([990, 99000], NOW, after(10**6), shop, 5)
    async with db.transaction() as tx:
        for each in (SHOP, "neighbour"):
            await shops.put_shop(tx, each, LatePayment.REOPEN, NOW)
            await tx.execute(MANY, NOW, each)
        newest = await numbers.by_amount(tx, *wanted)
        await tx.execute("ANALYZE numbers")
        plan = await tx.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {numbers.BY_AMOUNT}", *wanted)
    scans = [row[0] for row in plan if "numbers_by_amount" in row[0]]
    places = 5 if shop else 3  # of all shops together, each order has a namesake at the neighbour's
    assert ([f"ord{n}" for n in range(20000, 20000 - places, -1)], 1) == (newest, len(scans))
    read = re.search(r"rows=([\d.]+)", scans[0])
    assert read is not None, scans
    assert float(read[1]) <= 5, scans


async def test_a_customers_number_is_looked_up_in_ones_own_shop(db: Database) -> None:
    """However many customers of that number a neighbour has, none of their rows is read."""
    async with db.transaction() as tx:
        for each in (SHOP, "neighbour"):
            await shops.put_shop(tx, each, LatePayment.REOPEN, NOW)
        await tx.execute(MANY.replace("'n' || n", "'1001'"), NOW, "neighbour")
        await numbers.write(tx, numbers.of_order(an_order(1, buyer_ref="1001")))
        await tx.execute("ANALYZE numbers")
        plan = await explain(tx, numbers.BY_NUMBER, ("1001", SHOP, 20))
        ends = await explain(tx, numbers.BY_TAIL, ("1001", SHOP))
        assert [order_id(1)] == await numbers.by_number(tx, "1001", SHOP, 20) == await numbers.by_tail(tx, "1001", SHOP)
    assert [()] * 2 == [each.read_whole for each in (plan, ends)]
    assert max(plan.blocks, ends.blocks) < 20


@pytest.mark.parametrize("tail", [OURS, BACK, "A-1-000001", "R-000007"])
async def test_orders_from_before_the_table_are_found(empty_db: Database, tmp_path: Path, tail: str) -> None:
    """The upgrade writes down the numbers of what is there."""
    whole = [file for file in files("paidup.db.migrations").iterdir() if file.name.endswith(".sql")]
    _copy([file for file in whole if file.name < "0008"], tmp_path)
    await migrate(empty_db, tmp_path)
    async with empty_db.session() as tx:  # which today's code writes
        await tx.execute("ALTER TABLE orders ADD COLUMN buyer_ref text NOT NULL DEFAULT ''")
        await tx.execute("ALTER TABLE payments ADD COLUMN disputes jsonb NOT NULL DEFAULT '{}'")
    payment = a_paid_payment(channel_txn_id=OURS, merchant_ref="R-000007")
    refund = a_refund(channel_refund_id=BACK)
    await keep(empty_db, a_book(an_order(shop_order_no="A-1-000001"), payments=[payment], refunds=[refund]))
    async with empty_db.session() as tx:
        await tx.execute("ALTER TABLE orders DROP COLUMN buyer_ref")
        await tx.execute("ALTER TABLE payments DROP COLUMN disputes")
    _copy(whole, tmp_path)
    await migrate(empty_db, tmp_path)
    assert [[order_id()]] == await found(empty_db, tail[-6:])
    async with empty_db.session() as tx:
        assert [order_id()] == await find(tx, tail[-6:], SHOP)


def _copy(some: Iterable[Traversable], folder: Path) -> None:
    for file in some:
        (folder / file.name).write_bytes(file.read_bytes())
