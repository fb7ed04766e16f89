"""Whatever goes wrong: nothing that was acknowledged is lost, and everything is paid exactly once."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from paidup import ids
from paidup.db.transaction import Database
from paidup.simulator.campaign import Theatre
from paidup.simulator.database import StagedDatabase
from paidup.simulator.fates import KINDS
from paidup.simulator.summary import Summary

SOURCE = Path(__file__).parents[2] / "src" / "paidup"
SEEDS = range(1, 9)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_seed_holds(stage: Theatre, seed: int) -> None:
    """Days of trouble and then calm: all invariants hold, and so does verify."""
    assert () == (await stage.play(seed)).breaches


async def test_a_seed_is_always_the_same_run(stage: Theatre) -> None:
    """Played twice, a seed takes the same steps in the same order and meets the same faults."""
    first, second = await stage.play(3), await stage.play(3)
    assert (first.trace, first.hits) == (second.trace, second.hits)


async def test_a_seed_is_the_same_run_in_another_process(stage: Theatre) -> None:
    """Whatever ran before, and whatever order Python's sets have: a failing seed can be replayed."""
    code = (
        "import asyncio\n"
        "from paidup.simulator.campaign import theatre\n"
        "async def main():\n"
        "    async with theatre() as stage:\n"
        "        print((await stage.play(3)).trace)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(  # noqa: ASYNC221 - nothing else is to run meanwhile
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert (await stage.play(3)).trace == done.stdout.strip()


async def test_without_faults_nothing_goes_wrong(stage: Theatre) -> None:
    """Only what was allowed to happen happens."""
    outcome = await stage.play(1, only=frozenset())
    assert ((), ()) == (outcome.hits, outcome.breaches)


async def test_the_faults_of_a_run_can_be_chosen(stage: Theatre) -> None:
    """Shrinking takes faults away by their keys; those that are left still hit.

    Of seed 4, whose first callback comes to its fault without the help of other faults, too.
    """
    whole = await stage.play(4)
    one = next(hit for hit in whole.hits if hit.kind.startswith("callback"))
    assert [one.key] == [hit.key for hit in (await stage.play(4, only=frozenset({one.key}))).hits]


async def test_trouble_is_met(stage: Theatre) -> None:
    """The seeds of this test meet most kinds of faults; a simulator without trouble proves nothing."""
    summary = Summary()
    for seed in SEEDS:
        summary = summary.plus(await stage.play(seed), 1.0)
    assert (True, True, True) == (len(summary.faults) > len(KINDS) * 0.7, summary.payments > 20, summary.callbacks > 50)


def test_no_use_of_the_database_goes_around_the_seams() -> None:
    """Every public method of Database that reaches the server has its staged counterpart."""
    ours = {name for name, _ in inspect.getmembers(StagedDatabase, callable) if name in StagedDatabase.__dict__}
    theirs = {name for name in Database.__dict__ if not name.startswith("_")} - {"connect"}
    assert theirs <= ours


def test_only_the_simulator_replaces_chance() -> None:
    """ids.take_chance_from is called by nobody else: a server's keys cannot be guessed."""
    users = {p.relative_to(SOURCE).parts[0] for p in SOURCE.rglob("*.py") if "take_chance_from" in p.read_text()}
    assert ({"ids.py", "simulator"}, True) == (users, ids.new_secret(8) != ids.new_secret(8))
