"""The table `break_steps`: what happened to each break, when, by whom, and why."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from paidup import ids
from paidup.db.transaction import Tx
from paidup.reconcile.breaks import Break


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `break_steps`: what happened to a break, when, by whom, and why."""

    id: str
    break_id: str
    at: datetime
    step: str
    who: str
    why: str
    before: str
    after: str
    order_id: str | None


INSERT = """
INSERT INTO break_steps (id, break_id, at, step, who, why, before, after, order_id)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[],
  $8::text[], $9::text[])"""

STEPS = "SELECT id, break_id, at, step, who, why, before, after, order_id FROM break_steps"
OF_BREAK = f"{STEPS} WHERE break_id = $1 ORDER BY n"
OF_ORDER = f"{STEPS} WHERE order_id = $1 ORDER BY n"


async def add(tx: Tx, steps: Sequence[tuple[Break, str, str, str, str]], who: str, now: datetime) -> None:
    """(break, what happened, why, state before, state after) of what happened."""
    rows = [
        (ids.new_id("stp", now), one.id, now, step, who, why[:2000], before, after, one.order_id)
        for one, step, why, before, after in steps
    ]
    if rows:
        await tx.execute(INSERT, *map(list, zip(*rows, strict=True)))


async def of_break(tx: Tx, break_id: str) -> list[Step]:
    """What happened to a break, oldest first."""
    return [msgspec.convert(dict(row), Step) for row in await tx.fetch(OF_BREAK, break_id)]


async def of_order(tx: Tx, order_id: str) -> list[Step]:
    """What happened to the breaks of an order, oldest first."""
    return [msgspec.convert(dict(row), Step) for row in await tx.fetch(OF_ORDER, order_id)]
