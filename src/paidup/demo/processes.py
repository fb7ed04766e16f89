"""Child processes of the demo: started, killed and ended by their own id, each with a log file."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from paidup.errors import OurError

END_WITHIN_S = 20


class Child:
    """One `paidup …` process."""

    def __init__(self, name: str, args: Sequence[str], env: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self._args = args
        self._env = {key: value for key, value in os.environ.items() if not key.startswith("PAIDUP_")} | dict(env)
        self.log = folder / f"{name}.log"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process id; 0 before it was started."""
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        """Start it; what it says goes to its log file."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "paidup", *self._args, env=self._env, stdout=log, stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which ends its children in order
            )  # fmt: skip

    async def kill(self) -> None:
        """SIGKILL: it gets no chance to finish anything."""
        if self._process and self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()
        self._process = None

    async def end(self) -> None:
        """SIGTERM, and SIGKILL when it does not end in time."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(END_WITHIN_S):
                await self._process.wait()
        except TimeoutError:
            await self.kill()

    def must_live(self) -> None:
        """Raises OurError with the end of its log when it has ended by itself."""
        if self._process and self._process.returncode is not None:
            said = self.log.read_text(errors="replace")[-2000:]
            raise OurError(f"{self.name} ended with {self._process.returncode}; {self.log} ends with:\n{said}")


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def answering(port: int, child: Child, within_s: float = 30) -> None:
    """Wait until something listens on the port. Raises OurError when the child ends or the time is over."""
    for _ in range(int(within_s / 0.05)):
        child.must_live()
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        return
    raise OurError(f"{child.name} does not listen on port {port} after {within_s:.0f} s; see {child.log}")
