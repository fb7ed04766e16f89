"""One Paidup process of a run: every role of it, put together as app.py does, without sockets."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import msgspec
from starlette.applications import Starlette

from paidup.ask import Asker
from paidup.channels.accounts import AccountsFolder
from paidup.checkout.counter import Counter
from paidup.delivery import worker as delivery
from paidup.delivery.courier import Courier
from paidup.delivery.plan import Answer
from paidup.delivery.send import Send
from paidup.hand.desk import Desk
from paidup.handlers import Handlers
from paidup.intake import worker as intake
from paidup.intake.receive import Receiver
from paidup.reconcile import worker as reconcile
from paidup.reconcile.parties import parties_of
from paidup.reconcile.party import Party
from paidup.reconcile.rules import RuleBook
from paidup.reconcile.table import Limits as TableLimits
from paidup.repair import expire, sweep
from paidup.repair import worker as repair
from paidup.settings import Settings
from paidup.simulator.actors import Life
from paidup.simulator.channels import StagedChannels
from paidup.simulator.clock import Clock
from paidup.simulator.database import StagedDatabase
from paidup.simulator.stage import Stage
from paidup.transactions import worker as transactions
from paidup.transactions.ask import Post, Requester
from paidup.web.api import build_app
from paidup.web.callbacks import Callbacks
from paidup.web.context import Context

Hear = Callable[["Process", str, Sequence[tuple[str, str]], bytes], Awaitable[Answer]]
"""How the shop hears: from which process, at which URL, headers and body."""
JOBS = ("intake", "repair", "expiry", "delivery", "sweep", "checkout", "reconcile")
TABLE_LIMITS = TableLimits(memory_mb=64, threads=1)
"""A day has some dozen lines; with one thread they always come in the same order."""


class Limits(msgspec.Struct, frozen=True):
    """How much each round takes: small ones make many rounds, and pages."""

    intake: int = 500
    repair: int = repair.BATCH
    delivery: int = 200
    checkout: int = transactions.BATCH
    bills: int = 8


class Process:
    """All that one process holds in memory. When its life is over, it touches nothing any more."""

    def __init__(
        self,
        life: Life,
        stage: Stage,
        clock: Clock,
        *,
        db: StagedDatabase,
        channels: StagedChannels,
        accounts: AccountsFolder,
        settings: Settings,
        limits: Limits,
        rules: RuleBook,
        send: Hear,
        ask: Post,
    ) -> None:
        self.life = life
        self.landed = False
        """An attempt at the shop has ended, and waits for a round to be written down."""
        self._stage = stage
        self._limits = limits
        self._settings = settings
        self.db = db
        self._asker = Asker(channels, accounts, now_of=clock.now, deadline_s=settings.call_deadline_s)
        self._handlers = Handlers()
        self._accounts, self._rules = accounts, rules
        # Few at once, so that there is often plenty: the next are under way while the last are written down.
        self.courier = Courier(self._sender(send), per_endpoint=2, patience_s=0.0)
        requester = Requester(ask, now_of=clock.now, seconds=lambda: clock.now().timestamp())
        self.coordinator = transactions.Coordinator(requester, self._handlers, patience_s=0.0)
        receiver = Receiver(
            db, accounts, max_waiting=settings.inbox_queue, keep_per_source=settings.quarantine_per_source
        )
        self.callbacks = Callbacks(receiver, clock, max_bytes=settings.callback_max_bytes, stored=lambda: None)
        context = Context(
            db=db,
            counter=Counter(db, clock.now),
            asker=self._asker,
            accounts=accounts,
            handlers=self._handlers,
            clock=clock,
            settings=settings,
            wake=lambda: None,  # rounds come when they are due
        )
        self._context = context
        self.desk: Desk = context.desk

    @cached_property
    def api(self) -> Starlette:
        """Built when it is called first: it has a hundred routes, and most processes die before anybody calls."""
        return build_app(self._context)

    async def round(self, job: str, now: datetime) -> int:
        """One round of a job, as the supervisor runs it."""
        match job:
            case "intake":
                return await intake.run_many(self.db, now=now, limit=self._limits.intake, handlers=self._handlers)
            case "repair":
                return await self._repair(now)
            case "expiry":
                return await expire.run_once(self.db, now=now, limit=self._limits.intake, handlers=self._handlers)
            case "delivery":
                self.landed = False
                return await delivery.run_once(self.db, now=now, limit=self._limits.delivery, courier=self.courier)
            case "checkout":
                return await transactions.run_once(
                    self.db, now=now, limit=self._limits.checkout, coordinator=self.coordinator
                )
            case "reconcile":
                return await reconcile.run_once(
                    self.db, now=now, limit=self._limits.bills, parties=self.parties(), tools=self.tools()
                )
            case _:
                return await sweep.run_once(self.db, now=now - timedelta(minutes=1), limit=self._limits.intake)

    async def _repair(self, now: datetime) -> int:
        return await repair.run_once(
            self.db,
            now=now,
            limit=self._limits.repair,
            asker=self._asker,
            handlers=self._handlers,
            budget_per_s=self._settings.query_budget_per_s,
            lease=timedelta(seconds=repair.lease_s(self._settings.call_deadline_s)),
        )

    def parties(self) -> list[Party]:
        """The accounts whose bills are reconciled."""
        return parties_of(self._accounts.current.by_name.values(), self._rules)

    def tools(self) -> reconcile.Tools:
        """What reconciliation works with."""
        return reconcile.Tools(self._asker, self._handlers, TABLE_LIMITS)

    def _sender(self, send: Hear) -> Send:
        async def sender(url: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
            answer = await send(self, url, headers, body)
            self.landed = True
            return answer

        return sender


class Replied(msgspec.Struct, frozen=True):
    """What came back of a request; status 0: nothing did."""

    status: int
    body: bytes


Asgi = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]


async def request(
    app: Asgi, method: str, path: str, headers: Sequence[tuple[str, str]], body: bytes, *, source: str
) -> Replied:
    """One request to an ASGI application, in this very process."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
        "client": (source, 1), "server": ("paidup", 80),
    }  # fmt: skip
    sent: dict[str, Any] = {"status": 0, "body": b""}

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            sent["status"] = message["status"]
        elif message["type"] == "http.response.body":
            sent["body"] += message.get("body", b"")

    await app(scope, receive, send)
    return Replied(sent["status"], sent["body"])
