"""Whatever goes wrong: nothing that was acknowledged is lost, and everything is paid exactly once."""

import asyncio
import inspect
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from quick import quickest

from paidup import ids
from paidup.db.transaction import Database
from paidup.simulator.campaign import Theatre
from paidup.simulator.database import StagedDatabase
from paidup.simulator.fates import KINDS
from paidup.simulator.outcome import Outcome
from paidup.simulator.summary import Summary
from paidup.simulator.troupe import PlayerDied, play_all

SOURCE = Path(__file__).parents[2] / "src" / "paidup"
SEEDS = quickest(range(1, 101), at_least=9)[:8]
"""What `make test` plays: with fewer orders too little happens in so few. CI plays more, and `make fault` hundreds."""
BUSY = 12
"""A short one in which much goes wrong."""


@pytest.fixture(scope="session")
async def alone(stage: Theatre) -> Outcome:
    """The short one, played on a machine that has nothing else to do."""
    return await stage.play(BUSY)


@pytest.fixture(scope="session")
async def outcomes(stage: Theatre) -> dict[int, Outcome]:
    """Each seed played once."""
    return {seed: await stage.play(seed) for seed in SEEDS}


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_seed_holds(outcomes: dict[int, Outcome], seed: int) -> None:
    """Days of trouble and then calm: all invariants hold, and so does verify."""
    assert () == outcomes[seed].breaches


async def test_a_seed_is_always_the_same_run(stage: Theatre, alone: Outcome) -> None:
    """Played twice, a seed takes the same steps in the same order and meets the same faults."""
    again = await stage.play(BUSY)
    assert (alone.trace, alone.hits) == (again.trace, again.hits)


async def test_a_seed_is_the_same_run_in_other_processes(alone: Outcome) -> None:
    """Whatever ran before, and whatever order Python's sets have: a failing seed can be replayed."""
    outcomes = await asyncio.to_thread(lambda: [*play_all([BUSY, BUSY], jobs=2, days=None)])
    assert [alone] * 2 == [msgspec.structs.replace(one, told=alone.told) for one in outcomes]


async def test_a_process_that_ends_before_its_seeds_is_missed(capfd: pytest.CaptureFixture[str]) -> None:
    """Seeds that nobody played are not counted as held."""
    with pytest.raises(PlayerDied):
        await asyncio.to_thread(lambda: [*play_all(["no seed"], jobs=2, days=None)])  # type: ignore[list-item]
    assert "TypeError" in capfd.readouterr().err


async def test_whoever_stops_looking_leaves_no_server_behind(
    reachable_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first of many, every process is told to end, and ends with the database that it has started."""
    monkeypatch.setenv("TMPDIR", str(reachable_dir))

    def first_of_many() -> list[Path]:
        outcomes = play_all([BUSY] * 40, jobs=2, days=None)
        next(outcomes)
        there = [*reachable_dir.iterdir()]
        outcomes.close()
        return there

    there = await asyncio.to_thread(first_of_many)
    assert (True, []) == (len(there) > 0, [*reachable_dir.iterdir()])


async def test_without_faults_nothing_goes_wrong(stage: Theatre) -> None:
    """Only what was allowed to happen happens."""
    outcome = await stage.play(1, only=frozenset())
    assert ((), ()) == (outcome.hits, outcome.breaches)


@pytest.mark.fault  # it takes both cores from all other tests for a quarter of a minute
async def test_a_seed_is_the_same_run_on_a_busy_machine(stage: Theatre, alone: Outcome) -> None:
    """How fast anything goes has no part in it: neither whose statement ends first, nor what a breaker calls slow."""
    burn = "while True: sum(n * n for n in range(10_000))"
    burners = [subprocess.Popen([sys.executable, "-c", burn]) for _ in range(2 * (os.cpu_count() or 1))]  # noqa: ASYNC220
    try:
        busy = await stage.play(BUSY)
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
    assert alone.trace == busy.trace


async def test_the_faults_of_a_run_can_be_chosen(stage: Theatre, alone: Outcome) -> None:
    """Shrinking takes faults away by their keys; those that are left still hit, though all comes earlier."""
    some = [hit.key for hit in alone.hits if hit.kind.startswith("callback") and " forged " not in hit.key][:2]
    hit = {hit.key for hit in (await stage.play(BUSY, only=frozenset(some))).hits}
    assert (2, set(some)) == (len(some), hit)


def test_trouble_is_met(outcomes: dict[int, Outcome]) -> None:
    """The seeds of this test meet most kinds of faults; a simulator without trouble proves nothing. (Services that
    take part in transactions have seeds of their own.)"""
    summary = Summary()
    for outcome in outcomes.values():
        summary = summary.plus(outcome, 1.0)
    assert (True, True, True) == (
        len(summary.faults) > sum(not kind.startswith("service") for kind in KINDS) * 0.9,
        summary.payments > 30,
        summary.callbacks > 100,
    )


def test_no_use_of_the_database_goes_around_the_seams() -> None:
    """Every public method of Database that reaches the server has its staged counterpart."""
    ours = {name for name, _ in inspect.getmembers(StagedDatabase, callable) if name in StagedDatabase.__dict__}
    theirs = {name for name in Database.__dict__ if not name.startswith("_")} - {"connect"}
    assert theirs <= ours


def test_only_the_simulator_replaces_chance() -> None:
    """ids.take_chance_from is called by nobody else: a server's keys cannot be guessed."""
    users = {p.relative_to(SOURCE).parts[0] for p in SOURCE.rglob("*.py") if "take_chance_from" in p.read_text()}
    assert ({"ids.py", "simulator"}, True) == (users, ids.new_secret(8) != ids.new_secret(8))
