"""Claims about the barrier, on each real database: what comes twice, too early or too late counts as it should."""

import asyncio
import contextlib
import itertools
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from databases import AsyncRoom, Room, a_mariadb, a_pool, asyncpg_room, deed, mysql_room, postgresql_room, sqlite_room
from paidup.errors import BrokenPromise, InvalidRequest
from paidup.participant import SQLITE, Call, Effects, Entry, Messages, Operation, Refused

ACTION, COMPENSATE, CHECK = Operation.ACTION, Operation.COMPENSATE, Operation.CHECK
TRY, CONFIRM, CANCEL = Operation.TRY, Operation.CONFIRM, Operation.CANCEL
DATABASES = ("sqlite", "postgresql", "asyncpg", "mariadb")

_numbers = itertools.count(1)


def a_call(operation: Operation, xid: str) -> Call:
    return Call(xid=xid, step="coupon", operation=operation, shop="teahouse", order_id="ord1")


@pytest.fixture(scope="module")
def mariadb_socket(run_dir: Path) -> Iterator[Path]:
    with a_mariadb(run_dir / "mariadb") as socket:
        yield socket


@pytest.fixture(scope="module", params=DATABASES)
async def room(
    request: pytest.FixtureRequest, fresh_dsn: Any, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Room | AsyncRoom]:
    if request.param == "sqlite":
        yield sqlite_room(tmp_path_factory.mktemp("sqlite"))
    elif request.param == "mariadb":
        yield mysql_room(request.getfixturevalue("mariadb_socket"))
    else:
        async with fresh_dsn() as dsn:
            if request.param == "postgresql":
                yield postgresql_room(dsn)
                return
            pool = await a_pool(dsn)
            yield await asyncpg_room(pool)
            await pool.close()


@pytest.fixture
def xid() -> str:
    return f"txn{next(_numbers)}"


async def entries(room: Any, xid: str, *operations: Operation) -> list[tuple[str, int]]:
    """What the barrier said of each, and what was answered."""
    replies = [await room.take(a_call(operation, xid)) for operation in operations]
    return [(reply.entry.value, reply.status) for reply in replies]


async def test_duplicate(room: Any, xid: str) -> None:
    """The same request again does nothing, and gets the same answer; of the undoing, too."""
    said = await entries(room, xid, ACTION, ACTION, COMPENSATE, COMPENSATE, COMPENSATE)
    assert [("fresh", 200), ("duplicate", 200), ("fresh", 200), ("duplicate", 200), ("duplicate", 200)] == said
    assert ["action", "compensate"] == await room.deeds(xid)
    again = await room.take(a_call(ACTION, xid))
    assert b'{"did":"action"}' == again.body


async def test_null_compensation(room: Any, xid: str) -> None:
    """What never acted is not undone; the coordinator hears that it is."""
    assert [("null", 200), ("duplicate", 200)] == await entries(room, xid, COMPENSATE, COMPENSATE)
    assert [] == await room.deeds(xid)


async def test_hanging(room: Any, xid: str) -> None:
    """A request to act that comes after its undoing is refused, however often, and does nothing."""
    assert [("null", 200), ("hanging", 409), ("hanging", 409)] == await entries(room, xid, CANCEL, TRY, TRY)
    assert [] == await room.deeds(xid)


async def test_a_late_repeat_of_what_was_done_and_undone_is_not_done_again(room: Any, xid: str) -> None:
    """Out of order: act, undo, and then the first request once more."""
    assert [("fresh", 200), ("fresh", 200), ("duplicate", 200)] == await entries(room, xid, TRY, CANCEL, TRY)
    assert ["try", "cancel"] == await room.deeds(xid)


async def test_the_same_request_many_times_at_once_counts_once(room: Any, xid: str) -> None:
    """Eight at the same moment: seven wait for the first one's commit, and answer as it did."""
    replies = await asyncio.gather(*(room.take(a_call(ACTION, xid)) for _ in range(8)))
    assert [1, 7] == [sum(r.entry is entry for r in replies) for entry in (Entry.FRESH, Entry.DUPLICATE)]
    assert {(200, b'{"did":"action"}')} == {(r.status, r.body) for r in replies}
    assert ["action"] == await room.deeds(xid)


async def test_acting_and_undoing_at_once_leave_nothing(room: Any, xid: str) -> None:
    """Whichever is first: either both were done, or neither."""
    await asyncio.gather(*(room.take(a_call(operation, xid)) for operation in (ACTION, COMPENSATE) * 3))
    assert await room.deeds(xid) in ([], ["action", "compensate"])


async def test_a_refusal_is_remembered_and_what_was_written_is_taken_back(room: Any, xid: str) -> None:
    """The business says no after it had written: nothing of it stays, and the same request is refused again."""

    def refuses(cursor: Any, call: Call) -> None:
        mark = room.dialect.sql("?, ?")
        cursor.execute(f"INSERT INTO deeds VALUES ({mark})", (call.xid, "half"))
        raise Refused("the coupon has been used")

    first, again = [await room.take(a_call(ACTION, xid), refuses) for _ in range(2)]
    assert [("fresh", 409), ("duplicate", 409)] == [(r.entry.value, r.status) for r in (first, again)]
    assert (first.body, b'{"refused":"the coupon has been used"}') == (again.body, first.body)
    assert [("null", 200)] == await entries(room, xid, COMPENSATE)
    assert [] == await room.deeds(xid)


async def test_a_business_that_fails_leaves_the_door_open(room: Any, xid: str) -> None:
    """Barrier and business are one transaction: after an error the same request is done when it comes again."""

    def fails(cursor: Any, call: Call) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await room.take(a_call(ACTION, xid), fails)
    assert [("fresh", 200)] == await entries(room, xid, ACTION)


async def test_a_service_that_forgets_its_transaction_is_told_and_nothing_undone_counts_as_done(
    room: Any, xid: str
) -> None:
    """The barrier's row is committed, the business dies: the same request is not answered as done, nor undone."""

    def fails(_cursor: Any, _call: Call) -> None:
        raise ZeroDivisionError

    async def fails_too(_connection: Any, _call: Call) -> None:
        raise ZeroDivisionError

    with contextlib.suppress(Exception):  # PostgreSQL itself refuses a savepoint outside of a transaction
        await room.take_without_transaction(a_call(ACTION, xid), fails_too if isinstance(room, AsyncRoom) else fails)
    for operation in (ACTION, COMPENSATE, CHECK):
        with pytest.raises(BrokenPromise, match="does the connection commit by itself"):
            await room.take(a_call(operation, xid))
    assert [] == await room.deeds(xid)


async def test_where_sqlite_begins_by_itself_what_is_answered_as_done_is_committed(tmp_path: Path) -> None:
    """Without BEGIN, the savepoint is SQLite's transaction: nobody would commit it."""
    room = sqlite_room(tmp_path)
    assert 200 == (await room.take_without_transaction(a_call(ACTION, "txn1"))).status
    assert ["action"] == await room.deeds("txn1")


async def test_a_row_may_be_a_dict(tmp_path: Path) -> None:
    """As the cursors of many frameworks give it: a repeat is answered, and not refused by the name of a column."""

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(tmp_path / "participant.db", isolation_level=None)
        connection.row_factory = lambda cursor, row: dict(zip([d[0] for d in cursor.description], row, strict=True))
        return connection

    room = Room(SQLITE, connect, "BEGIN IMMEDIATE")
    assert [("fresh", 200), ("duplicate", 200), ("fresh", 200)] == await entries(room, "txn1", TRY, TRY, CONFIRM)
    assert b'{"confirm":"done","forward":"done"}' == sorted_json(
        (await room.take(a_call(Operation.REPORT, "txn1"))).body
    )
    await written(room, ["a", "b"])
    assert ["a", "b"] == await attempted(room)


async def test_a_business_that_hides_that_its_transaction_is_gone_is_not_answered_as_done(
    mariadb_socket: Path, xid: str
) -> None:
    """A deadlock rolls back the barrier's row with all else; a business that catches it and goes on has done one half,
    which a repeat would do again."""
    room = mysql_room(mariadb_socket)

    def hides(cursor: Any, call: Call) -> None:
        cursor.connection.rollback()  # as the server does by itself
        deed(cursor, call)

    with pytest.raises(BrokenPromise, match="rolled back while the business"):
        await room.take(a_call(ACTION, xid), hides)
    assert ([], [("fresh", 200)]) == (await room.deeds(xid), await entries(room, xid, ACTION))


async def test_what_was_confirmed_is_not_cancelled_and_the_other_way_round(room: Any, xid: str) -> None:
    """Nor is confirmed what was never tried."""
    said = await entries(room, xid, TRY, CONFIRM, CONFIRM, CANCEL)
    assert [("fresh", 200), ("fresh", 200), ("duplicate", 200), ("misplaced", 409)] == said
    assert ["try", "confirm"] == await room.deeds(xid)
    other = f"{xid}b"
    assert [("misplaced", 409), ("fresh", 200), ("fresh", 200), ("misplaced", 409)] == await entries(
        room, other, CONFIRM, TRY, CANCEL, CONFIRM
    )


async def test_checking_back_settles_what_the_sender_did_by_itself(room: Any, xid: str) -> None:
    """Done before: said so. Not done: it never will be, for its own late transaction finds the door shut."""
    assert [("fresh", 200), ("duplicate", 200)] == await entries(room, xid, ACTION, CHECK)
    assert [("null", 409), ("null", 409), ("hanging", 409)] == await entries(room, f"{xid}b", CHECK, CHECK, ACTION)
    assert [] == await room.deeds(f"{xid}b")


async def test_a_report_says_what_was_done_and_changes_nothing(room: Any, xid: str) -> None:
    """For whoever compares the books."""
    empty = await room.take(a_call(Operation.REPORT, xid))
    await entries(room, xid, TRY, CANCEL)
    report = await room.take(a_call(Operation.REPORT, xid))
    assert (b"{}", b'{"back":"done","forward":"done"}') == (empty.body, bytes(sorted_json(report.body)))


def sorted_json(body: bytes) -> bytes:
    return json.dumps(json.loads(body), sort_keys=True, separators=(",", ":")).encode()


async def test_an_effect_outside_has_its_intent_before_and_one_outcome_after(room: Any, xid: str) -> None:
    """Whoever died in between is found; the first outcome stands."""
    if isinstance(room, AsyncRoom):
        await an_effect_by_asyncpg(room, xid)
        return
    effects = Effects(room.dialect)
    with room.transaction() as cursor:
        assert False is effects.intend(cursor, xid, "a parcel label").is_settled
    with room.transaction() as cursor:
        assert [xid] == [effect.key for effect in effects.unsettled(cursor) if effect.key == xid]
        first = effects.settle(cursor, xid, "done", "label 7")
        late = effects.settle(cursor, xid, "failed", "no paper")
    with room.transaction() as cursor:
        assert ("done", "label 7") == (first.outcome, first.answer) == (late.outcome, late.answer)
        assert (True, []) == (
            effects.intend(cursor, xid, "a parcel label").is_settled,
            [effect for effect in effects.unsettled(cursor) if effect.key == xid],
        )
        with pytest.raises(InvalidRequest, match="never intended"):
            effects.settle(cursor, f"{xid}b", "done", "")


async def an_effect_by_asyncpg(room: AsyncRoom, xid: str) -> None:
    effects = Effects(room.dialect)
    async with room.pool.acquire() as connection:
        before = await effects.intend_async(connection, xid, "a parcel label")
        after = await effects.settle_async(connection, xid, "done", "label 7")
        again = await effects.intend_async(connection, xid, "a parcel label")
    assert (False, "done", "label 7") == (before.is_settled, after.outcome, again.answer)


async def test_a_message_leaves_exactly_when_the_business_was_committed(room: Any, xid: str) -> None:
    """Rolled back, it was never written; committed, it waits until somebody says that it was sent."""
    if isinstance(room, AsyncRoom):
        await a_message_by_asyncpg(room, xid)
        return
    messages = Messages(room.dialect)
    with contextlib.suppress(ZeroDivisionError), room.transaction() as cursor:
        messages.write(cursor, f"{xid}-lost", "{}")
        raise ZeroDivisionError
    with room.transaction() as cursor:
        for _ in range(2):
            messages.write(cursor, xid, '{"points": 50}')
    with room.transaction() as cursor:
        waiting = [(m.key, m.body) for m in messages.waiting(cursor) if m.key.startswith(xid)]
        messages.sent(cursor, xid)
        left = [m.key for m in messages.waiting(cursor) if m.key.startswith(xid)]
    assert ([(xid, '{"points": 50}')], []) == (waiting, left)


async def a_message_by_asyncpg(room: AsyncRoom, xid: str) -> None:
    messages = Messages(room.dialect)
    async with room.pool.acquire() as connection:
        with contextlib.suppress(ZeroDivisionError):
            async with connection.transaction():
                await messages.write_async(connection, f"{xid}-lost", "{}")
                raise ZeroDivisionError
        for _ in range(2):
            await messages.write_async(connection, xid, "{}")
        waiting = [m.key async for m in messages.waiting_async(connection)]
        await messages.sent_async(connection, xid)
        assert ([xid], []) == (waiting, [m async for m in messages.waiting_async(connection)])


async def test_messages_leave_in_the_order_in_which_they_were_written(room: Any, xid: str) -> None:
    """Of one transaction, and of one second; the tenth is not sent before the ninth because of its name."""
    keys = [f"{xid}-{n}" for n in range(8, 12)]
    await written(room, keys)
    assert keys == [key for key in await attempted(room, page=2) if key in keys]


async def test_messages_that_the_receiver_never_takes_hold_up_no_other(room: Any, xid: str) -> None:
    """One that is refused each time stays, in its place; the relay reaches all that stand behind a page of them."""
    bad, good = [f"{xid}-bad-{n}" for n in range(7)], f"{xid}-good"
    await written(room, [*bad, good])
    first, second = [await attempted(room, page=3, takes={good}) for _ in range(2)]
    assert ([*bad, good], bad) == tuple([key for key in keys if key.startswith(f"{xid}-")] for keys in (first, second))


async def test_keys_that_differ_in_capitals_are_two(room: Any, xid: str) -> None:
    """Also where the server's own collation takes them for one: the second message is not lost."""
    await written(room, [f"{xid}-Ab", f"{xid}-aB"])
    assert [f"{xid}-Ab", f"{xid}-aB"] == [key for key in await attempted(room) if key.startswith(f"{xid}-")]


@pytest.mark.parametrize("key", ["", " a", "a ", "a\n", "x" * 201])
def test_a_key_that_some_database_takes_for_another_is_refused(key: str) -> None:
    """MariaDB takes "a" and "a " for one: the second message would not be written."""
    for write in (lambda: Messages(SQLITE).write(None, key, "{}"), lambda: Effects(SQLITE).intend(None, key, "x")):
        with pytest.raises(InvalidRequest, match="1 to 200 characters"):
            write()


async def written(room: Any, keys: list[str]) -> None:
    """Messages of one transaction."""
    messages = Messages(room.dialect)
    if isinstance(room, AsyncRoom):
        async with room.pool.acquire() as connection, connection.transaction():
            for key in keys:
                await messages.write_async(connection, key, "你好")
        return
    with room.transaction() as cursor:
        for key in keys:
            messages.write(cursor, key, "你好")


async def attempted(room: Any, page: int = 100, takes: set[str] = frozenset()) -> list[str]:
    """One round of a relay as messages.py shows it: the keys that were sent, some of which the receiver takes."""
    messages, tried = Messages(room.dialect), []
    if isinstance(room, AsyncRoom):
        async with room.pool.acquire() as connection:
            async for message in messages.waiting_async(connection, page):
                tried.append(message.key)
                if message.key in takes:
                    await messages.sent_async(connection, message.key)
        return tried
    with room.transaction() as cursor:
        for message in messages.waiting(cursor, page):
            tried.append(message.key)
            if message.key in takes:
                messages.sent(cursor, message.key)
    return tried


async def test_effects_that_never_have_an_outcome_hide_no_other(room: Any, xid: str) -> None:
    """Whoever takes up what died in between sees all of it, oldest first, page by page."""
    effects, keys = Effects(room.dialect), [f"{xid}-{n}" for n in range(8, 12)]
    if isinstance(room, AsyncRoom):
        async with room.pool.acquire() as connection:
            for key in keys:
                await effects.intend_async(connection, key, "a parcel label")
            found = [effect.key async for effect in effects.unsettled_async(connection, 2)]
    else:
        with room.transaction() as cursor:
            for key in keys:
                effects.intend(cursor, key, "a parcel label")
            found = [effect.key for effect in effects.unsettled(cursor, 2)]
    assert keys == [key for key in found if key in keys]


class Died(Exception):
    """Where the service was killed."""


class Parcels:
    """The service of the guide that makes labels outside of its database; it can be killed before each of its steps."""

    def __init__(self, folder: Path, dies_at: int) -> None:
        self.room, self.effects, self.dies_at = sqlite_room(folder), Effects(SQLITE), dies_at
        self.labels: dict[str, str] = {}
        self.calls = 0

    def handle(self, call: Call) -> int:
        step = itertools.count()

        def alive() -> None:
            if next(step) == self.dies_at:
                raise Died

        with self.room.transaction() as cursor:
            reply = self.room.barrier.run(cursor, call, {ACTION: self.intend, COMPENSATE: lambda *_: None})
            alive()
        alive()
        if reply.status == 200 and call.operation is ACTION:
            self.make_label(call.key, alive)
        return reply.status

    def intend(self, cursor: Any, call: Call) -> None:
        self.effects.intend(cursor, call.key, "a label for the parcel")

    def make_label(self, key: str, alive: Callable[[], None]) -> None:
        with self.room.transaction() as cursor:
            effect = self.effects.intend(cursor, key, "a label for the parcel")
        alive()
        if not effect.is_settled:
            self.calls += 1
            number = self.labels.setdefault(key, f"label {self.calls}")  # the carrier knows keys
            alive()
            with self.room.transaction() as cursor:
                self.effects.settle(cursor, key, "done", number)
                alive()
        alive()


@pytest.mark.parametrize("dies_at", range(7))
def test_a_label_as_the_guide_makes_it_is_made_once_wherever_the_service_dies(tmp_path: Path, dies_at: int) -> None:
    """Killed before any of its steps, it makes good at the repeat; what was answered with 200 has its label."""
    parcels = Parcels(tmp_path, dies_at)
    with contextlib.suppress(Died):
        parcels.handle(a_call(ACTION, "txn1"))
    parcels.dies_at = -1
    assert (200, 1) == (parcels.handle(a_call(ACTION, "txn1")), len(parcels.labels))
    with parcels.room.transaction() as cursor:
        assert [] == list(parcels.effects.unsettled(cursor))
        key = a_call(ACTION, "txn1").key
        assert parcels.labels[key] == parcels.effects.intend(cursor, key, "").answer


def test_a_label_that_comes_after_its_undoing_is_not_made(tmp_path: Path) -> None:
    """The barrier stands before the deed outside."""
    parcels = Parcels(tmp_path, -1)
    said = [parcels.handle(a_call(operation, "txn1")) for operation in (COMPENSATE, ACTION)]
    assert ([200, 409], {}) == (said, parcels.labels)
