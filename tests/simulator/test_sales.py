"""Sales: more buyers than units, several processes, and everything that can go wrong; afterwards no unit is lost, none
is sold twice, and none is set aside for nobody."""

from collections import Counter

import pytest

from paidup.simulator.campaign import Theatre
from paidup.simulator.ground import Ground
from paidup.simulator.sale import SALES_FROM, script_of
from paidup.simulator.script import write_script

SEEDS = range(SALES_FROM, SALES_FROM + 8)

COUNTERS = "SELECT available, reserved, sold FROM skus ORDER BY sku"

MOVED = "SELECT kind, count(*) FROM stock_movements GROUP BY kind"

UNFINISHED = """
SELECT coalesce(sum(r.quantity), 0) FROM reservations r JOIN orders o ON o.id = r.order_id
WHERE o.state IN ('unpaid', 'closing')"""


async def kinds_of(soil: Ground) -> Counter[str]:
    async with soil.plain.session() as tx:
        return Counter({row["kind"]: row["count"] for row in await tx.fetch(MOVED)})


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_sale_adds_up(stage: Theatre, soil: Ground, seed: int) -> None:
    """No invariant is broken, those of stock among them; each article's counters add up to what was put in; and only
    what a person was called for is still set aside."""
    outcome = await stage.play(seed)
    assert () == outcome.breaches
    async with soil.plain.session() as tx:
        counters = [tuple(row) for row in await tx.fetch(COUNTERS)]
        unfinished = await tx.fetchval(UNFINISHED)
    units = script_of(seed).hot_units
    assert [units, units] == [sum(row) for row in counters]
    assert (unfinished, True) == (sum(row[1] for row in counters), all(min(row) >= 0 for row in counters))


async def test_sales_meet_every_kind_of_movement(stage: Theatre, soil: Ground) -> None:
    """Units are set aside, sold, given up, and given back: a sale in which all goes well proves nothing."""
    met: Counter[str] = Counter()
    for seed in SEEDS:
        await stage.play(seed)
        met += await kinds_of(soil)
    assert {"reserve", "confirm", "release", "return", "restock"} == set(met)


def test_the_other_seeds_are_as_they_were() -> None:
    """A seed that was once found to fail fails in the same way."""
    assert all(script_of(seed) == write_script(seed) for seed in range(1, 50))
