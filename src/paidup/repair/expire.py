"""Orders whose time is over are given up."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from paidup import log
from paidup.apply import Item, apply
from paidup.cases import store as cases
from paidup.db.poison import POISON, bad_ones
from paidup.db.transaction import Database, Tx
from paidup.handlers import Handlers
from paidup.orders import expiry
from paidup.repair.due import next_expiry_s
from paidup.settle.book import CloseOrder, NeedPerson

LATE_EXPIRY = "poisoned_expiry"
LATE_EXPIRY_AFTER = 3
"""So often an order may fail to be given up before a person is told: its shop's warehouse may be away for a minute."""


async def run_once(db: Database, *, now: datetime, limit: int, handlers: Handlers) -> int:
    """Give up unpaid orders whose time is over; their payments are then closed at the channel.

    One that cannot be given up (a handler raises, a counter was edited) is tried again later and holds up no other.
    """
    expired: list[str] = []
    try:
        async with db.transaction() as tx:
            overtaken = await expiry.drop_overtaken(tx, now)
            await cases.resolve_kind(tx, LATE_EXPIRY, overtaken, "it was paid or given up meanwhile", now)
            expired = await expiry.expired(tx, now, limit)
            await _expire(tx, expired, now, handlers)
    except POISON:

        async def attempt(some: Sequence[str]) -> None:
            async with db.transaction() as tx:
                await _expire(tx, await expiry.still_expired(tx, now, some), now, handlers)

        for order_id, error in await bad_ones(db, expired, attempt):
            await _expire_later(db, order_id, error, now, handlers)
    return len(expired)


async def _expire(tx: Tx, order_ids: Sequence[str], now: datetime, handlers: Handlers) -> None:
    items = [Item(what=CloseOrder(order_id, "its time is over"), shop="", road="clock") for order_id in order_ids]
    await apply(tx, items, now, handlers)
    failed_before = await expiry.drop(tx, order_ids)
    await cases.resolve_kind(tx, LATE_EXPIRY, failed_before, "it could be given up now", now)


async def _expire_later(db: Database, order_id: str, error: BaseException, now: datetime, handlers: Handlers) -> None:
    """Leave it alone for a while; a person is told when it failed several times."""
    why = f"its time is over, and it cannot be given up: {type(error).__name__}: {error}"[:500]
    async with db.transaction() as tx:
        failures = await expiry.failures(tx, order_id) + 1
        await expiry.set_aside(tx, order_id, failures, now + timedelta(seconds=next_expiry_s(failures)), why)
    log.error("expiry.failed", order=order_id, failures=failures, why=why)
    if failures < LATE_EXPIRY_AFTER:
        return

    async def tell(some: Sequence[str]) -> None:
        needs = [NeedPerson(order_id=one, subject_id=one, kind=LATE_EXPIRY, why=why) for one in some]
        async with db.transaction() as tx:
            await apply(tx, [Item(what=need, shop="", road="clock") for need in needs], now, handlers)

    for _, untold in await bad_ones(db, [order_id], tell):  # its handler raised: told next time
        log.error("case.failed", order=order_id, why=str(untold)[:500])
