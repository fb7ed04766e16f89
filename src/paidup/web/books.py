"""The reconciled days as double entry."""

from starlette.requests import Request

from paidup.errors import InvalidRequest
from paidup.finance.day import MAX_DAYS, read_month
from paidup.finance.entries import Chart, Journal, journal_of
from paidup.shops.store import ApiKey, Scope
from paidup.web.context import Context
from paidup.web.reconcile import ACCOUNT, SINCE, UNTIL, account_of, days_of
from paidup.web.route import Route


async def books(context: Context, key: ApiKey, request: Request) -> Journal:
    """Double entry: each entry's postings add up to zero, and `closings` is what each day must end with."""
    (channel, account), (since, until) = account_of(request), days_of(request)
    if since is None or until is None:
        raise InvalidRequest("give ?since= and ?until=, two days such as 2026-11-01 and 2026-11-30")
    if not 0 <= (until - since).days < MAX_DAYS:
        raise InvalidRequest(f"?until= is not before ?since=, and no more than {MAX_DAYS} days at once")
    async with context.db.session() as tx:
        found = await read_month(tx, key.shop, since, until, context.clock.now().date(), channel, account)
    return journal_of(found.days, found.balances, Chart())


ROUTES = (Route("GET", "/v1/books", books, Scope.READ, gives=Journal, query=(SINCE, UNTIL, ACCOUNT)),)
