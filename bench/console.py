"""How long does whoever has a customer on the phone wait? Searches and pages of the console, over full tables.

`python -m bench console --rows 10000000` fills a database of its own, signs in over real HTTP, and asks for each page
so many times, in turn, one after the other: what is measured is the whole way over the wire.
"""

from collections.abc import Mapping
from datetime import datetime
from time import monotonic, perf_counter
from urllib.parse import quote

import aiohttp

from bench import fill
from bench.processes import serving, settings_for
from bench.result import Asked, Bar, Figure, Result
from bench.world import World, world
from paidup.checkout.place import place_order
from paidup.db.transaction import Database
from paidup.money import Money
from paidup.people import sessions, store
from paidup.people.user import Role
from paidup.tally import worker as tally

DAYS = 90
OPEN_PAYMENTS, AMOUNT_MINOR = 1000, 1250
ALONE_MINOR = 333
"""Of an order for which nobody ever started a payment."""
ROWS, QUICK_ROWS = 1_000_000, 100_000
SEARCH_MS, PAGE_MS = 200, 100
"""At most so long at the median."""


async def run(asked: Asked) -> Result:
    """On a database of its own."""
    rows = asked.rows or (QUICK_ROWS if asked.quick else ROWS)
    async with world({"fsync": "off"}) as place:  # filling is not measured, and reading does not wait for the disk
        return await measure(place, rows=rows, times=20 if asked.quick else 50)


async def measure(place: World, *, rows: int, times: int) -> Result:
    """Fill it, serve it, ask for every page in turn."""
    began = monotonic()
    orders = await fill.history(place.db, place.now, rows=rows, days=DAYS)
    await fill.open_payments(place.db, place.now, OPEN_PAYMENTS, 3600)
    await fill.settle_down(place.db)
    while await tally.run_once(place.db, now=place.now):
        pass
    filled_s = monotonic() - began
    async with serving(place, settings_for(place, place.db.dsn), "web", 1) as (port,):
        took = await _ask(place.db, place.now, f"http://127.0.0.1:{port}/console", times)
    figures = [Figure(name=name, unit="ms", rounds=ms, better="lower") for name, ms in took.items()]
    return Result(
        figures=figures,
        bars=[_bar(figure) for figure in figures],
        notes=[f"{rows:,} rows of history, {orders:,} orders over {DAYS} days; filling took {filled_s:.0f} s."],
    )


def _bar(figure: Figure) -> Bar:
    at_most = SEARCH_MS if figure.name.startswith("search") else PAGE_MS
    return Bar(claim=f"{figure.name}, median ms", value=figure.median, at_most=at_most)


async def _ask(db: Database, now: datetime, url: str, times: int) -> dict[str, list[float]]:
    async with db.transaction() as tx:
        await store.add(tx, "bench", Role.ADMIN, now)
        token = await sessions.begin(tx, "bench", "here", now)
        await place_order(
            tx, shop=fill.SHOP, shop_order_no="no-payment", money=Money(ALONE_MINOR, "CNY"), description="", ttl_s=3600,
            now=now, shard=0,
        )  # fmt: skip
    pages = await _pages(db, now)
    took: dict[str, list[float]] = {name: [] for name in pages}
    async with aiohttp.ClientSession(cookies={"paidup_session": token}) as session:
        for _ in range(times):
            for name, path in pages.items():
                began = perf_counter()
                async with session.get(url + path, allow_redirects=False) as answer:
                    await answer.read()
                    if answer.status not in (200, 303):
                        raise RuntimeError(f"{path} answers {answer.status}")
                took[name].append((perf_counter() - began) * 1000)
    return took


async def _pages(db: Database, now: datetime) -> Mapping[str, str]:
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
    alone = f"{ALONE_MINOR / 100:.2f} {now:%Y-%m-%d %H:%M}"
    return {
        "search: the shop's number": f"/search?q={quote(row['shop_order_no'])}",
        "search: a payment's id": f"/search?q={row['payment_id']}",
        "search: the channel's number": f"/search?q={row['channel_txn_id']}",
        "search: last 6 of a payment's id": f"/search?q={row['payment_id'][-6:]}",
        "search: last 8 of the channel's number": f"/search?q={row['channel_txn_id'][-8:]}",
        "search: the shop's number of a customer": "/search?q=customer-1000",
        "search: amount and time": f"/search?q={quote(at)}",
        "search: amount and time of an order without a payment": f"/search?q={quote(alone)}",
        "search: nothing fits": "/search?q=zzzzzzzzzz",
        "home": "/",
        "watched": "/watched",
        "life of a payment": f"/orders/{row['id']}",
        "life of a payment 80 days ago": f"/orders/{old}",
        "cases": "/cases",
        "callbacks": "/callbacks",
        "callbacks that are stuck": "/callbacks?state=poisoned",
        "channels": "/channels",
        "reconcile": "/reconcile",
        "deliveries": "/deliveries",
        "stock": "/stock",
        "audit": "/audit",
    }
