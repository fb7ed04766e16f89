"""The only place where parts are put together: one Paidup, embedded in an application or run by `paidup serve`."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

from paidup import housekeeping, log
from paidup.ask import Asker
from paidup.channels.accounts import AccountsFolder
from paidup.clock import Clock, parse_clock
from paidup.db.migrate import migrate
from paidup.db.open import open_with_server
from paidup.delivery import courier
from paidup.errors import ConfigError
from paidup.handlers import Handler, Handlers
from paidup.intake.receive import Receiver
from paidup.jobs import Jobs
from paidup.metrics.exporter import Exporter
from paidup.metrics.process import Vitals
from paidup.reconcile import worker as reconcile
from paidup.reconcile.parties import parties_of
from paidup.reconcile.party import Party
from paidup.reconcile.rules import read_rules
from paidup.reconcile.table import Limits as TableLimits
from paidup.resilience.breaker import State as BreakerState
from paidup.settings import Settings, load
from paidup.spans.tell import Spans
from paidup.supervisor import Supervisor
from paidup.transactions import worker as transactions
from paidup.transactions.ask import Requester
from paidup.wakeups import Wakeups
from paidup.web.callbacks import PREFIX, Callbacks, Receive, Scope, Send

START_PATIENCE_S = 60
"""A server that starts together with its database, or while that recovers from a crash, waits for it."""


if TYPE_CHECKING:
    from paidup.channels.http import ChannelHttp
    from paidup.delivery.send import Sender

_WORKERS = ("intake", "repair", "delivery", "checkout")
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class Paidup:
    """A running Paidup: ``async with Paidup() as paidup`` starts it, and it is an ASGI
    application, to be served or mounted.

    In-process handlers are added before it starts::

        paidup = Paidup()

        @paidup.on("order.paid")
        async def ship(tx, event): ...
    """

    def __init__(self, settings: Settings | None = None, handlers: Handlers | None = None) -> None:
        self.settings = settings or load()
        self.clock: Clock = parse_clock(self.settings.clock)
        self.handlers = handlers or Handlers()
        self._stack = AsyncExitStack()
        self._asgi: Callable[[Scope, Receive, Send], Awaitable[None]] | None = None
        self._callbacks: Callbacks | None = None
        self._supervisor: Supervisor | None = None
        self.vitals = Vitals()
        self.spans: Spans | None = None

    def on(self, event_type: str) -> Callable[[Handler], Handler]:
        """Decorator: run this coroutine function with (tx, event) inside the door's transaction."""
        return self.handlers.on(event_type)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Connect, migrate, and begin the roles of the settings. Raises ConfigError naming what is wrong, and
        HandlersMissing when the database knows of an application's handlers and we have none."""
        settings = self.settings
        opened = open_with_server(settings, patience_s=START_PATIENCE_S)
        self.db, self._server = await self._stack.enter_async_context(opened)
        await migrate(self.db)
        if set(settings.roles) - {"delivery"}:  # a command without roles is held back at the door, if it goes there
            async with self.db.transaction() as tx:
                await self.handlers.introduce(tx, self.clock.now())
        await housekeeping.run_once(self.db, now=self.clock.now())
        self.accounts = AccountsFolder(settings.accounts)
        self._trace()
        self.http, to_endpoints, to_participants = _clients(allow_loopback=settings.allow_loopback_endpoints)
        for close in (self.http.aclose, to_endpoints.aclose, to_participants.aclose):
            self._stack.push_async_callback(close)
        self.asker = Asker(self.http, self.accounts, now_of=self.clock.now, deadline_s=settings.call_deadline_s)
        self.courier = courier.Courier(to_endpoints, lease=courier.LEASE * self.clock.rate, spans=self.spans)
        self._stack.push_async_callback(self.courier.aclose)
        self.coordinator = transactions.Coordinator(
            Requester(to_participants, now_of=self.clock.now), self.handlers, lease=transactions.LEASE * self.clock.rate
        )
        self._stack.push_async_callback(self.coordinator.aclose)
        self.receiver = Receiver(
            self.db,
            self.accounts,
            max_waiting=settings.inbox_queue,
            keep_per_source=settings.quarantine_per_source,
        )
        self._stack.push_async_callback(self.receiver.close)
        self._wakeups = Wakeups(self.db.dsn, settings.roles, heard=self._heard, lost=lambda: self._heard("wakeups"))
        self._stack.push_async_callback(self._wakeups.aclose)
        self._supervisor = Supervisor(self._jobs().of_roles(), self.clock)
        self.vitals = self._vitals(self._supervisor)
        self._supervisor.start()
        self._stack.push_async_callback(self._supervisor.stop)
        self._web(self._exporter() if settings.metrics_token else None)
        log.info("paidup.started", roles=",".join(settings.roles), accounts=len(self.accounts.current.by_name))

    def drain(self) -> None:
        """Say from now on that we are not ready: whoever sends us traffic should send it elsewhere."""
        self.vitals.draining = True

    async def stop(self) -> None:
        """Finish what was begun, then close everything in the reverse order."""
        self.drain()
        await self._stack.aclose()
        log.info("paidup.stopped")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The web side: a Paidup is an ASGI application. Callbacks take the short way."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if self._callbacks is None or self._asgi is None:
            raise ConfigError("Paidup is not started: use `async with paidup:` around your application's lifetime")
        if scope["type"] == "http" and path.startswith(PREFIX):
            await self._callbacks(scope, receive, send)
        else:
            await self._asgi(scope, receive, self._counted(send))
            if scope["type"] == "http" and scope["method"] not in _READS:
                self.wake(*_WORKERS)

    def _counted(self, send: Send) -> Send:
        async def counted(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self.vitals.answered("api", message["status"])
            await send(message)

        return counted

    def wake(self, *roles: str) -> None:
        """There is committed work for these workers, here or in other processes: they need not wait to find it."""
        for role in roles:
            self._heard(role)
        elsewhere = [role for role in roles if role not in self.settings.roles]
        if elsewhere:
            self._wakeups.tell(*elsewhere)

    def _heard(self, job: str) -> None:
        if self._supervisor:
            self._supervisor.wake(job)

    def _trace(self) -> None:
        """Open the way to the tracing system, if there is to be one; whoever embeds us may have brought their own."""
        if self.spans is None and self.settings.traces:
            self.spans = Spans(now_of=self.clock.now)
        if self.spans:
            self._stack.push_async_callback(asyncio.to_thread, self.spans.close)

    def _vitals(self, supervisor: Supervisor) -> Vitals:
        return Vitals(
            queues=self.receiver.queues,
            beats=supervisor.beats.values(),
            verdicts=self.receiver.counts.items,
            channel_breakers=lambda: (
                (account.channel, account.name, self.http.breaker(account).state is not BreakerState.CLOSED)
                for account in self.accounts.current.by_name.values()
            ),
            endpoint_breakers=lambda: self.courier.unwell,
        )

    def _exporter(self) -> Exporter:
        exporter = Exporter(
            self.db, self.vitals, now_of=self.clock.now, accounts_of=lambda: list(self.accounts.current.by_name)
        )
        self._stack.push_async_callback(exporter.aclose)
        return exporter

    def _web(self, exporter: Exporter | None) -> None:
        from starlette.routing import Mount  # noqa: PLC0415  workers without the web role do not load these

        from paidup.checkout.counter import Counter  # noqa: PLC0415
        from paidup.console.app import build_console  # noqa: PLC0415
        from paidup.oidc.provider import Provider  # noqa: PLC0415
        from paidup.web.api import build_app  # noqa: PLC0415
        from paidup.web.context import Context  # noqa: PLC0415
        from paidup.web.upload import Uploads  # noqa: PLC0415

        self._callbacks = Callbacks(
            self.receiver,
            self.clock,
            max_bytes=self.settings.callback_max_bytes,
            stored=self._stored,
            vitals=self.vitals,
            spans=self.spans,
        )
        counter = Counter(self.db, self.clock.now)
        self._stack.push_async_callback(counter.close)
        provider = Provider.of(self.settings)
        if provider:
            self._stack.push_async_callback(provider.aclose)
        context = Context(
            db=self.db,
            counter=counter,
            asker=self.asker,
            accounts=self.accounts,
            handlers=self.handlers,
            clock=self.clock,
            settings=self.settings,
            wake=lambda: self.wake(*_WORKERS),
            vitals=self.vitals,
            exporter=exporter,
            spans=self.spans,
            provider=provider,
            uploads=Uploads(self.settings.upload_max_mb << 20, self.settings.reconcile_spill),
        )
        self._asgi = build_app(context, [Mount("/console", build_console(context))])

    def _stored(self) -> None:
        """Called for each callback: as little as possible."""
        if "intake" in self.settings.roles:
            self._heard("intake")
        else:
            self._wakeups.tell("intake")

    def _jobs(self) -> Jobs:
        return Jobs(
            db=self.db,
            server=self._server,
            settings=self.settings,
            clock=self.clock,
            handlers=self.handlers,
            accounts=self.accounts,
            asker=self.asker,
            courier=self.courier,
            coordinator=self.coordinator,
            wakeups=self._wakeups,
            spans=self.spans,
            wake=self.wake,
            woken_late=self._woken_late,
            parties=self.parties,
            tools=self.reconcile_tools,
        )

    def _woken_late(self, by_s: float) -> None:
        self.vitals.woken_late(by_s)

    def parties(self) -> list[Party]:
        """The accounts whose bills are reconciled, with their rules. Raises ConfigError when the rules are wrong."""
        rules = read_rules(self.settings.reconcile_rules or self.settings.data / "reconcile.toml")
        return parties_of(self.accounts.current.by_name.values(), rules)

    def reconcile_tools(self) -> reconcile.Tools:
        """What reconciliation works with."""
        limits = TableLimits(memory_mb=self.settings.reconcile_memory_mb)
        return reconcile.Tools(self.asker, self.handlers, limits, self.settings.reconcile_spill)


def _clients(*, allow_loopback: bool) -> "tuple[ChannelHttp, Sender, Sender]":
    """Who calls channels, endpoints and participants. Their library is loaded by those who start, not who import."""
    from paidup.channels.http import ChannelHttp  # noqa: PLC0415
    from paidup.delivery.send import Sender  # noqa: PLC0415

    return ChannelHttp(), Sender(allow_loopback=allow_loopback), Sender(allow_loopback=allow_loopback)


async def _lifespan(receive: Receive, send: Send) -> None:
    """Whoever embeds us starts and stops us with ``async with``; the server's lifespan asks nothing of us."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
