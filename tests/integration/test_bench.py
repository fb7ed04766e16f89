"""The benches in small: they produce their figures, and what their servers acknowledged is in the database."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop
from bench import ack, console, door, report, stock, transactions
from bench.end_to_end import Stage, endpoint_of
from bench.load import closed, opened
from bench.result import Bar, Chart, Figure, Result, Run, Series
from bench.serve import Serving
from bench.shop import Receiver
from bench.world import World, callbacks, world

from paidup.demo.processes import Child


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


@pytest.mark.fault  # it starts seven servers and loads each for seconds
async def test_the_acknowledgement_bench_measures_every_server(place: World) -> None:
    """Each mode answers, in one process and in two; nothing is refused."""
    found = await ack.measure(place, rounds=1, seconds=1, connections=(4,))
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


async def test_an_open_loop_sends_all_at_its_rate_however_slow_the_answers(place: World) -> None:
    """As many answers as requests, spread over the time that the rate says."""
    requests = callbacks(place.keys, place.now, 60)
    async with ack.servers(place, ("ours",)) as sites:
        sent = await opened(sites["ours"].ports, requests, rate=200, connections=4)
    assert (60, 0) == (sent.answered, sent.refused)
    assert sent.seconds >= 59 / 200


async def test_whoever_was_paid_end_to_end_was_told(place: World) -> None:
    """Web and worker are processes of their own; each prepared order brings one event to the receiver."""
    receiver = Receiver()
    await endpoint_of(place, await receiver.listen())
    async with Serving(place, "web") as web, Serving(place, "intake,delivery"):
        trial = await Stage(place, receiver, {}).trial(web.port, rate=100, seconds=0.4)
    await receiver.close()
    assert (0, 40, 0) == (trial.missing, len(trial.took), trial.load.refused)


@pytest.mark.fault  # it starts a server process and asks for twenty pages
async def test_the_console_bench_asks_for_every_page(place: World) -> None:
    """Each page and search as often as asked, all answered, each held to its bar."""
    found = await console.measure(place, rows=8000, times=3)
    assert (True, {3}) == (len(found.figures) > 15, {len(figure.rounds) for figure in found.figures})
    assert {200, 100} == {bar.at_most for bar in found.bars}
    assert "8,000 rows of history" in found.notes[0]


async def test_processes_are_started_on_the_loop_of_the_benches(tmp_path: Path) -> None:
    """uvloop refuses some of what asyncio's own loop takes."""

    async def start() -> None:
        child = Child("version", ["--version"], {}, tmp_path)
        await child.start()
        await child.end()

    await asyncio.to_thread(uvloop.run, start())


def a_run(*rounds: float) -> Run:
    """A run that measured one thing."""
    figure = Figure(name="paid & told", unit="/s", rounds=list(rounds))
    line = Chart(title="p99", kind="lines", unit="ms", series=[Series("a", [(0.0, 1.0), (1.0, 2.0)])], along="s")
    bars = Chart(title="rates", kind="bars", unit="/s", series=[Series("b", [("x < y", 5.0)])])
    result = Result(
        figures=[figure], bars=[Bar(claim="as fast as it was", value=figure.median, at_least=100)], charts=[line, bars]
    )
    return Run(machine="m", date="2026-11-24", load_before="", quick=False, results={"relay": result})


def test_only_what_differs_by_more_than_the_noise_counts_as_changed() -> None:
    """Rounds that overlap say nothing; rounds that do not, say so, and which way."""
    before = a_run(100, 104, 96, 101, 99)
    assert "nothing" in report.changes(before, a_run(103, 99, 102, 98, 104))
    assert "WORSE" in report.changes(before, a_run(70, 71, 69, 70, 72))
    assert "better" in report.changes(before, a_run(140, 139, 141, 138, 142))


def test_the_page_needs_nothing_from_elsewhere_and_shows_what_was_missed() -> None:
    """No script, no address, every text escaped; a bar that was missed says so."""
    page = report.page(a_run(50))
    assert [] == [word for word in ("<script", "http:", "https:", "src=", "paid & told", "x < y") if word in page]
    assert {True} == {word in page for word in ("paid &amp; told", "x &lt; y", ">missed<", "<polyline", "<rect")}


async def test_the_bench_of_stock_sells_what_is_there_and_no_more(place: World) -> None:
    """Every way of selling leaves counters that add up; the sale with killed processes sells each unit once."""
    rates = await stock.measure(place, rounds=1, seconds=0.3, callers=20)
    sale = await stock.sale(place, buyers=400, units=40)
    sums = {bar.claim: bar.met for bar in (*rates.bars, *sale.bars) if "add" in bar.claim or "units" in bar.claim}
    assert (5, set()) == (len(sums), {claim for claim, met in sums.items() if not met})


async def test_every_way_of_agreeing_takes_a_unit_from_both_services() -> None:
    """The bench of transactions in small: whichever way, both databases have given as many; a dead two-phase commit
    blocks whoever comes after it, and a saga does not."""
    async with transactions.place() as here:
        for name, way in transactions.WAYS.items():
            per_s, cpu_us, took = await transactions.measure(here, way, 16, transactions.spread)
            assert (True, True, 16) == (per_s > 0, cpu_us > 0, len(took)), name
        taken = [
            1_000_000_000 - await service.pool.fetchval("SELECT sum(remaining) FROM units")
            for service in here.services.values()
        ]
        note = await transactions.what_a_dead_coordinator_leaves(here)
    assert [16 * 6, 16 * 5] == taken  # the ceiling takes both of its units from one database
    assert "waited in vain with two-phase commit, and went through with a saga" in note
