"""In-process handlers: ``@on("order.paid")`` runs inside the door's transaction, for those who embed Paidup.

What a handler writes with `tx` is committed together with the payment, or not at all: exactly once, without a queue.
A handler that raises undoes its item alone; the item is tried again and in the end waits in quarantine.
"""

from collections.abc import Awaitable, Callable, Sequence

from paidup.db.transaction import Tx
from paidup.errors import ConfigError, OurError
from paidup.events import EventType
from paidup.outbox.store import Written

Handler = Callable[[Tx, Written], Awaitable[None]]


class HandlerFailed(OurError):
    """A shop's own handler raised; the message names the handler and the event."""


# The connection serves others afterwards. A transaction by itself takes back SET LOCAL only.
TIDY = "RESET ALL; UNLISTEN *; SELECT pg_advisory_unlock_all()"


class Handlers:
    """The handlers of one application, by event type, called in the order they were added."""

    def __init__(self) -> None:
        self._by_type: dict[str, list[Handler]] = {}

    def on(self, event_type: str) -> Callable[[Handler], Handler]:
        """Decorator: call this coroutine function with (tx, event) for every event of the type."""
        if event_type not in set(EventType):
            raise ConfigError(f"there is no event {event_type!r}; events are {', '.join(EventType)}")

        def add(handler: Handler) -> Handler:
            self._by_type.setdefault(event_type, []).append(handler)
            return handler

        return add

    async def call(self, tx: Tx, events: Sequence[Written]) -> None:
        """Run what is registered for these events, inside the caller's transaction."""
        calls = [(handler, event) for event in events for handler in self._by_type.get(event.type, ())]
        for handler, event in calls:
            await _call(handler, tx, event)
        if calls:
            await tx.execute(TIDY)


async def _call(handler: Handler, tx: Tx, event: Written) -> None:
    try:
        await handler(tx, event)
    except Exception as error:  # strangers' code: whatever it raises is pinned on it and on this one event
        # Lost connections, too: they may be to the shop's own warehouse, for which no other payment must wait. If it
        # is our database that went away, the next transaction says so by itself.
        name = getattr(handler, "__qualname__", repr(handler))
        raise HandlerFailed(f"handler {name} failed on {event.type} {event.id}: {error!r}") from error
