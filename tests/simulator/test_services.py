"""Runs with transactions across services: whatever goes wrong, each ends or has a person, and nothing is half."""

from collections import Counter

import pytest

from paidup.simulator.agree import STEPS, TRANSACTIONS
from paidup.simulator.campaign import Theatre
from paidup.simulator.fates import KINDS
from paidup.simulator.ground import Ground
from paidup.simulator.sale import script_of
from paidup.simulator.story import story_of
from paidup.simulator.undertakings import SERVICES_FROM, TABLES

QUICK = sorted(range(SERVICES_FROM, SERVICES_FROM + 60), key=lambda seed: len(story_of(seed).plans))[:4]
MANY = range(SERVICES_FROM, SERVICES_FROM + 60)
ENDS = {
    "gift": {"DONE", "COMPENSATED"},
    "checkout": {"DONE", "COMPENSATED", "MANUAL"},
    "both": {"CONFIRMED", "CANCELLED"},
    "paid": {"CONFIRMED", "CANCELLED", "MANUAL"},
    "points-first": {"DONE", "COMPENSATED", "MANUAL"},
    "message": {"DONE", "COMPENSATED", "MANUAL"},
}
"""How those of each table may end: only what has passed its pivot, or races a payment, may wait for a person."""


@pytest.mark.parametrize("seed", QUICK)
async def test_services_agree_whatever_goes_wrong(stage: Theatre, seed: int) -> None:
    """Order, payment, stock, transaction and services: no invariant is broken."""
    assert () == (await stage.play(seed)).breaches


async def test_a_seed_with_services_is_always_the_same_run(stage: Theatre) -> None:
    """Played twice, it takes the same steps in the same order and meets the same faults."""
    first, second = await stage.play(QUICK[3]), await stage.play(QUICK[3])
    assert (first.trace, first.hits) == (second.trace, second.hits)


async def test_without_faults_only_businesses_say_no(stage: Theatre, soil: Ground) -> None:
    """Nothing is stuck but what had passed its pivot, or was told to be undone, when a service had none left."""
    outcome = await stage.play(QUICK[-1], only=frozenset())
    assert ((), ()) == (outcome.hits, outcome.breaches)


@pytest.mark.fault
async def test_many_seeds_meet_every_end_and_every_fault(stage: Theatre, soil: Ground) -> None:
    """Transactions of each table end in each way in which they may, after every kind of fault."""
    ends, faults, steps = dict[str, set[str]](), Counter[str](), set[str]()
    for seed in MANY:
        outcome = await stage.play(seed)
        assert () == outcome.breaches, seed
        faults += outcome.counts
        for row in await soil.admin.fetch(TRANSACTIONS):
            ends.setdefault(row["name"], set()).add(row["state"])
        steps |= {row["state"] for row in await soil.admin.fetch(STEPS)}
    assert [] == [kind for kind in KINDS if kind.startswith("service") and not faults[kind]]
    assert [] == [(name, end) for name in TABLES for end in ENDS[name] - ends[name]]
    assert {"done", "undone", "refused", "confirmed", "waiting"} <= steps


def test_the_other_seeds_are_as_they_were() -> None:
    """A seed that was once found to fail fails in the same way."""
    assert all(story_of(seed) == script_of(seed) for seed in (*range(1, 50), *range(100_000, 100_010)))
