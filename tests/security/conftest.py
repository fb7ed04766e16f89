"""Tests of the API share one running Paidup per file: they refuse more than they do."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from api_side import Api, an_api, channel_keys
from merchant import merchant, world
from paidup.sandbox.keys import Keys

__all__ = ["channel_keys", "merchant", "world"]


@pytest.fixture(scope="module")
async def api(
    fresh_dsn: Callable[[], AbstractAsyncContextManager[str]],
    channel_keys: dict[str, Keys],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Api]:
    """A running Paidup without workers, the sandbox beside it, and a client with a key of the shop acme."""
    async with fresh_dsn() as dsn, an_api(dsn, tmp_path_factory.mktemp("api"), channel_keys) as running:
        yield running
