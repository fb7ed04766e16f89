"""Messages that leave exactly when the business was committed: a local table, and a relay that sends what stands there.

::

    with transaction() as cursor:
        cursor.execute("INSERT INTO reviews …")
        messages.write(cursor, "review-4711", '{"points": 50}')

    for message in messages.waiting(cursor):     # the relay, again and again, where each statement is committed at once
        if post(message.body, idempotency_key=message.key):   # anything but 2xx: it stays, and is sent again
            messages.sent(cursor, message.key)

It is sent at least once, under the same key. One that the receiver never takes stays, is sent again each time, and
holds up no other. Where the message must be known before the business is done, let Paidup check back instead
(`check_back` in the table of steps).
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec

from paidup.participant.dialect import Dialect, check_key
from paidup.participant.speak import Speak, drive, drive_async


class Message(msgspec.Struct, frozen=True):
    """A row of `paidup_messages` that waits."""

    key: str
    body: str


class Messages:
    """The local message table."""

    def __init__(self, dialect: Dialect) -> None:
        self._put = dialect.insert_unless_there("paidup_messages", "idem_key", "body", "sent")
        self._open = dialect.sql(
            "SELECT seq, idem_key, body FROM paidup_messages WHERE sent = 0 AND seq > ? ORDER BY seq LIMIT ?"
        )
        self._close = dialect.sql("UPDATE paidup_messages SET sent = 1 WHERE idem_key = ?")

    def write(self, cursor: Any, key: str, body: str) -> None:
        """In the transaction of the business. Writing it again under the same key changes nothing."""
        drive(cursor, self._write(key, body))

    async def write_async(self, connection: Any, key: str, body: str) -> None:
        """The same through asyncpg."""
        await drive_async(connection, self._write(key, body))

    def waiting(self, cursor: Any, page: int = 100) -> Iterator[Message]:
        """All that has not been sent, in the order in which it was written; so many are read at a time."""
        after = 0
        while rows := drive(cursor, self._waiting(after, page)):
            yield from (Message(key, body) for _, key, body in rows)
            after = rows[-1][0]

    async def waiting_async(self, connection: Any, page: int = 100) -> AsyncIterator[Message]:
        """The same through asyncpg."""
        after = 0
        while rows := await drive_async(connection, self._waiting(after, page)):
            for _, key, body in rows:
                yield Message(key, body)
            after = rows[-1][0]

    def sent(self, cursor: Any, key: str) -> None:
        """The receiver has it."""
        drive(cursor, self._sent(key))

    async def sent_async(self, connection: Any, key: str) -> None:
        """The same through asyncpg."""
        await drive_async(connection, self._sent(key))

    def _write(self, key: str, body: str) -> Speak[None]:
        check_key(key)
        yield self._put, (key, body, 0)

    def _waiting(self, after: int, page: int) -> Speak[list[tuple[int, str, str]]]:
        rows: list[tuple[int, str, str]] = yield self._open, (after, page)
        return rows

    def _sent(self, key: str) -> Speak[None]:
        yield self._close, (key,)
