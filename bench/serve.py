"""Real `paidup serve` processes on the bench's database."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.ack import listening
from bench.world import World
from paidup.demo.processes import free_port

_END_WITHIN_S = 20


class Serving:
    """`paidup serve` with these roles; leaving ``async with`` ends it. profile: sample where its time goes."""

    def __init__(self, world: World, roles: str, *, profile: bool = False) -> None:
        self.roles = roles
        self.port = free_port()
        self._profile = world.folder / f"profile-{self.port}.txt" if profile else None
        self._log = world.folder / f"serve-{self.port}.log"
        self._env = {name: value for name, value in os.environ.items() if not name.startswith("PAIDUP_")} | {
            "PAIDUP_DATABASE_URL": world.embedded.dsn,
            "PAIDUP_DATA": str(world.folder),
            "PAIDUP_ACCOUNTS": str(world.folder / "accounts"),
            "PAIDUP_PORT": str(self.port),
            "PAIDUP_ROLES": roles,
            "PAIDUP_ALLOW_LOOPBACK_ENDPOINTS": "true",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.profile = ""
        """Where its time went; known after it ended."""

    async def __aenter__(self) -> Self:
        command = ["bench.profiled", str(self._profile)] if self._profile else ["paidup"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command, "serve"],
                env=self._env, cwd=Path(__file__).parents[1], stdout=log, stderr=log,
            )  # fmt: skip
        await listening(self.port)
        return self

    async def __aexit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._profile and self._profile.exists():
            self.profile = self._profile.read_text()

    def sample(self) -> None:
        """Begin to look where the time goes."""
        os.kill(self.pid, signal.SIGUSR1)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid
