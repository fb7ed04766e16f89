"""Repair by the bill: the channel is asked about each break that proof can mend, and what it says goes to the door.

The bill is the channel's own word. Its answer to a question is wanted beside it, but where it does not answer, a bill
that we fetched ourselves is proof enough; where it contradicts its own bill, people decide. All goes through the one
door (apply.py) by the road "bill".
"""

import asyncio
from collections.abc import Sequence
from datetime import date

from paidup.ask import Asker
from paidup.db.poison import bad_ones
from paidup.db.transaction import Database
from paidup.handlers import Handlers
from paidup.reconcile import store
from paidup.reconcile.mend_ask import Asked, Subject, ask, subjects_of
from paidup.reconcile.mend_plan import proposals
from paidup.reconcile.mend_settle import ask_people, give_up, settle
from paidup.reconcile.party import Party

_AT_ONCE = 8


async def mend(
    db: Database,
    party: Party,
    day: date,
    *,
    asker: Asker,
    handlers: Handlers,
    who: str,
    only: frozenset[str] | None = None,
    is_early: bool = False,
) -> int:
    """Ask about the breaks of a day, and repair what may be repaired; returns how often our books changed by that: the
    day is to be laid beside them once more. only: the ids of those that are asked about; when None, all but those about
    which the channel was silent, and is to be asked again later; is_early: these, too."""
    now = asker.now_of()
    async with db.session() as tx:
        proposed = await proposals(tx, party, day, now, only=only, is_early=is_early)
        subjects = await subjects_of(tx, [one for one in proposed if not one.needs])
    gate = asyncio.Semaphore(_AT_ONCE)

    async def ask_one(subject: Subject) -> Asked:
        async with gate:
            return await ask(asker, subject)

    asked = await asyncio.gather(*map(ask_one, subjects))
    now, mended = max(now, asker.now_of()), 0

    async def settle_some(some: Sequence[Asked]) -> None:
        nonlocal mended
        async with db.transaction() as tx:
            done = await settle(tx, party, some, handlers, who, now)
        mended += done

    for one, error in await bad_ones(db, asked, settle_some):
        async with db.transaction() as tx:
            await give_up(tx, one.subject.proposal.broken, f"{type(error).__name__}: {error}"[:500], who, now)
    async with db.transaction() as tx:
        await ask_people(tx, [one for one in proposed if one.needs], who, now)
        await store.not_asked(tx, sorted((only or frozenset()) - {one.subject.proposal.broken.id for one in asked}))
    return mended
