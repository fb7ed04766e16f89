"""The entrance without a socket: a running Paidup with the accounts of `speakers`, called as a server calls it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import alipay_side
import stripe_side
import wechat_side
from paidup.app import Paidup
from paidup.channels.messages import CallbackRequest
from paidup.orders.order import LatePayment
from paidup.settings import load
from paidup.shops import store as shops

MAX_BYTES = 8192
KEPT_PER_SOURCE = 20
# The specimens were signed at eight o'clock; on this clock it stays eight o'clock for years.
EIGHT_O_CLOCK = "2026-11-23T08:00:00+00:00*0.0000001"


@dataclass(frozen=True)
class Answered:
    """What left the application: one whole response, or the test has failed already."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Entrance:
    """A running Paidup whose workers rest."""

    paidup: Paidup

    async def call(self, scope: dict[str, Any], messages: Sequence[dict[str, Any]]) -> Answered:
        """One request as an ASGI server hands it over; when its messages are used up the caller has hung up."""
        waiting, sent = list(messages), []

        async def receive() -> dict[str, Any]:
            return waiting.pop(0) if waiting else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        async with asyncio.timeout(20):
            await self.paidup(scope, receive, send)
        start, *rest = sent
        kinds = [start["type"], *(message["type"] for message in rest)]
        assert ["http.response.start", *["http.response.body"] * len(rest)] == kinds
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
        return Answered(start["status"], headers, b"".join(message.get("body", b"") for message in rest))

    async def post(self, request: CallbackRequest, **changes: Any) -> Answered:
        """A callback in one piece."""
        return await self.call(scope_of(request) | changes, [{"type": "http.request", "body": request.body}])

    async def count(self, table: str) -> int:
        async with self.paidup.db.session() as tx:
            return int(await tx.fetchval(f"SELECT count(*) FROM {table}"))


def scope_of(request: CallbackRequest) -> dict[str, Any]:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": request.target,
        "raw_path": request.target.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("203.0.113.9", 4711),
        "server": ("127.0.0.1", 8400),
    }


def write_accounts(folder: Path) -> None:
    """The accounts of `speakers`, as folders."""
    tables = {
        "wechat": (wechat_side.TABLE, wechat_side.files()),
        "alipay": (alipay_side.TABLE, alipay_side.files()),
        "stripe": (stripe_side.TABLE, stripe_side.FILES),
    }
    for channel, (table, files) in tables.items():
        where = folder / channel / "main"
        where.mkdir(parents=True)
        for name, content in {**files, "account.toml": toml(table).encode()}.items():
            (where / name).write_bytes(content)
            (where / name).chmod(0o600)


def toml(table: Mapping[str, object]) -> str:
    """Texts, flags, lists of texts, and tables of texts last."""
    plain = [f"{name} = {json.dumps(value)}\n" for name, value in table.items() if not isinstance(value, dict)]
    inner = [
        f"[{name}]\n" + "".join(f"{json.dumps(key)} = {json.dumps(item)}\n" for key, item in value.items())
        for name, value in table.items()
        if isinstance(value, dict)
    ]
    return "".join([*plain, *inner])


@contextlib.asynccontextmanager
async def running(dsn: str, folder: Path, **settings: str) -> AsyncIterator[Entrance]:
    """Start it, with its shop."""
    write_accounts(folder / "accounts")
    environ = {
        "PAIDUP_DATABASE_URL": dsn,
        "PAIDUP_DATA": str(folder),
        "PAIDUP_ROLES": "web",
        "PAIDUP_CLOCK": EIGHT_O_CLOCK,
        "PAIDUP_CALLBACK_MAX_BYTES": str(MAX_BYTES),
        "PAIDUP_QUARANTINE_PER_SOURCE": str(KEPT_PER_SOURCE),
    }
    async with Paidup(load(environ | settings)) as paidup:
        async with paidup.db.transaction() as tx:
            await shops.put_shop(tx, "shop1", LatePayment.REOPEN, paidup.clock.now())
        yield Entrance(paidup)
