"""A data folder that is copied while its server runs."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from paidup.db.embedded import start_embedded
from paidup.errors import ConfigError


async def test_a_folder_that_was_copied_while_it_ran_is_no_folder_of_its_own(reachable_dir: Path) -> None:
    """Such a copy is not whole: it is refused, and told whose copy it is, while the original goes on."""
    original, copy = reachable_dir / "original", reachable_dir / "copy"
    async with await start_embedded(original) as server:
        await asyncio.to_thread(subprocess.run, ["cp", "-a", original, copy], check=True)
        with pytest.raises(ConfigError, match=r"was copied from .*original.* while the server ran"):
            await start_embedded(copy)
        assert (await server.status()).running
