"""Runs in which customers pay on pages, and in which the shop opens payments by itself that outlive their orders."""

import pytest
from quick import quickest

from paidup.simulator.campaign import Theatre
from paidup.simulator.ground import Ground
from paidup.simulator.pages import PAGES_FROM, WAYS
from paidup.simulator.sale import script_of
from paidup.simulator.story import story_of

QUICK = quickest(range(PAGES_FROM, PAGES_FROM + 100))[:3]
MANY = range(PAGES_FROM, PAGES_FROM + 40)
ENDED = "SELECT channel, method, registered, state FROM payments"


@pytest.mark.parametrize("seed", QUICK)
async def test_a_page_is_paid_once_whatever_goes_wrong(stage: Theatre, seed: int) -> None:
    """No invariant is broken, among them that nobody can pay what we call closed."""
    assert () == (await stage.play(seed)).breaches


async def test_a_seed_with_pages_is_always_the_same_run(stage: Theatre) -> None:
    """Played twice, it takes the same steps in the same order and meets the same faults."""
    first, second = await stage.play(QUICK[1]), await stage.play(QUICK[1])
    assert (first.trace, first.hits) == (second.trace, second.hits)


@pytest.mark.fault
async def test_many_seeds_meet_every_way(stage: Theatre, soil: Ground) -> None:
    """Each is paid and closed, opened by us and by the shop."""
    met = set[tuple[str, str, bool, str]]()
    for seed in MANY:
        assert () == (await stage.play(seed)).breaches, seed
        met |= {tuple(row) for row in await soil.admin.fetch(ENDED)}
    ways = [(channel, method) for channel, methods in WAYS.items() for method in methods]
    expected = {(*way, mine, state) for way in ways for mine in (False, True) for state in ("paid", "closed")}
    assert set() == expected - met


def test_only_its_own_seeds_have_pages() -> None:
    """A seed that was once found to fail fails in the same way."""
    plans = [plan for seed in (*range(1, 30), *range(100_000, 100_010)) for plan in story_of(seed).plans]
    assert not any(offer.method for plan in plans for offer in plan.offers)
    assert [plan.name for plan in script_of(PAGES_FROM).plans] == [plan.name for plan in story_of(PAGES_FROM).plans]
    assert all(offer.method for plan in story_of(PAGES_FROM).plans for offer in plan.offers)
