"""The table `idempotency_keys`: the same key and request get the first answer again; another request gets 409.

The key is entered before the work and its answer after it, in transactions of their own: the work of opening a payment
calls a channel, and no transaction is held meanwhile. A crash in between leaves a key without an answer. It must not
block that key for ever, so after a minute the same request may run again; by then the first run has ended, for a call
to a channel has a deadline. Even where it has not, nothing is done twice, because what a key makes follows from the key
(the ids of a payment and of a refund are derived from it) or from the shop's own numbers (orders, registered payments),
and closing, testifying and resolving change nothing the second time. Two runs that both end give one answer: the first
that was written.

A secret is never kept. Of an answer with one (Route.secret) only a sentence is, and a repeat gets that as a 409: what
was made, and how to come by a new secret when the first answer got lost. Only where the process died before it could
keep that sentence is the deed done once more: then there is an endpoint, a key or a secret that nobody knows, which the
lists show and which harms nobody.

Only what was done is remembered. A refusal forgets its key: nothing was changed, and whatever was in the way may be
gone when the same request comes again.
"""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from paidup.db.transaction import Database, Tx
from paidup.errors import Conflict, InvalidRequest

KEPT = timedelta(days=30)
ABANDONED = timedelta(seconds=60)
MAX_KEY_CHARS = 255
WITHHELD = 409

ENTER = """
INSERT INTO idempotency_keys (shop, key, request_hash, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING RETURNING key"""

TAKE_OVER = """
UPDATE idempotency_keys SET created_at = $3
WHERE shop = $1 AND key = $2 AND status IS NULL AND created_at < $4 RETURNING key"""

GET = "SELECT request_hash, status, answer FROM idempotency_keys WHERE shop = $1 AND key = $2"

ANSWER = (
    "UPDATE idempotency_keys SET status = $3, answer = $4 WHERE shop = $1 AND key = $2 AND status IS NULL RETURNING key"
)

# created_at tells whose run it is: one that was taken over leaves the key to its successor.
FORGET = "DELETE FROM idempotency_keys WHERE shop = $1 AND key = $2 AND status IS NULL AND created_at = $3"

PRUNE = """
DELETE FROM idempotency_keys WHERE (shop, key) IN (
  SELECT shop, key FROM idempotency_keys WHERE created_at < $1 LIMIT $2)"""


class Busy(Conflict):
    """The first request under this Idempotency-Key is still being worked on."""


class Answer(msgspec.Struct, frozen=True):
    """What was answered: HTTP status and JSON body. replayed: to an earlier request under the same key. withheld: what
    a repeat is told instead, with WITHHELD, because the body may not be kept; a JSON text."""

    status: int
    body: bytes
    replayed: bool = False
    withheld: bytes | None = None


async def once(
    db: Database, *, shop: str, key: str, request: bytes, now: datetime, work: Callable[[], Awaitable[Answer]]
) -> Answer:
    """Do the work once per key. Raises Conflict when the key was used for another request, Busy while it runs.

    request: what the key stands for (method, path and body). Work that raises forgets the key: nothing was answered.
    """
    if not 1 <= len(key) <= MAX_KEY_CHARS or not key.isprintable():
        raise InvalidRequest(f"Idempotency-Key must have 1 to {MAX_KEY_CHARS} printable characters")
    hashed = hashlib.sha256(request).digest()
    async with db.transaction() as tx:
        first = await _known(tx, shop, key, hashed, now)
    if first:
        return first
    try:
        answer = await work()
    except BaseException:
        async with db.transaction() as tx:
            await tx.execute(FORGET, shop, key, now)
        raise
    async with db.transaction() as tx:
        status, kept = (WITHHELD, answer.withheld) if answer.withheld else (answer.status, answer.body)
        if await tx.fetchval(ANSWER, shop, key, status, kept.decode()) is None:
            return _answer_of(await tx.fetchrow(GET, shop, key)) or answer
    return answer


async def _known(tx: Tx, shop: str, key: str, hashed: bytes, now: datetime) -> Answer | None:
    """The first answer; None when the work is ours to do."""
    if await tx.fetchval(ENTER, shop, key, hashed, now) is not None:
        return None
    row = await tx.fetchrow(GET, shop, key)
    if row is None:
        raise Busy("this Idempotency-Key is being released; try again")
    if bytes(row["request_hash"]) != hashed:
        raise Conflict("this Idempotency-Key was used for another request; take a fresh key for each new deed")
    first = _answer_of(row)
    if first:
        return first
    if await tx.fetchval(TAKE_OVER, shop, key, now, now - ABANDONED) is not None:
        return None
    raise Busy("the first request under this Idempotency-Key is still running; ask again in two seconds")


def _answer_of(row: Any) -> Answer | None:
    return Answer(row["status"], row["answer"].encode(), replayed=True) if row and row["status"] is not None else None


async def prune(tx: Tx, now: datetime, limit: int) -> int:
    """Forget up to `limit` keys that are over their time; returns how many."""
    return int((await tx.execute(PRUNE, now - KEPT, limit)).split()[-1])
