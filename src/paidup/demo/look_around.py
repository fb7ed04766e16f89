"""After the verdict everything stays up for people to look around: from another shell, and in the console."""

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from paidup.clock import parse_clock
from paidup.demo.world import World
from paidup.people import sessions
from paidup.people import store as users
from paidup.people.user import Role


async def stay(world: World) -> None:
    """Keep everything running until Ctrl-C."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)  # what is broken over two lines cannot be copied
    console.print(
        f"\nEverything stays up until Ctrl-C. The API is at {world.web_url}/docs (key {world.shop.api_key}), "
        f"the sandbox at {world.sandbox_url}/sandbox/summary.\nTo look around from another shell:"
    )
    console.print(to_look_around(world.env | {"PAIDUP_PUBLIC_URL": world.web_url}))
    console.print("The console, signed in as its admin by this link, once, within half an hour:", style="bold")
    console.print(await _sign_in_link(world))
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stopped.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    console.print(f"ending process {os.getpid()} and its children …")


def to_look_around(env: Mapping[str, str]) -> str:
    """What another shell types to use these settings: `paidup` is found, and every command knows this world's accounts,
    files and clock."""
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in env.items())
    return f"  export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH\n  export {settings}"


async def _sign_in_link(world: World) -> str:
    """An admin of the console, and a link that signs them in once."""
    clock = parse_clock(world.env["PAIDUP_CLOCK"])
    async with world.db.transaction() as tx:
        await users.add(tx, "demo", Role.ADMIN, clock.now())
        token = await sessions.make_link(tx, "demo", clock.now(), rate=clock.rate)
    return f"{world.web_url}/console/link?token={token}"
