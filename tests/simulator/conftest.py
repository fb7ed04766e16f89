"""One server for all simulated runs of the tests, in a folder of its own."""

from collections.abc import AsyncIterator

import pytest

from paidup.simulator.campaign import Theatre, theatre


@pytest.fixture(scope="session")
async def stage() -> AsyncIterator[Theatre]:
    """Plays seeds."""
    async with theatre() as made:
        yield made
