"""The tables `transactions`, `transaction_steps`, `transaction_journal`: a change and its line are written as one."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from paidup import log
from paidup.db.transaction import Tx
from paidup.errors import BrokenPromise
from paidup.transactions.decide import Reply
from paidup.transactions.states import LIVES
from paidup.transactions.table import Table
from paidup.transactions.transaction import Moved, StepRun, Transaction

TRANSACTION = "txn"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the journal. kind: "move" (a change of state), "call" (a request and its answer), "operator"."""

    xid: str
    at: datetime
    kind: str
    why: str
    step: str | None = None
    before: str = ""
    after: str = ""
    who: str = ""
    operation: str = ""
    outcome: str = ""
    status: int | None = None
    elapsed_ms: int | None = None

    @property
    def what(self) -> str:
        """What happened, without why."""
        if self.kind == "move":
            return f"{self.before} → {self.after}" if self.before else self.after
        return f"{self.operation}: {self.outcome}" if self.kind == "call" else f"{self.operation} by {self.who}"

    @property
    def says(self) -> str:
        """For a timeline."""
        return f"{f'{self.step} ' if self.step else ''}{self.what}, {self.why}"


COLUMNS = """id, shop, order_id, agreed, data, state, stuck_in, why, waits, began_at, expires_at, turned_at, due_at,
lease, ended_at, updated_at, failures"""
RESUMED = """
(SELECT max(j.at) FROM transaction_journal j WHERE j.xid = transactions.id AND j.kind = 'operator') AS resumed_at"""
STEP_COLUMNS = "name, state, tries, asking, doubt, due_at, why, answer, updated_at"

_STEP_TYPES = "text text text int bool bool timestamptz text text timestamptz".split()
_LINE_TYPES = "text timestamptz text text text text text text text text int int".split()


def _rows(first: int, types: Sequence[str]) -> str:
    """Rows from arrays, which are the arguments from this one on."""
    return f"unnest({', '.join(f'${n}::{kind}[]' for n, kind in enumerate(types, first))})"


LINE_COLUMNS = "xid, at, step, kind, before, after, why, who, operation, outcome, status, elapsed_ms"

# A transaction, its steps and its lines are one statement: each trip to the database costs more than what it does
# there. Steps, and lines but those of calls, are written only if the row was.
INSERT = f"""
WITH made AS (
  INSERT INTO transactions (id, shop, order_id, name, kind, agreed, data, state, why, began_at, expires_at, due_at,
    updated_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING RETURNING id),
steps AS (
  INSERT INTO transaction_steps (xid, {STEP_COLUMNS}) SELECT s.* FROM made, {_rows(14, _STEP_TYPES)} AS s),
lines AS (
  INSERT INTO transaction_journal ({LINE_COLUMNS}) SELECT l.* FROM made, {_rows(24, _LINE_TYPES)} AS l)
SELECT id FROM made"""

# Whose order has changed lately is due now. What this misses is looked at every minute all the same.
WAKE = """
UPDATE transactions SET due_at = $1 WHERE id = ANY(ARRAY(
  SELECT t.id FROM orders o JOIN transactions t ON t.order_id = o.id
  WHERE o.updated_at > $2 AND o.state NOT IN ('unpaid', 'closing') AND t.waits AND t.due_at > $1
  LIMIT $3 FOR UPDATE OF t SKIP LOCKED))"""

CLAIM = f"""
UPDATE transactions SET due_at = $2, lease = lease + 1, waits = false
WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM transactions WHERE due_at <= $1 ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED))
RETURNING {COLUMNS}"""

GET = f"SELECT {COLUMNS}, {RESUMED} FROM transactions WHERE id = $1 AND ($2::text IS NULL OR shop = $2)"

LOCK = f"{GET} FOR UPDATE"

STEPS = f"SELECT xid, {STEP_COLUMNS} FROM transaction_steps WHERE xid = ANY($1::text[])"

SAVE = f"""
WITH saved AS (
  UPDATE transactions SET state = $3, stuck_in = $4, why = $5, waits = $6, turned_at = $7, due_at = $8, ended_at = $9,
    updated_at = $10, failures = $11, lease = lease + $12
  WHERE id = $1 AND lease = $2 RETURNING id),
steps AS (
  INSERT INTO transaction_steps (xid, {STEP_COLUMNS}) SELECT s.* FROM saved, {_rows(13, _STEP_TYPES)} AS s
  ON CONFLICT (xid, name) DO UPDATE SET state = excluded.state, tries = excluded.tries, asking = excluded.asking,
    doubt = excluded.doubt, due_at = excluded.due_at, why = excluded.why, answer = excluded.answer,
    updated_at = excluded.updated_at),
lines AS (
  INSERT INTO transaction_journal ({LINE_COLUMNS})
  SELECT l.* FROM {_rows(23, _LINE_TYPES)} AS l ({LINE_COLUMNS}) WHERE l.kind = 'call' OR EXISTS (SELECT FROM saved))
SELECT id FROM saved"""

WRITE = f"INSERT INTO transaction_journal ({LINE_COLUMNS}) SELECT * FROM {_rows(1, _LINE_TYPES)}"

LINES = """
SELECT xid, at, kind, why, step, before, after, who, operation, outcome, status, elapsed_ms
FROM transaction_journal WHERE xid = $1 ORDER BY seq"""

OF_ORDER = f"SELECT {COLUMNS}, {RESUMED} FROM transactions WHERE order_id = $1 ORDER BY began_at, id"

UNFINISHED = f"""
SELECT {COLUMNS}, {RESUMED} FROM transactions
WHERE ended_at IS NULL AND ($1::text IS NULL OR shop = $1) AND ($2::text IS NULL OR state = $2)
  AND ($3::text IS NULL OR (began_at, id) > (SELECT a.began_at, a.id FROM transactions a WHERE a.id = $3))
ORDER BY began_at, id LIMIT $4"""


async def insert(tx: Tx, t: Transaction) -> bool:
    """Write a new transaction with its steps; False when there is one of this id already."""
    agreed = msgspec.json.encode(t.table).decode()
    row = (t.id, t.shop, t.order_id, t.table.name, t.table.kind, agreed, bytes(t.data).decode(), t.state, t.why)
    begun = _line(t, Moved(None, "", t.state, t.why), t.began_at)
    made = await tx.fetchval(
        INSERT, *row, t.began_at, t.expires_at, t.due_at, t.updated_at, *_steps_as_arrays(t.id, t.steps),
        *_lines_as_arrays([begun]),
    )  # fmt: skip
    return made is not None


async def wake(tx: Tx, now: datetime, since: datetime, limit: int) -> None:
    """What waits for an order that has changed since then is due now."""
    await tx.execute(WAKE, now, since, limit)


async def claim(tx: Tx, now: datetime, until: datetime, limit: int) -> list[Transaction]:
    """Take up to `limit` transactions that are due, oldest first; they are ours until `until`.

    One that cannot be read is told of, and hinders no other: it is due again when its lease ends.
    """
    return await _readable(tx, await tx.fetch(CLAIM, now, until, limit))


async def get(tx: Tx, xid: str, shop: str | None = None) -> Transaction | None:
    """One transaction, of this shop or of any. Raises BrokenPromise when it cannot be read."""
    return await _one(tx, await tx.fetch(GET, xid, shop))


async def lock(tx: Tx, xid: str, shop: str | None) -> Transaction | None:
    """The same, locked until the transaction ends."""
    return await _one(tx, await tx.fetch(LOCK, xid, shop))


async def save(
    tx: Tx, before: Transaction, after: Transaction, moved: Sequence[Moved], now: datetime, *, take_over: bool = False,
    replies: Sequence[Reply] = (),
) -> bool:  # fmt: skip
    """Write what changed and its lines; False when somebody else took it over meanwhile. Then only what was asked and
    answered is written: it is true whoever holds the transaction now.

    take_over: whoever holds it loses it.
    """
    old = {run.name: run for run in before.steps}
    lines = [*_calls(after.id, replies, now), *(_line(after, move, now) for move in moved)]
    saved = await tx.fetchval(
        SAVE, after.id, before.lease, after.state, after.stuck_in, after.why, after.waits, after.turned_at,
        after.due_at, after.ended_at, after.updated_at, after.failures, int(take_over),
        *_steps_as_arrays(after.id, [run for run in after.steps if run != old.get(run.name)]), *_lines_as_arrays(lines),
    )  # fmt: skip
    return saved is not None


async def write_calls(tx: Tx, xid: str, replies: Iterable[Reply], now: datetime) -> None:
    """What was asked and answered, apart from any change."""
    await tx.execute(WRITE, *_lines_as_arrays(_calls(xid, replies, now)))


def _calls(xid: str, replies: Iterable[Reply], now: datetime) -> list[Line]:
    return [
        Line(xid=xid, at=now, kind="call", why=reply.why, step=reply.step,
            operation=reply.operation, outcome=reply.outcome, status=reply.status, elapsed_ms=reply.elapsed_ms,
        )
        for reply in replies
    ]  # fmt: skip


async def write_operator(tx: Tx, xid: str, what: str, who: str, why: str, step: str | None, now: datetime) -> None:
    """What a person did, who it was, and why."""
    line = Line(xid=xid, at=now, kind="operator", operation=what, who=who, why=why, step=step)
    await tx.execute(WRITE, *_lines_as_arrays([line]))


async def lines(tx: Tx, xid: str) -> list[Line]:
    """The whole record of a transaction, oldest first."""
    return [msgspec.convert(dict(row), Line) for row in await tx.fetch(LINES, xid)]


async def of_order(tx: Tx, order_id: str) -> list[Transaction]:
    """An order's transactions, oldest first; of those that cannot be read the log tells."""
    return await _readable(tx, await tx.fetch(OF_ORDER, order_id))


async def unfinished(tx: Tx, shop: str | None, state: str | None, after: str | None, limit: int) -> list[Transaction]:
    """What has not ended, oldest first, after the one with this id; `limit` of them while there are so many.

    One that cannot be read is told of, and hides no other.
    """
    found: list[Transaction] = []
    while (room := limit - len(found)) > 0:
        rows = await tx.fetch(UNFINISHED, shop, state, after, room)
        found += await _readable(tx, rows)
        if len(rows) < room:
            break
        after = rows[-1]["id"]
    return found


async def _readable(tx: Tx, rows: Sequence[Any]) -> list[Transaction]:
    """All of these but those that cannot be read, of which the log tells."""
    steps = await _steps(tx, rows)
    found = []
    for row in rows:
        try:
            found.append(_transaction(row, steps[row["id"]]))
        except BrokenPromise as error:
            log.error("transaction.unreadable", xid=row["id"], why=str(error))
    return found


async def _one(tx: Tx, rows: Sequence[Any]) -> Transaction | None:
    steps = await _steps(tx, rows)
    return _transaction(rows[0], steps[rows[0]["id"]]) if rows else None


async def _steps(tx: Tx, rows: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """The rows of these transactions' steps, by transaction and name."""
    steps: dict[str, dict[str, Any]] = {row["id"]: {} for row in rows}
    for row in await tx.fetch(STEPS, list(steps)) if rows else ():
        steps[row["xid"]][row["name"]] = row
    return steps


def _transaction(row: Any, steps: dict[str, Any]) -> Transaction:
    """Raises BrokenPromise when a row is missing, or says what nobody understands."""
    try:
        table = msgspec.json.decode(row["agreed"], type=Table)
        life = LIVES[table.kind]
        for state in (row["state"], row["stuck_in"] or row["state"]):
            life.State(state)
        if [step.name for step in table.step if step.name not in steps]:
            raise BrokenPromise(f"transaction {row['id']} lacks rows of its steps")
        runs = tuple(_run(steps[step.name]) for step in table.step)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BrokenPromise(f"transaction {row['id']} cannot be read: {error}") from None
    fields = {name: value for name, value in row.items() if name not in ("agreed", "data")}
    return Transaction(table=table, data=msgspec.Raw(row["data"].encode()), steps=runs, **fields)


def _run(row: Any) -> StepRun:
    return msgspec.convert({name: value for name, value in row.items() if name != "xid"}, StepRun)


def _steps_as_arrays(xid: str, runs: Sequence[StepRun]) -> list[list[object]]:
    return _columns([(xid, *msgspec.structs.astuple(run)) for run in runs], len(_STEP_TYPES))


def _line(t: Transaction, move: Moved, now: datetime) -> Line:
    return Line(xid=t.id, at=now, kind="move", why=move.why, step=move.step, before=move.before, after=move.after)


def _lines_as_arrays(lines: Sequence[Line]) -> list[list[object]]:
    rows = [
        (r.xid, r.at, r.step, r.kind, r.before, r.after, r.why, r.who, r.operation, r.outcome, r.status, r.elapsed_ms)
        for r in lines
    ]
    return _columns(rows, len(_LINE_TYPES))


def _columns(rows: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
