"""The table `approvals`: what one person asked for and a second one must agree to. Nobody agrees to their own."""

from datetime import datetime
from typing import Any

import msgspec

from paidup import ids
from paidup.db.transaction import Tx
from paidup.errors import Conflict, NotFound
from paidup.money import Money


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `approvals`. request is what will be done, as JSON; because: why it takes a second person; why: the
    first one's reason; key: of the one who asked, so that asking twice asks once."""

    id: str
    asked_at: datetime
    asked_by: str
    action: str
    key: str
    shop: str
    order_id: str
    subject_id: str
    amount_minor: int
    currency: str
    because: str
    request: str
    why: str
    state: str = "waiting"
    decided_at: datetime | None = None
    decided_by: str | None = None
    note: str = ""

    @property
    def money(self) -> Money:
        """How much it is about."""
        return Money(self.amount_minor, self.currency)


COLUMNS = ", ".join(Approval.__struct_fields__)

ASK = f"""
INSERT INTO approvals (id, asked_at, asked_by, action, key, shop, order_id, subject_id, amount_minor, currency, because,
  request, why)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (action, subject_id, key) DO NOTHING RETURNING {COLUMNS}"""

BY_KEY = f"SELECT {COLUMNS} FROM approvals WHERE action = $1 AND subject_id = $2 AND key = $3"

WAITING = f"SELECT {COLUMNS} FROM approvals WHERE action = $1 AND subject_id = $2 AND state = 'waiting' LIMIT 1"

LOCK = f"SELECT {COLUMNS} FROM approvals WHERE id = $1 FOR UPDATE"

LIST = f"""
SELECT {COLUMNS} FROM approvals
WHERE ($1::text IS NULL OR shop = $1) AND (state = 'waiting' OR $2) AND ($3::text IS NULL OR id < $3)
ORDER BY id DESC LIMIT $4"""

DECIDE = f"""
UPDATE approvals SET state = $2, decided_at = $3, decided_by = $4, note = $5 WHERE id = $1 AND state = 'waiting'
RETURNING {COLUMNS}"""


def new_approval_id(now: datetime) -> str:
    """An id for a request that is made now."""
    return ids.new_id("apv", now)


async def ask(tx: Tx, wanted: Approval) -> Approval:
    """Write a request down; the one that is there already when its key was used before."""
    values = [getattr(wanted, name) for name in Approval.__struct_fields__[:13]]
    row = await tx.fetchrow(ASK, *values) or await tx.fetchrow(BY_KEY, wanted.action, wanted.subject_id, wanted.key)
    return _approval(row)


async def waiting(tx: Tx, action: str, subject_id: str) -> Approval | None:
    """What is asked of this subject already, and not decided."""
    row = await tx.fetchrow(WAITING, action, subject_id)
    return _approval(row) if row else None


async def page(
    tx: Tx, shop: str | None, limit: int, *, with_decided: bool, before: str | None = None
) -> list[Approval]:
    """Newest first, with ids smaller than `before`; shop None: of all shops."""
    return [_approval(row) for row in await tx.fetch(LIST, shop, with_decided, before, limit)]


async def lock(tx: Tx, approval_id: str, shop: str | None = None) -> Approval:
    """One request, locked until the transaction ends. Raises NotFound."""
    row = await tx.fetchrow(LOCK, approval_id)
    if row is None or (shop is not None and row["shop"] != shop):
        raise NotFound(f"there is no approval {approval_id}; `paidup approvals list` shows them")
    return _approval(row)


async def decide(tx: Tx, asked: Approval, state: str, who: str, note: str, now: datetime) -> Approval:
    """Agree or refuse. Raises Conflict for one's own request, and for one that is decided already."""
    if asked.state != "waiting":
        raise Conflict(f"{asked.decided_by} has decided this already: {asked.state}")
    if state == "approved" and asked.asked_by == who:
        raise Conflict("you asked for this yourself; a second person must agree")
    return _approval(await tx.fetchrow(DECIDE, asked.id, state, now, who, note[:500]))


def _approval(row: Any) -> Approval:
    return msgspec.convert(dict(row), Approval)
