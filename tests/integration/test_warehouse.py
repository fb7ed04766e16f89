"""What people do to the stock: describe, restock, adjust, import a file, find a difference and mend it."""

from datetime import UTC, datetime

import pytest

from api_side import Api
from kept import open_cases
from paidup.checkout.delivery_note import take_in
from paidup.checkout.stocktaking import call_person, recount
from paidup.checkout.warehouse import Described, put_sku
from paidup.db.transaction import Database
from paidup.errors import Conflict, InvalidRequest, NotFound, OutOfStock
from paidup.inventory.states import Kind
from paidup.testing.builders import NOW, SHOP
from paidup.verify.stock import check_stock
from stock_side import CUP, TEA, changed, counters, place, placed, restock, stocked, the_sku, told_of, wanted


async def put(db: Database, **described: object) -> None:
    async with db.transaction() as tx:
        await put_sku(tx, Described(shop=SHOP, sku=TEA, **described), NOW)  # type: ignore[arg-type]


async def differences(db: Database) -> list[list[str]]:
    return [check.breaches for check in await check_stock(db)]


async def test_a_delivery_is_put_in_once(db: Database) -> None:
    """The same key does it once, also when nothing of it is left; another deed under it is a contradiction."""
    await stocked(db, 10)
    await placed(db, "A-1", (TEA, 10))
    again = await restock(db, 10)
    with pytest.raises(Conflict, match="take a fresh one"):
        await restock(db, 11)
    assert (0, 10) == (again.available, again.reserved)


async def test_reserved_units_cannot_be_adjusted_away(db: Database) -> None:
    """Somebody may still pay for them: only what is left can be taken."""
    await stocked(db, 10)
    await placed(db, "A-1", (TEA, 8))
    with pytest.raises(Conflict, match="only 2 can be taken away; 8 are reserved"):
        await changed(db, Kind.ADJUST, -3, key="k1")
    taken = await changed(db, Kind.ADJUST, -2, key="k2")
    assert (0, [[], []]) == (taken.available, await differences(db))


async def test_what_is_not_there_is_not_restocked(db: Database) -> None:
    """The error says how to make it."""
    await stocked(db, 1)
    with pytest.raises(NotFound, match="stock put"):
        await restock(db, 1, CUP)
    with pytest.raises(InvalidRequest):
        await changed(db, Kind.RESTOCK, 0, key="k1")


async def test_pre_orders_go_below_nought_as_far_as_they_may(db: Database) -> None:
    """Three more than are here; the first delivery fills what is owed; a limit below what is owed is refused."""
    await stocked(db, 1, preorder_limit=3)
    await placed(db, "A-1", (TEA, 4))
    (refused,) = await place(db, wanted("A-2"))
    assert ((-3, 4, 0), True) == (await counters(db), isinstance(refused, OutOfStock))
    with pytest.raises(Conflict, match="3 units of TEA-01 are promised"):
        await put(db, preorder_limit=2)
    await restock(db, 5, key="the delivery")
    await put(db, preorder_limit=0)
    assert ((2, 4, 0), [[], []]) == (await counters(db), await differences(db))


async def test_what_is_unlimited_is_never_sold_out_and_still_counted(db: Database) -> None:
    """It may become limited only when enough is there."""
    await stocked(db, 0, unlimited=True)
    await placed(db, "A-1", (TEA, 1_000_000))
    with pytest.raises(Conflict, match="1000000 units of TEA-01 are promised"):
        await put(db)
    assert ((-1_000_000, 1_000_000, 0), [], [[], []]) == (await counters(db), await told_of(db), await differences(db))


async def test_a_delivery_that_is_too_small_is_told_as_low_again(db: Database) -> None:
    """Low was told when it came to the mark; each delivery that leaves as few tells it anew, sales below it do not."""
    await stocked(db, 6, low_at=5)
    await placed(db, "A-1", (TEA, 2))
    await placed(db, "A-2", (TEA, 1))
    assert ["stock.available", "stock.low"] == await told_of(db)
    await restock(db, 1, key="too few")
    await placed(db, "A-3")
    assert ["stock.available", "stock.low", "stock.low"] == await told_of(db)
    await restock(db, 10, key="enough")
    await placed(db, "A-4", (TEA, 9))
    assert 3 == (await told_of(db)).count("stock.low")


FILE = b"sku,quantity,name,low_at\nTEA-01,5,green tea,2\nCUP-01,3,\xe6\x9d\xaf,\nTEA-01,1,green tea,2\n"


async def imported(db: Database, data: bytes) -> tuple[int, int]:
    async with db.transaction() as tx:
        return await take_in(tx, SHOP, data, operator="anna", now=NOW)


async def test_a_file_is_taken_in_once(db: Database) -> None:
    """Articles are made and changed, units put in; the same file again puts in nothing."""
    await stocked(db, 10)
    first, second = await imported(db, FILE), await imported(db, FILE)
    tea, cup = await the_sku(db), await the_sku(db, CUP)
    assert ((3, 9), (3, 0)) == (first, second)
    assert (16, "green tea", 2, 3, "杯", None) == (
        tea.available, tea.name, tea.low_at, cup.available, cup.name, cup.low_at
    )  # fmt: skip


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"sku,quantity\nTEA-01,5\nCUP-01,many\n", "line 3: quantity"),
        (b"sku,colour\nTEA-01,red\n", "line 1: columns are"),
        (b"sku,quantity\nTEA-01\n", "line 2: 1 cells under 2 columns"),
        (b"sku,quantity\n-bad,1\n", "a SKU has 1 to 64"),
        (b"sku,quantity,unlimited\nTEA-01,1,perhaps\n", "line 2: unlimited"),
        (b"\xff\xfe", "not UTF-8"),
        (b"", "line 1: columns are"),
    ],
)
async def test_a_file_that_is_wrong_anywhere_is_not_used(db: Database, data: bytes, says: str) -> None:
    """The error names the line, and nothing has changed."""
    await stocked(db, 10)
    with pytest.raises(InvalidRequest, match=says):
        await imported(db, data)
    assert (10, 0, 0) == await counters(db)


# Differences ----------------------------------------------------------------------------------------------------------

PLANTED = {
    "a counter": ("UPDATE skus SET available = available + 1", [[f"{SHOP}/{TEA}"], []]),
    "a movement that is gone": (
        "DELETE FROM stock_movements WHERE kind = 'reserve'", [[f"{SHOP}/{TEA}"], ["{order}"]]
    ),
    "a movement twice": (
        "INSERT INTO stock_movements (at, shop, sku, kind, quantity, order_id)"
        " SELECT at, shop, sku, kind, quantity, order_id FROM stock_movements WHERE kind = 'reserve'",
        [[f"{SHOP}/{TEA}"], ["{order}"]],
    ),
    "a reservation that is gone": ("DELETE FROM reservations", [[], ["{order}"]]),
    "a reservation of more": ("UPDATE reservations SET quantity = 9", [[], ["{order}"]]),
    "an order that was paid by hand": ("UPDATE orders SET state = 'paid'", [[], ["{order}"]]),
    "an order that was closed by hand": ("UPDATE orders SET state = 'closed'", [[], ["{order}"]]),
    "an article that is gone": ("DELETE FROM skus", [[f"{SHOP}/{TEA}"], []]),
}  # fmt: skip


@pytest.mark.parametrize(("statement", "expected"), PLANTED.values(), ids=PLANTED)
async def test_a_planted_difference_is_found_and_mended_or_queued(
    db: Database, statement: str, expected: list[list[str]]
) -> None:
    """It is named; counters then follow the journal again, and for the order a person is called, once."""
    await stocked(db, 10)
    order = await placed(db, "A-1", (TEA, 3))
    assert [[], []] == await differences(db)
    async with db.transaction() as tx:
        await tx.execute(statement)
    found = await differences(db)
    assert [[name.format(order=order.id) for name in names] for names in expected] == found
    for _ in range(2):
        async with db.transaction() as tx:
            await recount(tx, SHOP, TEA, NOW)
            await call_person(tx, found[1], NOW)
    mended = await differences(db)
    assert [("stock_differs", order.id)] * len(found[1]) == await open_cases(db)
    assert (found[0] if "skus" in statement and "DELETE" in statement else []) == mended[0]


# The API --------------------------------------------------------------------------------------------------------------


async def test_a_shop_sells_its_last_units_over_the_api(api: Api) -> None:
    """Made, restocked once, ordered, sold out with the article's name and what is left, looked up, and proven."""
    await api.call("PUT", "/v1/skus/TEA-01", {"name": "green tea", "low_at": 2})
    for _ in range(2):
        status, sku = await api.call("POST", "/v1/skus/TEA-01/restock", {"quantity": 3}, once="note-1")
        assert (200, 3) == (status, sku["left"])
    order = {"amount_minor": 1250, "currency": "CNY", "items": [{"sku": "TEA-01", "quantity": 2}]}
    status, placed_ = await api.call("POST", "/v1/orders", order | {"shop_order_no": "A-1"})
    refused, problem = await api.call("POST", "/v1/orders", order | {"shop_order_no": "A-2"})
    again, same = await api.call("POST", "/v1/orders", order | {"shop_order_no": "A-1"})
    assert (201, [{"sku": "TEA-01", "quantity": 2, "state": "held"}]) == (status, placed_["items"])
    assert (409, "urn:paidup:problem:out-of-stock", "TEA-01", 1) == (
        refused, problem["type"], problem["sku"], problem["left"]
    )  # fmt: skip
    assert (201, placed_) == (again, same)
    _, journal = await api.call("GET", "/v1/skus/TEA-01/movements")
    assert ["reserve", "restock"] == [row["kind"] for row in journal["items"]]
    _, listed = await api.call("GET", "/v1/orders?shop_order_no=A-1")
    assert [placed_] == listed["items"]
    _, life = await api.call("GET", "/v1/trace/A-1")
    assert ["2 of TEA-01 set aside"] == [m["what"] for m in life["moments"] if m["kind"] == "stock"]


async def test_a_moment_beyond_the_calendar_is_refused(api: Api) -> None:
    """In UTC it lies before the first year, or after the last: no database holds it, and nobody ships then."""
    for ships_at in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1999-12-31T23:59:59Z"):
        status, problem = await api.call("PUT", "/v1/skus/tea", {"ships_at": ships_at})
        assert (422, True) == (status, "between the years 2000 and 3000" in problem["detail"]), problem
    status, made = await api.call("PUT", "/v1/skus/tea", {"ships_at": "2027-03-01T00:00:00+08:00"})
    assert (200, datetime(2027, 2, 28, 16, tzinfo=UTC)) == (status, datetime.fromisoformat(made["ships_at"]))


async def test_an_adjustment_needs_a_reason(api: Api) -> None:
    """And an Idempotency-Key, because doing it twice would move units twice."""
    await api.call("PUT", "/v1/skus/TEA-01", {})
    refusals = [
        await api.call("POST", "/v1/skus/TEA-01/adjust", {"by": 1, "reason": ""}, once="k1"),
        await api.call("POST", "/v1/skus/TEA-01/adjust", {"by": 1, "reason": "counted"}),
        await api.call("POST", "/v1/skus/TEA-01/adjust", {"by": 0, "reason": "counted"}, once="k2"),
    ]
    assert [422, 422, 422] == [status for status, _ in refusals]
