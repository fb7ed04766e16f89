"""API keys: `Authorization: Bearer pk_…`, looked up by hash for each request, so that a revoked one ends at once."""

from starlette.requests import Request

from paidup.errors import NotAllowed
from paidup.shops import store as shops
from paidup.shops.store import ApiKey, Scope
from paidup.web.context import Context
from paidup.web.problem import Unauthorized

MAX_KEY_CHARS = 200


class Doorman:
    """Knows who asks."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def admit(self, request: Request, scope: Scope) -> ApiKey:
        """The key that the request carries. Raises Unauthorized, or NotAllowed when it lacks the scope."""
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not secret or len(secret) > MAX_KEY_CHARS:
            raise Unauthorized("send `Authorization: Bearer pk_…`; `paidup keys create-api SHOP` makes a key")
        key = await self._find(shops.key_hash(secret.strip()))
        if scope not in key.scopes:
            has = ", ".join(key.scopes)
            made_by = f"`paidup keys create-api {key.shop} --scopes {scope.value}`"
            raise NotAllowed(f"this needs a key with the scope {scope.value!r}; yours has {has}. {made_by} makes one")
        return key

    async def _find(self, hashed: bytes) -> ApiKey:
        async with self._context.db.session() as tx:
            key = await shops.find_key(tx, hashed)
        if key is None:
            raise Unauthorized("this API key is unknown or was revoked")
        return key
