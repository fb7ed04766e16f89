"""Errors as RFC 9457 problem details: what is wrong, whose fault it is, and what to do next."""

from collections.abc import Mapping, Sequence

import asyncpg
import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from paidup import log
from paidup.errors import (
    ChannelError,
    Conflict,
    InvalidRequest,
    NotAllowed,
    NotFound,
    OutOfStock,
    Overloaded,
    PaidupError,
    SenderError,
    TooSoon,
)
from paidup.web import respond
from paidup.web.idempotency import Busy

MEDIA_TYPE = "application/problem+json"
MAX_DETAIL_CHARS = 1000


class Flaw(msgspec.Struct, frozen=True):
    """One thing that is wrong with a body. pointer: a JSON pointer as a URI fragment, such as ``#/amount_minor``."""

    pointer: str
    detail: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every error. `type` is a stable name, `detail` says what to do next, `errors` points at fields.

    Of out-of-stock, `sku` names the article of which too few are there, and `left` says how many that are.
    """

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[Flaw, ...] = ()
    sku: str | None = None
    left: int | None = None


class Unauthorized(NotAllowed):
    """No API key, or one that is not known."""


class TooLarge(InvalidRequest):
    """The body is larger than any that makes sense."""


class NotJson(InvalidRequest):
    """The body cannot be read at all."""


class Flawed(InvalidRequest):
    """The body can be read, but fields of it make no sense."""

    def __init__(self, detail: str, flaws: Sequence[Flaw]) -> None:
        super().__init__(detail)
        self.flaws = tuple(flaws)


_AWAY = "The database cannot be reached; try again"
# The most telling first: a Busy is also a Conflict, and a TooLarge an InvalidRequest.
_KINDS: tuple[tuple[type[Exception], int, str, str], ...] = (
    (Unauthorized, 401, "unauthorized", "The API key is missing or unknown"),
    (NotAllowed, 403, "forbidden", "The API key may not do this"),
    (NotFound, 404, "not-found", "There is no such thing"),
    (Busy, 409, "in-progress", "The first request under this key is still running"),
    (OutOfStock, 409, "out-of-stock", "Fewer units are left than are wanted"),
    (Conflict, 409, "conflict", "It contradicts what is already there"),
    (TooSoon, 429, "too-soon", "It was asked a moment ago"),
    (TooLarge, 413, "too-large", "The body is too large"),
    (NotJson, 400, "malformed-json", "The body is not JSON"),
    (InvalidRequest, 422, "invalid-request", "The request makes no sense as it is"),
    (SenderError, 400, "bad-request", "The request cannot be accepted"),
    (ChannelError, 502, "channel-failed", "The payment channel did not do its part"),
    (Overloaded, 503, "overloaded", "Too much at once; try again"),
    (OSError, 503, "database-away", _AWAY),
    (asyncpg.InterfaceError, 503, "database-away", _AWAY),
    (
        asyncpg.InternalClientError,
        503,
        "database-away",
        _AWAY,
    ),  # a connection that broke, or no server takes writes now
    (asyncpg.PostgresConnectionError, 503, "database-away", _AWAY),
    (asyncpg.OperatorInterventionError, 503, "database-away", _AWAY),  # it starts, stops or gave our statement up
    (asyncpg.InsufficientResourcesError, 503, "database-away", _AWAY),
    (asyncpg.InvalidAuthorizationSpecificationError, 503, "database-away", _AWAY),  # its password was changed
    (asyncpg.ReadOnlySQLTransactionError, 503, "database-away", "The database takes no writes for now; try again"),
    (asyncpg.TransactionRollbackError, 503, "database-away", "Others changed the same rows; try again"),
)
_OURS = (500, "our-error", "Paidup is at fault; the reason stands in its log")
CAUGHT = (PaidupError, OSError, asyncpg.InterfaceError, asyncpg.InternalClientError, asyncpg.PostgresError)
"""What is answered here for good. Anything else is a defect: answered the same way, and raised on to the server."""
TYPES = tuple(dict.fromkeys([*(name for _, _, name, _ in _KINDS), _OURS[1], "no-such-route", "method-not-allowed"]))
"""Every problem type there is; as ``urn:paidup:problem:<name>``."""


def problem_of(error: Exception) -> Problem:
    """The problem details of an error. Those of our own or the database's say nothing of their inside."""
    found = next((row for row in _KINDS if isinstance(error, row[0])), (Exception, *_OURS))
    _, status, name, title = found
    detail = str(error) if status < 500 or isinstance(error, ChannelError) else f"{title}."
    flaws = error.flaws if isinstance(error, Flawed) else ()
    sku, left = (error.sku, error.left) if isinstance(error, OutOfStock) else (None, None)
    return Problem(_type(name), title, status, detail[:MAX_DETAIL_CHARS], flaws, sku, left)


def _type(name: str) -> str:
    return f"urn:paidup:problem:{name}"


def answer(problem: Problem, extra: Mapping[str, str] | None = None) -> Response:
    """The problem as a response, with the header that clients act on where there is one."""
    if problem.status == 401:
        extra = {"www-authenticate": "Bearer"}
    elif problem.status == 429:
        extra = {"retry-after": "3"}
    elif problem.status == 503 or problem.type == _type("in-progress"):
        extra = {"retry-after": "2"}
    return respond.json(msgspec.json.encode(problem), problem.status, media_type=MEDIA_TYPE, extra=extra)


async def handle(request: Request, error: Exception) -> Response:
    """Starlette's exception handler for CAUGHT, and for defects."""
    problem = problem_of(error)
    if problem.status >= 500:
        # Not request.url, which is made of the Host header that the caller chose.
        log.error("request.failed", path=request.scope["path"], why=f"{type(error).__name__}: {error}"[:300])
    return answer(problem)


async def handle_http(_request: Request, error: Exception) -> Response:
    """Starlette's exception handler for paths and methods that are not in the table of routes."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    if status == 405:
        title, detail = "This path does not take this method", "GET /openapi.json lists the methods of every path."
        allowed = error.headers if isinstance(error, HTTPException) else None
        return answer(Problem(_type("method-not-allowed"), title, status, detail), allowed)
    detail = "GET /openapi.json lists every path; they begin with /v1/. For people there are /console/ and /docs."
    return answer(Problem(_type("no-such-route"), "There is no such path", status, detail))


async def handle_gone(_request: Request, _error: Exception) -> Response:
    """Starlette's exception handler for a caller who hung up half-way: nobody reads this."""
    return answer(problem_of(InvalidRequest("the request ended half-way; send it again")))


HANDLERS = {
    **dict.fromkeys(CAUGHT, handle),
    HTTPException: handle_http,
    ClientDisconnect: handle_gone,
    Exception: handle,
}
"""What build_app gives to Starlette."""
