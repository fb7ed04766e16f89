"""In-process handlers: ``@on("order.paid")`` runs inside the door's transaction, for those who embed Paidup.

What a handler writes with `tx` is committed together with the payment, or not at all: exactly once, without a queue.
A handler that raises undoes its item alone; the item is tried again and in the end waits in quarantine.

The database remembers which handlers the application started with, so that no process without them leaves them out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime

import asyncpg

from paidup.db.transaction import SET_SESSION, Tx
from paidup.errors import ConfigError, HandlersMissing, OurError
from paidup.events import EventType
from paidup.outbox.store import Written

Handler = Callable[[Tx, Written], Awaitable[None]]


class HandlerFailed(OurError):
    """A shop's own handler raised; the message names the handler and the event."""


_OF_DAYS = "reconcile."

# The connection serves others afterwards. A transaction by itself takes back SET LOCAL only.
TIDY = f"RESET ALL; {SET_SESSION}; UNLISTEN *; SELECT pg_advisory_unlock_all()"

REMEMBER = """
INSERT INTO application (event_types, handlers, started_at) VALUES ($1, $2, $3)
ON CONFLICT (only_one) DO UPDATE
SET event_types = EXCLUDED.event_types, handlers = EXCLUDED.handlers, started_at = EXCLUDED.started_at"""

FORGET = "DELETE FROM application RETURNING handlers"

MISSED = "SELECT handlers FROM application WHERE $1::text[] IS NULL OR event_types && $1"


class Handlers:
    """The handlers of one application, by event type, called in the order they were added."""

    def __init__(self) -> None:
        self._by_type: dict[str, list[Handler]] = {}

    def on(self, event_type: str) -> Callable[[Handler], Handler]:
        """Decorator: call this coroutine function with (tx, event) for every event of the type."""
        if event_type not in set(EventType):
            raise ConfigError(f"there is no event {event_type!r}; events are {', '.join(EventType)}")
        if event_type.startswith(_OF_DAYS):
            raise ConfigError(f"{event_type} is told to endpoints only: no order changes in its transaction")

        def add(handler: Handler) -> Handler:
            self._by_type.setdefault(event_type, []).append(handler)
            return handler

        return add

    async def call(self, tx: Tx, events: Sequence[Written]) -> None:
        """Run what is registered for these events, inside the caller's transaction."""
        if events and not self._by_type:
            await _must_not_be_missed(tx, [event.type for event in events])
        calls = [(handler, event) for event in events for handler in self._by_type.get(event.type, ())]
        for handler, event in calls:
            await _call(handler, tx, event)
        if calls:
            await _tidy(tx, {_name(handler) for handler, _ in calls})

    async def introduce(self, tx: Tx, now: datetime) -> None:
        """Remember these handlers, in place of the ones before. Raises HandlersMissing when these are none, and others
        are remembered."""
        if not self._by_type:
            await _must_not_be_missed(tx, None)
            return
        names = [_name(handler) for handlers in self._by_type.values() for handler in handlers]
        await tx.execute(REMEMBER, list(self._by_type), names, now)


async def forget(tx: Tx) -> list[str]:
    """The application has no handlers any more; returns what it had."""
    return list(await tx.fetchval(FORGET) or ())


async def _must_not_be_missed(tx: Tx, event_types: Sequence[str] | None) -> None:
    missed = await tx.fetchval(MISSED, event_types)
    if missed:
        raise HandlersMissing(
            f"an application embeds Paidup here, and its handlers ({', '.join(missed)}) would be left out; name its "
            "Paidup object, such as PAIDUP_APP=shop.main:paidup, or run `paidup db forget-handlers` if it has none now"
        )


def _name(handler: Handler) -> str:
    named = getattr(handler, "__qualname__", repr(handler))
    return f"{getattr(handler, '__module__', '?')}:{named}"


async def _tidy(tx: Tx, names: Iterable[str]) -> None:
    """Raises HandlerFailed when one of them caught an error of the database and went on: PostgreSQL had given up the
    transaction, and with it the neighbours' work. Their batch is halved until that handler's event stands alone."""
    try:
        await tx.execute(TIDY)
    except asyncpg.InFailedSQLTransactionError as error:
        raise HandlerFailed(
            f"a handler ({', '.join(sorted(names))}) caught an error of the database, which gives up the whole "
            "transaction; ask before the statement fails (ON CONFLICT DO NOTHING), or let the error out"
        ) from error


async def _call(handler: Handler, tx: Tx, event: Written) -> None:
    try:
        await handler(tx, event)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise _failure(handler, event, error) from error  # only what it waited for was cancelled, not the round
    except Exception as error:  # strangers' code: whatever it raises is pinned on it and on this one event
        # Lost connections, too: they may be to the shop's own warehouse, for which no other payment must wait. If it
        # is our database that went away, the next transaction says so by itself.
        raise _failure(handler, event, error) from error


def _failure(handler: Handler, event: Written, error: BaseException) -> HandlerFailed:
    name = getattr(handler, "__qualname__", repr(handler))
    return HandlerFailed(f"handler {name} failed on {event.type} {event.id}: {error!r}")
