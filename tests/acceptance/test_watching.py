"""A real server is watched while its database goes and comes back, and while it ends."""

import asyncio
import contextlib
import http.client
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from paidup.db.embedded import start_embedded
from paidup.demo.processes import Child, answering, free_port

TOKEN = "a-token-that-prometheus-has"


@contextlib.asynccontextmanager
async def serving(dsn: str, folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """`paidup serve` with every worker; gives the process and its port."""
    port = free_port()
    ours = {"PAIDUP_DATABASE_URL": dsn, "PAIDUP_DATA": str(folder), "PAIDUP_METRICS_TOKEN": TOKEN}
    env = {name: value for name, value in os.environ.items() if not name.startswith("PAIDUP_")} | ours
    command = [sys.executable, "-m", "paidup", "serve", f"--port={port}"]
    process = await asyncio.create_subprocess_exec(*command, env=env, stderr=subprocess.DEVNULL)
    try:
        await answering(port, Child("serve", (), {}, folder))
        yield process, port
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        assert 0 == await process.wait()


def look(connection: http.client.HTTPConnection, path: str) -> tuple[int, Any]:
    connection.request("GET", path, headers={"authorization": f"Bearer {TOKEN}"})
    answer = connection.getresponse()
    body = answer.read()
    return answer.status, json.loads(body) if path != "/metrics" else body.decode()


async def until(port: int, status: int) -> Any:
    """Look at /readyz again and again until it answers so; gives what it says."""
    for _ in range(10_000):
        got = await asyncio.to_thread(once, port, "/readyz")
        if got[0] == status:
            return got[1]
    raise AssertionError(f"/readyz never answered {status}; the last answer was {got}")


def once(port: int, path: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        return look(connection, path)
    finally:
        connection.close()


async def test_a_server_whose_database_goes_is_not_ready_until_it_is_back(reachable_dir: Path, tmp_path: Path) -> None:
    """It stays alive, says what to mend, tells Prometheus, and takes traffic again by itself."""
    place = reachable_dir / "server"
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(await start_embedded(place))
        _, port = await stack.enter_async_context(serving(first.dsn, tmp_path))
        await until(port, 200)
        await first.stop()
        away = await until(port, 503)
        alive, figures = once(port, "/healthz"), once(port, "/metrics")
        await stack.enter_async_context(await start_embedded(place))
        back = await until(port, 200)
        mended = once(port, "/healthz")
    assert (False, [True], 200, {"alive": True}) == (
        away["ready"],
        ["database" in reason for reason in away["reasons"][:1]],
        *alive,
    )
    assert (200, True) == (figures[0], "paidup_database_up 0.0" in figures[1])
    assert (True, [], alive) == (back["ready"], back["reasons"], mended)


async def test_a_server_that_was_told_to_end_says_so_on_the_connections_it_has(db_dsn: str, tmp_path: Path) -> None:
    """A balancer that keeps its connection learns by its next probe that traffic should go elsewhere."""
    async with serving(db_dsn, tmp_path) as (process, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        before = look(connection, "/readyz")[0]
        process.terminate()
        after = await asyncio.to_thread(the_first_503, connection)
        connection.close()
    assert (200, True) == (before, after["reasons"][0].startswith("process: it was told to end"))


def the_first_503(connection: http.client.HTTPConnection) -> Any:
    """Probe on the same connection until it is refused; the signal reaches the server a moment after it is sent."""
    for _ in range(10_000):
        status, told = look(connection, "/readyz")
        if status == 503:
            return told
    raise AssertionError("never refused")
