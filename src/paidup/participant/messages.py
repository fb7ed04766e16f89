"""Messages that leave exactly when the business was committed: a local table, and a relay that sends what stands there.

::

    with transaction() as cursor:
        cursor.execute("INSERT INTO reviews …")
        messages.write(cursor, "review-4711", '{"points": 50}')

    for message in messages.waiting(cursor):     # the relay, again and again
        post(message.body, idempotency_key=message.key)   # anything but 2xx: it stays, and is sent again
        messages.sent(cursor, message.key)

It is sent at least once, under the same key. Where the message must be known before the business is done, let Paidup
check back instead (`check_back` in the table of steps).
"""

from typing import Any

import msgspec

from paidup.errors import InvalidRequest
from paidup.participant.dialect import MAX_KEY_CHARS, Dialect
from paidup.participant.speak import Speak, drive, drive_async


class Message(msgspec.Struct, frozen=True):
    """A row of `paidup_messages` that waits."""

    key: str
    body: str


class Messages:
    """The local message table."""

    def __init__(self, dialect: Dialect) -> None:
        self._put = dialect.insert_unless_there("paidup_messages", "idem_key", "body", "sent")
        waiting = "FROM paidup_messages WHERE sent = 0 ORDER BY at, idem_key LIMIT ?"
        self._open = dialect.sql(f"SELECT idem_key, body {waiting}")
        self._close = dialect.sql("UPDATE paidup_messages SET sent = 1 WHERE idem_key = ?")

    def write(self, cursor: Any, key: str, body: str) -> None:
        """In the transaction of the business. Writing it again under the same key changes nothing."""
        drive(cursor, self._write(key, body))

    async def write_async(self, connection: Any, key: str, body: str) -> None:
        """The same through asyncpg."""
        await drive_async(connection, self._write(key, body))

    def waiting(self, cursor: Any, limit: int = 100) -> list[Message]:
        """What has not been sent, oldest first."""
        return drive(cursor, self._waiting(limit))

    async def waiting_async(self, connection: Any, limit: int = 100) -> list[Message]:
        """The same through asyncpg."""
        return await drive_async(connection, self._waiting(limit))

    def sent(self, cursor: Any, key: str) -> None:
        """The receiver has it."""
        drive(cursor, self._sent(key))

    async def sent_async(self, connection: Any, key: str) -> None:
        """The same through asyncpg."""
        await drive_async(connection, self._sent(key))

    def _write(self, key: str, body: str) -> Speak[None]:
        if not 1 <= len(key) <= MAX_KEY_CHARS:
            raise InvalidRequest(f"a key has 1 to {MAX_KEY_CHARS} characters")
        yield self._put, (key, body, 0)

    def _waiting(self, limit: int) -> Speak[list[Message]]:
        rows = yield self._open, (limit,)
        return [Message(*row) for row in rows]

    def _sent(self, key: str) -> Speak[None]:
        yield self._close, (key,)
