"""Runs with people who do by hand what takes two of them: nothing is one person's deed, and nothing is done twice."""

import pytest

from paidup.simulator.campaign import Theatre
from paidup.simulator.check_office import APPROVALS, REPAIRS
from paidup.simulator.ground import Ground
from paidup.simulator.office import OFFICE_FROM
from paidup.simulator.sale import script_of
from paidup.simulator.story import story_of
from paidup.simulator.undertakings import SERVICES_FROM, with_services

QUICK = sorted(range(OFFICE_FROM, OFFICE_FROM + 100), key=lambda seed: len(story_of(seed).plans))[:4]
MANY = range(OFFICE_FROM, OFFICE_FROM + 40)
AGREED = "SELECT break_id, count(DISTINCT who) AS people FROM break_approvals GROUP BY 1"


@pytest.mark.parametrize("seed", QUICK)
async def test_two_people_agree_whatever_goes_wrong(stage: Theatre, seed: int) -> None:
    """No invariant is broken, those of what takes two people among them."""
    assert () == (await stage.play(seed)).breaches


async def test_a_seed_with_an_office_is_always_the_same_run(stage: Theatre) -> None:
    """Played twice, it takes the same steps in the same order and meets the same faults."""
    first, second = await stage.play(QUICK[1]), await stage.play(QUICK[1])
    assert (first.trace, first.hits) == (second.trace, second.hits)


@pytest.mark.fault
async def test_many_seeds_meet_every_answer(stage: Theatre, soil: Ground) -> None:
    """Requests are agreed to, refused, and left; differences are repaired with two people's word, and without."""
    ends, repaired = set[tuple[str, str]](), set[bool]()
    for seed in MANY:
        assert () == (await stage.play(seed)).breaches, seed
        ends |= {(row["action"], row["state"]) for row in await soil.admin.fetch(APPROVALS)}
        people = {row["break_id"]: row["people"] for row in await soil.admin.fetch(AGREED)}
        repaired |= {people.get(row["break_id"], 0) > 1 for row in await soil.admin.fetch(REPAIRS)}
    expected = {(action, state) for action in ("refund", "confirm") for state in ("waiting", "approved", "refused")}
    assert (expected, {True, False}) == (ends, repaired)


def test_only_its_own_seeds_have_an_office() -> None:
    """A seed that was once found to fail fails in the same way."""
    others = (*range(1, 30), *range(100_000, 100_010), *range(SERVICES_FROM, SERVICES_FROM + 10))
    assert all(story_of(seed) == with_services(seed, script_of(seed)) for seed in others)
    assert None is not story_of(OFFICE_FROM).office
