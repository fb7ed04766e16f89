"""Sales: more buyers than units, several processes, and everything that can go wrong; afterwards no unit is lost, none
is sold twice, and none is set aside for nobody."""

from typing import NamedTuple

import pytest

from paidup.simulator.campaign import Theatre
from paidup.simulator.ground import Ground
from paidup.simulator.run import Outcome
from paidup.simulator.sale import SALES_FROM, script_of
from paidup.simulator.script import write_script

SEEDS = range(SALES_FROM + 1, SALES_FROM + 5)

COUNTERS = "SELECT available, reserved, sold FROM skus ORDER BY sku"

MOVED = "SELECT DISTINCT kind FROM stock_movements"

UNFINISHED = """
SELECT coalesce(sum(r.quantity), 0) FROM reservations r JOIN orders o ON o.id = r.order_id
WHERE o.state IN ('unpaid', 'closing')"""


class Sale(NamedTuple):
    """A sale that was played, and what the tables said afterwards."""

    outcome: Outcome
    counters: list[tuple[int, int, int]]
    unfinished: int
    moved: set[str]


@pytest.fixture(scope="session")
async def sales(stage: Theatre, soil: Ground) -> dict[int, Sale]:
    """Each seed played once."""
    played = {}
    for seed in SEEDS:
        outcome = await stage.play(seed)
        async with soil.plain.session() as tx:
            played[seed] = Sale(
                outcome,
                [tuple(row) for row in await tx.fetch(COUNTERS)],
                await tx.fetchval(UNFINISHED),
                {row["kind"] for row in await tx.fetch(MOVED)},
            )
    return played


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sale_adds_up(sales: dict[int, Sale], seed: int) -> None:
    """No invariant is broken, those of stock among them; each article's counters add up to what was put in; and only
    what a person was called for is still set aside."""
    sale, units = sales[seed], script_of(seed).hot_units
    assert () == sale.outcome.breaches
    assert [units, units] == [sum(row) for row in sale.counters]
    assert (sale.unfinished, True) == (
        sum(row[1] for row in sale.counters),
        all(min(row) >= 0 for row in sale.counters),
    )


def test_sales_meet_every_kind_of_movement(sales: dict[int, Sale]) -> None:
    """Units are set aside, sold, given up, and given back: a sale in which all goes well proves nothing."""
    assert {"reserve", "confirm", "release", "return", "restock"} == set().union(*(s.moved for s in sales.values()))


def test_the_other_seeds_are_as_they_were() -> None:
    """A seed that was once found to fail fails in the same way."""
    assert all(script_of(seed) == write_script(seed) for seed in range(1, 50))
