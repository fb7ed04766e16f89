"""The table `cases`: what a person must decide. One open case per kind and subject."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from paidup import ids
from paidup.db.transaction import Tx


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `cases`. subject_id is what it is about: a payment, a refund, a callback, an account."""

    id: str
    shop: str
    kind: str
    subject_id: str
    order_id: str | None
    why: str
    opened_at: datetime
    resolved_at: datetime | None = None
    resolution: str | None = None
    claimed_by: str | None = None
    claimed_at: datetime | None = None
    resolved_by: str | None = None


class Comment(msgspec.Struct, frozen=True):
    """What somebody wrote beside a case."""

    at: datetime
    who: str
    said: str


COLUMNS = """id, shop, kind, subject_id, order_id, why, opened_at, resolved_at, resolution, claimed_by, claimed_at,
resolved_by"""

OPEN = """
INSERT INTO cases (id, shop, kind, subject_id, order_id, why, opened_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
ON CONFLICT (kind, subject_id) WHERE resolved_at IS NULL DO NOTHING
RETURNING id"""

LIST = f"""
SELECT {COLUMNS} FROM cases WHERE (resolved_at IS NULL OR $1)
  AND ($3::text IS NULL OR id < $3) AND ($4::text IS NULL OR kind = $4)
ORDER BY id DESC LIMIT $2"""

# Compared as a whole, so that it is the index of shops that is walked, and not all cases until enough are the shop's.
LIST_OF_SHOP = f"""
SELECT {COLUMNS} FROM cases WHERE (shop, id) >= ($5, '') AND (shop, id) < ($5, coalesce($3, 'zzz'))
  AND (resolved_at IS NULL OR $1) AND ($4::text IS NULL OR kind = $4)
ORDER BY shop DESC, id DESC LIMIT $2"""

OF_ORDER = f"SELECT {COLUMNS} FROM cases WHERE order_id = $1 ORDER BY opened_at"

RESOLVE = f"""
UPDATE cases SET resolved_at = $2, resolution = $3, resolved_by = $4 WHERE id = $1 AND resolved_at IS NULL
RETURNING {COLUMNS}"""

GET = f"SELECT {COLUMNS} FROM cases WHERE id = $1"

CLAIM = f"""
UPDATE cases SET claimed_by = $2, claimed_at = $3 WHERE id = $1 AND resolved_at IS NULL RETURNING {COLUMNS}"""

COMMENT = "INSERT INTO case_comments (id, case_id, at, who, said) VALUES ($1, $2, $3, $4, $5)"

COMMENTS = "SELECT at, who, said FROM case_comments WHERE case_id = $1 ORDER BY id LIMIT 1000"

RESOLVE_KIND = """
UPDATE cases SET resolved_at = $3, resolution = $4
WHERE kind = $1 AND subject_id = ANY($2::text[]) AND resolved_at IS NULL"""

OPEN_OF = "SELECT subject_id FROM cases WHERE kind = $1 AND resolved_at IS NULL AND starts_with(subject_id, $2)"

EVER = "SELECT subject_id FROM cases WHERE kind = $1 AND subject_id = ANY($2::text[])"


def _case(row: Any) -> Case:
    return msgspec.convert(dict(row), Case)


async def open_many(tx: Tx, cases: Sequence[Case]) -> set[str]:
    """Open these cases; returns the ids of those that were not open already."""
    if not cases:
        return set()
    rows = [(c.id, c.shop, c.kind, c.subject_id, c.order_id, c.why, c.opened_at) for c in cases]
    return {row["id"] for row in await tx.fetch(OPEN, *map(list, zip(*rows, strict=True)))}


async def page(
    tx: Tx, shop: str | None, limit: int, *, with_resolved: bool, before: str | None = None, kind: str | None = None
) -> list[Case]:
    """Cases of a shop (of all shops when None), newest first, with ids smaller than `before`."""
    if shop is None:
        return [_case(row) for row in await tx.fetch(LIST, with_resolved, limit, before, kind)]
    return [_case(row) for row in await tx.fetch(LIST_OF_SHOP, with_resolved, limit, before, kind, shop)]


async def of_order(tx: Tx, order_id: str) -> list[Case]:
    """All cases of one order, oldest first."""
    return [_case(row) for row in await tx.fetch(OF_ORDER, order_id)]


async def get(tx: Tx, case_id: str) -> Case | None:
    """One case, open or resolved."""
    row = await tx.fetchrow(GET, case_id)
    return _case(row) if row else None


async def claim(tx: Tx, case_id: str, who: str, now: datetime) -> Case | None:
    """Somebody works on it; None when there is no such open case."""
    row = await tx.fetchrow(CLAIM, case_id, who, now)
    return _case(row) if row else None


async def comment(tx: Tx, case_id: str, who: str, said: str, now: datetime) -> None:
    """Write something beside a case."""
    await tx.execute(COMMENT, ids.new_id("com", now), case_id, now, who, said)


async def comments(tx: Tx, case_id: str) -> list[Comment]:
    """What was written beside a case, oldest first."""
    return [Comment(*row) for row in await tx.fetch(COMMENTS, case_id)]


async def resolve(tx: Tx, case_id: str, resolution: str, now: datetime, *, who: str | None = None) -> Case | None:
    """Close a case with what was decided; None when there is no such open case."""
    row = await tx.fetchrow(RESOLVE, case_id, now, resolution, who)
    return _case(row) if row else None


async def resolve_kind(tx: Tx, kind: str, subject_ids: Sequence[str], resolution: str, now: datetime) -> None:
    """Close the open cases of this kind about these subjects: their cause is gone."""
    if subject_ids:
        await tx.execute(RESOLVE_KIND, kind, subject_ids, now, resolution)


async def ever(tx: Tx, kind: str, subject_ids: Sequence[str]) -> set[str]:
    """Those of these subjects that had a case of this kind, be it open or resolved."""
    return {row["subject_id"] for row in await tx.fetch(EVER, kind, subject_ids)} if subject_ids else set()


async def open_of(tx: Tx, kind: str, prefix: str) -> set[str]:
    """The subjects, of those that begin so, that have an open case of this kind."""
    return {row["subject_id"] for row in await tx.fetch(OPEN_OF, kind, prefix)}
