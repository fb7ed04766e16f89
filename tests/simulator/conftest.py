"""One server for all simulated runs of the tests, in a folder of its own."""

from collections.abc import AsyncIterator

import pytest

from paidup.simulator.campaign import Theatre, theatre
from paidup.simulator.ground import Ground, ground


@pytest.fixture(scope="session")
async def soil() -> AsyncIterator[Ground]:
    """The server under the runs."""
    async with ground() as made:
        yield made


@pytest.fixture(scope="session")
async def stage(soil: Ground) -> AsyncIterator[Theatre]:
    """Plays seeds."""
    async with theatre(soil) as made:
        yield made
