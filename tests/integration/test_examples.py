"""The examples, each as its reader would run it: a payment is paid through the mounted Paidup, and the shop's own row
is committed with it."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import pytest

from paidup.clock import SystemClock
from paidup.orders.order import LatePayment
from paidup.sandbox.accounts import write_accounts
from paidup.sandbox.keys import make_keys
from paidup.shops import store as shops
from paidup.shops.store import Scope
from served import served

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


@pytest.mark.parametrize("name", ["fastapi_app", "starlette_app", "django_app"])
async def test_the_shops_own_row_is_committed_with_the_payment(
    name: str, db_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Register a payment, testify twice that it is paid: one shipment, written by the handler."""
    keys = make_keys(SystemClock().now())
    write_accounts(
        tmp_path / "accounts", keys, base_url="http://127.0.0.1:9", paidup_url="http://127.0.0.1:9", shop="acme"
    )
    monkeypatch.setenv("PAIDUP_DATABASE_URL", db_dsn)
    monkeypatch.setenv("PAIDUP_DATA", str(tmp_path))
    example = load_example(name)
    async with served(example.app) as url, aiohttp.ClientSession() as session:
        async with session.get(f"{url}/shipments") as answer:
            assert [] == await answer.json()
        now = SystemClock().now()
        async with example.paidup.db.transaction() as tx:
            await shops.put_shop(tx, "acme", LatePayment.REOPEN, now)
            key = await shops.create_key(tx, "acme", list(Scope), now)
        session.headers["authorization"] = f"Bearer {key}"
        money = {"amount_minor": 1250, "currency": "CNY"}
        registered = {"shop_order_no": "A-1", "channel": "wechat", "merchant_ref": "S-1"} | money
        payment = await post(session, f"{url}/paidup/v1/payments/register", registered, "r")
        word = {"payment_id": payment["id"], "channel_txn_id": "42000001", "reason": "seen in the console"} | money
        for n in range(2):
            await post(session, f"{url}/paidup/v1/evidence", word, f"e{n}")
        async with session.get(f"{url}/shipments") as answer:
            assert [{"order_no": "A-1", "amount_minor": 1250, "paid_by": payment["id"]}] == await answer.json()
