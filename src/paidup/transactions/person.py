"""What a person does to a transaction: let it go on, answer for a step, want it undone. Audited with who and why.

Whoever holds the transaction at that moment loses it: what its participants answer is still written down, and changes
nothing.
"""

from collections.abc import Callable
from datetime import datetime

import msgspec

from paidup.cases import store as cases
from paidup.db.transaction import Tx
from paidup.errors import InvalidRequest, NotFound
from paidup.transactions import store
from paidup.transactions.decide import resume, skip, turn_back
from paidup.transactions.states import MANUAL
from paidup.transactions.transaction import Moved, Transaction
from paidup.transactions.worker import CASE

MAX_WORDS_CHARS = 500

Deed = Callable[[Transaction], tuple[Transaction, tuple[Moved, ...]]]


async def retry(tx: Tx, xid: str, *, shop: str | None, who: str, why: str, now: datetime) -> Transaction:
    """Go on from where it got stuck, with all tries; one that is not stuck is asked about at once.

    shop None: of any shop. Raises NotFound, or Conflict when it has ended.
    """
    return await _do(tx, xid, "retry", lambda t: resume(t, why, now), shop=shop, who=who, why=why, now=now)


async def skip_step(tx: Tx, xid: str, step: str, *, shop: str | None, who: str, why: str, now: datetime) -> Transaction:
    """Somebody answers for this step; the rest goes on. Raises NotFound, InvalidRequest, or Conflict unless MANUAL."""
    return await _do(
        tx, xid, "skip", lambda t: skip(t, step, why, now), shop=shop, who=who, why=why, now=now, step=step
    )


async def compensate(
    tx: Tx, xid: str, *, shop: str | None, who: str, why: str, now: datetime, not_done: str = ""
) -> Transaction:
    """Undo it. not_done: the pivot that stayed silent, of which somebody has found out that it was not done.

    Raises NotFound, or Conflict when it has ended, passed its pivot, or nobody says whether the pivot was done.
    """
    return await _do(
        tx, xid, "compensate", lambda t: turn_back(t, why, now, not_done),
        shop=shop, who=who, why=why, now=now, step=not_done or None,
    )  # fmt: skip


async def _do(
    tx: Tx, xid: str, what: str, deed: Deed, *, shop: str | None, who: str, why: str, now: datetime,
    step: str | None = None,
) -> Transaction:  # fmt: skip
    for words in (who, why):
        if not 1 <= len(words) <= MAX_WORDS_CHARS:
            raise InvalidRequest(f"say who you are and why, in 1 to {MAX_WORDS_CHARS} characters each: it is audited")
    before = await store.lock(tx, xid, shop)
    if before is None:
        raise NotFound(f"there is no transaction {xid}; `paidup tx list` shows the unfinished ones")
    after, moved = deed(before)
    await store.write_operator(tx, xid, what, who, why, step, now)
    await store.save(tx, before, after, moved, now, take_over=True)
    if before.state == MANUAL:
        await cases.resolve_kind(tx, CASE, [xid], f"{what} by {who}: {why}", now)
    return msgspec.structs.replace(after, resumed_at=now)
