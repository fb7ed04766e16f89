"""How a worker learns of work that another process wrote: LISTEN and NOTIFY, one connection per process.

A notice only ends a rest early. Work is found by its row, whether or not a notice came: workers look every few seconds
as well, and ask the database when the next row is due. So notices may be lost, doubled or merged.

They are sent after the commit, merged, by the connection that also listens, and not inside the transaction that wrote
the work. A commit with a NOTIFY holds a lock that all databases of the server share until it is on the disk, so that
commits no longer overlap. This connection's own commits write nothing and wait for no disk.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg

from paidup.clock import SystemClock
from paidup.db.transaction import Database

if TYPE_CHECKING:
    from asyncpg import Record

CHANNEL = "paidup_work"
MERGED_S = 0.025
"""Notices to the same workers are at least so far apart."""
BEAT_S = 30.0
"""How often the connection is tried while nothing is said: a network may drop it without a word."""
_WITHIN_S = 10.0
_MAX_PAYLOAD_CHARS = 200

# Nothing is lost with a notice, so that its commit need not wait for the disk; and what the server allows others is not
# meant for it. Not told with the connection: a pooler would refuse that.
_SET_SESSION = "SET synchronous_commit = off; SET idle_session_timeout = 0"

NOTIFY = f"SELECT pg_notify('{CHANNEL}', $1)"

# When a worker that found nothing to do has to look again. Each is one look into an index.
NEXT_INTAKE = "SELECT min(available_at) FROM inbox_queue WHERE state <> 'poisoned'"

NEXT_REPAIR = "SELECT min(due_at) FROM due"

NEXT_EXPIRY = """
SELECT least(
  (SELECT o.expires_at FROM orders o
   WHERE o.state = 'unpaid' AND (SELECT l.again_at FROM late_expiries l WHERE l.order_id = o.id) IS NULL
   ORDER BY o.expires_at LIMIT 1),
  (SELECT min(again_at) FROM late_expiries))"""

NEXT_BILL = """
SELECT least((SELECT min(due_at) FROM bill_fetches WHERE state = 'waiting'),
  (SELECT min(work_at) FROM bills WHERE work_at IS NOT NULL),
  (SELECT min(ask_at) FROM breaks WHERE ask_at IS NOT NULL AND state IN ('waiting', 'open')))"""

NEXT_TRANSACTION = "SELECT min(due_at) FROM transactions"

NEXT_DELIVERY = """
SELECT least(
  (SELECT min(created_at) FROM outbox_queue),
  (SELECT min(greatest(d.due_at, e.paused_until))
   FROM endpoints e
   CROSS JOIN LATERAL (SELECT due_at FROM deliveries WHERE endpoint_id = e.id AND head ORDER BY due_at LIMIT 1) d
   WHERE e.enabled))"""


def next_of(db: Database, query: str) -> Callable[[], Awaitable[datetime | None]]:
    """Asks when the next row of a kind is due; None when there is none."""

    async def ask() -> datetime | None:
        found: datetime | None = await db.read(query)
        return found

    return ask


class Wakeups:
    """One process's ears and mouth. `heard` is called with the name of each worker for whom another process has work.

    The supervisor calls `run_once` again and again: it connects, and connects again with the supervisor's back-off.
    `lost` is called when something is to be said or the connection broke, so that the next round comes at once.
    """

    def __init__(
        self, dsn: str, names: Sequence[str], *, heard: Callable[[str], None], lost: Callable[[], None]
    ) -> None:
        self._dsn = dsn
        self._names = frozenset(names)
        self._heard = heard
        self._lost = lost
        self._connection: asyncpg.Connection[Record] | None = None
        self._pid = 0
        self._to_say: set[str] = set()
        self._clock = SystemClock()

    def tell(self, *names: str) -> None:
        """Workers of these names, in other processes, have work: it is committed. Returns at once."""
        if self._to_say.issuperset(names):
            return  # under load this is every time but some
        fresh = not self._to_say
        self._to_say.update(names)
        if fresh:
            self._lost()

    async def run_once(self, _now: datetime) -> int:
        """Connect if need be, and say what is to be said. Raises what asyncpg raises when the database is away."""
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = await self._listen()
        if not self._to_say:
            await connection.execute("SELECT 1", timeout=_WITHIN_S)
            return 0
        await self._say(connection)
        await self._clock.sleep(MERGED_S)
        return 1 if self._to_say else 0

    async def aclose(self) -> None:
        """Say what is left to say, and hang up."""
        connection, self._connection = self._connection, None
        if connection is None or connection.is_closed():
            return
        connection.remove_termination_listener(self._broken)
        try:
            if self._to_say:
                await self._say(connection)
            await connection.close(timeout=_WITHIN_S)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.terminate()

    async def _say(self, connection: "asyncpg.Connection[Record]") -> None:
        names, self._to_say = self._to_say, set()
        await connection.execute(NOTIFY, ",".join(sorted(names)), timeout=_WITHIN_S)

    async def _listen(self) -> "asyncpg.Connection[Record]":
        connection = await asyncpg.connect(
            self._dsn, timeout=_WITHIN_S, server_settings={"application_name": "paidup wake-ups"}
        )
        await connection.execute(_SET_SESSION)
        self._pid = await connection.fetchval("SELECT pg_backend_pid()")  # a pooler greets with a number of its own
        await connection.add_listener(CHANNEL, self._notified)
        connection.add_termination_listener(self._broken)
        self._connection = connection
        for name in self._names:  # nobody knows what was said while we did not listen
            self._heard(name)
        return connection

    def _notified(self, _connection: Any, pid: int, _channel: str, payload: object) -> None:
        if self._connection is None or pid == self._pid:
            return  # our own workers were woken when we spoke
        for name in self._names.intersection(str(payload)[:_MAX_PAYLOAD_CHARS].split(",")):
            self._heard(name)

    def _broken(self, _connection: Any) -> None:
        self._lost()
