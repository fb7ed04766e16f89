"""The sandbox as a server: the channels' addresses, and a control API below /sandbox/."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from paidup.clock import Clock
from paidup.errors import ConfigError, InvalidRequest
from paidup.sandbox import alipay, stripe, wechat
from paidup.sandbox.accounts import write_accounts
from paidup.sandbox.alipay import Alipay
from paidup.sandbox.buyers import Buyers, pays_after_s, scans
from paidup.sandbox.callbacks import Callbacks
from paidup.sandbox.faults import Dice, Faults
from paidup.sandbox.keys import Keys, make_keys
from paidup.sandbox.ledger import Ledger, Refund, Trade
from paidup.sandbox.stripe import Stripe
from paidup.sandbox.wechat import Wechat
from paidup.sandbox.wire import Ask, Tell

MAX_BODY_BYTES = 256 << 10

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class SandboxConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a sandbox is started. It listens on the loopback address only: it moves no real money, and guards none."""

    port: int = 8500
    accounts_dir: Path
    paidup_url: str = "http://127.0.0.1:8400"
    shop: str = "demo"
    seed: int = 1
    faults: Faults = Faults()
    buyers: Buyers | None = None
    """None: nobody pays by himself; POST /sandbox/pay."""


class Sandbox:
    """The channels, their ledger, and what goes wrong."""

    def __init__(self, config: SandboxConfig, clock: Clock, keys: Keys) -> None:
        self._config = config
        self._clock = clock
        self._dice = Dice(config.seed)
        self.faults = config.faults
        self.ledger = Ledger(clock)
        self.callbacks = Callbacks(clock, self._dice, lambda: self.faults)
        self.counts: Counter[str] = Counter()
        self._channels: dict[str, Wechat | Alipay | Stripe] = {
            wechat.NAME: Wechat(keys.wechat, self.ledger, clock, self._dice),
            alipay.NAME: Alipay(keys.alipay, self.ledger, clock, self._dice),
            stripe.NAME: Stripe(keys.stripe, self.ledger, clock, self._dice),
        }
        self._buyers: set[asyncio.Task[None]] = set()

    async def answer(self, ask: Ask) -> Tell | None:
        """What the channel answers; None: it acted, and never answers."""
        name = _channel_of(ask.path)
        if name is None:
            return Tell(404, {"content-type": "text/plain"}, b"neither WeChat Pay, nor Alipay, nor Stripe")
        self.counts[f"{name} {_purpose(ask)}"] += 1
        faults, mark = self.faults, f"{ask.method}{ask.target}{ask.body!r}{sum(self.counts.values())}"
        if self._dice.hits(faults.fail, "fail", mark):
            self.counts["answered 5xx"] += 1
            return Tell(502, {"content-type": "text/html"}, b"<h1>502 Bad Gateway</h1>")
        tell, changed = self._channels[name].respond(ask)
        if isinstance(changed, Trade) and changed.state == "waiting":
            self._expect_buyer(changed)
        elif changed is not None:
            self._changed(name, changed)
        if self._dice.hits(faults.hang, "hang", mark):
            self.counts["acted and never answered"] += 1
            return None
        if self._dice.hits(faults.slow, "slow", mark):
            self.counts["answered slowly"] += 1
            await self._clock.sleep(faults.slow_s)
        return tell

    def pay(self, trade: Trade) -> bool:
        """A buyer pays now; the merchant is told."""
        if not self.ledger.pay(trade):
            return False
        self._tell(trade)
        return True

    def find(self, channel: str, merchant_ref: str) -> Trade:
        """A trade by the merchant's number. Raises InvalidRequest."""
        trade = self.ledger.find(channel, merchant_ref, merchant_ref)
        if trade is None:
            raise InvalidRequest(f"{channel} has no trade {merchant_ref}")
        return trade

    def dispute(self, trade: Trade, says: str) -> None:
        """The buyer's bank disputes (Stripe): opened, won or lost."""
        trade.dispute = says
        self._tell(trade)

    def refund_fails(self, trade: Trade, merchant_ref: str) -> None:
        """A refund that succeeded comes back."""
        refund = trade.refunds[merchant_ref]
        refund.state, refund.settled_at = "failed", self._clock.now()
        self._tell(trade, refund)

    def resend(self, trade: Trade) -> None:
        """Send the callback of a paid trade again, as from the channel's console."""
        self._tell(trade)

    @property
    def buyers_waiting(self) -> int:
        """Buyers who will still pay by themselves."""
        return len(self._buyers)

    async def close(self) -> None:
        """No more buyers, no more callbacks."""
        for task in tuple(self._buyers):
            task.cancel()
        await self.callbacks.close()

    def _expect_buyer(self, trade: Trade) -> None:
        if self._config.buyers is None:
            trade.seen_at = trade.opened_at
            return
        after_s = pays_after_s(self._config.buyers, self._dice, trade)
        if after_s is None:
            return
        scans(trade, after_s)
        task = asyncio.create_task(self._buyer(trade, after_s))
        self._buyers.add(task)
        task.add_done_callback(self._buyers.discard)

    async def _buyer(self, trade: Trade, after_s: float) -> None:
        await self._clock.sleep(after_s)
        self.pay(trade)

    def _changed(self, name: str, changed: Trade | Refund) -> None:
        if isinstance(changed, Trade):
            if name == stripe.NAME:  # the only one of the three that tells of a close
                self._tell(changed)
            return
        trade = next(t for t in self.ledger.trades() if changed.merchant_ref in t.refunds)
        self._tell(trade, changed)

    def _tell(self, trade: Trade, refund: Refund | None = None) -> None:
        url = trade.extra.get("notify_url") or f"{self._config.paidup_url}/callbacks/{trade.channel}/main"
        retries_s = {wechat.NAME: wechat.RETRIES_S, alipay.NAME: alipay.RETRIES_S, stripe.NAME: stripe.RETRIES_S}
        self.callbacks.tell(self._channels[trade.channel], retries_s[trade.channel], url, trade, refund)


def _channel_of(path: str) -> str | None:
    for prefix, name in (("/v3/", wechat.NAME), ("/gateway.do", alipay.NAME), ("/v1/", stripe.NAME)):
        if path.startswith(prefix):
            return name
    return None


def _purpose(ask: Ask) -> str:
    if ask.path == "/gateway.do":
        return ask.query().get("method", "call")
    return f"{ask.method} {'/'.join(part for part in ask.path.split('/')[2:5] if part.isascii() and len(part) < 20)}"


async def run_sandbox(config: SandboxConfig, clock: Clock, *, ready: Callable[[str], None] | None = None) -> None:
    """Write the account folders, serve until SIGINT or SIGTERM. `ready` is called with the base URL."""
    from paidup.sandbox.control import Control  # noqa: PLC0415  it needs the class above

    base_url = f"http://127.0.0.1:{config.port}"
    keys = make_keys(clock.now())
    write_accounts(config.accounts_dir, keys, base_url=base_url, paidup_url=config.paidup_url, shop=config.shop)
    sandbox = Sandbox(config, clock, keys)
    control = Control(sandbox)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        ask = await _read(scope, receive)
        tell = await control.answer(ask) if ask.path.startswith("/sandbox/") else await sandbox.answer(ask)
        if tell is None:
            await clock.sleep(86_400)  # far past every deadline; the merchant hangs up first
            return
        headers = [(name.encode(), value.encode()) for name, value in tell.headers.items()]
        headers.append((b"content-length", str(len(tell.body)).encode()))
        await send({"type": "http.response.start", "status": tell.status, "headers": headers})
        await send({"type": "http.response.body", "body": tell.body})

    server = uvicorn.Server(
        uvicorn.Config(
            application, host="127.0.0.1", port=config.port, loop="uvloop", http="httptools", ws="none",
            lifespan="off", access_log=False, log_level="warning", timeout_graceful_shutdown=1,
        )
    )  # fmt: skip
    if ready:
        ready(base_url)
    try:
        await server.serve()
    finally:
        await sandbox.close()


async def _read(scope: Scope, receive: Receive) -> Ask:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_BODY_BYTES:
            raise ConfigError(f"a request to the sandbox has at most {MAX_BODY_BYTES} bytes")
    query = scope["query_string"]
    raw = scope["raw_path"] + (b"?" + query if query else b"")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Ask(scope["method"], raw.decode("latin-1"), headers, bytes(body))
