"""The table `idempotency_keys`: the same key and request get the first answer again; another request gets 409.

The key is entered before the work and its answer after it, in transactions of their own. A crash in between leaves a
key without an answer; after a minute the same request may run again. That is safe because everything beneath is
idempotent by itself: what a key makes has an id that follows from the key.
"""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import msgspec

from paidup.db.transaction import Database, Tx
from paidup.errors import Conflict, InvalidRequest
from paidup.web.problem import Busy

KEPT = timedelta(days=30)
ABANDONED = timedelta(seconds=60)
MAX_KEY_CHARS = 255

ENTER = """
INSERT INTO idempotency_keys (shop, key, request_hash, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING RETURNING key"""

TAKE_OVER = """
UPDATE idempotency_keys SET created_at = $3
WHERE shop = $1 AND key = $2 AND status IS NULL AND created_at < $4 RETURNING key"""

GET = "SELECT request_hash, status, answer FROM idempotency_keys WHERE shop = $1 AND key = $2"

ANSWER = "UPDATE idempotency_keys SET status = $3, answer = $4 WHERE shop = $1 AND key = $2"

FORGET = "DELETE FROM idempotency_keys WHERE shop = $1 AND key = $2 AND status IS NULL"

PRUNE = """
DELETE FROM idempotency_keys WHERE (shop, key) IN (
  SELECT shop, key FROM idempotency_keys WHERE created_at < $1 LIMIT 5000)"""


class Answer(msgspec.Struct, frozen=True):
    """What was answered: HTTP status and JSON body."""

    status: int
    body: bytes


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
            await tx.execute(FORGET, shop, key)
        raise
    async with db.transaction() as tx:
        await tx.execute(ANSWER, shop, key, answer.status, answer.body.decode())
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
    if row["status"] is not None:
        return Answer(row["status"], row["answer"].encode())
    if await tx.fetchval(TAKE_OVER, shop, key, now, now - ABANDONED) is not None:
        return None
    raise Busy("the first request under this Idempotency-Key is still running; ask again in two seconds")


async def prune(tx: Tx, now: datetime) -> None:
    """Forget a bounded number of keys that are over their time."""
    await tx.execute(PRUNE, now - KEPT)
