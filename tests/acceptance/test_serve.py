"""A server says at the start what is wrong with its database; told to end it first answers what was on its way."""

import asyncio
import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from paidup.demo.processes import Child, answering, free_port

BODY = b'{"nobody": "signed this"}'
HEAD = b"POST /callbacks/wechat/main HTTP/1.1\r\nhost: us\r\ncontent-length: %d\r\n\r\n" % len(BODY)
REQUEST = HEAD + BODY


@pytest.mark.parametrize("sent", [0, len(HEAD) // 2, len(HEAD), len(REQUEST) - 1])
async def test_a_request_on_its_way_at_sigterm_is_answered(sent: int, db_dsn: str, tmp_path: Path) -> None:
    """Wherever in the request SIGTERM falls, the rest of it is read and answered before the process ends well."""
    port = free_port()
    env = {"PAIDUP_DATABASE_URL": db_dsn, "PAIDUP_DATA": str(tmp_path)}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PAIDUP_")}
    command = [sys.executable, "-m", "paidup", "serve", "--roles=web", f"--port={port}"]
    process = await asyncio.create_subprocess_exec(*command, env=clean | env, stderr=subprocess.DEVNULL)
    try:
        await answering(port, Child("serve", (), {}, tmp_path))
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(REQUEST)  # answered once, it is a connection of the server's, not only of the kernel's
            _whole_answer(connection)
            connection.sendall(REQUEST[:sent])
            process.terminate()
            _refused_from_now_on(port)
            connection.sendall(REQUEST[sent:])
            answer = _whole_answer(connection)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        status = await process.wait()
    assert (b"HTTP/1.1 404", 0) == (answer[:12], status)


async def test_a_database_that_may_forget_is_told_at_the_start(db_dsn: str, tmp_path: Path) -> None:
    """Whoever reads the log sees what `doctor` would refuse, also when nobody runs it."""
    connection = await asyncpg.connect(db_dsn)
    await connection.execute(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$"
    )
    await connection.close()
    env = {"PAIDUP_DATABASE_URL": db_dsn, "PAIDUP_DATA": str(tmp_path), "PAIDUP_ROLES": "web", "PAIDUP_PORT": "0"}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PAIDUP_")}
    command = [sys.executable, "-m", "paidup", "serve"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, env=clean | env, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    unsafe: list[str] = []
    try:
        assert process.stdout is not None
        async for line in process.stdout:
            told = json.loads(line)
            if told["event"] == "paidup.listening":
                break
            if told["event"] == "database.unsafe":
                unsafe.append(told["topic"])
    finally:
        process.terminate()
        await process.communicate()
    assert "synchronous_commit" in unsafe


def _whole_answer(connection: socket.socket) -> bytes:
    """Head and body: the server sends them in one piece or in two."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return b"HTTP/1.1 %d " % answer.status + answer.read()


def _refused_from_now_on(port: int) -> None:
    """Return once the server has begun to end: it takes no new connections."""
    for _ in range(100_000):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return
    raise AssertionError("the server still takes connections")
