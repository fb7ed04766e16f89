"""A server that is told to end first answers what was on its way to it."""

import asyncio
import contextlib
import http.client
import os
import socket
import subprocess
import sys
from pathlib import Path

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
