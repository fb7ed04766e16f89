"""The sandbox as a server: the channels' addresses, and a control API below /sandbox/."""

import asyncio
import contextlib
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import msgspec
import uvicorn

from paidup.clock import Clock
from paidup.errors import ConfigError
from paidup.sandbox.accounts import write_accounts
from paidup.sandbox.buyers import Buyers
from paidup.sandbox.callbacks import Callbacks
from paidup.sandbox.faults import Dice, Faults
from paidup.sandbox.keys import Keys, make_keys
from paidup.sandbox.wire import Ask, Provider, Tell
from paidup.sandbox.world import Manners, World


class SandboxConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a sandbox is started. It moves no real money and guards none: keep it on the loopback address.

    port 0: any free one. accounts: one merchant account of each name at each channel; their folders are written below
    accounts_dir. patience: a factor on how long the channels wait for acknowledgements, which is real time.
    """

    accounts_dir: Path
    host: str = "127.0.0.1"
    port: int = 8500
    accounts: tuple[str, ...] = ("main",)
    paidup_url: str = "http://127.0.0.1:8400"
    shop: str = "demo"
    seed: int = 1
    faults: Faults = Faults()
    buyers: Buyers | None = None
    """None: nobody pays by himself; POST /sandbox/pay."""
    refund_s: float = 10.0
    public_key_share: float = 0.5
    patience: float = 1.0


class Ending(StrEnum):
    """How the answer to a request leaves us."""

    WHOLE = "whole"
    SILENT = "silent"  # we acted, and never answer
    BROKEN = "broken"  # we acted, and the answer breaks off


class Sandbox:
    """A world that lives by a clock: buyers come, callbacks go out, and requests are answered badly on order."""

    def __init__(self, config: SandboxConfig, clock: Clock, keys: Mapping[str, Keys]) -> None:
        dice = Dice(config.seed)
        manners = Manners(
            faults=config.faults,
            buyers=config.buyers,
            refund_s=config.refund_s,
            public_key_share=config.public_key_share,
        )
        self.world = World(keys, dice, manners, config.paidup_url)
        self.callbacks = Callbacks(clock, dice, lambda: self.faults, config.patience)
        self.counts: Counter[str] = Counter()
        self._clock = clock
        self._dice = dice
        self._wakers: set[asyncio.Task[None]] = set()
        self._wakes_at: datetime | None = None

    @property
    def faults(self) -> Faults:
        """What goes wrong from now on."""
        return self.world.manners.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self.world.manners = msgspec.structs.replace(self.world.manners, faults=faults)

    def now(self) -> datetime:
        """The sandbox's time. What was due by then has happened."""
        now = self._clock.now()
        self.world.advance(now)
        return now

    async def answer(self, ask: Ask) -> tuple[Tell, Ending]:
        """What the channel answers, and how much of it arrives."""
        now, faults = self.now(), self.faults
        provider = self.world.provider_of(ask)
        if provider is None:
            return self.world.respond(ask, now), Ending.WHOLE
        self.counts[f"{provider.channel} {_purpose(ask)}"] += 1
        mark = self._mark(provider, ask)
        if self._dice.hits(faults.fail, "fail", mark):
            self.counts["answered 5xx"] += 1
            return Tell(502, {"content-type": "text/html"}, b"<h1>502 Bad Gateway</h1>"), Ending.WHOLE
        tell = self.world.respond(ask, now)
        self.pass_on()
        if self._dice.hits(faults.hang, "hang", mark):
            self.counts["acted and never answered"] += 1
            return tell, Ending.SILENT
        if self._dice.hits(faults.drop, "drop", mark):
            self.counts["acted and broke off"] += 1
            return tell, Ending.BROKEN
        if self._dice.hits(faults.slow, "slow", mark):
            self.counts["answered slowly"] += 1
            await self._clock.sleep(faults.slow_s)
        return tell, Ending.WHOLE

    def pass_on(self) -> None:
        """Send what the merchant is to be told, and be awake when the next thing happens."""
        news, self.world.news = self.world.news, []
        for one in news:
            self.callbacks.tell(self.world.provider(one.channel, one.account), one)
        at = self.world.next_at
        if at is not None and (self._wakes_at is None or at < self._wakes_at):
            self._wakes_at = at
            waker = asyncio.create_task(self._wake(at))
            self._wakers.add(waker)
            waker.add_done_callback(self._wakers.discard)

    async def close(self) -> None:
        """No more buyers, no more callbacks."""
        for waker in tuple(self._wakers):
            waker.cancel()
        await asyncio.gather(*self._wakers, return_exceptions=True)
        await self.callbacks.close()

    async def _wake(self, at: datetime) -> None:
        await self._clock.sleep(max(0.0, (at - self._clock.now()).total_seconds()))
        if self._wakes_at == at:
            self._wakes_at = None
        self.now()
        self.pass_on()

    def _mark(self, provider: Provider, ask: Ask) -> str:
        """By what the dice know this request; counted only when they are thrown."""
        faults = self.faults
        if faults.fail or faults.hang or faults.drop or faults.slow:
            return self.world.occasion(provider, ask)
        return ""


class Running(msgspec.Struct, frozen=True):
    """A sandbox that serves."""

    sandbox: Sandbox
    base_url: str
    keys: Mapping[str, Keys]
    stopped: "asyncio.Task[None]"


@contextlib.asynccontextmanager
async def serving(
    config: SandboxConfig, clock: Clock, keys: Mapping[str, Keys] | None = None
) -> AsyncIterator[Running]:
    """Write the account folders and serve until the block ends. Raises ConfigError when the port is taken.

    keys: by the name of the account, to use instead of fresh ones (making them takes half a second).
    """
    from paidup.sandbox.http import Http, QuietServer  # noqa: PLC0415  it needs the class above

    with _listening(config.host, config.port) as listener:
        base_url = f"http://{config.host}:{listener.getsockname()[1]}"
        keys = keys or {name: make_keys(clock.now()) for name in config.accounts}
        for name, own in keys.items():
            write_accounts(
                config.accounts_dir, own, base_url=base_url, paidup_url=config.paidup_url, shop=config.shop, name=name
            )
        sandbox = Sandbox(config, clock, keys)
        server = QuietServer(
            uvicorn.Config(
                Http(sandbox), http="httptools", ws="none", lifespan="off", access_log=False, log_level="critical",
                server_header=False, date_header=False, timeout_graceful_shutdown=1,
            )
        )  # fmt: skip
        stopped = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield Running(sandbox, base_url, keys, stopped)
        finally:
            server.told.set()
            await stopped
            await sandbox.close()


async def run_sandbox(config: SandboxConfig, clock: Clock, *, ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM. `ready` is called with the base URL once it can be called."""
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_stop.set)
    async with serving(config, clock) as running:
        if ready:
            ready(running.base_url)
        asked = asyncio.create_task(asked_to_stop.wait())
        await asyncio.wait({asked, running.stopped}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that takes connections at once; they wait until the server is up."""
    # Named as TCP, or asyncio does not switch Nagle's algorithm off, and every answer waits 40 ms for an ACK.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"the sandbox cannot listen on {host}:{port} ({error.strerror}): name another port with --port"
            ) from None
        listener.listen(1024)
        yield listener


def _purpose(ask: Ask) -> str:
    if ask.path == "/gateway.do":
        return ask.query().get("method", "call")
    return f"{ask.method} {'/'.join(part for part in ask.path.split('/')[2:5] if part.isascii() and len(part) < 20)}"
