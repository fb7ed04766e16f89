"""The tables `bills` and `bill_parts`: the files as they came, and which of their days are to be worked on."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any, BinaryIO

import msgspec

from paidup import ids
from paidup.channels.bill import BillKind, BillProof
from paidup.db.transaction import Tx
from paidup.errors import NotFound

PART_BYTES = 1 << 20
FILES_KEPT_DAYS = 1100
"""Three years and a month: the raw files. What they were, their hash and their totals are kept for ever."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `bills`. state: kept (not read yet), sound, refused, or none (the channel says there is none)."""

    id: str
    shop: str
    channel: str
    account: str
    kind: BillKind
    day: date
    version: int
    state: str
    fault: str
    why: str
    source: str
    brought_by: str
    file_name: str
    mapping: str
    proof: BillProof
    sha256: bytes
    size_bytes: int
    lines: int
    stated: Mapping[str, str]
    kept_at: datetime
    read_at: datetime | None


class Brought(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a file before it is read. brought_by: who uploaded it."""

    shop: str
    channel: str
    account: str
    kind: BillKind
    day: date
    source: str
    state: str = "kept"
    why: str = ""
    brought_by: str = ""
    file_name: str = ""
    mapping: str = ""
    proof: BillProof = BillProof()


COLUMNS = """id, shop, channel, account, kind, day, version, state, fault, why, source, brought_by, file_name, mapping,
proof, sha256, size_bytes, lines, stated, kept_at, read_at"""

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 3))"

LATEST = f"""
SELECT {COLUMNS} FROM bills WHERE channel = $1 AND account = $2 AND day = $3 AND kind = $4
  AND ($5::text[] IS NULL OR state = ANY($5))
ORDER BY version DESC LIMIT 1"""

INSERT = f"""
INSERT INTO bills (id, shop, channel, account, kind, day, version, state, why, source, brought_by, file_name, mapping,
  proof, sha256, size_bytes, kept_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) RETURNING {COLUMNS}"""

INSERT_PART = "INSERT INTO bill_parts (bill_id, n, content) VALUES ($1, $2, $3)"

PART = "SELECT content FROM bill_parts WHERE bill_id = $1 AND n = $2"

READ = """
UPDATE bills SET state = $2, fault = $3, why = $4, lines = $5, stated = $6, read_at = $7 WHERE id = $1"""

READ_AGAIN = "UPDATE bills SET state = 'kept', fault = '', why = '' WHERE id = $1"

PAGE = f"""
SELECT {COLUMNS} FROM bills WHERE ($1::text IS NULL OR shop = $1) AND ($2::text IS NULL OR channel = $2)
  AND ($3::text IS NULL OR account = $3) AND ($4::date IS NULL OR day = $4)
ORDER BY day DESC, channel, account, kind, version DESC LIMIT $5"""

GET = f"SELECT {COLUMNS} FROM bills WHERE id = $1"

WANT_WORK = "UPDATE bills SET work_at = $2 WHERE id = $1"

CLAIM_WORK = """
UPDATE bills SET work_at = $2 WHERE id = ANY(ARRAY(
  SELECT id FROM bills WHERE work_at <= $1 ORDER BY work_at, id LIMIT $3 FOR UPDATE SKIP LOCKED))
RETURNING id, channel, account, day"""

HELD = """
SELECT id, work_at FROM bills WHERE channel = $1 AND account = $2 AND day = $3 AND kind = $4
ORDER BY version DESC LIMIT 1 FOR UPDATE"""

WORKED = "UPDATE bills SET work_at = NULL WHERE id = ANY($1::text[])"

PRUNE_PARTS = "DELETE FROM bill_parts WHERE bill_id IN (SELECT id FROM bills WHERE kept_at < $1 AND day < $2)"


def _kept(row: Any) -> Kept:
    fields = dict(row)
    for name in ("proof", "stated"):
        fields[name] = msgspec.json.decode(fields[name])
    return msgspec.convert(fields, Kept)


async def keep(tx: Tx, brought: Brought, file: BinaryIO, now: datetime) -> Kept:
    """Keep a file as the next version of its day's bill. The very same file, of which the same is said, is the version
    that it already is."""
    await tx.execute(LOCK, f"bill {brought.channel}/{brought.account} {brought.kind} {brought.day}")
    latest = await latest_of(tx, brought.channel, brought.account, brought.day, brought.kind)
    digest, size_bytes = _digest(file)
    if latest and (latest.sha256, latest.mapping, latest.proof, latest.state == "none") == (
        digest, brought.mapping, brought.proof, brought.state == "none",
    ):  # fmt: skip
        if latest.state == "refused":  # it is read again: the parser or its description may have been mended
            await tx.execute(READ_AGAIN, latest.id)
            return msgspec.structs.replace(latest, state="kept", fault="", why="")
        return latest
    row = await tx.fetchrow(
        INSERT, ids.new_id("bil", now), brought.shop, brought.channel, brought.account, brought.kind, brought.day,
        latest.version + 1 if latest else 1, brought.state, brought.why, brought.source, brought.brought_by,
        brought.file_name, brought.mapping, _json(brought.proof), digest, size_bytes, now,
    )  # fmt: skip
    kept = _kept(row)
    file.seek(0)
    n = 0
    while part := file.read(PART_BYTES):
        await tx.execute(INSERT_PART, kept.id, n, part)
        n += 1
    return kept


async def bring(tx: Tx, kept: Kept, into: BinaryIO) -> None:
    """The raw file, written to `into` from its start. Raises NotFound when it is kept no longer."""
    for n in range(parts_of(kept)):
        into.write(await part(tx, kept, n))
    into.seek(0)


def parts_of(kept: Kept) -> int:
    """In how many parts the file is kept."""
    return -(-kept.size_bytes // PART_BYTES)


async def part(tx: Tx, kept: Kept, n: int) -> bytes:
    """One part of the raw file. Raises NotFound when it is kept no longer."""
    found: bytes | None = await tx.fetchval(PART, kept.id, n)
    if found is None:
        raise NotFound(f"the file of the bill {kept.id} was removed: files are kept for {FILES_KEPT_DAYS} days")
    return found


async def latest_of(
    tx: Tx, channel: str, account: str, day: date, kind: BillKind, *, states: Sequence[str] | None = None
) -> Kept | None:
    """The latest version of a bill, of those in these states."""
    row = await tx.fetchrow(LATEST, channel, account, day, kind, list(states) if states else None)
    return _kept(row) if row else None


async def was_read(
    tx: Tx, bill_id: str, state: str, now: datetime, *, fault: str = "", why: str = "", lines: int = 0,
    stated: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Write down what reading it said: sound or refused."""
    await tx.execute(READ, bill_id, state, fault, why[:2000], lines, _json(stated or {}), now)


async def get(tx: Tx, bill_id: str) -> Kept | None:
    """One bill by its id."""
    row = await tx.fetchrow(GET, bill_id)
    return _kept(row) if row else None


async def page(
    tx: Tx, shop: str | None, limit: int, *, channel: str | None = None, account: str | None = None,
    day: date | None = None,
) -> list[Kept]:  # fmt: skip
    """Bills, the latest day first."""
    return [_kept(row) for row in await tx.fetch(PAGE, shop, channel, account, day, limit)]


async def prune(tx: Tx, now: datetime) -> None:
    """Remove what has outlived its stated retention."""
    long_ago = now - timedelta(days=FILES_KEPT_DAYS)
    await tx.execute(PRUNE_PARTS, long_ago, long_ago.date())


def _digest(file: BinaryIO) -> tuple[bytes, int]:
    file.seek(0)
    digest, size_bytes = sha256(), 0
    while part := file.read(PART_BYTES):
        digest.update(part)
        size_bytes += len(part)
    return digest.digest(), size_bytes


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


# Days to be worked on ------------------------------------------------------------------------------------------------


async def want_work(tx: Tx, bill_id: str, at: datetime) -> None:
    """The bill's day is to be reconciled from then on."""
    await tx.execute(WANT_WORK, bill_id, at)


async def claim_work(tx: Tx, now: datetime, until: datetime, limit: int) -> dict[tuple[str, str, date], list[str]]:
    """Take days that uploads, or workers that died, left to be reconciled, with the bills that stand for them; nobody
    else takes them before `until`."""
    days: dict[tuple[str, str, date], list[str]] = {}
    for row in await tx.fetch(CLAIM_WORK, now, until, limit):
        days.setdefault((row["channel"], row["account"], row["day"]), []).append(row["id"])
    return days


async def promise_work(tx: Tx, channel: str, account: str, day: date, until: datetime) -> list[str] | None:
    """Let somebody reconcile the day then, unless its bills, which this returns, are called worked on before. None when
    it is to be worked on already, or somebody does."""
    row = await tx.fetchrow(HELD, channel, account, day, BillKind.TRADES)
    if row is not None and row["work_at"] is not None:
        return None
    for bill_id in (held := [] if row is None else [row["id"]]):
        await want_work(tx, bill_id, until)
    return held


async def worked(tx: Tx, bill_ids: Sequence[str]) -> None:
    """Their days were reconciled, or cannot be."""
    await tx.execute(WORKED, list(bill_ids))
