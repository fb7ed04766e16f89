"""The benches in small: they produce their figures, and what their servers acknowledged is in the database."""

from collections.abc import AsyncIterator

import pytest
from bench import ack, door
from bench.load import closed
from bench.world import World, callbacks, world


@pytest.fixture
async def place() -> AsyncIterator[World]:
    """A durable server, accounts and keys of the bench's own."""
    async with world() as made:
        yield made


async def test_every_acknowledged_callback_is_in_the_database(place: World) -> None:
    """As many rows as answers with 200, in the inbox as in the queue; nothing was refused."""
    requests = callbacks(place.keys, place.now, 50)
    async with ack.servers(place, ("ours",)) as sites:
        sent = await closed(sites["ours"].ports, requests, connections=4, seconds=0.3)
    async with place.db.session() as tx:
        kept = await tx.fetchval("SELECT count(*) FROM inbox")
        queued = await tx.fetchval("SELECT count(*) FROM inbox_queue")
    assert (0, sent.answered, sent.answered) == (sent.refused, kept, queued)
    assert sent.answered > 0


async def test_the_acknowledgement_bench_measures_every_server(place: World) -> None:
    """Each mode answers, in one process and in two; nothing is refused."""
    found = await ack.measure(place, rounds=1, seconds=0.3, connections=(4,))
    rates = {figure.name: figure.median for figure in found.figures if figure.name.endswith("4 connections")}
    assert (len(ack.MODES) + len(ack.IN_TWO), True) == (len(rates), all(rate > 0 for rate in rates.values()))
    assert "0 requests were refused" in found.notes[0]


async def test_the_door_bench_settles_all_it_prepared(place: World) -> None:
    """Every prepared callback paid its order, in batches as one by one."""
    await door.measure(place, rounds=1, batched=40, single=10)
    async with place.db.session() as tx:
        paid = await tx.fetchval("SELECT count(*) FROM orders WHERE state = 'paid'")
        left = await tx.fetchval("SELECT count(*) FROM inbox_queue")
    assert (50, 0) == (paid, left)
