"""Compare transactions with orders, stock, and what participants remember; mend what can be, and call a person else.

What mends is only ever the same request again, under the same key: where it has counted it changes nothing, for as
long as the participant remembers it. Where the two still differ afterwards, or differ within our own books, one case is
opened.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from paidup import ids, log
from paidup.apply import Item, apply
from paidup.cases import store as cases
from paidup.db.poison import POISON
from paidup.db.transaction import Database, Tx
from paidup.errors import HandlersMissing
from paidup.handlers import Handlers
from paidup.participant.call import Operation
from paidup.settle.book import NeedPerson
from paidup.transactions import participants, store
from paidup.transactions.ask import Requester
from paidup.transactions.compare import (
    DONE,
    UNDONE,
    Difference,
    Seen,
    StepSeen,
    as_report,
    inside,
    is_forgotten,
    outside,
)
from paidup.transactions.decide import Outcome
from paidup.transactions.participants import Way
from paidup.transactions.table import Table
from paidup.transactions.transaction import Transaction

CHUNK = 200
MENDS_WITHIN = timedelta(days=29)
"""Nothing is asked again of what began before: participants need to remember for 30 days after its end only, and one
that has forgotten what it did would do it a second time. The day between is for clocks that differ, and long checks."""

CASE = "transaction_differs"

READ = """
SELECT t.id, t.shop, t.order_id, o.state AS order_state, t.state, t.agreed, t.began_at,
  greatest(t.began_at, (SELECT max(j.at) FROM transaction_journal j WHERE j.xid = t.id AND j.kind = 'operator'))
    AS since,
  (SELECT count(*) FROM cases c WHERE c.kind = 'transaction_stuck' AND c.subject_id = t.id AND c.resolved_at IS NULL)
    AS open_cases,
  EXISTS (SELECT FROM reservations r WHERE r.order_id = t.order_id) AS has_stock,
  (SELECT coalesce(sum(CASE m.kind WHEN 'reserve' THEN m.quantity WHEN 'confirm' THEN -m.quantity
     WHEN 'release' THEN -m.quantity ELSE 0 END), 0)
   FROM stock_movements m WHERE m.order_id = t.order_id)::bigint AS held,
  (SELECT coalesce(sum(CASE m.kind WHEN 'confirm' THEN m.quantity WHEN 'return' THEN -m.quantity ELSE 0 END), 0)
     FROM stock_movements m WHERE m.order_id = t.order_id)::bigint AS sold
FROM transactions t JOIN orders o ON o.id = t.order_id
WHERE t.id > $1 AND ($2::text IS NULL OR t.shop = $2)
  AND (t.ended_at IS NULL OR $3::timestamptz IS NULL OR t.ended_at >= $3)
ORDER BY t.id LIMIT $4"""

COUNT = """
SELECT count(*) FROM transactions t
WHERE ($1::text IS NULL OR t.shop = $1) AND (t.ended_at IS NULL OR $2::timestamptz IS NULL OR t.ended_at >= $2)"""

STATES = "SELECT xid, name, state FROM transaction_steps WHERE xid = ANY($1::text[])"


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What one comparison found. asked: reports of participants; silent: those that gave none, or have forgotten."""

    transactions: int
    asked: int
    silent: int
    differences: tuple[Difference, ...]

    @property
    def open(self) -> int:
        """How many are not mended."""
        return sum(not difference.mended for difference in self.differences)


def together(parts: Sequence[Checked]) -> Checked:
    """All parts as one."""
    return Checked(
        transactions=sum(part.transactions for part in parts),
        asked=sum(part.asked for part in parts),
        silent=sum(part.silent for part in parts),
        differences=tuple(difference for part in parts for difference in part.differences),
    )


async def count(tx: Tx, *, shop: str | None, since: datetime | None) -> int:
    """How many transactions a check would look at."""
    return int(await tx.fetchval(COUNT, shop, since))


async def run(
    db: Database, requester: Requester, handlers: Handlers, *, shop: str | None, since: datetime | None, mend: bool
) -> AsyncIterator[Checked]:
    """Compare what has not ended, or ended after `since`, some at a time. mend: also mend, and open cases."""
    after = ""
    while True:
        now = requester.now_of()
        async with db.session() as tx:
            rows = await tx.fetch(READ, after, shop, since, CHUNK)
            seen = await _seen(tx, rows, now)
            ways = await participants.ways(tx, [one.shop for one in seen])
        if not rows:
            return
        yield await _check(db, requester, handlers, seen, ways, mend=mend)
        after = rows[-1]["id"]


async def _seen(tx: Tx, rows: Sequence[Any], now: datetime) -> list[Seen]:
    states = {(r["xid"], r["name"]): r["state"] for r in await tx.fetch(STATES, [row["id"] for row in rows])}
    return [_one(row, states, now) for row in rows]


def _one(row: Any, states: dict[tuple[str, str], str], now: datetime) -> Seen:
    table = msgspec.json.decode(row["agreed"], type=Table)
    has_ended = row["state"] in (*DONE, *UNDONE, "MANUAL")
    return Seen(
        xid=row["id"],
        shop=row["shop"],
        order_id=row["order_id"],
        order_state=row["order_state"],
        state=row["state"],
        waits_for_payment=table.waiting_step is not None,
        steps=tuple(
            StepSeen(
                name=step.name,
                state=states.get((row["id"], step.name), "lost"),
                is_asked=bool(step.participant),
                is_check=step.check_back,
            )
            for step in table.step
        ),
        open_cases=row["open_cases"],
        is_overdue=not has_ended and (now - row["since"]).total_seconds() > table.bound_s(),
        is_long_ago=now - row["began_at"] > MENDS_WITHIN,
        held_units=row["held"],
        sold_units=row["sold"],
        has_stock=row["has_stock"],
    )


async def _check(
    db: Database,
    requester: Requester,
    handlers: Handlers,
    seen: Sequence[Seen],
    ways: dict[tuple[str, str], Way],
    *,
    mend: bool,
) -> Checked:
    differences: list[Difference] = []
    asked = silent = 0
    for one in seen:
        found = [_difference(one, what) for what in inside(one)]
        if one.state in (*DONE, *UNDONE) and not any(step.state == "lost" for step in one.steps):
            async with db.session() as tx:
                t = await store.get(tx, one.xid)
            for step in one.steps if t else ():
                if step.is_asked and t is not None:
                    told = await _with_participant(db, requester, t, one, step, ways, mend=mend)
                    asked, silent = asked + 1, silent + (told == _SILENT)
                    found += [told] if isinstance(told, Difference) else []
        if mend and any(not difference.mended for difference in found):
            await _call_person(db, handlers, one, found, requester.now_of())
        differences += found
    return Checked(transactions=len(seen), asked=asked, silent=silent, differences=tuple(differences))


_SILENT = "silent"


async def _with_participant(
    db: Database,
    requester: Requester,
    t: Transaction,
    one: Seen,
    step: StepSeen,
    ways: dict[tuple[str, str], Way],
    *,
    mend: bool,
) -> Difference | str | None:
    """How a participant's memory differs; None when it does not, _SILENT when it does not know."""
    report = await _report(requester, t, step, ways)
    if isinstance(report, str):
        return _SILENT
    what = outside(step, report)
    if what is None:
        return None
    if one.is_long_ago and is_forgotten(report):
        return _SILENT
    operation = _again(t, step) if mend and not one.is_long_ago else None
    if operation is None:
        return _difference(one, what, step.name)
    line = t.table.find(step.name)
    reply = await requester.ask(t, line, operation, ways.get((t.shop, line.participant)))
    async with db.transaction() as tx:
        await store.write_calls(tx, t.id, [reply], requester.now_of())
    after = await _report(requester, t, step, ways)
    is_mended = not isinstance(after, str) and outside(step, after) is None
    said = f"{what}; {operation} was asked again: {reply.outcome}"
    return msgspec.structs.replace(_difference(one, said, step.name), mended=is_mended)


async def _report(
    requester: Requester, t: Transaction, step: StepSeen, ways: dict[tuple[str, str], Way]
) -> dict[str, str] | str:
    line = t.table.find(step.name)
    reply = await requester.ask(t, line, Operation.REPORT, ways.get((t.shop, line.participant)))
    report = as_report(reply.answer or reply.why, reply.outcome is Outcome.SUCCESS)
    return report if isinstance(report, str) else dict(report)


def _again(t: Transaction, step: StepSeen) -> Operation | None:
    """The request that brings a participant to where we have it; None when none does."""
    is_saga = t.table.kind == "saga"
    if step.state == "done":
        return None if step.is_check or not is_saga else Operation.ACTION
    if step.state == "confirmed":
        return Operation.CONFIRM
    return Operation.COMPENSATE if is_saga else Operation.CANCEL


def _difference(one: Seen, what: str, step: str = "") -> Difference:
    return Difference(xid=one.xid, shop=one.shop, order_id=one.order_id, step=step, what=what)


async def _call_person(db: Database, handlers: Handlers, one: Seen, found: Sequence[Difference], now: datetime) -> None:
    """One case for a transaction that differs, however often it is looked at."""
    why = "; ".join(f"{f'{d.step}: ' if d.step else ''}{d.what}" for d in found if not d.mended)[:1000]
    need = NeedPerson(order_id=one.order_id, subject_id=one.xid, kind=CASE, why=why)
    try:
        async with db.transaction() as tx:
            await apply(tx, [Item(what=need, shop=one.shop, road="check")], now, handlers)
    except HandlersMissing:
        raise
    except POISON as error:  # the shop's own handler raised; the others are looked at all the same
        log.error("case.failed", xid=one.xid, why=str(error)[:500])
        async with db.transaction() as tx:
            await cases.open_many(tx, [
                cases.Case(
                    id=ids.new_id(ids.CASE, now), shop=one.shop, kind=CASE, subject_id=one.xid, order_id=one.order_id,
                    why=why, opened_at=now,
                )
            ])  # fmt: skip
