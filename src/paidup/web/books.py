"""The reconciled days as double entry."""

from starlette.requests import Request

from paidup.errors import InvalidRequest
from paidup.finance.books import read_books
from paidup.finance.day import MAX_DAYS
from paidup.finance.entries import Chart, Journal
from paidup.shops.store import ApiKey, Scope
from paidup.web.context import Context
from paidup.web.reconcile import ACCOUNT, SINCE, UNTIL, account_of, days_of
from paidup.web.route import Query, Route

LEDGER = Query(
    "ledger", "`new`: one of their own, which begins with what lay there; else they go on from the days before"
)


async def books(context: Context, key: ApiKey, request: Request) -> Journal:
    """Double entry: each entry's postings add up to zero, and `closings` is what each day must end with."""
    (channel, account), (since, until) = account_of(request), days_of(request)
    if since is None or until is None:
        raise InvalidRequest("give ?since= and ?until=, two days such as 2026-11-01 and 2026-11-30")
    if not 0 <= (until - since).days < MAX_DAYS:
        raise InvalidRequest(f"?until= is not before ?since=, and no more than {MAX_DAYS} days at once")
    if (ledger := request.query_params.get("ledger", "")) not in ("", "new"):
        raise InvalidRequest(f"?ledger= is `new` or left out, not {ledger[:20]!r}")
    async with context.db.session() as tx:
        today = context.clock.now().date()
        return await read_books(tx, Chart(), key.shop, since, until, today, channel, account, anew=bool(ledger))


ROUTES = (Route("GET", "/v1/books", books, Scope.READ, gives=Journal, query=(SINCE, UNTIL, ACCOUNT, LEDGER)),)
