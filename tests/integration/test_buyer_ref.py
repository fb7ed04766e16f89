"""Whose order it is, in the shop's own words: given with the order, found by it, shown masked, sealed with the row."""

import asyncio
import json

import pytest
from click.testing import CliRunner

from api_side import ORDER, Api
from console_side import signed_in
from paidup.cli import cli
from paidup.shops.store import Scope
from paidup.verify import verify

BUYER = "customer-004711"


async def placed(api: Api, number: str, buyer_ref: str = BUYER) -> str:
    status, order = await api.call("POST", "/v1/orders", ORDER | {"shop_order_no": number, "buyer_ref": buyer_ref})
    assert 201 == status, order
    return order["id"]


async def command(api: Api, *words: str) -> str:
    settings = api.paidup.settings
    env = {"PAIDUP_DATABASE_URL": settings.database_url, "PAIDUP_DATA": str(settings.data)}
    came = await asyncio.to_thread(CliRunner().invoke, cli, [*words, "--json"], env=env, catch_exceptions=False)
    return came.stdout


@pytest.mark.parametrize("buyer_ref", [BUYER, "7"], ids=["long", "short"])
async def test_all_orders_of_a_customer_are_found(api: Api, buyer_ref: str) -> None:
    """By API, command line and console, the newest first; with items and without."""
    await api.call("PUT", "/v1/skus/TEA-250", {"unlimited": True})
    ids = [await placed(api, f"A-{n}", buyer_ref) for n in range(2)]
    body = ORDER | {"shop_order_no": "A-9", "buyer_ref": buyer_ref, "items": [{"sku": "TEA-250", "quantity": 1}]}
    ids.append((await api.call("POST", "/v1/orders", body))[1]["id"])
    await placed(api, "B-1", "somebody-else")
    assert ids[::-1] == (await api.call("GET", f"/v1/search?q={buyer_ref}"))[1]["order_ids"]
    assert set(ids) == {row["id"] for row in json.loads(await command(api, "orders", "find", buyer_ref))}
    async with signed_in(api) as browser:
        page = (await browser.get(f"/search?q={buyer_ref}")).text
    assert (3, False) == (page.count("/console/orders/ord"), "B-1" in page)


async def test_another_shop_does_not_find_them(api: Api) -> None:
    """A number is the shop's own."""
    await placed(api, "A-1")
    stranger = await api.a_key(*Scope, shop="other")
    assert [] == (await api.call("GET", f"/v1/search?q={BUYER}", key=stranger))[1]["order_ids"]


async def test_another_shops_customer_of_the_same_number_hides_nobody(api: Api) -> None:
    """Numbers of customers are the shop's own, and prices are everybody's: what a neighbour has, however much, takes no
    place in what is found."""
    small = await api.a_key(*Scope, shop="small")
    _, mine = await api.call("POST", "/v1/orders", ORDER | {"shop_order_no": "S-1", "buyer_ref": "1001"}, key=small)
    theirs = await placed(api, "BIG-1", "1001")
    async with api.paidup.db.transaction() as tx:
        for number, minor in (("1001", None), ("ord-like", 1250)):
            await tx.execute(
                "INSERT INTO numbers SELECT $1, $2, 'acme', $3, now() FROM generate_series(1, 600)",
                number, theirs, minor,
            )  # fmt: skip
    found = [(await api.call("GET", f"/v1/search?q={q}", key=small))[1]["order_ids"] for q in ("1001", "12.50")]
    assert [[mine["id"]]] * 2 == found


async def test_it_is_masked_wherever_it_is_not_asked_for(api: Api) -> None:
    """In the order, in its trace, on its page, on the command line; and who looks is written down."""
    order_id = await placed(api, "A-1")
    shown = [
        json.dumps(await api.call("GET", f"/v1/orders/{order_id}"), ensure_ascii=False),
        json.dumps(await api.call("GET", f"/v1/trace/{order_id}"), ensure_ascii=False),
        await command(api, "orders", "find", "A-1"),
        await command(api, "trace", "A-1"),
    ]
    async with signed_in(api) as browser:
        shown.append((await browser.get(f"/orders/{order_id}")).text)
        detail = f"/orders/{order_id}/buyer/{order_id}"
        masked = (await browser.get(detail)).text
        revealed = (await browser.post(detail, {"why": "he called"})).text
    assert [(True, False)] * 5 == [("•••711" in text, BUYER in text) for text in shown]
    assert (False, True) == (BUYER in masked, BUYER in revealed)
    assert BUYER == (await api.call("GET", f"/v1/orders/{order_id}/buyer"))[1]["buyer_ref"]
    assert BUYER in await command(api, "orders", "buyer", order_id)
    async with api.paidup.db.session() as tx:
        rows = await tx.fetch(
            "SELECT via FROM audit WHERE action = 'data.revealed' AND order_id = $1 ORDER BY n", order_id
        )
    assert ["console", "api", "cli"] == [row["via"] for row in rows]


async def test_the_command_line_gives_it_too(api: Api) -> None:
    """With a new order."""
    words = ("orders", "place", "acme", "A-1", "--amount-minor", "1250", "--currency", "CNY", "--buyer", BUYER)
    (row,) = json.loads(await command(api, *words))
    assert ("•••711", [row["id"]]) == (row["buyer"], (await api.call("GET", f"/v1/search?q={BUYER}"))[1]["order_ids"])


async def test_being_paid_leaves_its_index_alone(api: Api) -> None:
    """One row when the order is placed, and the very same one afterwards."""
    payment = await api.an_open_payment("A-0")
    await placed(api, "A-1")
    sought = "SELECT array_agg(ctid::text || xmin::text) FROM numbers WHERE number = $1"
    async with api.paidup.db.session() as tx:
        before = await tx.fetchval(sought, BUYER)
    await api.confirmed(payment, "42000001")
    other = await api.call("POST", f"/v1/orders/{await placed(api, 'A-1')}/payments", {"channel": "wechat"}, once="o")
    await api.confirmed(other[1], "42000002")
    async with api.paidup.db.session() as tx:
        assert (before, 1) == (await tx.fetchval(sought, BUYER), len(before))


async def test_who_edits_it_by_hand_is_found_out(api: Api) -> None:
    """The seal of the row covers it; orders that have none keep the seal they had before there was such a field."""
    await api.an_order("A-0")
    order_id = await placed(api, "A-1")
    whole = [check for check in (await verify(api.paidup.db)).checks if not check.holds]
    async with api.paidup.db.session() as tx:
        await tx.execute("UPDATE orders SET buyer_ref = 'customer-004712' WHERE id = $1", order_id)
    edited = [check for check in (await verify(api.paidup.db)).checks if not check.holds]
    assert ([], [order_id]) == (whole, [breach for check in edited for breach in check.breaches])


@pytest.mark.parametrize("wrong", ["x" * 65, "a\nb", 7])
async def test_what_is_none_is_refused(api: Api, wrong: object) -> None:
    """At most 64 printable characters."""
    assert 422 == (await api.call("POST", "/v1/orders", ORDER | {"buyer_ref": wrong}))[0]
