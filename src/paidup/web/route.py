"""One row of the API: address, scope, shapes. The server and the OpenAPI document are both made from it."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request

from paidup.errors import InvalidRequest
from paidup.shops.store import Scope

MAX_PAGE = 200
USUAL_PAGE = 50
_WHOLE_NUMBER = re.compile("[0-9]{1,18}")

# Any: each handler has its own body and answer; `body` and `gives` beside it say which.
Handler = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class Query:
    """A query parameter: its name, what it means, and its JSON type."""

    name: str
    meaning: str
    kind: str = "string"


LIMIT = Query("limit", f"how many, from 1 to {MAX_PAGE}; {USUAL_PAGE} unless given", "integer")
BEFORE = Query("before", "the `next` of the page before")


@dataclass(frozen=True)
class Route:
    """One operation. keyed: it needs an Idempotency-Key, because doing it twice would move money twice. form: it takes
    a file, with these fields beside it, as multipart/form-data. gives None: it answers with a file. secret: its answer
    may hold one, and is never kept: under an Idempotency-Key a repeat is told what was done, without it."""

    method: str
    path: str
    handler: Handler
    scope: Scope
    gives: type[msgspec.Struct] | None
    body: type[msgspec.Struct] | None = None
    status: int = 200
    keyed: bool = False
    query: tuple[Query, ...] = ()
    form: type[msgspec.Struct] | None = None
    secret: bool = False

    @property
    def shown_path(self) -> str:
        """The path as people and OpenAPI write it."""
        return self.path.replace(":path}", "}")

    @property
    def says(self) -> str:
        """What the operation does, in one or two sentences."""
        return " ".join((self.handler.__doc__ or "").split())


def limit_of(request: Request) -> int:
    """?limit=, from 1 to 200. Raises InvalidRequest."""
    limit = whole_number(request.query_params.get(LIMIT.name, str(USUAL_PAGE)))
    if limit is None or not 1 <= limit <= MAX_PAGE:
        raise InvalidRequest(f"limit must be a whole number from 1 to {MAX_PAGE}")
    return limit


def whole_number(text: str) -> int | None:
    """A number of at most 18 plain digits, which every column holds; None for anything else."""
    return int(text) if _WHOLE_NUMBER.fullmatch(text) else None
