"""Signing in through the company's own provider: there, and back."""

from starlette.responses import RedirectResponse, Response

from paidup import log
from paidup.clock import SystemClock
from paidup.console.gate import Visit, keep_session
from paidup.console.pages import HEADERS, go
from paidup.console.sign_in import door, local_path
from paidup.console.visitor import is_loopback
from paidup.errors import NotAllowed, NotFound
from paidup.oidc import trip as trips
from paidup.oidc.provider import Provider, ProviderAway
from paidup.oidc.trip import Trip
from paidup.oidc.who import Person
from paidup.people import sign_in, store
from paidup.people.user import Role

COOKIE = "paidup_oidc"
_REFUSED = "signing in there did not lead back to a user here; ask an admin (the log says why)"
_LOST = "this sign-in was begun elsewhere or took too long; begin again"
_AWAY = "the provider of identities does not answer; sign in by password, or try again"


async def leave(visit: Visit) -> Response:
    """To the provider, who asks them who they are."""
    provider, trip = _provider(visit), trips.begin(local_path(visit.query("next")), SystemClock().now())
    try:
        there = await provider.where_to(trip, _way_back(visit))
    except ProviderAway as away:
        log.error("provider.away", why=str(away))
        return door(visit, _AWAY, 502)
    response = RedirectResponse(there, 303, HEADERS)
    response.set_cookie(
        COOKIE, trips.pack(trip, visit.context.settings.oidc_client_secret), path=_path(visit), httponly=True,
        max_age=int(trips.LASTS.total_seconds()), samesite="lax", secure=not is_loopback(visit.request),
    )  # fmt: skip
    return response


async def back(visit: Visit) -> Response:
    """Home again, with a code that stands for them. The trip is over, whatever comes of it."""
    response = await _arrive(visit)
    response.delete_cookie(COOKIE, path=_path(visit))
    return response


async def _arrive(visit: Visit) -> Response:
    provider, context = _provider(visit), visit.context
    cookie = visit.request.cookies.get(COOKIE, "")[:4096]
    trip = trips.unpack(cookie, context.settings.oidc_client_secret, SystemClock().now())
    if trip is None or visit.query("state") != trip.state:
        return door(visit, _LOST, 403)
    try:
        person = await _person(visit, provider, trip)
        token = await sign_in.by_provider(
            context.db, person.name, await _role(visit, person),
            source=visit.visitor.source, now=context.clock.now(), rate=context.clock.rate,
        )  # fmt: skip
    except NotAllowed as refusal:
        log.warning("sign_in.refused", source=visit.visitor.source, why=str(refusal))
        return door(visit, _REFUSED, 403)
    except ProviderAway as away:
        log.error("provider.away", why=str(away))
        return door(visit, _AWAY, 502)
    return keep_session(go(visit.visitor, trip.onward), visit.request, token)


async def _person(visit: Visit, provider: Provider, trip: Trip) -> Person:
    code = visit.query("code")
    if not code:
        raise NotAllowed(f"the provider says {visit.query('error')[:100] or 'nothing'}")
    issuer = visit.query("iss") or None
    return await provider.who(code, issuer, trip, _way_back(visit), SystemClock().now())


async def _role(visit: Visit, person: Person) -> Role | None:
    """What they are from now on. Who was made admin here stays it, unless the provider's groups say who is admin."""
    if person.role is None:
        return None
    async with visit.context.db.session() as tx:
        user = await store.find(tx, person.name)
    names_admins = Role.ADMIN in {role for _, role in visit.context.settings.oidc_roles}
    if user is not None and user.role is Role.ADMIN and not names_admins:
        return None
    return Role(person.role)


def _provider(visit: Visit) -> Provider:
    if visit.context.provider is None:
        raise NotFound("signing in through a provider is not set up; PAIDUP_OIDC_ISSUER names it")
    return visit.context.provider


def _way_back(visit: Visit) -> str:
    """The address that is registered at the provider; never made of what a request says of its host."""
    return f"{visit.context.settings.public_url}{_path(visit)}/back"


def _path(visit: Visit) -> str:
    return f"{visit.visitor.base}/sign-in/oidc"
