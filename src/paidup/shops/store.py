"""The tables `shops` and `api_keys`. A key is shown once and kept only as its SHA-256: it is 256 bits of chance, so a
slow hash would add nothing."""

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from paidup import ids
from paidup.db.transaction import Tx
from paidup.errors import InvalidRequest
from paidup.orders.order import LatePayment

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


class Scope(StrEnum):
    """What an API key may do."""

    READ = "read"
    WRITE = "write"  # create orders, open and register payments, close
    REFUND = "refund"  # give money back
    ADMIN = "admin"  # endpoints, and what people do by hand in this shop
    OWNER = "owner"  # what belongs to no shop: the console's users, the settings, the whole audit


class ApiKey(msgspec.Struct, frozen=True):
    """A key as it is known to the server."""

    id: str
    shop: str
    scopes: tuple[Scope, ...]


PUT_SHOP = """
INSERT INTO shops (shop, late_payment, created_at) VALUES ($1, $2, $3)
ON CONFLICT (shop) DO UPDATE SET late_payment = excluded.late_payment"""

LATE_PAYMENT = "SELECT late_payment FROM shops WHERE shop = $1"

LATE_PAYMENTS = "SELECT shop, late_payment FROM shops WHERE shop = ANY($1::text[])"

LIST = "SELECT shop, late_payment, created_at FROM shops ORDER BY shop"

INSERT_KEY = "INSERT INTO api_keys (id, shop, key_hash, scopes, created_at) VALUES ($1, $2, $3, $4, $5)"

FIND_KEY = "SELECT id, shop, scopes FROM api_keys WHERE key_hash = $1 AND revoked_at IS NULL"

LIST_KEYS = "SELECT id, shop, scopes, created_at, revoked_at FROM api_keys WHERE shop = $1 ORDER BY id"

REVOKE = "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING shop"


async def put_shop(tx: Tx, shop: str, late_payment: LatePayment, now: datetime) -> None:
    """Create a shop, or change its policy for money that arrives for a closed order.

    Raises InvalidRequest for a name that the table would refuse.
    """
    if not _NAME.fullmatch(shop):
        raise InvalidRequest(f"shop {shop[:60]!r}: name it with a-z, 0-9, - and _ only, at most 40 characters")
    await tx.execute(PUT_SHOP, shop, late_payment, now)


async def late_payment_of(tx: Tx, shop: str) -> LatePayment:
    """The shop's policy. Raises InvalidRequest for a shop that does not exist."""
    policy = await tx.fetchval(LATE_PAYMENT, shop)
    if policy is None:
        raise InvalidRequest(f"there is no shop {shop!r}; create it with `paidup db shop {shop}`")
    return LatePayment(policy)


async def late_payments_of(tx: Tx, names: Iterable[str]) -> dict[str, LatePayment]:
    """The policies of these shops; a shop that does not exist is left out."""
    rows = await tx.fetch(LATE_PAYMENTS, sorted(set(names)))
    return {row["shop"]: LatePayment(row["late_payment"]) for row in rows}


async def shops(tx: Tx) -> list[dict[str, Any]]:
    """All shops with their policies."""
    return [dict(row) for row in await tx.fetch(LIST)]


async def create_key(tx: Tx, shop: str, scopes: Sequence[Scope], now: datetime) -> str:
    """Make a new API key and return it; it cannot be shown again."""
    key = "pk_" + base64.urlsafe_b64encode(ids.new_secret()).decode().rstrip("=")
    await tx.execute(INSERT_KEY, ids.new_id("key", now), shop, key_hash(key), list(scopes), now)
    return key


async def find_key(tx: Tx, hashed: bytes) -> ApiKey | None:
    """The live key with this hash."""
    row = await tx.fetchrow(FIND_KEY, hashed)
    return ApiKey(row["id"], row["shop"], tuple(map(Scope, row["scopes"]))) if row else None


async def keys_of(tx: Tx, shop: str) -> list[dict[str, Any]]:
    """The shop's keys, live and revoked, without the keys themselves."""
    return [dict(row) for row in await tx.fetch(LIST_KEYS, shop)]


async def revoke_key(tx: Tx, key_id: str, now: datetime) -> str | None:
    """End a key; returns whose it was, None when there is no such live key."""
    return await tx.fetchval(REVOKE, key_id, now)  # type: ignore[no-any-return]  # the column is text


def key_hash(key: str) -> bytes:
    """What is kept of a key. Looking it up by hash compares nothing secret byte by byte."""
    return hashlib.sha256(key.encode()).digest()
