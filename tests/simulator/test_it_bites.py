"""The seeds find what is there: mistakes that people really write are planted into the product, one at a time.

This is the one place of these tests where patching is the point. Everywhere else the real thing runs.
"""

import re
from pathlib import Path

import planted
import pytest
from planted import DEFECTS, Defect, is_noticed
from quick import worth_a_try

from paidup.simulator.campaign import Theatre
from paidup.simulator.outcome import Outcome
from paidup.simulator.shrink import shrink

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "planted-defects.md"
ROW = re.compile(r"^\| ([^|]+) \| (\d+) \| \d+ \| [^|]+ \|$", re.MULTILINE)
CAUGHT = {what: int(seed) for what, seed in ROW.findall(PAGE.read_text(encoding="utf-8"))}
QUICK = {
    planted.acknowledged_before_the_commit,
    planted.finished_before_its_consequences,
    planted.published_from_memory,
}
"""Some that nearly every seed notices are planted in `make test`, all of them in `make fault`."""


async def played(stage: Theatre, defect: Defect, seed: int, only: frozenset[str] | None = None) -> Outcome:
    with pytest.MonkeyPatch.context() as patch:
        defect.plant(patch)
        return await stage.play(seed, only=only)


async def must_be_caught(stage: Theatre, defect: Defect) -> None:
    """By the seed that the page names, or by another one of a bounded number, which holds without the defect."""
    named = [CAUGHT[defect.what]] if defect.what in CAUGHT else []
    for seed in (*named, *worth_a_try(defect.first, defect.needs)):
        if is_noticed(await played(stage, defect, seed)) and (await stage.play(seed)).holds:
            return
    raise AssertionError(f"no seed notices that {defect.what}")


@pytest.mark.parametrize("defect", [d for d in DEFECTS if d.plant in QUICK], ids=lambda defect: defect.plant.__name__)
async def test_a_planted_defect_is_caught(stage: Theatre, defect: Defect) -> None:
    """Some, in every run of the tests."""
    await must_be_caught(stage, defect)


@pytest.mark.fault
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.plant.__name__)
async def test_every_planted_defect_is_caught(stage: Theatre, defect: Defect) -> None:
    """All of them; it takes minutes."""
    await must_be_caught(stage, defect)


def test_the_page_lists_what_is_planted() -> None:
    """Neither more nor less, each with a seed that catches it."""
    assert {d.what for d in DEFECTS} == set(CAUGHT)


@pytest.mark.fault
async def test_a_failing_seed_is_shrunk_to_what_it_needs(stage: Theatre) -> None:
    """An acknowledgement before its commit needs one fault to be noticed: the one that undoes that commit."""
    defect = Defect("", planted.acknowledged_before_the_commit)
    failed = await played(stage, defect, CAUGHT["a callback is acknowledged before its commit"])
    heard: list[tuple[int, int]] = []
    least = await shrink(
        failed, lambda keys: played(stage, defect, failed.seed, keys), lambda *step: heard.append(step)
    )
    assert (True, 1) == (len(failed.hits) > 1, len(least.hits))
    assert ([*range(1, len(heard) + 1)], 1) == ([runs for runs, _ in heard], heard[-1][1])
    assert {breach.invariant for breach in least.breaches} & {breach.invariant for breach in failed.breaches}
