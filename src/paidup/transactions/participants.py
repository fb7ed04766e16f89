"""The tables `participants` and `transaction_tables`: who may be asked, and in what order."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from paidup import ids
from paidup.db.transaction import Tx
from paidup.delivery import address, sign
from paidup.errors import Conflict, InvalidRequest, NotFound
from paidup.transactions.table import Table, check

MAX_PER_SHOP = 50
MAX_SECRETS = 3


class Participant(msgspec.Struct, frozen=True, kw_only=True):
    """A service that takes part. secret: given when it is made or rotated, and never again."""

    name: str
    shop: str
    url: str
    created_at: datetime
    secret: str | None = None


class Way(msgspec.Struct, frozen=True):
    """How a participant is reached; its secrets are kept out of repr."""

    url: str
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Way({self.url!r}, ***)"


COLUMNS = "name, shop, url, created_at"

COUNT = "SELECT count(*) FROM participants WHERE shop = $1 AND name <> $2"

PUT = f"""
INSERT INTO participants (shop, name, url, secrets, created_at) VALUES ($1, $2, $3, ARRAY[$4], $5)
ON CONFLICT DO NOTHING RETURNING {COLUMNS}"""

MOVE = f"UPDATE participants SET url = $3 WHERE shop = $1 AND name = $2 RETURNING {COLUMNS}"

ADD_SECRET = f"""
UPDATE participants SET secrets = array_prepend($3, secrets)
WHERE shop = $1 AND name = $2 AND cardinality(secrets) < {MAX_SECRETS} RETURNING {COLUMNS}"""

RETIRE_SECRETS = f"UPDATE participants SET secrets = secrets[1:1] WHERE shop = $1 AND name = $2 RETURNING {COLUMNS}"

LIST = f"SELECT {COLUMNS} FROM participants WHERE $1::text IS NULL OR shop = $1 ORDER BY shop, name"

WAYS = "SELECT shop, name, url, secrets FROM participants WHERE shop = ANY($1::text[])"

PUT_TABLE = """
INSERT INTO transaction_tables (shop, name, steps, updated_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (shop, name) DO UPDATE SET steps = excluded.steps, updated_at = excluded.updated_at"""

GET_TABLE = "SELECT steps FROM transaction_tables WHERE shop = $1 AND name = $2"

LIST_TABLES = "SELECT steps FROM transaction_tables WHERE shop = $1 ORDER BY name"


async def put_participant(
    tx: Tx, shop: str, name: str, url: str, now: datetime, *, allow_loopback: bool
) -> Participant:
    """Register a service; a new one's `secret` cannot be shown again. One that is known moves to this URL.

    Raises InvalidRequest for a URL that may not be called, Conflict when the shop has MAX_PER_SHOP.
    """
    address.parse(url, allow_loopback=allow_loopback)
    if await tx.fetchval(COUNT, shop, name) >= MAX_PER_SHOP:
        raise Conflict(f"shop {shop} has {MAX_PER_SHOP} participants; use one of those")
    secret = sign.secret_text(ids.new_secret())
    row = await tx.fetchrow(PUT, shop, name, url, secret, now)
    if row is not None:
        return Participant(**row, secret=secret)
    row = await tx.fetchrow(MOVE, shop, name, url)
    return Participant(**_found(row, shop, name))


async def rotate_secret(tx: Tx, shop: str, name: str) -> Participant:
    """Add a new secret, given in the answer; older ones sign as well until `retire_secrets`.

    Raises NotFound, and Conflict when there are MAX_SECRETS already.
    """
    secret = sign.secret_text(ids.new_secret())
    row = await tx.fetchrow(ADD_SECRET, shop, name, secret)
    if row is None:
        _found(next((p for p in await list_participants(tx, shop) if p.name == name), None), shop, name)
        raise Conflict(f"participant {name} has {MAX_SECRETS} secrets: retire the older ones first")
    return Participant(**row, secret=secret)


async def retire_secrets(tx: Tx, shop: str, name: str) -> Participant:
    """Keep the newest secret only. Raises NotFound."""
    return Participant(**_found(await tx.fetchrow(RETIRE_SECRETS, shop, name), shop, name))


async def list_participants(tx: Tx, shop: str | None) -> list[Participant]:
    """The participants of a shop, or of all, without their secrets."""
    return [Participant(**row) for row in await tx.fetch(LIST, shop)]


async def ways(tx: Tx, shops: Sequence[str]) -> dict[tuple[str, str], Way]:
    """How the participants of these shops are reached, by (shop, name)."""
    rows = await tx.fetch(WAYS, sorted(set(shops)))
    return {(row["shop"], row["name"]): Way(row["url"], tuple(row["secrets"])) for row in rows}


async def define(tx: Tx, shop: str, table: Table, now: datetime) -> Table:
    """Keep a table of steps under its name; transactions that have begun keep theirs.

    Raises InvalidRequest when it makes no sense, or names a participant that the shop does not have.
    """
    check(table)
    known = {participant.name for participant in await list_participants(tx, shop)}
    missing = [step.participant for step in table.step if step.participant and step.participant not in known]
    if missing:
        there = ", ".join(sorted(known)) or "none"
        raise InvalidRequest(f"shop {shop} has no participant {missing[0]!r}; it has: {there}. Register it first")
    await tx.execute(PUT_TABLE, shop, table.name, msgspec.json.encode(table).decode(), now)
    return table


async def the_table(tx: Tx, shop: str, name: str) -> Table:
    """The table of this name. Raises NotFound naming those there are."""
    text = await tx.fetchval(GET_TABLE, shop, name)
    if text is None:
        known = ", ".join(table.name for table in await list_tables(tx, shop)) or "none"
        raise NotFound(f"shop {shop} has no table of steps {name[:40]!r}; it has: {known}")
    return msgspec.json.decode(text, type=Table)


async def list_tables(tx: Tx, shop: str) -> list[Table]:
    """The shop's tables of steps."""
    return [msgspec.json.decode(row["steps"], type=Table) for row in await tx.fetch(LIST_TABLES, shop)]


def _found(row: Any, shop: str, name: str) -> Any:
    if row is None:
        raise NotFound(f"shop {shop} has no participant {name[:40]!r}")
    return row
