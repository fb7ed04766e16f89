"""Errors are pages that say what to do."""

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from paidup import log
from paidup.clock import Clock
from paidup.console.pages import page
from paidup.console.visitor import visitor_of
from paidup.web.problem import CAUGHT, problem_of

_TITLES = {
    401: "Sign in first",
    403: "You may not do this",
    404: "There is no such thing",
    409: "It contradicts what is already there",
    422: "Something in the form is not right",
    429: "Too soon after the last time",
    502: "The payment channel did not do its part",
    503: "Too much at once, or the database is away; try again",
}
_LOST = "Go to the home page, and search there."
_OURS = "Paidup is at fault; the reason stands in its log"


def handlers(clock: Clock) -> Mapping[object, object]:
    """Starlette's exception handlers for the console."""

    async def handle(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if problem.status >= 500:
            log.error("console.failed", path=request.scope["path"], why=f"{type(error).__name__}: {error}"[:300])
        title = _TITLES.get(problem.status, _OURS)
        return page(
            visitor_of(request), clock.now(), "trouble.html", {"title": title, "detail": problem.detail}, problem.status
        )

    async def handle_http(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        return page(visitor_of(request), clock.now(), "trouble.html", {"title": _TITLES[404], "detail": _LOST}, status)

    return {**dict.fromkeys(CAUGHT, handle), HTTPException: handle_http, Exception: handle}
