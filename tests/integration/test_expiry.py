"""Orders whose time is over are given up, each for itself; one that cannot be keeps no other from it."""

from datetime import datetime

from kept import keep, open_cases, read
from paidup.apply import Item, apply
from paidup.db.transaction import Database, Tx
from paidup.handlers import Handlers
from paidup.orders import store as orders
from paidup.orders.states import State
from paidup.outbox.store import Written
from paidup.repair import expire as expiring
from paidup.settle.book import Book, CloseOrder
from paidup.testing.builders import after, an_order, order_id
from paidup.wakeups import NEXT_EXPIRY
from stock_side import counters, placed, stocked

STUCK = ("poisoned_expiry", order_id(1))


async def expire(db: Database, seconds: float, handlers: Handlers | None = None, *, limit: int = 100) -> int:
    """One round, so many seconds after `NOW`."""
    return await expiring.run_once(db, now=after(seconds), limit=limit, handlers=handlers or Handlers())


def refusing(*event_types: str) -> Handlers:
    """A shop whose own tables lack order A-1."""
    handlers = Handlers()
    for event_type in event_types:

        @handlers.on(event_type)
        async def _(_tx: Tx, event: Written) -> None:
            if event.order_id == order_id(1):
                raise RuntimeError("no such row in the shop's own table")

    return handlers


async def kept(db: Database, *numbers: int) -> None:
    """Orders that nobody ever began to pay, each a second longer alive than the one before."""
    await keep(db, *(Book(an_order(n, expires_at=after(60 + n)), {}, {}) for n in numbers))


async def stands(db: Database, *numbers: int) -> list[str]:
    """The states of these orders."""
    return [(await read(db, n)).order.state.value for n in numbers]


async def next_round_at(db: Database) -> datetime | None:
    """When a worker without work looks again."""
    found: datetime | None = await db.read(NEXT_EXPIRY)
    return found


async def test_one_order_whose_handler_fails_keeps_no_other_from_expiring(db: Database) -> None:
    """A handler that raises undoes its item alone, also where orders expire: it is the oldest, and all others close."""
    await kept(db, 1, 2, 3)
    assert 3 == await expire(db, 600, refusing("order.closed"))
    assert ["unpaid", "closed", "closed"] == await stands(db, 1, 2, 3)


async def test_one_order_with_a_wrong_counter_keeps_no_other_from_expiring(db: Database) -> None:
    """A counter was edited by hand, so that the order's units cannot come back: others' come back."""
    await stocked(db, 10)
    await stocked(db, 10, "CUP-01")
    bad = await placed(db, "A-1", ("TEA-01", 2))
    good = await placed(db, "A-2", ("CUP-01", 1), now=after(1))
    async with db.transaction() as tx:
        await tx.execute("UPDATE skus SET reserved = 1 WHERE sku = 'TEA-01'")
    await expire(db, 86400)
    async with db.session() as tx:
        found = {order.id: order.state for order in await orders.get_many(tx, [bad.id, good.id])}
    assert {bad.id: State.UNPAID, good.id: State.CLOSED} == found
    assert (10, 0, 0) == await counters(db, "CUP-01")


async def test_an_order_that_cannot_expire_leaves_the_round(db: Database) -> None:
    """It takes no place in the rounds that follow, however small they are, and nobody looks again before its time."""
    await kept(db, 1, 2)
    handlers = refusing("order.closed")
    assert 1 == await expire(db, 600, handlers, limit=1)
    assert after(62) == await next_round_at(db)
    assert 1 == await expire(db, 601, handlers, limit=1)
    assert (0, after(660)) == (await expire(db, 602, handlers, limit=1), await next_round_at(db))
    assert ["unpaid", "closed"] == await stands(db, 1, 2)


async def test_an_order_that_cannot_expire_is_tried_less_and_less_often(db: Database) -> None:
    """After 1, 2, 4 … minutes, then every hour."""
    await kept(db, 1)
    pauses, at = [], after(600)
    for _ in range(8):
        await expiring.run_once(db, now=at, limit=10, handlers=refusing("order.closed"))
        again_at = await next_round_at(db)
        assert again_at is not None
        pauses.append((again_at - at).total_seconds() / 60)
        at = again_at
    assert [1, 2, 4, 8, 16, 32, 60, 60] == pauses


async def test_a_person_hears_of_an_order_that_failed_three_times(db: Database) -> None:
    """Once, with the reason; not of a shop's warehouse that was away for a minute."""
    await kept(db, 1)
    handlers, cases = refusing("order.closed"), []
    for seconds in (600, 660, 780, 1020):
        await expire(db, seconds, handlers)
        cases.append(await open_cases(db))
    assert [[], [], [STUCK], [STUCK]] == cases
    async with db.session() as tx:
        why = await tx.fetchval("SELECT why FROM cases")
    assert ("its time is over, and it cannot be given up: HandlerFailed", True) == (
        ": ".join(why.split(": ")[:2]),
        "no such row in the shop's own table" in why,
    )


async def test_a_handler_of_the_case_that_fails_too_stops_nothing(db: Database) -> None:
    """The person is told as soon as the shop's handler of case.opened lets it be."""
    await kept(db, 1)
    for seconds in (600, 660, 780):
        await expire(db, seconds, refusing("order.closed", "case.opened"))
    assert [] == await open_cases(db)
    await keep(db, Book(an_order(2, expires_at=after(900)), {}, {}))
    await expire(db, 1020, refusing("order.closed"))
    assert (["closed"], [STUCK]) == (await stands(db, 2), await open_cases(db))


async def test_once_the_cause_is_mended_the_order_expires_by_itself(db: Database) -> None:
    """Its case is closed, and no trace is left in the schedule."""
    await kept(db, 1)
    for seconds in (600, 660, 780):
        await expire(db, seconds, refusing("order.closed"))
    assert 1 == await expire(db, 1020)
    assert (["closed"], [], None) == (await stands(db, 1), await open_cases(db), await next_round_at(db))


async def test_a_person_need_not_wait_for_the_next_try(db: Database) -> None:
    """Closed by hand as soon as the cause is mended: the next round only closes the case."""
    await kept(db, 1)
    for seconds in (600, 660, 780):
        await expire(db, seconds, refusing("order.closed"))
    async with db.transaction() as tx:
        item = Item(what=CloseOrder(order_id(1), "mended"), shop="", road="operator")
        await apply(tx, [item], after(800), Handlers())
    assert 0 == await expire(db, 1020)
    assert (["closed"], [], None) == (await stands(db, 1), await open_cases(db), await next_round_at(db))
