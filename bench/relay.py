"""From the outbox to the shop: how many deliveries a second are signed, sent, answered and written down?

The receiver stands in this process and does next to nothing; the worker is `paidup serve --roles delivery`. Callbacks
are acknowledged and applied in the same run: each order that is paid makes one `order.paid`, and whoever relays it
must not be the slowest of the three.
"""

import asyncio
from itertools import pairwise

from bench import cpu, door
from bench.ack import servers
from bench.load import closed
from bench.result import Asked, Bar, Chart, Figure, Result, Series, ratios
from bench.serve import Serving
from bench.shop import SHOP, Receiver, endpoint
from bench.world import World, callbacks, world
from paidup import ids
from paidup.clock import SystemClock
from paidup.events import EventType
from paidup.orders.order import LatePayment
from paidup.outbox import store as outbox
from paidup.shops import store as shops
from paidup.wakeups import NOTIFY

_WITHIN_S = 180


async def run(asked: Asked) -> Result:
    """On databases of their own, with one endpoint and with three."""
    rounds, events = (2, 2000) if asked.quick else (5, 5000)
    one, cpu_us, profile = await _measure(1, rounds, events)
    three, _, _ = await _measure(3, rounds, events)
    acknowledged, applied = await _neighbours(rounds)
    figures = [
        Figure(name="delivered to one endpoint", unit="/s", rounds=one),
        Figure(name="delivered to three endpoints, together", unit="/s", rounds=three),
        Figure(name="CPU of the delivery worker, one endpoint", unit="µs", rounds=cpu_us, better="lower"),
        Figure(name="acknowledged, one process, 64 connections", unit="/s", rounds=acknowledged),
        Figure(name="applied, one worker", unit="/s", rounds=applied),
    ]
    slower = min(figures[3].median, figures[4].median)
    bars = [
        Bar(claim="delivered / the slower of acknowledged and applied", value=figures[0].median / slower, at_least=1),
        Bar(claim="applied / acknowledged", value=ratios("", applied, acknowledged).median, at_least=1.5),
    ]
    points: list[tuple[float | str, float]] = [
        (figure.name, figure.median) for figure in figures if figure.unit == "/s"
    ]
    chart = Chart(
        title="The stages side by side, each alone on the machine", kind="bars", unit="/s", series=[Series("", points)]
    )
    return Result(
        figures=figures, bars=bars, charts=[chart], texts=[("where the delivery worker's time goes", profile)]
    )


async def _measure(endpoints: int, rounds: int, events: int) -> tuple[list[float], list[float], str]:
    """Deliveries a second, worker CPU per delivery, and the worker's profile."""
    receiver = Receiver()
    port = await receiver.listen()
    rates, used = [], []
    async with world() as place:
        async with place.db.transaction() as tx:
            await shops.put_shop(tx, SHOP, LatePayment.REOPEN, place.now)
        for n in range(endpoints):
            await endpoint(place, port, ["order.paid"], f"shop-{n}")
        async with Serving(place, "delivery") as worker:
            for _ in range(rounds):
                before = cpu.cpu_s([worker.pid])
                rates.append(await _round(place, receiver, events, endpoints))
                used.append((cpu.cpu_s([worker.pid]) - before) / (events * endpoints) * 1e6)
        async with Serving(place, "delivery", profile=True) as worker:
            worker.sample()
            await _round(place, receiver, events, endpoints)
    await receiver.close()
    return rates, used, worker.profile


async def _round(place: World, receiver: Receiver, events: int, endpoints: int) -> float:
    """Deliveries a second, from the first that came to the last."""
    receiver.expect(events * endpoints)
    now = SystemClock().now()
    written = [
        outbox.Written(
            id=ids.new_id(ids.EVENT, now), created_at=now, shop=SHOP, type=EventType.ORDER_PAID,
            order_id=ids.new_id(ids.ORDER, now), seq=1, subject_id="", data={"amount_minor": 1250, "currency": "CNY"},
        )
        for _ in range(events)
    ]  # fmt: skip
    async with place.db.transaction() as tx:
        await outbox.write(tx, written)
    async with place.db.session() as tx:
        await tx.fetchval(NOTIFY, "delivery")
    async with asyncio.timeout(_WITHIN_S):
        await receiver.enough.wait()
    moments = sorted(at for at, _ in receiver.told)
    return (len(moments) - 1) / sum(later - earlier for earlier, later in pairwise(moments))


async def _neighbours(rounds: int) -> tuple[list[float], list[float]]:
    """How many callbacks a second one process acknowledges, and one worker applies, each for itself."""
    async with world() as place:
        requests = callbacks(place.keys, place.now, 2000)
        async with servers(place, ("ours",)) as sites:
            loads = [await closed(sites["ours"].ports, requests, connections=64, seconds=2) for _ in range(rounds)]
    async with world() as place:
        applied = [(await door.settle(place, f"n{n}", 3000, 500)).per_s for n in range(rounds)]
    return [load.per_s for load in loads], applied
