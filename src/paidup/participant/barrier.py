"""The barrier: in one transaction with the business, so that a request counts once, in whatever order it comes.

- duplicate: what was answered is answered again, and nothing is done a second time;
- null compensation: what never acted is not undone, and it is remembered that it was to be;
- hanging: a request to act that comes after its undoing is refused.

One row in `paidup_barrier` per xid, step and slot (forward, confirm, back). Whoever writes the row first decides: an
undoing that finds no forward row writes it, blocked, so that a late forward request finds it there. A row's outcome is
`begun` until the business has ended, so that one that was committed without its business is never taken for a deed.
"""

from collections.abc import Awaitable, Callable, Generator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from paidup import ids
from paidup.errors import BrokenPromise, InvalidRequest
from paidup.participant.call import Call, Operation
from paidup.participant.dialect import MAX_NAME_CHARS, SQLITE, Dialect
from paidup.participant.speak import Speak, drive, drive_async

Business = Callable[[Any, Call], object]
"""What one operation does, with the cursor (or connection) of the transaction; what it returns is answered as JSON."""

FORWARD, CONFIRM, BACK = "forward", "confirm", "back"
BEGUN, DONE, REFUSED, BLOCKED = "begun", "done", "refused", "blocked"
_ACTS = (Operation.ACTION, Operation.TRY)
_UNDOES = (Operation.COMPENSATE, Operation.CANCEL)


class Entry(StrEnum):
    """What the barrier says of a request."""

    FRESH = "fresh"  # do it
    DUPLICATE = "duplicate"  # it was answered before; the same is answered again
    NULL = "null"  # nothing was done, so nothing is to be undone
    HANGING = "hanging"  # it was undone, or denied, before it came
    MISPLACED = "misplaced"  # it cannot follow what was done before: a mistake of the coordinator, or of a person
    REPORT = "report"  # only asked about


class _Row(NamedTuple):
    """A row of the barrier, locked until the transaction ends."""

    writer: str
    placed_by: str
    outcome: str
    answer: str
    is_ours: bool = False


class Refused(Exception):
    """Raised by the business: it will not, and nothing was done. What it had written is taken back."""


class Reply(NamedTuple):
    """What to answer: HTTP status and JSON body. 200: done; 409: refused."""

    status: int
    body: bytes
    entry: Entry


class Barrier:
    """Lets each request into a database once."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._place = dialect.insert_unless_there(
            "paidup_barrier", "xid", "step", "slot", "placed_by", "writer", "outcome", "answer"
        )
        where = "FROM paidup_barrier WHERE xid = ? AND step = ?"
        self._look = dialect.sql(f"SELECT writer, placed_by, outcome, answer {where} AND slot = ?{dialect.lock}")
        self._all = dialect.sql(f"SELECT slot, outcome {where}")
        its = "WHERE xid = ? AND step = ? AND slot = ?"
        self._end = dialect.sql(f"UPDATE paidup_barrier SET outcome = ?, answer = ? {its}")

    def run(self, cursor: Any, call: Call, business: Mapping[Operation, Business]) -> Reply:
        """Answer a request through a DB-API cursor, inside of a transaction that the caller commits.

        Whatever the business raises, but Refused, is raised: roll back, and answer 500; it is asked again.
        """
        entered = drive(cursor, self._enter(call))
        if isinstance(entered, Reply):
            return entered
        work = _work(business, call)
        drive(cursor, _savepoint("SAVEPOINT"))
        try:
            answer = work(cursor, call)
        except Refused as refusal:
            return drive(cursor, self._refused(call, str(refusal)))
        return drive(cursor, self._done(call, answer))

    async def run_async(
        self, connection: Any, call: Call, business: Mapping[Operation, Callable[[Any, Call], Awaitable[object]]]
    ) -> Reply:
        """The same through an asyncpg connection, inside of a transaction; the business is awaited."""
        entered = await drive_async(connection, self._enter(call))
        if isinstance(entered, Reply):
            return entered
        work = _work(business, call)
        await drive_async(connection, _savepoint("SAVEPOINT"))
        try:
            answer = await work(connection, call)
        except Refused as refusal:
            return await drive_async(connection, self._refused(call, str(refusal)))
        return await drive_async(connection, self._done(call, answer))

    def _enter(self, call: Call) -> Speak[Reply | None]:
        """None: do the business. Otherwise what to answer."""
        if max(len(call.xid), len(call.step)) > MAX_NAME_CHARS:
            raise InvalidRequest(f"xid and step have at most {MAX_NAME_CHARS} characters")
        if call.operation in _ACTS:
            return (yield from self._enter_forward(call))
        if call.operation in _UNDOES:
            return (yield from self._enter_back(call))
        if call.operation is Operation.CONFIRM:
            return (yield from self._enter_confirm(call))
        if call.operation is Operation.CHECK:
            return (yield from self._check(call))
        rows = yield self._all, (call.xid, call.step)
        return _reply(200, Entry.REPORT, {row[0]: row[1] for row in rows})

    def _enter_forward(self, call: Call) -> Speak[Reply | None]:
        row = yield from self._placed(call, FORWARD, BEGUN)
        if row.is_ours:
            return None
        if row.outcome == BLOCKED:
            return _no(Entry.HANGING, f"it was ended by {row.placed_by} before it came")
        return _again(row)

    def _enter_back(self, call: Call) -> Speak[Reply | None]:
        forward = yield from self._placed(call, FORWARD, BLOCKED)  # locked: a confirmation waits for our commit
        if (yield from self._found(call, CONFIRM)):
            return _no(Entry.MISPLACED, "it was confirmed: it cannot be taken back any more")
        row = yield from self._placed(call, BACK, BEGUN if forward.outcome == DONE else DONE)
        if not row.is_ours:
            return _again(row)
        return None if forward.outcome == DONE else _reply(200, Entry.NULL, {"nothing": "it was never done"})

    def _enter_confirm(self, call: Call) -> Speak[Reply | None]:
        tried = yield from self._found(call, FORWARD)
        if tried is None or tried.outcome != DONE:
            return _no(Entry.MISPLACED, "nothing was tried that could be confirmed")
        if (yield from self._found(call, BACK)):
            return _no(Entry.MISPLACED, "it was cancelled: it cannot be confirmed any more")
        row = yield from self._placed(call, CONFIRM, BEGUN)
        return None if row.is_ours else _again(row)

    def _check(self, call: Call) -> Speak[Reply | None]:
        row = yield from self._placed(call, FORWARD, BLOCKED)
        if row.outcome == BLOCKED:
            return _no(Entry.NULL, "it was not done, and never will be")
        return _again(row)

    def _placed(self, call: Call, slot: str, outcome: str) -> Speak["_Row"]:
        """Ours, or the one that was there. How many rows an insert changed, drivers count in more than one way."""
        writer = ids.new_secret(16).hex()
        yield self._place, (call.xid, call.step, slot, str(call.operation), writer, outcome, "")
        row = yield from self._found(call, slot, writer)
        if row is None:
            raise BrokenPromise(f"{call.xid} {call.step} {slot} was placed, and cannot be seen: is it READ COMMITTED?")
        return row._replace(is_ours=row.writer == writer)

    def _found(self, call: Call, slot: str, writer: str = "") -> Speak["_Row | None"]:
        """Nobody else ever sees what has only begun, unless the row was committed without the business."""
        rows = yield self._look, (call.xid, call.step, slot)
        row = next((_Row(*row) for row in rows), None)
        if row is not None and row.outcome == BEGUN and row.writer != writer:
            raise BrokenPromise(
                f"{call.xid} {call.step} {slot} has begun and not ended: barrier and business are not one transaction "
                "(does the connection commit by itself?). If it was done, write so as its outcome; else delete the row"
            )
        return row

    def _done(self, call: Call, answer: object) -> Speak[Reply]:
        said = {} if answer is None else answer
        text = msgspec.json.encode(said).decode()
        yield from self._ended(call, DONE, text)
        return Reply(200, text.encode(), Entry.FRESH)

    def _refused(self, call: Call, why: str) -> Speak[Reply]:
        """The business is taken back; that it refused stays, so that the same request gets the same answer."""
        yield from _savepoint("ROLLBACK TO SAVEPOINT")
        if call.operation not in _ACTS:
            raise InvalidRequest(f"{call.operation} may not be refused: {why}")
        text = msgspec.json.encode({"refused": why}).decode()
        yield from self._ended(call, REFUSED, text)
        return Reply(409, text.encode(), Entry.FRESH)

    def _ended(self, call: Call, outcome: str, answer: str) -> Speak[None]:
        """The savepoint is left to the commit, which ends it: one trip to the database less. In SQLite it is no trip,
        and where no transaction was begun, this is its commit."""
        changed = yield self._end, (outcome, answer, call.xid, call.step, _slot(call.operation))
        if changed == 0:
            raise BrokenPromise(
                f"{call.key}: the barrier's row is gone: its transaction was rolled back while the business was done "
                "(by a deadlock whose error the business kept to itself?). Roll back, and answer 500"
            )
        if self.dialect.name == SQLITE.name:
            yield from _savepoint("RELEASE SAVEPOINT")


def _savepoint(what: str) -> Generator[tuple[str, tuple[object, ...]], Any, None]:
    yield f"{what} paidup_business", ()


def _slot(operation: Operation) -> str:
    return FORWARD if operation in _ACTS else BACK if operation in _UNDOES else CONFIRM


def _work(business: Mapping[Operation, Any], call: Call) -> Any:
    if call.operation not in business:
        there = ", ".join(business)
        raise InvalidRequest(f"this participant has no {call.operation} for step {call.step}; it has {there}")
    return business[call.operation]


def _reply(status: int, entry: Entry, said: object) -> Reply:
    return Reply(status, msgspec.json.encode(said), entry)


def _no(entry: Entry, why: str) -> Reply:
    return _reply(409, entry, {"refused": why})


def _again(row: _Row) -> Reply:
    """The answer that was given before."""
    return Reply(200 if row.outcome == DONE else 409, row.answer.encode() or b"{}", Entry.DUPLICATE)
