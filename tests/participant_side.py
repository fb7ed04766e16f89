"""A service that takes part in transactions: real HTTP on loopback, a database of its own, and mischief on order.

What it does is written down without any key that would hide a repeat: whoever acts twice has two rows.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any

from aiohttp import web

from paidup.participant import SQLITE, Barrier, Call, Operation, Refused, read_call

_ACTS = (Operation.ACTION, Operation.TRY)
_UNDOES = (Operation.COMPENSATE, Operation.CANCEL)


class Mischief(StrEnum):
    """What becomes of one request."""

    NONE = "none"
    REFUSE = "refuse"  # the business says no
    SILENCE = "silence"  # it is not heard, and never answered
    ACT_AND_SILENCE = "act_and_silence"  # done, and never answered
    ACT_AND_ABORT = "act_and_abort"  # done, and the connection breaks
    ACT_AND_500 = "act_and_500"  # done, and an error is answered
    ERROR = "error"  # 500, and nothing was done
    BUSY = "busy"  # 503, and nothing was done
    TWICE = "twice"  # a proxy sends it twice; the second answer is given
    ANSWER_TWICE = "answer_twice"  # two answers to one request, on one connection
    LATE = "late"  # never answered, and done when the test says so: after what came meanwhile


Plan = Callable[[Call, int], Mischief]


class Service:
    """One participant. `plan` decides, request by request (the n-th of its key, from 0), what becomes of it."""

    def __init__(self, name: str, now: Callable[[], datetime]) -> None:
        self.name = name
        self.now = now
        self.secret = ""
        self.url = ""
        self.plan: Plan = lambda _call, _n: Mischief.NONE
        self.retry_after = ""
        self.got: list[Call] = []
        self.late: list[Call] = []
        self.keys: Counter[str] = Counter()
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        for table in SQLITE.tables:
            self.db.execute(table)
        self.db.execute("CREATE TABLE deeds (xid text, operation text)")
        self.barrier = Barrier(SQLITE)

    async def take(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = read_call(headers, await request.read(), [self.secret], self.now())
        self.got.append(call)
        n, self.keys[call.key] = self.keys[call.key], self.keys[call.key] + 1
        mischief = self.plan(call, n)
        if mischief in (Mischief.ERROR, Mischief.BUSY):
            asks = {"Retry-After": self.retry_after} if self.retry_after else {}
            return web.Response(status=500 if mischief is Mischief.ERROR else 503, headers=asks)
        if mischief is Mischief.LATE:
            self.late.append(call)
        if mischief in (Mischief.SILENCE, Mischief.LATE):
            return await _silence()
        if mischief is Mischief.TWICE:
            self.act(call)
        status, body = self.act(call, refuses=mischief is Mischief.REFUSE)
        if mischief is Mischief.ACT_AND_SILENCE:
            return await _silence()
        if mischief is Mischief.ACT_AND_ABORT and request.transport:
            request.transport.abort()
        if mischief is Mischief.ACT_AND_500:
            return web.Response(status=500)
        if mischief is Mischief.ANSWER_TWICE and request.transport:
            request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        return web.Response(status=status, body=body, content_type="application/json")

    def act(self, call: Call, *, refuses: bool = False) -> tuple[int, bytes]:
        """Barrier and business in one transaction, as the documentation shows it."""

        def work(cursor: sqlite3.Cursor, call: Call) -> dict[str, str]:
            cursor.execute("INSERT INTO deeds VALUES (?, ?)", (call.xid, call.operation))
            if refuses:
                raise Refused("there is none left")
            return {"by": self.name}

        cursor = self.db.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        reply = self.barrier.run(cursor, call, dict.fromkeys(Operation, work))
        cursor.execute("COMMIT")
        return reply.status, reply.body

    def deliver_late(self) -> None:
        """What was held back arrives now."""
        late, self.late = self.late, []
        for call in late:
            self.act(call)

    def deeds(self, xid: str) -> list[str]:
        """What was done in the name of a transaction, in order."""
        rows = self.db.execute("SELECT operation FROM deeds WHERE xid = ? ORDER BY rowid", (xid,))
        return [str(row[0]) for row in rows]

    def left(self, xid: str) -> int:
        """How much of it is left: acts less undoings."""
        deeds = self.deeds(xid)
        return sum(deed in _ACTS for deed in deeds) - sum(deed in _UNDOES for deed in deeds)


async def _silence() -> web.StreamResponse:
    """Until the caller hangs up, which cancels the handler."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError("nothing ends this but cancelling")


async def serve(service: Service) -> web.AppRunner:
    """On any free port of loopback; the caller cleans up, and with the server the service's database goes."""

    async def close(_app: web.Application) -> None:
        service.db.close()

    app = web.Application()
    app.on_cleanup.append(close)
    app.router.add_post("/{path:.*}", service.take)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address: Any = runner.addresses[0]
    service.url = f"http://127.0.0.1:{address[1]}/{service.name}"
    return runner
