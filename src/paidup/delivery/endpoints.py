"""The table `endpoints`: where a shop wants its events, which of them, and the secrets they are signed with."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from paidup import ids
from paidup.db.transaction import Tx
from paidup.delivery import address, sign
from paidup.errors import Conflict, InvalidRequest, NotFound
from paidup.events import EventType

ALL = "*"
MAX_SECRETS = 3
MAX_PER_SHOP = 50
_MAX_WHY_CHARS = 500


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint of a shop.

    types: event types, or ("*",) for all. paused_until: the receiver said it is overloaded. secret: the new signing
    secret, given by `create_endpoint` and `rotate_secret` only and never again; it is kept out of repr.
    """

    id: str
    shop: str
    url: str
    types: tuple[str, ...]
    enabled: bool
    disabled_why: str
    paused_until: datetime | None
    created_at: datetime
    secret: str | None = None

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        shown = msgspec.structs.asdict(self) | {"secret": "***" if self.secret else None}
        return list(shown.items())

    def __repr__(self) -> str:
        return f"Endpoint({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


COLUMNS = "id, shop, url, types, enabled, disabled_why, paused_until, created_at"

CREATE = f"""
INSERT INTO endpoints (id, shop, url, types, secrets, created_at) VALUES ($1, $2, $3, $4, ARRAY[$5], $6)
RETURNING {COLUMNS}"""

COUNT = "SELECT count(*) FROM endpoints WHERE shop = $1"

LIST = f"SELECT {COLUMNS} FROM endpoints WHERE $1::text IS NULL OR shop = $1 ORDER BY shop, created_at, id"

GET = f"SELECT {COLUMNS}, secrets FROM endpoints WHERE id = $1 AND shop = $2"

SHOP_OF = "SELECT shop FROM endpoints WHERE id = $1"

ENABLE = f"""
UPDATE endpoints SET enabled = true, disabled_why = '', paused_until = NULL WHERE id = $1 AND shop = $2
RETURNING {COLUMNS}"""

DISABLE = f"""
UPDATE endpoints SET enabled = false, disabled_why = $3 WHERE id = $1 AND shop = $2
RETURNING {COLUMNS}"""

ADD_SECRET = f"""
UPDATE endpoints SET secrets = array_prepend($3, secrets)
WHERE id = $1 AND shop = $2 AND cardinality(secrets) < {MAX_SECRETS}
RETURNING {COLUMNS}"""

RETIRE_SECRETS = f"""
UPDATE endpoints SET secrets = secrets[1:1] WHERE id = $1 AND shop = $2
RETURNING {COLUMNS}"""

GONE = "UPDATE endpoints SET enabled = false, disabled_why = $2 WHERE id = ANY($1::text[]) AND enabled"

PAUSE = """
UPDATE endpoints e SET paused_until = p.until
FROM (SELECT id, max(until) AS until FROM unnest($1::text[], $2::timestamptz[]) AS p (id, until) GROUP BY id) p
WHERE e.id = p.id AND (e.paused_until IS NULL OR e.paused_until < p.until)"""


async def create_endpoint(
    tx: Tx, shop: str, url: str, types: Sequence[str], now: datetime, *, allow_loopback: bool
) -> Endpoint:
    """Register a URL for these event types ("*" for all); the answer's `secret` cannot be shown again.

    Raises InvalidRequest for a URL that may not be called or a type that does not exist, Conflict when the shop has
    MAX_PER_SHOP endpoints.
    """
    address.parse(url, allow_loopback=allow_loopback)
    known = _types(types)
    if await tx.fetchval(COUNT, shop) >= MAX_PER_SHOP:
        raise Conflict(f"shop {shop} has {MAX_PER_SHOP} endpoints; use one of those")
    secret = sign.secret_text(ids.new_secret())
    row = await tx.fetchrow(CREATE, ids.new_id(ids.ENDPOINT, now), shop, url, known, secret, now)
    return msgspec.structs.replace(_endpoint(row), secret=secret)


async def list_endpoints(tx: Tx, shop: str | None = None) -> list[Endpoint]:
    """The endpoints of a shop, or of all shops, without their secrets."""
    return [_endpoint(row) for row in await tx.fetch(LIST, shop)]


async def shop_of(tx: Tx, endpoint_id: str) -> str:
    """Whose endpoint it is; empty when there is no such one."""
    return await tx.fetchval(SHOP_OF, endpoint_id) or ""


async def secrets_of(tx: Tx, shop: str, endpoint_id: str) -> tuple[str, ...]:
    """The signing secrets, newest first. Raises NotFound."""
    row = await tx.fetchrow(GET, endpoint_id, shop)
    return tuple(_found(row, shop, endpoint_id)["secrets"])


async def enable(tx: Tx, shop: str, endpoint_id: str) -> Endpoint:
    """Send to it again from the next event on; `store.redrive_endpoint` sends what was skipped. Raises NotFound."""
    return _endpoint(_found(await tx.fetchrow(ENABLE, endpoint_id, shop), shop, endpoint_id))


async def disable(tx: Tx, shop: str, endpoint_id: str, why: str) -> Endpoint:
    """Send nothing to it; its events are kept as skipped. Raises NotFound."""
    row = await tx.fetchrow(DISABLE, endpoint_id, shop, why[:_MAX_WHY_CHARS])
    return _endpoint(_found(row, shop, endpoint_id))


async def rotate_secret(tx: Tx, shop: str, endpoint_id: str) -> Endpoint:
    """Add a new secret, given in the answer; older ones sign as well until `retire_secrets`.

    Raises NotFound, and Conflict when there are MAX_SECRETS already.
    """
    secret = sign.secret_text(ids.new_secret())
    row = await tx.fetchrow(ADD_SECRET, endpoint_id, shop, secret)
    if row is None:
        _found(await tx.fetchrow(GET, endpoint_id, shop), shop, endpoint_id)
        raise Conflict(f"endpoint {endpoint_id} has {MAX_SECRETS} secrets: retire the older ones first")
    return msgspec.structs.replace(_endpoint(row), secret=secret)


async def retire_secrets(tx: Tx, shop: str, endpoint_id: str) -> Endpoint:
    """Keep the newest secret only. Raises NotFound."""
    return _endpoint(_found(await tx.fetchrow(RETIRE_SECRETS, endpoint_id, shop), shop, endpoint_id))


async def gone(tx: Tx, endpoint_ids: Sequence[str], why: str) -> None:
    """Disable the endpoints whose receivers want no more events."""
    if endpoint_ids:
        await tx.execute(GONE, sorted(set(endpoint_ids)), why)


async def pause(tx: Tx, pauses: Sequence[tuple[str, datetime]]) -> None:
    """Leave (endpoint, until) alone; a longer pause stays."""
    if pauses:
        await tx.execute(PAUSE, *map(list, zip(*pauses, strict=True)))


def _types(types: Sequence[str]) -> list[str]:
    if ALL in types:
        return [ALL]
    known = {kind.value for kind in EventType}
    unknown = [kind for kind in types if kind not in known]
    if unknown or not types:
        named = f"{unknown[0][:40]!r} is no event type" if unknown else "an endpoint needs at least one event type"
        raise InvalidRequest(f"{named}: write * for all, or some of {', '.join(sorted(known))}")
    return sorted(set(types))


def _found(row: Any, shop: str, endpoint_id: str) -> Any:
    if row is None:
        raise NotFound(f"shop {shop} has no endpoint {endpoint_id}")
    return row


def _endpoint(row: Any) -> Endpoint:
    return msgspec.convert({**row, "types": tuple(row["types"])}, Endpoint)
