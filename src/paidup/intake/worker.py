"""From the inbox to the door, in batches. Dying at any moment gives the work back by doing nothing."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from paidup import ids, log
from paidup.apply import Item, Nothing, Result, apply
from paidup.cases import store as cases
from paidup.db.poison import POISON, bad_ones
from paidup.db.transaction import Database, Tx
from paidup.evidence import Evidence
from paidup.handlers import Handlers
from paidup.intake import inbox
from paidup.outbox.floor import Floor
from paidup.settle.book import Weighed
from paidup.spans.tell import Spans

MAX_ATTEMPTS = 5
"""A callback that failed so often is poisoned: something is wrong with it or with us, and a person must look."""

_PARKED_AGAIN_S = (2, 5, 15, 60, 300, 900, 3600)
"""When to look again whether what a callback speaks of exists now; creating the payment wakes it at once anyway."""

_BATCHES = 8
"""So many, of each of the two at a time, before a round ends: its progress is counted and a stop is heeded then."""

_CASE_AFTER = timedelta(minutes=15)
"""So long may an order's row come later than its callback before a person is told that money came for nothing."""

_EARLY = "unknown_payment"

_evidence = msgspec.json.Decoder(tuple[Evidence | Nothing, ...])


async def run_once(
    db: Database,
    *,
    now: datetime,
    limit: int,
    handlers: Handlers,
    spans: Spans | None = None,
    floor: Floor | None = None,
) -> int:
    """Apply up to `limit` callbacks; returns how many were taken.

    spans: whom to tell what was decided. floor: what this worker remembers of its looks at the queue.
    """
    claimed: list[inbox.Waiting] = []
    results: list[Result] = []
    try:
        async with db.transaction() as tx:
            claimed = await inbox.claim(tx, now, limit, floor)
            results = await _settle(tx, claimed, now, handlers)
    except POISON:
        results = await _one_by_one(db, claimed, now, handlers)
    with log.at_once():
        _tell(results)
    if spans and results:
        await spans.weighed(db, results, now, spans.now_of())
    return len(claimed)


async def run_many(
    db: Database,
    *,
    now: datetime,
    limit: int,
    handlers: Handlers,
    spans: Spans | None = None,
    floor: Floor | None = None,
) -> int:
    """One batch; when it was full, more of them, two at a time, so that Python weighs one while PostgreSQL writes the
    other. Returns how many were taken, of what had arrived by `now`; a batch that failed is raised when all have ended.
    """

    async def batch() -> int:
        return await run_once(db, now=now, limit=limit, handlers=handlers, spans=spans, floor=floor)

    async def lane() -> int:
        taken = 0
        for _ in range(_BATCHES):
            done = await batch()
            taken += done
            if done < limit:
                break
        return taken

    taken = await batch()
    if taken < limit:
        return taken
    ended = await asyncio.gather(lane(), lane(), return_exceptions=True)
    return taken + sum(_raised(lane_ended) for lane_ended in ended)


def _raised(ended: int | BaseException) -> int:
    if isinstance(ended, BaseException):
        raise ended
    return ended


async def _one_by_one(
    db: Database, claimed: Sequence[inbox.Waiting], now: datetime, handlers: Handlers
) -> list[Result]:
    """Halve the failed batch until the poisoned callbacks stand alone; the others are committed, and returned."""
    settled: list[Result] = []

    async def attempt(rows: Sequence[inbox.Waiting]) -> None:
        async with db.transaction() as tx:
            mine = await inbox.claim_these(tx, [row.seq for row in rows])
            results = await _settle(tx, mine, now, handlers)
        settled.extend(results)

    for row, error in await bad_ones(db, claimed, attempt):
        async with db.transaction() as tx:
            await _put_aside(tx, row, error, now)
    return settled


async def _put_aside(tx: Tx, row: inbox.Waiting, error: BaseException, now: datetime) -> None:
    """Try a failed callback again later; after its last attempt it waits for a person, with one alarm."""
    why = f"{type(error).__name__}: {error}"[:500]
    attempt = 1 if row.state == "parked" else row.attempts + 1  # having come too early is no failure
    if attempt < MAX_ATTEMPTS:
        again_at = now + timedelta(seconds=2**attempt)
        await inbox.failed(tx, row.seq, again_at, why, state="waiting", attempts=attempt)
        log.warning("callback.failed", callback=row.callback_id, attempt=attempt, why=why)
        return
    await inbox.failed(tx, row.seq, now, why, state="poisoned", attempts=attempt)
    await _open_case(tx, "poisoned_callback", row, why, now)
    log.error("callback.poisoned", callback=row.callback_id, why=why)


async def _settle(tx: Tx, rows: Sequence[inbox.Waiting], now: datetime, handlers: Handlers) -> list[Result]:
    items, owners = [], []
    for row in rows:
        for what in _evidence.decode(row.evidence):
            parked = row.state == "parked"
            items.append(
                Item(what=what, shop=row.shop, road="callback", callback_id=row.callback_id, parked_before=parked)
            )
            owners.append(row)
    results = await apply(tx, items, now, handlers)
    early: dict[int, list[Result]] = {}
    for row, result in zip(owners, results, strict=True):
        if result.outcome is Weighed.PARKED:
            early.setdefault(row.seq, []).append(result)
    done = [row for row in rows if row.seq not in early]
    await inbox.done(tx, [row.seq for row in done])
    waited = [row.callback_id for row in done if row.state == "parked"]
    await cases.resolve_kind(tx, _EARLY, waited, "what it speaks of is here now; it was applied", now)
    await _park(tx, [(row, early[row.seq]) for row in rows if row.seq in early], now)
    return results


async def _park(tx: Tx, waiting: Sequence[tuple[inbox.Waiting, list[Result]]], now: datetime) -> None:
    """Keep the evidence that came too early; after a while a person is told that money came for nothing we know."""
    overdue = [row.callback_id for row, _ in waiting if now - row.received_at >= _CASE_AFTER]
    told = await cases.ever(tx, _EARLY, overdue)  # whoever resolved it has decided: it is not opened again
    parked = []
    for row, results in waiting:
        pause_s = _PARKED_AGAIN_S[min(row.attempts, len(_PARKED_AGAIN_S) - 1)]
        evidence = msgspec.json.encode([result.item.what for result in results]).decode()
        parked.append((row.seq, evidence, now + timedelta(seconds=pause_s), results[0].why))
        if row.callback_id in overdue and row.callback_id not in told:
            await _open_case(tx, _EARLY, row, results[0].why, now)
    await inbox.park(tx, parked)


async def _open_case(tx: Tx, kind: str, row: inbox.Waiting, why: str, now: datetime) -> None:
    case = cases.Case(
        id=ids.new_id(ids.CASE, now),
        shop=row.shop,
        kind=kind,
        subject_id=row.callback_id,
        order_id=None,
        why=why,
        opened_at=now,
    )
    await cases.open_many(tx, [case])


def _tell(results: Sequence[Result]) -> None:
    """One log line per change of state, after the commit that made it so."""
    for result in results:
        if result.outcome in (Weighed.APPLIED, Weighed.REJECTED) and result.book:
            log.info(
                f"evidence.{result.outcome}",
                order=result.book.order.id,
                payment=result.payment_id,
                road=result.item.road,
                why=result.why,
                after=result.after,
            )
