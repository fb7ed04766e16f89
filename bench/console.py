"""How long does whoever has a customer on the phone wait? Searches and pages of the console, over full tables.

`python -m bench.console --rows 1000000` fills an embedded database, signs in over real HTTP, and asks for each page so
many times, in turn, one after the other. Prints one JSON line per page: p50 and p95 in milliseconds, over the wire.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import quote

import aiohttp
import uvicorn

from bench import fill
from paidup.app import Paidup
from paidup.clock import SystemClock
from paidup.db.embedded import start_embedded
from paidup.db.transaction import Database
from paidup.people import sessions, store
from paidup.people.user import Role
from paidup.settings import load
from paidup.tally import worker as tally

DAYS = 90
AMOUNT_MINOR = 1250


async def main(rows: int, times: int, port: int) -> None:
    """Fill, serve, ask, print."""
    folder = Path(tempfile.mkdtemp(prefix="paidup-bench-"))
    folder.chmod(0o711)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(await start_embedded(folder / "server", options={"fsync": "off"}))
        environ = {"PAIDUP_DATABASE_URL": server.dsn, "PAIDUP_DATA": str(folder), "PAIDUP_ROLES": "web"}
        paidup = await stack.enter_async_context(Paidup(load(environ)))
        now = SystemClock().now()
        began = time.monotonic()
        orders = await fill.history(paidup.db, now, rows=rows, days=DAYS)
        await fill.open_payments(paidup.db, now, 1000, 3600)
        await fill.settle_down(paidup.db)
        while await tally.run_once(paidup.db, now=now):
            pass
        print(json.dumps({"rows": rows, "orders": orders, "filled_s": round(time.monotonic() - began)}), flush=True)
        config = uvicorn.Config(paidup, port=port, log_level="warning", lifespan="off")
        task = asyncio.create_task(uvicorn.Server(config).serve())
        await asyncio.sleep(1)
        await _ask(paidup.db, f"http://127.0.0.1:{port}/console", times)
        task.cancel()


async def _ask(db: Database, url: str, times: int) -> None:
    now = SystemClock().now()
    async with db.transaction() as tx:
        await store.add(tx, "bench", Role.ADMIN, now)
        token = await sessions.begin(tx, "bench", "here", now)
    pages = await _pages(db)
    took: dict[str, list[float]] = {name: [] for name in pages}
    async with aiohttp.ClientSession(cookies={"paidup_session": token}) as session:
        for _ in range(times):
            for name, path in pages.items():
                began = time.perf_counter()
                async with session.get(url + path, allow_redirects=False) as answer:
                    await answer.read()
                    assert answer.status in (200, 303), (path, answer.status)
                took[name].append((time.perf_counter() - began) * 1000)
    for name, some in took.items():
        p95 = statistics.quantiles(some, n=20)[-1]
        print(json.dumps({"page": name, "p50_ms": round(statistics.median(some), 1), "p95_ms": round(p95, 1)}))


async def _pages(db: Database) -> Mapping[str, str]:
    """Searches by each kind of number for something in the middle of the table, and the pages people look at."""
    async with db.session() as tx:
        row = await tx.fetchrow(
            "SELECT o.id, o.shop_order_no, p.id AS payment_id, p.channel_txn_id, o.created_at FROM orders o "
            "JOIN payments p ON p.order_id = o.id WHERE o.state = 'paid' AND o.id >= "
            "(SELECT min(id) FROM orders) ORDER BY o.created_at DESC OFFSET 1000 LIMIT 1"
        )
        old = await tx.fetchval("SELECT id FROM orders WHERE created_at < now() - interval '80 days' LIMIT 1")
    assert row is not None
    at = f"{AMOUNT_MINOR / 100:.2f} {row['created_at']:%Y-%m-%d %H:%M}"
    return {
        "search: the shop's number": f"/search?q={quote(row['shop_order_no'])}",
        "search: a payment's id": f"/search?q={row['payment_id']}",
        "search: the channel's number": f"/search?q={row['channel_txn_id']}",
        "search: last 6 of a payment's id": f"/search?q={row['payment_id'][-6:]}",
        "search: last 8 of the channel's number": f"/search?q={row['channel_txn_id'][-8:]}",
        "search: the shop's number of a customer": "/search?q=customer-1000",
        "search: amount and time": f"/search?q={quote(at)}",
        "search: nothing fits": "/search?q=zzzzzzzzzz",
        "home": "/",
        "life of a payment": f"/orders/{row['id']}",
        "life of a payment 80 days ago": f"/orders/{old}",
        "cases": "/cases",
        "callbacks": "/callbacks",
        "callbacks that are stuck": "/callbacks?state=poisoned",
        "channels": "/channels",
        "audit": "/audit",
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of history (four for each order)")
    parser.add_argument("--times", type=int, default=50, help="how often each page is asked for")
    parser.add_argument("--port", type=int, default=8477)
    given = parser.parse_args()
    asyncio.run(main(given.rows, given.times, given.port))
