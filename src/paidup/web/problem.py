"""Errors as RFC 9457 problem details: what is wrong, whose fault it is, and what to do next."""

from collections.abc import Mapping

import asyncpg
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from paidup import log
from paidup.errors import (
    ChannelError,
    Conflict,
    InvalidRequest,
    NotAllowed,
    NotFound,
    OurError,
    Overloaded,
    PaidupError,
    SenderError,
)

MEDIA_TYPE = "application/problem+json"


class Problem(msgspec.Struct, frozen=True):
    """The body of every error. `type` is a stable name, `detail` says what to do next."""

    type: str
    title: str
    status: int
    detail: str


class Unauthorized(NotAllowed):
    """No API key, or one that is not known."""


class Busy(Conflict):
    """The first request under this Idempotency-Key is still being worked on."""


# The most telling first: a Busy is also a Conflict.
_KINDS: tuple[tuple[type[Exception], int, str, str], ...] = (
    (Unauthorized, 401, "unauthorized", "The API key is missing or unknown"),
    (NotAllowed, 403, "forbidden", "The API key may not do this"),
    (NotFound, 404, "not-found", "There is no such thing"),
    (Busy, 409, "in-progress", "The first request under this key is still running"),
    (Conflict, 409, "conflict", "It contradicts what is already there"),
    (InvalidRequest, 422, "invalid-request", "The request makes no sense as it is"),
    (msgspec.ValidationError, 422, "invalid-request", "The request makes no sense as it is"),
    (msgspec.DecodeError, 400, "malformed-json", "The body is not JSON"),
    (SenderError, 400, "bad-request", "The request cannot be accepted"),
    (ChannelError, 502, "channel-failed", "The payment channel did not do its part"),
    (Overloaded, 503, "overloaded", "Too much at once; try again"),
    (OurError, 500, "our-error", "Paidup is at fault; somebody was told"),
    (OSError, 503, "database-away", "The database cannot be reached; try again"),
    (asyncpg.InterfaceError, 503, "database-away", "The database cannot be reached; try again"),
    (asyncpg.PostgresError, 503, "database-away", "The database could not do it; try again"),
)
CAUGHT = (PaidupError, msgspec.MsgspecError, OSError, asyncpg.InterfaceError, asyncpg.PostgresError)
"""What the API turns into problem details; anything else is a defect, logged by the server and answered with 500."""


def problem_of(error: Exception) -> Problem:
    """The problem details of an error. Those of our own or the database's say nothing of their inside."""
    for kind, status, name, title in _KINDS:
        if isinstance(error, kind):
            detail = str(error) if status < 500 or status == 502 else f"{title}."
            return Problem(f"urn:paidup:problem:{name}", title, status, detail[:1000])
    raise error


def respond(problem: Problem) -> Response:
    """The problem as a response; 401 and 503 carry the header that clients act on."""
    extra: Mapping[str, str] = {
        401: {"WWW-Authenticate": "Bearer"},
        409: {"Retry-After": "2"} if problem.type.endswith("in-progress") else {},
        503: {"Retry-After": "1"},
    }.get(problem.status, {})
    return Response(msgspec.json.encode(problem), problem.status, dict(extra), MEDIA_TYPE)


async def handle(request: Request, error: Exception) -> Response:
    """Starlette's exception handler for everything in CAUGHT."""
    problem = problem_of(error)
    if problem.status >= 500:
        log.error("request.failed", path=request.url.path, why=f"{type(error).__name__}: {error}"[:300])
    return respond(problem)
