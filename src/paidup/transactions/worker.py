"""Takes transactions to their end. Dying at any moment gives the work back by doing nothing: its lease ends.

Before somebody is asked, it is committed that he will be; no transaction of the database is held while he is. What he
answers, what follows from it and who is asked next is one commit again, with its lines in the journal.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from paidup import ids, log
from paidup.apply import Item, apply
from paidup.cases import store as cases
from paidup.db.poison import POISON, must_fit
from paidup.db.transaction import Database, Tx
from paidup.errors import BrokenPromise, HandlersMissing
from paidup.handlers import Handlers
from paidup.orders import store as orders
from paidup.orders.states import State as OrderState
from paidup.settle.book import CloseOrder, NeedPerson, TransactionEnded
from paidup.transactions import participants, store
from paidup.transactions.ask import Requester
from paidup.transactions.decide import Reply, Turn, advance, answered, given_to_a_person, recovered
from paidup.transactions.participants import Way
from paidup.transactions.states import MANUAL, UNDONE
from paidup.transactions.table import MAX_TIMEOUT_S
from paidup.transactions.transaction import Moved, Transaction

LEASE = timedelta(seconds=MAX_TIMEOUT_S + 30)
"""Longer than any request and its record take. So long a transaction rests when its worker has died."""

BATCH = 50
MAX_UNDER_WAY = 200
_CONNECTIONS = 4
"""At most so many of the process's connections to the database: the entrance and the other workers share them."""

MAX_FAILURES = 5
"""So often it is tried to write what follows from the answers, 2, 4, 8 and 16 s apart; then a person is called."""

CHANGED_WITHIN = timedelta(minutes=2)
CASE = "transaction_stuck"


class _Held(NamedTuple):
    """A transaction that is ours for the length of a lease, and how its participants are reached."""

    transaction: Transaction
    ways: dict[tuple[str, str], Way]


class Coordinator:
    """What one process has under way. One round at a time uses it.

    patience_s: how long a round waits for its requests; slower ones are looked at by a later round, so that one slow
    participant does not hold up the others. spread: stretches waits (ids.spread).
    """

    def __init__(
        self,
        requester: Requester,
        handlers: Handlers,
        *,
        lease: timedelta = LEASE,
        patience_s: float = 0.5,
        spread: Callable[[], float] = ids.spread,
    ) -> None:
        self.requester = requester
        self.handlers = handlers
        self.lease = lease
        self.patience_s = patience_s
        self.spread = spread
        self.desk = asyncio.Semaphore(_CONNECTIONS)
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Whether requests are under way."""
        return bool(self._under_way)

    @property
    def room(self) -> int:
        """How many more transactions may be taken."""
        return MAX_UNDER_WAY - len(self._under_way)

    def start(self, db: Database, held: _Held, now: datetime) -> None:
        """Ask on behalf of a transaction until nothing is to be asked now."""
        self._under_way.add(asyncio.create_task(_pursue(db, held, now, self)))

    async def landed(self) -> int:
        """How many have come to rest, after waiting at most patience_s for all. Raises what one of them raised."""
        if not self._under_way:
            return 0
        done, self._under_way = await asyncio.wait(self._under_way, timeout=self.patience_s)
        for task in done:
            task.result()
        return len(done)

    async def aclose(self) -> None:
        """Give up what is under way; it is asked again after its lease."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        self._under_way.clear()


async def run_once(db: Database, *, now: datetime, limit: int, coordinator: Coordinator) -> int:
    """One round: take up to `limit` transactions that are due as far as they go; returns how many moved on."""
    taken = await _claim(db, now, min(limit, coordinator.room), coordinator)
    for held in taken:
        coordinator.start(db, held, now)
    return len(taken) + await coordinator.landed()


async def _claim(db: Database, now: datetime, limit: int, coordinator: Coordinator) -> list[_Held]:
    if limit <= 0:
        return []
    async with db.transaction() as tx:
        await store.wake(tx, now, now - CHANGED_WITHIN, limit)
        claimed = await store.claim(tx, now, now + coordinator.lease, limit)
        ways = await participants.ways(tx, [t.shop for t in claimed]) if claimed else {}
    return [_Held(t, ways) for t in claimed]


async def _pursue(db: Database, held: _Held, now: datetime, coordinator: Coordinator) -> None:
    """Ask, record, go on; until nothing is to be asked now, or somebody else took over."""
    t, replies = held.transaction, list[Reply]()
    while True:
        after, moved = answered(t, replies, now, coordinator.spread()) if replies else (recovered(t), ())
        try:
            async with coordinator.desk, db.transaction() as tx:
                turn = await _go_on(tx, t, after, replies, moved, now, coordinator)
        except HandlersMissing:
            raise  # this process is at fault, and another one takes it
        except POISON as error:
            await must_fit(db)
            await _put_aside(db, _Failed(t, after, replies, moved, error), now, coordinator)
            return
        if turn is None:
            return
        _tell(turn)
        if not turn.calls:
            return
        t = turn.transaction
        replies = await _ask(turn, held.ways, coordinator.requester)
        now = max(now, coordinator.requester.now_of())


async def _ask(turn: Turn, ways: dict[tuple[str, str], Way], requester: Requester) -> list[Reply]:
    t = turn.transaction
    steps = [(t.table.find(name), operation) for name, operation in turn.calls]
    asking = (requester.ask(t, s, operation, ways.get((t.shop, s.participant))) for s, operation in steps)
    return list(await asyncio.gather(*asking))


async def _go_on(
    tx: Tx, before: Transaction, after: Transaction, replies: Sequence[Reply], moved: Sequence[Moved], now: datetime,
    coordinator: Coordinator,
) -> Turn | None:  # fmt: skip
    """Take it as far as it goes, and write all that follows; None when somebody else took it over."""
    turn = advance(after, await _order_state(tx, after), now)
    if turn.give_up:
        await _through_the_door(tx, turn.transaction, CloseOrder(after.order_id, after.why[:200]), now, coordinator)
        turn = _joined(turn, advance(turn.transaction, await _order_state(tx, after), now))
    if turn.calls:
        held = msgspec.structs.replace(turn.transaction, due_at=now + coordinator.lease)
        turn = msgspec.structs.replace(turn, transaction=held)
    else:
        turn = msgspec.structs.replace(turn, transaction=msgspec.structs.replace(turn.transaction, failures=0))
    if not await store.save(tx, before, turn.transaction, (*moved, *turn.moved), now, replies=replies):
        return None
    await _announce(tx, before, turn.transaction, now, coordinator)
    return msgspec.structs.replace(turn, moved=(*moved, *turn.moved))


class _Failed(NamedTuple):
    """What was answered, and what was raised when that which follows was to be written."""

    before: Transaction
    after: Transaction
    replies: Sequence[Reply]
    moved: Sequence[Moved]
    error: BaseException


async def _put_aside(db: Database, failed: _Failed, now: datetime, coordinator: Coordinator) -> None:
    """Keep what was answered, and try later to write what follows from it; after the last time call a person."""
    failures = failed.after.failures + 1
    why = f"{type(failed.error).__name__}: {failed.error}"[:500]
    log.warning("transaction.failed", xid=failed.after.id, failures=failures, why=why)
    if failures >= MAX_FAILURES:
        await _give_to_a_person(db, failed, why, now, coordinator)
        return
    later = msgspec.structs.replace(failed.after, failures=failures, due_at=now + timedelta(seconds=2**failures))
    async with coordinator.desk, db.transaction() as tx:
        await store.save(tx, failed.before, later, failed.moved, now, replies=failed.replies)


async def _give_to_a_person(db: Database, failed: _Failed, why: str, now: datetime, coordinator: Coordinator) -> None:
    """Told as always; where the shop's own handler keeps us from that, the case is opened without telling the shop."""
    for announce in (_announce, _open_case):
        try:
            async with coordinator.desk, db.transaction() as tx:
                t, moved = given_to_a_person(failed.after, await _order_state(tx, failed.after), why, now)
                t, moved = msgspec.structs.replace(t, failures=0), (*failed.moved, *moved)
                if not await store.save(tx, failed.before, t, moved, now, replies=failed.replies):
                    return  # somebody else took it over
                await announce(tx, failed.before, t, now, coordinator)
        except HandlersMissing:
            raise
        except POISON as untold:
            log.error("case.failed", xid=failed.after.id, why=str(untold)[:500])
        else:
            _tell(Turn(transaction=t, moved=moved))
            return


def _joined(first: Turn, second: Turn) -> Turn:
    return msgspec.structs.replace(second, moved=(*first.moved, *second.moved))


async def _order_state(tx: Tx, t: Transaction) -> OrderState:
    """As it stands; not looked up where no step waits for the payment, for then nothing depends on it."""
    if t.table.waiting_step is None:
        return OrderState.UNPAID
    order = await orders.get(tx, t.order_id)
    if order is None:
        raise BrokenPromise(f"transaction {t.id} is about an order that is not there")
    return order.state


async def _announce(tx: Tx, before: Transaction, after: Transaction, now: datetime, coordinator: Coordinator) -> None:
    """An end is told to the shop; a transaction that needs a person opens one case, with its event."""
    if after.state == before.state:
        return
    if after.state == MANUAL:
        need = NeedPerson(order_id=after.order_id, subject_id=after.id, kind=CASE, why=after.why)
        await _through_the_door(tx, after, need, now, coordinator)
    elif after.is_final:
        ended = TransactionEnded(after.order_id, after.id, after.table.name, after.state in UNDONE, after.why)
        await _through_the_door(tx, after, ended, now, coordinator)


async def _open_case(tx: Tx, _before: Transaction, t: Transaction, now: datetime, _coordinator: Coordinator) -> None:
    """The case alone: nobody is told of it but those who look."""
    case = cases.Case(
        id=ids.new_id(ids.CASE, now), shop=t.shop, kind=CASE, subject_id=t.id, order_id=t.order_id, why=t.why,
        opened_at=now,
    )  # fmt: skip
    await cases.open_many(tx, [case])


async def _through_the_door(
    tx: Tx, t: Transaction, what: CloseOrder | NeedPerson | TransactionEnded, now: datetime, coordinator: Coordinator
) -> None:
    await apply(tx, [Item(what=what, shop=t.shop, road="transaction")], now, coordinator.handlers)


def _tell(turn: Turn) -> None:
    """One line per change of state, after the commit that made it so."""
    t = turn.transaction
    for move in turn.moved:
        if move.step is None:
            tell = log.error if move.after == MANUAL else log.info
            tell("transaction.moved", xid=t.id, order=t.order_id, before=move.before, after=move.after, why=move.why)
