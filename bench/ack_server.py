"""One server process of the acknowledgement bench: `python -m bench.ack_server MODE FOLDER DSN CLOCK PORT`.

ours: the callback route as `paidup serve --roles web` runs it. verify: the same without a database. single: the same
with one transaction per request. typical: what people write (bench/typical.py).
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn

from bench.typical import typical
from bench.world import DISTINCT
from paidup.app import Paidup
from paidup.cli.serve import calm_collector
from paidup.intake import inbox
from paidup.settings import Settings, load


class _NoDatabase:
    """The ceiling: everything but making it durable."""

    async def put(self, row: inbox.Received) -> None:
        """Nothing."""

    async def close(self) -> None:
        """Nothing."""


class _OneByOne:
    """The peer: the same statement, a transaction of its own for each request."""

    def __init__(self, paidup: Paidup) -> None:
        self._db = paidup.db

    async def put(self, row: inbox.Received) -> None:
        """Durable when it returns."""
        await self._db.write(inbox.STORE, *inbox.columns([row]))

    async def close(self) -> None:
        """Nothing."""


def ours(mode: str, settings: Settings) -> Any:
    """The ASGI application of the modes ours, verify and single."""
    paidup: Any = Paidup(settings)  # the peers stand on its inside

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await paidup(scope, receive, send)
            return
        await receive()
        await paidup.start()
        calm_collector()
        swap: Any = {"verify": _NoDatabase, "single": lambda: _OneByOne(paidup)}.get(mode)
        if swap:
            paidup.receiver._inbox = swap()
        if mode == "verify":
            paidup._callbacks._stored = lambda: None  # nothing was: nobody is woken
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await paidup.stop()
        await send({"type": "lifespan.shutdown.complete"})

    return application


def main(arguments: Sequence[str]) -> None:
    """Serve until SIGTERM."""
    mode, folder, dsn, clock, port = arguments
    settings = load(
        {
            "PAIDUP_DATABASE_URL": dsn,
            "PAIDUP_DATA": folder,
            "PAIDUP_ACCOUNTS": str(Path(folder) / "accounts"),
            "PAIDUP_ROLES": "web",
            "PAIDUP_CLOCK": clock,
        }
    )
    if mode in ("typical", "log_only"):
        application = typical(settings, log_only=mode == "log_only", orders=DISTINCT)
    else:
        application = ours(mode, settings)
    uvicorn.run(
        application, host="127.0.0.1", port=int(port), loop="uvloop", http="httptools", ws="none", lifespan="on",
        access_log=False, log_level="error", server_header=False,
    )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
