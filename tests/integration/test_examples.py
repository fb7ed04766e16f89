"""The examples, each as its reader would run it: a payment is paid through the mounted Paidup, and the shop's own row
is committed with it."""

import asyncio
import contextlib
import importlib.util
import json
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import pytest

from paidup.clock import SystemClock
from paidup.orders.order import LatePayment
from paidup.sandbox.keys import Keys, make_keys
from paidup.sandbox.server import SandboxConfig, serving
from paidup.shops import store as shops
from paidup.shops.store import Scope
from served import served

EMBEDDED = ("fastapi_app", "starlette_app", "django_app")
MONEY = {"amount_minor": 1250, "currency": "CNY"}
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def load_example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Django looks its URL configuration up by module name
    spec.loader.exec_module(module)
    return module


async def post(session: aiohttp.ClientSession, url: str, body: dict[str, Any], once: str) -> dict[str, Any]:
    async with session.post(url, data=json.dumps(body), headers={"idempotency-key": once}) as answer:
        text = await answer.text()
        assert answer.status in (200, 201), text
        return json.loads(text)


@pytest.fixture(scope="module")
def keys() -> Keys:
    """Making them takes half a second; one set serves all."""
    return make_keys(SystemClock().now())


async def a_client(example: ModuleType, url: str, stack: contextlib.AsyncExitStack) -> aiohttp.ClientSession:
    """With an API key of the shop, which is made for it. Nothing is shipped yet."""
    session = await stack.enter_async_context(aiohttp.ClientSession())
    assert [] == await shipments(session, url)  # the application has started
    session.headers["authorization"] = f"Bearer {await a_key(example)}"
    return session


async def a_key(example: ModuleType) -> str:
    now = SystemClock().now()
    async with example.paidup.db.transaction() as tx:
        await shops.put_shop(tx, "acme", LatePayment.REOPEN, now)
        return await shops.create_key(tx, "acme", list(Scope), now)


async def shipments(session: aiohttp.ClientSession, url: str) -> Any:
    """What the shop's own page says."""
    async with session.get(f"{url}/shipments") as answer:
        return await answer.json()


@pytest.mark.parametrize("name", EMBEDDED)
async def test_the_shops_own_row_is_committed_with_the_payment(
    name: str, db_dsn: str, tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once through a signed callback to the mounted path, once because a person says so, twice: one row each."""
    monkeypatch.setenv("PAIDUP_DATABASE_URL", db_dsn)
    monkeypatch.setenv("PAIDUP_DATA", str(tmp_path))
    async with contextlib.AsyncExitStack() as stack:
        listener = socket.create_server(("127.0.0.1", 0))
        mounted = f"http://127.0.0.1:{listener.getsockname()[1]}/paidup"
        config = SandboxConfig(accounts_dir=tmp_path / "accounts", port=0, paidup_url=mounted, shop="acme")
        channel = await stack.enter_async_context(serving(config, SystemClock(), {"main": keys}))
        example = load_example(name)
        url = await stack.enter_async_context(served(example.app, listener))
        session = await a_client(example, url, stack)
        by_callback = await paid_at_the_channel(session, url, channel.base_url)
        by_word = await paid_by_word(session, url, await a_key(example))
        shipped = await shipments(session, url)
        async with session.get(f"{url}/paidup/v1/trace/A-1") as answer:
            life = await answer.json()
    rows = [("A-1", 1250, by_callback), ("A-2", 1250, by_word)]
    assert rows == sorted((row["order_no"], row["amount_minor"], row["paid_by"]) for row in shipped)
    assert ("paid", True) == (life["order"]["state"], "The callback told us" in life["verdict"])


async def paid_at_the_channel(session: aiohttp.ClientSession, url: str, channel_url: str) -> str:
    """The customer pays at the channel, which signs a callback and sends it over HTTP. Gives the payment's id."""
    order = await post(session, f"{url}/paidup/v1/orders", {"shop_order_no": "A-1"} | MONEY, "o")
    payment = await post(session, f"{url}/paidup/v1/orders/{order['id']}/payments", {"channel": "wechat"}, "p")
    which = {"channel": "wechat", "merchant_ref": payment["merchant_ref"]}
    await post(session, f"{channel_url}/sandbox/pay", which, "s")
    async with asyncio.timeout(20):
        while not await shipments(session, url):
            pass  # the callback is on its way
    return str(payment["id"])


async def paid_by_word(session: aiohttp.ClientSession, url: str, second_key: str) -> str:
    """A payment is registered, a person testifies twice that it was paid, and a second one agrees. Gives its id."""
    registered = {"shop_order_no": "A-2", "channel": "wechat", "merchant_ref": "S-1"} | MONEY
    payment = await post(session, f"{url}/paidup/v1/payments/register", registered, "r")
    word = {"payment_id": payment["id"], "channel_txn_id": "42000001", "reason": "seen in the console"} | MONEY
    asked = [await post(session, f"{url}/paidup/v1/evidence", word, f"e{n}") for n in range(2)]
    second = {"authorization": f"Bearer {second_key}"}
    for one in asked:
        agree = f"{url}/paidup/v1/approvals/{one['approval_id']}/approve"
        async with session.post(agree, json={"reason": "I looked, too"}, headers=second) as answer:
            assert answer.status == 200, await answer.text()
    return str(payment["id"])


async def test_the_document_of_a_mounted_paidup_has_the_right_addresses(
    db_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is mounted at /paidup says so, and its page links to its own document."""
    monkeypatch.setenv("PAIDUP_DATABASE_URL", db_dsn)
    monkeypatch.setenv("PAIDUP_DATA", str(tmp_path))
    async with served(load_example("starlette_app").app) as url, aiohttp.ClientSession() as session:
        async with session.get(f"{url}/paidup/openapi.json") as answer:
            document = await answer.json()
        async with session.get(f"{url}/paidup/docs") as answer:
            page = await answer.text()
    assert ([{"url": "/paidup"}], True) == (document["servers"], 'href="openapi.json"' in page)
