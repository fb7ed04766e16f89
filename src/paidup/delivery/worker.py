"""From the outbox to the shop's endpoints. Dying at any moment gives the work back by doing nothing.

An attempt whose record was lost with its worker is made again after its lease, under the same webhook-id: the receiver
drops the repeat. That, and what libcurl sends anew where an idle connection was closed, is why they are at-least-once.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import datetime

import msgspec

from paidup import log
from paidup.db.transaction import Database, Tx
from paidup.delivery import store
from paidup.delivery.claimed import Claimed, Settled
from paidup.delivery.courier import SPARE, Courier, spot_of
from paidup.delivery.plan import Step
from paidup.spans.store import causes
from paidup.spans.tell import Spans

WAVES = 8
"""So many times a round begins attempts, as long as it finds as many as one endpoint may have: not for ever, because
its clock stands still meanwhile."""


async def run_once(db: Database, *, now: datetime, limit: int, courier: Courier) -> int:
    """One round: give out events, begin attempts, record those that have ended; returns how much was done.

    While there is plenty to send, a round begins the next attempts before it records the last ones, so that database
    and network work at the same time. limit: how many events to give out, and how many attempts to begin, at a time.
    """
    done = await _give_out(db, now, limit, courier)
    landed: list[Settled] = []
    for _ in range(WAVES):
        try:
            claimed = await _claim(db, now, limit, courier)
        except Exception:  # what landed is written down all the same, or it would be sent again
            await _record(db, landed, courier)
            raise
        for attempt in claimed:
            courier.start(attempt, now)
        if len(claimed) < courier.per_endpoint:
            break
        # The next attempts are under way meanwhile.
        given = await _both(_record(db, landed, courier), _give_out(db, now, limit, courier))
        landed = await courier.landed()
        done += given + len(landed)
    await _record(db, landed, courier)
    landed = await courier.landed()
    await _record(db, landed, courier)
    return done + len(landed)


async def _both(recording: Awaitable[None], giving: Awaitable[int]) -> int:
    """What the second comes to; the first failure is raised when both have ended."""
    recorded, given = await asyncio.gather(recording, giving, return_exceptions=True)
    if isinstance(recorded, BaseException):
        raise recorded
    if isinstance(given, BaseException):
        raise given
    return given


async def _give_out(db: Database, now: datetime, limit: int, courier: Courier) -> int:
    async with db.transaction() as tx:
        return await store.fan_out(tx, now, limit, courier.floor)


async def _record(db: Database, landed: Sequence[Settled], courier: Courier) -> None:
    if not landed:
        return
    async with db.transaction() as tx:
        await store.settle(tx, landed)
    with log.at_once():
        _tell(landed)
    if courier.spans:
        _trace(landed, courier.spans)


async def _claim(db: Database, now: datetime, limit: int, courier: Courier) -> list[Claimed]:
    most = min(limit, courier.room + SPARE)
    if most <= 0:
        return []
    wide = min(most, max(0, courier.room))
    async with db.transaction() as tx:
        await store.skip_disabled(tx, most)
        claimed = await store.claim(
            tx,
            now,
            now + courier.lease,
            wide,
            per_endpoint=courier.per_endpoint,
            room_at=courier.room_at(now),
            spare=most - wide,
        )
        return await _with_causes(tx, claimed) if courier.spans else claimed


async def _with_causes(tx: Tx, claimed: Sequence[Claimed]) -> list[Claimed]:
    """With the decision that told each event, so that the shop's work joins its trace."""
    events = [(c.order_id, c.seq, c.message.created_at) for c in claimed if c.message]
    found = await causes(tx, events)
    return [msgspec.structs.replace(c, cause=found.get((c.order_id, c.seq))) for c in claimed]


def _trace(settled: Sequence[Settled], spans: Spans) -> None:
    """Each attempt as a span, after the commit that recorded it."""
    for row in settled:
        claimed, spot = row.claimed, spot_of(row.claimed)
        if spot is None or claimed.cause is None:
            continue
        says: dict[str, str | int] = {
            "event": claimed.event_id,
            "order": claimed.order_id,
            "endpoint": claimed.endpoint_id,
            "attempt": claimed.attempts + 1,
            "why": row.plan.why,
        }
        ok = row.plan.step is Step.DELIVERED
        spans.delivered(spot, claimed.cause, row.sent_at, row.answered_at, says, ok=ok)


def _tell(settled: Sequence[Settled]) -> None:
    """One line per change of state, after the commit that made it so."""
    for row in settled:
        tell = log.info if row.plan.step is Step.DELIVERED else log.warning
        tell(
            f"delivery.{_SAID[row.plan.step]}",
            event_id=row.claimed.event_id,
            order=row.claimed.order_id,
            endpoint=row.claimed.endpoint_id,
            attempt=row.claimed.attempts + 1,
            why=row.plan.why,
        )


_SAID = {Step.DELIVERED: "delivered", Step.AGAIN: "failed", Step.DEAD: "dead", Step.GONE: "refused"}
