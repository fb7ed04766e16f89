"""API keys: `Authorization: Bearer pk_…`, looked up by hash, remembered for a minute."""

from datetime import datetime, timedelta

from starlette.requests import Request

from paidup.errors import NotAllowed
from paidup.shops import store as shops
from paidup.shops.store import ApiKey, Scope
from paidup.web.context import Context
from paidup.web.problem import Unauthorized

REMEMBERED = timedelta(seconds=60)
"""So long a revoked key may still be accepted by a process that has just seen it."""
MAX_REMEMBERED = 1000


class Doorman:
    """Knows who asks."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._seen: dict[bytes, tuple[ApiKey, datetime]] = {}

    async def admit(self, request: Request, scope: Scope) -> ApiKey:
        """The key that the request carries. Raises Unauthorized, or NotAllowed when it lacks the scope."""
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not secret or len(secret) > 200:
            raise Unauthorized("send `Authorization: Bearer pk_…`; `paidup keys create-api SHOP` makes a key")
        key = await self._find(shops.key_hash(secret.strip()))
        if scope not in key.scopes:
            raise NotAllowed(f"this needs a key with the scope {scope!r}; yours has {', '.join(key.scopes)}")
        return key

    async def _find(self, hashed: bytes) -> ApiKey:
        now = self._context.clock.now()
        known = self._seen.get(hashed)
        if known and now - known[1] < REMEMBERED:
            return known[0]
        async with self._context.db.session() as tx:
            key = await shops.find_key(tx, hashed)
        if key is None:
            raise Unauthorized("this API key is unknown or was revoked")
        if len(self._seen) >= MAX_REMEMBERED:
            self._seen.clear()
        self._seen[hashed] = (key, now)
        return key
