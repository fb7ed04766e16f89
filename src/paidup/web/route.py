"""A row of the API's table: address, scope, shapes. The server and the OpenAPI document are both made from it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request

from paidup.errors import InvalidRequest
from paidup.shops.store import Scope

MAX_PAGE = 200

# Any: each handler has its own body and answer; `body` and `gives` beside it say which.
Handler = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class Route:
    """One operation. keyed: it needs an Idempotency-Key, because doing it twice would move money twice."""

    method: str
    path: str
    handler: Handler
    scope: Scope
    gives: type[msgspec.Struct]
    body: type[msgspec.Struct] | None = None
    status: int = 200
    keyed: bool = False
    query: tuple[str, ...] = ()


def limit_of(request: Request) -> int:
    """?limit=, from 1 to 200. Raises InvalidRequest."""
    text = request.query_params.get("limit", "50")
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= MAX_PAGE:
        raise InvalidRequest(f"limit must be a whole number from 1 to {MAX_PAGE}")
    return int(text)
