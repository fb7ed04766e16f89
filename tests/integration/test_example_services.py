"""The example of a shop whose coupons and points live elsewhere, as its reader would run it: two services with a
database each, and a running Paidup whose workers ask them."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from test_examples import EXAMPLES, load_example

from paidup.app import Paidup
from paidup.clock import SystemClock
from paidup.orders.order import LatePayment
from paidup.settings import load
from paidup.shops import store as shops
from paidup.shops.store import Scope
from paidup.transactions import participants
from paidup.transactions.table import read_toml
from served import served

MONEY = {"amount_minor": 1250, "currency": "CNY"}
DATA = {
    "coupon": {"code": "TEA10"},
    "points": {"customer": "lin", "add": -50},
    "thanks": {"customer": "lin", "add": 12},
}


class Example:
    """A client with a key, and what the two services say."""

    def __init__(self, session: aiohttp.ClientSession, urls: dict[str, str]) -> None:
        self.session, self.urls = session, urls

    async def get(self, path: str, of: str = "paidup") -> Any:
        async with self.session.get(self.urls[of] + path) as answer:
            return await answer.json()

    async def post(self, path: str, body: dict[str, Any], once: str) -> Any:
        headers = {"idempotency-key": once}
        async with self.session.post(self.urls["paidup"] + path, json=body, headers=headers) as answer:
            assert answer.status in (200, 201), await answer.text()
            return await answer.json()

    async def checkout(self, number: str, **data: Any) -> dict[str, Any]:
        """An order, and its transaction."""
        order = await self.post("/v1/orders", {"shop_order_no": number} | MONEY, number)
        body = {"table": "checkout", "data": DATA | data}
        return await self.post(f"/v1/orders/{order['id']}/transactions", body, f"t{number}")

    async def pay(self, begun: dict[str, Any], number: str) -> None:
        """A payment is registered, and a person testifies that it was paid."""
        registered = {"shop_order_no": number, "channel": "wechat", "merchant_ref": f"S-{number}"} | MONEY
        payment = await self.post("/v1/payments/register", registered, f"r{number}")
        word = {"payment_id": payment["id"], "channel_txn_id": f"4200{number}", "reason": "seen in the console"} | MONEY
        await self.post("/v1/evidence", word, f"e{number}")

    async def until(self, xid: str, *states: str) -> dict[str, Any]:
        """Its workers are at it; 30 seconds at most."""
        async with asyncio.timeout(30):
            while (found := await self.get(f"/v1/transactions/{xid}"))["state"] not in states:
                pass
        return found

    async def books(self) -> tuple[Any, Any]:
        return await self.get("/coupons", "coupons"), await self.get("/points", "points")


@pytest.fixture
async def example(
    db_dsn: str, fresh_dsn: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Example]:
    """Paidup with the role checkout; each service is told its secret through the environment."""
    async with contextlib.AsyncExitStack() as stack:
        monkeypatch.setenv("COUPONS_DB", str(tmp_path / "coupons.db"))
        monkeypatch.setenv("POINTS_DB", await stack.enter_async_context(fresh_dsn()))
        urls = {
            name: await stack.enter_async_context(served(load_example(module).app))
            for name, module in (("coupons", "coupon_service"), ("points", "points_service"))
        }
        environ = {
            "PAIDUP_DATABASE_URL": db_dsn, "PAIDUP_DATA": str(tmp_path), "PAIDUP_ROLES": "web,checkout",
            "PAIDUP_ALLOW_LOOPBACK_ENDPOINTS": "true",
        }  # fmt: skip
        accounts = tmp_path / "accounts"
        write_an_account(accounts)
        paidup = await stack.enter_async_context(Paidup(load(environ)))
        key = await a_shop(paidup, urls, monkeypatch)
        urls["paidup"] = await stack.enter_async_context(served(paidup))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        session.headers["authorization"] = f"Bearer {key}"
        example = Example(session, urls)
        await example.books()
        await fill(tmp_path / "coupons.db", paidup, stack)
        yield example


def write_an_account(folder: Path) -> None:
    from paidup.sandbox.accounts import write_accounts
    from paidup.sandbox.keys import make_keys

    keys = make_keys(SystemClock().now())
    write_accounts(folder, keys, base_url="http://127.0.0.1:9", paidup_url="http://127.0.0.1:9", shop="acme")


async def a_shop(paidup: Paidup, urls: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """With two participants under one secret, as one who runs both would have it, and the table of steps."""
    now = SystemClock().now()
    async with paidup.db.transaction() as tx:
        await shops.put_shop(tx, "acme", LatePayment.REOPEN, now)
        for name, url in urls.items():
            made = await participants.put_participant(tx, "acme", name, f"{url}/paidup", now, allow_loopback=True)
        await tx.execute("UPDATE participants SET secrets = ARRAY[$1]", made.secret)
        await participants.define(tx, "acme", read_toml((EXAMPLES / "checkout.toml").read_text()), now)
        monkeypatch.setenv("PARTICIPANT_SECRET", str(made.secret))
        return await shops.create_key(tx, "acme", list(Scope), now)


async def fill(coupons: Path, paidup: Paidup, stack: contextlib.AsyncExitStack) -> None:
    """One coupon; a customer with a hundred points."""
    import os

    import asyncpg

    with contextlib.closing(sqlite3.connect(coupons, isolation_level=None)) as connection:
        connection.execute("INSERT INTO coupons VALUES ('TEA10', NULL)")
    connection = await asyncpg.connect(os.environ["POINTS_DB"])
    await connection.execute("INSERT INTO points VALUES ('lin', 100)")
    await connection.close()


async def test_coupon_points_payment_and_thanks_agree(example: Example) -> None:
    """The coupon is used and the points are spent before the payment, the thanks are given after it; a second order
    with the same coupon is refused, its points come back, and its order is given up."""
    first = await example.checkout("A-1")
    async with asyncio.timeout(30):
        while (await example.books()) != ({"TEA10": first["order_id"]}, {"lin": 50}):
            pass
    second = await example.checkout("A-2")
    undone = await example.until(second["id"], "COMPENSATED", "MANUAL")
    assert ("COMPENSATED", "closed") == (
        undone["state"], (await example.get(f"/v1/orders/{second['order_id']}"))["state"]
    )  # fmt: skip
    await example.pay(first, "A-1")
    await example.until(first["id"], "DONE", "MANUAL")
    assert ({"TEA10": first["order_id"]}, {"lin": 62}) == await example.books()
    life = await example.get("/v1/trace/A-1")
    said = [moment["what"] for moment in life["moments"] if moment["kind"] == "transaction"]
    assert (True, True) == ("checkout RUNNING → DONE, every step is done" in said, len(said) > 8)


async def test_a_stranger_is_not_heard(example: Example) -> None:
    """A request that the coordinator did not sign is answered 401, and changes nothing."""
    body = b'{"xid":"x","step":"coupon","operation":"action","shop":"acme","order_id":"o","data":{"code":"TEA10"}}'
    headers = {"webhook-id": "x.coupon.action", "webhook-timestamp": "1700000000", "webhook-signature": "v1,AAAA"}
    async with example.session.post(f"{example.urls['coupons']}/paidup", data=body, headers=headers) as answer:
        assert 401 == answer.status
    assert {"TEA10": None} == (await example.books())[0]
