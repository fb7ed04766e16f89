"""What a participant does outside of its database (a parcel label, an e-mail): intent, call, outcome.

::

    reply = barrier.run(cursor, call, {Operation.ACTION: intends})      # intends: effects.intend(cursor, call.key, …)
    …                                                                   # commit
    effect = effects.intend(cursor, call.key, "label for order 4711")   # what stands there; commit
    if not effect.is_settled:
        answer = carrier.make_label(idempotency_key=call.key)            # no transaction is open
        effects.settle(cursor, call.key, "done", answer)                 # and commit; only then answer 200

The barrier comes first: a label that was made before it would stay where the undoing was quicker.
Whoever dies in between leaves an intent without an outcome: `unsettled` finds it, and the call is made again under the
same key, which the other side must know to do only once. A side that knows no keys must be asked first.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec

from paidup.errors import InvalidRequest
from paidup.participant.dialect import Dialect, check_key
from paidup.participant.speak import Speak, drive, drive_async

INTENDED, DONE, FAILED = "intended", "done", "failed"


class Effect(msgspec.Struct, frozen=True):
    """A row of `paidup_effects`."""

    key: str
    what: str
    outcome: str
    answer: str

    @property
    def is_settled(self) -> bool:
        """Its outcome is known."""
        return self.outcome != INTENDED


class Effects:
    """Writes down what is about to be done outside, and what came of it."""

    def __init__(self, dialect: Dialect) -> None:
        self._put = dialect.insert_unless_there("paidup_effects", "idem_key", "what", "outcome", "answer")
        columns = "idem_key, what, outcome, answer"
        self._get = dialect.sql(f"SELECT {columns} FROM paidup_effects WHERE idem_key = ?")
        its = f"FROM paidup_effects WHERE outcome = '{INTENDED}' AND seq > ? ORDER BY seq LIMIT ?"
        self._open = dialect.sql(f"SELECT seq, {columns} {its}")
        # The first outcome stands: whoever comes late with another one learns which.
        self._settle = dialect.sql(
            f"UPDATE paidup_effects SET outcome = ?, answer = ? WHERE idem_key = ? AND outcome = '{INTENDED}'"
        )

    def intend(self, cursor: Any, key: str, what: str) -> Effect:
        """Write down that it is about to be done, unless it is; commit before you do it."""
        return drive(cursor, self._intend(key, what))

    async def intend_async(self, connection: Any, key: str, what: str) -> Effect:
        """The same through asyncpg."""
        return await drive_async(connection, self._intend(key, what))

    def settle(self, cursor: Any, key: str, outcome: str, answer: str) -> Effect:
        """Write down what came of it ("done" or "failed"); gives what stands there."""
        return drive(cursor, self._settled(key, outcome, answer))

    async def settle_async(self, connection: Any, key: str, outcome: str, answer: str) -> Effect:
        """The same through asyncpg."""
        return await drive_async(connection, self._settled(key, outcome, answer))

    def unsettled(self, cursor: Any, page: int = 100) -> Iterator[Effect]:
        """All that was begun, and has no outcome, oldest first; so many are read at a time."""
        after = 0
        while rows := drive(cursor, self._unsettled(after, page)):
            yield from (Effect(*row) for _, *row in rows)
            after = rows[-1][0]

    async def unsettled_async(self, connection: Any, page: int = 100) -> AsyncIterator[Effect]:
        """The same through asyncpg."""
        after = 0
        while rows := await drive_async(connection, self._unsettled(after, page)):
            for _, *row in rows:
                yield Effect(*row)
            after = rows[-1][0]

    def _intend(self, key: str, what: str) -> Speak[Effect]:
        check_key(key)
        yield self._put, (key, what, INTENDED, "")
        return (yield from self._effect(key))

    def _settled(self, key: str, outcome: str, answer: str) -> Speak[Effect]:
        if outcome not in (DONE, FAILED):
            raise InvalidRequest(f"an effect is {DONE} or {FAILED}, not {outcome[:40]!r}")
        yield self._settle, (outcome, answer, key)
        return (yield from self._effect(key))

    def _effect(self, key: str) -> Speak[Effect]:
        rows = yield self._get, (key,)
        if not rows:
            raise InvalidRequest(f"{key} was never intended: call intend, and commit, before the deed")
        return Effect(*rows[0])

    def _unsettled(self, after: int, page: int) -> Speak[list[tuple[Any, ...]]]:
        rows: list[tuple[Any, ...]] = yield self._open, (after, page)
        return rows
