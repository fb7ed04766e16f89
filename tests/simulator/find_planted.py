"""Which seed catches which planted defect: `python tests/simulator/find_planted.py --write` writes the page anew."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from planted import DEFECTS, Defect, is_noticed
from quick import worth_a_try

from paidup.simulator.campaign import Theatre, theatre
from paidup.simulator.outcome import Outcome

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "planted-defects.md"
HEAD = """\
# Planted defects

A simulator that finds nothing proves nothing, unless it finds what is there. So each of these mistakes, which people
really write, is planted into the product for one run at a time (`tests/simulator/planted.py`), and the seeds must find
it (`tests/simulator/test_it_bites.py`; some in `make test`, all in `make fault`). Seeds with few orders are tried,
then those in which little else goes wrong, {bound} in all, or 60 in which the fault that it takes is frequent; mistakes
about transactions across services are looked for in the seeds from 300,000 on, first where a few orders meet the most
trouble with services; those about what takes two people in the seeds from 200,000 on, those about pages in those
from 400,000 on. A defect that only trips over its own code does not count. The same seed without the defect holds.

Found on {date}; of {count} planted defects {caught} are caught. `python tests/simulator/find_planted.py --write` looks
for them anew. Where a seed has become another run since, the test plays others.

| planted defect | caught by seed | tried | what was broken |
| --- | --- | --- | --- |
"""


async def caught(stage: Theatre, defect: Defect, seeds: list[int]) -> tuple[int, Outcome | None]:
    """How many seeds were played until one failed that holds without the defect, and that one; None when all held."""
    for n, seed in enumerate(seeds, 1):
        with pytest.MonkeyPatch.context() as patch:
            defect.plant(patch)
            outcome = await stage.play(seed)
        if is_noticed(outcome) and (await stage.play(seed)).holds:
            return n, outcome
    return len(seeds), None


async def main() -> None:
    wanted, rows, found = sys.argv[1:], [], 0
    names = [name for name in wanted if not name.startswith("-")]
    async with theatre() as stage:
        for defect in DEFECTS:
            if names and defect.plant.__name__ not in names:
                continue
            tried, outcome = await caught(stage, defect, worth_a_try(defect.first, defect.needs))
            seed, broken = (outcome.seed, outcome.breaches[0].invariant) if outcome else ("none", "")
            found += outcome is not None
            rows.append(f"| {defect.what} | {seed} | {tried} | {broken} |")
            print(rows[-1], flush=True)
    if "--write" in wanted:
        head = HEAD.format(
            bound=len(worth_a_try()), date=f"{datetime.now(UTC):%Y-%m-%d}", count=len(rows), caught=found
        )
        PAGE.write_text(head + "\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
