"""The embedded PostgreSQL that ended by itself: who starts it again, and who does not."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from test_embedded import _ask, _kill, _pid, _start_owner

from paidup.db.embedded import Embedded, start_embedded
from paidup.db.embedded_server import has_ended
from paidup.errors import ConfigError

LOOKS = 1000


async def test_a_server_that_runs_is_left_alone(reachable_dir: Path) -> None:
    """Looking at it changes nothing."""
    async with await start_embedded(reachable_dir / "data") as server:
        before = await server.status()
        assert (False, before) == (await server.revive(), await server.status())


async def test_a_killed_server_is_started_again_with_what_was_committed(reachable_dir: Path) -> None:
    """At the same place, so that whoever was connected comes back."""
    async with await start_embedded(reachable_dir / "data") as server:
        dsn = server.dsn
        await _ask(server, "create table paid as select 1250 as amount_minor")
        await kill(server)
        assert (True, dsn) == (await server.revive(), server.dsn)
        assert [(1250,)] == [tuple(row) for row in await _ask(server, "select * from paid")]


async def test_who_attached_leaves_it_to_the_owner_while_there_is_one(reachable_dir: Path) -> None:
    """Two must not start it at once; when the owner has died, too, whoever looks first starts it and owns it."""
    owner, _ = _start_owner(reachable_dir / "data")
    async with await start_embedded(reachable_dir / "data") as attached:
        await kill(attached)
        assert (False, False) == (await attached.revive(), (await attached.status()).running)
        _kill(owner)
        assert (True, True) == (await attached.revive(), attached.owned)
        assert (await attached.status()).running


async def test_a_server_that_cannot_start_says_why(reachable_dir: Path) -> None:
    """And is started once that is mended."""
    async with await start_embedded(reachable_dir / "data") as server:
        await kill(server)
        control = server.home / "cluster" / "global" / "pg_control"
        control.rename(control.with_name("elsewhere"))
        with pytest.raises(ConfigError, match="did not start"):
            await server.revive()
        control.with_name("elsewhere").rename(control)
        assert await server.revive()


async def kill(server: Embedded) -> None:
    """As the system does when memory runs out; a killed process needs a moment to be gone."""
    os.kill(await _pid(server), signal.SIGKILL)
    for _ in range(LOOKS):
        if has_ended(server._server):
            return
        await asyncio.sleep(0.01)
