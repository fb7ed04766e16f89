"""No secret is in what a server says, whatever passes through it: real processes, and their whole output searched."""

import asyncio
import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from test_commands import paidup

from paidup.demo.processes import Child, answering, free_port

TOKEN = "a-token-for-prometheus-only"
SIGNATURE = "c2lnbmVkLWJ5LW5vYm9keS1hdC1hbGwtcmVhbGx5"
LOOKS = 3000
"""At a payment, until it is paid; each asks the server, and none waits."""


def secrets_below(folder: Path) -> Iterator[str]:
    """What stands in files that only their owner may read: lines of keys, and long values of account.toml."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or stat.S_IMODE(path.stat().st_mode) & 0o077:
            continue
        for line in path.read_text().splitlines():
            values = re.findall(r'"([^"]{20,})"', line) if "=" in line and path.suffix == ".toml" else [line.strip()]
            yield from (value for value in values if len(value) >= 20 and "-----" not in value and "://" not in value)


def found_in(said: str, secrets: set[str]) -> set[str]:
    return {secret for secret in secrets if secret in said}


async def cli(env: dict[str, str], *args: str) -> Any:
    ran = await asyncio.to_thread(paidup, *args, "--json", env=env)
    assert 0 == ran.returncode, ran.stderr
    return json.loads(ran.stdout)


async def pay_one(session: aiohttp.ClientSession, ours: str, theirs: str, channel: str, key: str) -> str:
    """An order is placed, offered, paid and known to be paid."""
    auth = {"authorization": f"Bearer {key}"}
    order = {"shop_order_no": f"A-{channel}", "amount_minor": 1250, "currency": "USD" if channel == "stripe" else "CNY"}
    async with session.post(f"{ours}/v1/orders", json=order, headers=auth) as answer:
        placed = await answer.json()
    headers = auth | {"idempotency-key": f"key-{channel}"}
    url = f"{ours}/v1/orders/{placed['id']}/payments"
    async with session.post(url, json={"channel": channel}, headers=headers) as answer:
        payment = (await answer.json())["id"]
    async with session.post(f"{theirs}/sandbox/pay", json={"channel": channel, "merchant_ref": payment}) as answer:
        assert 200 == answer.status, await answer.text()
    for _ in range(LOOKS):
        async with session.get(f"{ours}/v1/payments/{payment}/status", headers=auth) as answer:
            if (state := str((await answer.json())["state"])) == "paid":
                break
    return state


async def annoy(session: aiohttp.ClientSession, ours: str, key: str) -> list[int]:
    """What strangers and mistakes send, secrets among it."""
    wrong = {"authorization": f"Bearer {key}x"}
    signed = {"wechatpay-signature": SIGNATURE, "stripe-signature": f"t=1,v1={SIGNATURE}"}
    async with (
        session.get(f"{ours}/v1/orders", headers=wrong) as refused,
        session.get(f"{ours}/metrics", headers=wrong) as closed,
        session.post(f"{ours}/callbacks/wechat/main", data=b"{}", headers=signed) as forged,
        session.post(f"{ours}/callbacks/alipay/main", data=f"sign={SIGNATURE}".encode()) as unsigned,
        session.post(f"{ours}/v1/orders", data=b"{", headers={"authorization": f"Bearer {key}"}) as broken,
    ):
        return [answer.status for answer in (refused, closed, forged, unsigned, broken)]


async def test_a_server_never_says_a_secret(db_dsn: str, tmp_path: Path) -> None:
    """Paid by three channels, told to an endpoint, forged and mistaken: no key, password or signature in its output."""
    port, other = free_port(), free_port()
    ours, theirs, accounts = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{other}", tmp_path / "accounts"
    env = {
        "PAIDUP_DATABASE_URL": db_dsn, "PAIDUP_DATA": str(tmp_path), "PAIDUP_METRICS_TOKEN": TOKEN,
        "PAIDUP_ALLOW_LOOPBACK_ENDPOINTS": "true", "PAIDUP_PORT": str(port),
    }  # fmt: skip
    await cli(env, "db", "shop", "acme")
    key = str((await cli(env, "keys", "create-api", "acme"))["key"])
    endpoint = await cli(env, "deliveries", "endpoint", "acme", f"http://127.0.0.1:{free_port()}/hook")
    sandbox = ["sandbox", "--no-buyers", f"--port={other}", f"--paidup-url={ours}", f"--accounts-dir={accounts}"]
    channels, server = (
        Child("sandbox", [*sandbox, "--shop=acme"], {}, tmp_path),
        Child("serve", ["serve"], env, tmp_path),
    )
    try:
        await channels.start()
        await answering(other, channels)
        await server.start()
        await answering(port, server)
        async with aiohttp.ClientSession() as session:
            states = [await pay_one(session, ours, theirs, name, key) for name in ("wechat", "alipay", "stripe")]
            refused = await annoy(session, ours, key)
    finally:
        await server.end()
        await channels.end()
    said = server.log.read_text()
    secrets = {*secrets_below(accounts), key, endpoint["secret"], TOKEN, SIGNATURE, str(urlsplit(db_dsn).password)}
    assert (["paid"] * 3, True) == (states, all(400 <= status < 500 for status in refused)), refused
    assert ("evidence.applied" in said, len(secrets) > 20) == (True, True), said
    assert set() == found_in(said, secrets)


def test_a_secret_that_was_said_is_found(tmp_path: Path) -> None:
    """The search above would find a line of a key, and a value of account.toml; what all may read is no secret."""
    private, public, table = tmp_path / "key.pem", tmp_path / "cert.pem", tmp_path / "account.toml"
    private.write_text("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END PRIVATE KEY-----\n")
    public.write_text("MIICcertificatecertificate\n")
    table.write_text('url = "http://127.0.0.1:8500/somewhere"\nsecret_key = "sk_test_0123456789abcdef"\n')
    private.chmod(0o600)
    table.chmod(0o600)
    public.chmod(0o644)
    secrets = set(secrets_below(tmp_path))
    assert {"MIIEvQIBADANBgkqhkiG9w0B", "sk_test_0123456789abcdef"} == secrets
    assert {"sk_test_0123456789abcdef"} == found_in('{"why": "no sk_test_0123456789abcdef"}', secrets)
