"""The provider over HTTP: its own description, its keys, and the exchange of a code for a token."""

import asyncio
import base64
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import msgspec

from paidup.clock import monotonic_s
from paidup.errors import ConfigError, NotAllowed, PaidupError
from paidup.oidc.trip import Trip
from paidup.oidc.who import Person, Rule, lacks, person_of, with_user_info
from paidup.settings import Settings
from paidup.written import issuer as read_issuer

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

DEADLINE_S = 8.0
MAX_ANSWER_BYTES = 256 << 10
AT_ONCE = 4
FRESH_S, NEW_KEY_S = 3600.0, 20.0
"""How long description and keys are believed; how soon a token with a new key may make us look again."""


class ProviderAway(PaidupError):
    """The provider of identities did not do its part: sign in by password, or try again."""


class Endpoints(msgspec.Struct, frozen=True):
    """What we use of the provider's description (OpenID Connect Discovery)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Tokens(msgspec.Struct, frozen=True):
    """What the code was exchanged for. Its repr shows none of it."""

    id_token: str
    access_token: str

    def __repr__(self) -> str:
        return "Tokens(***)"


class Provider:
    """The provider of the settings. seconds: a clock that never jumps."""

    def __init__(self, settings: Settings, *, seconds: Callable[[], float] = monotonic_s) -> None:
        self.settings = settings
        self.rule = Rule(settings.oidc_claim, settings.oidc_role_claim, settings.oidc_roles)
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._known: tuple[float, Endpoints, KeySet] | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """The provider of the settings, or None when they name none. Raises ConfigError for what cannot work."""
        if not settings.oidc_issuer:
            return None
        missing = [n for n in ("client_id", "client_secret", "claim") if not getattr(settings, f"oidc_{n}")]
        if missing:
            raise ConfigError(f"PAIDUP_OIDC_ISSUER needs PAIDUP_OIDC_{missing[0].upper()} beside it")
        try:
            import joserfc  # noqa: F401, PLC0415  only those who sign in this way have it
        except ImportError:
            hint = "install it with pip install 'paidup[oidc]', or leave PAIDUP_OIDC_ISSUER empty"
            raise ConfigError(f"PAIDUP_OIDC_ISSUER needs joserfc: {hint}") from None
        return cls(settings)

    async def where_to(self, trip: Trip, redirect_uri: str) -> str:
        """The address at which the provider asks who they are. Raises ProviderAway."""
        endpoints, _ = await self._description(FRESH_S)
        query = {
            "response_type": "code",
            "client_id": self.settings.oidc_client_id,
            "redirect_uri": redirect_uri,
            "scope": self.settings.oidc_scopes,
            "state": trip.state,
            "nonce": trip.nonce,
            "code_challenge": trip.challenge,
            "code_challenge_method": "S256",
        }
        joint = "&" if urlsplit(endpoints.authorization_endpoint).query else "?"
        return endpoints.authorization_endpoint + joint + urlencode(query)

    async def who(self, code: str, said_issuer: str | None, trip: Trip, redirect_uri: str, now: datetime) -> Person:
        """Whom the code stands for. now: the time on the wall. Raises NotAllowed, and ProviderAway."""
        endpoints, keys = await self._description(FRESH_S)
        if said_issuer != self.settings.oidc_issuer and (
            said_issuer is not None or endpoints.authorization_response_iss_parameter_supported
        ):
            raise NotAllowed("the answer comes from another provider (iss, RFC 9207)")
        tokens = await self._tokens(endpoints, code, trip, redirect_uri)
        claims = await self._read(tokens.id_token, keys, trip, now)
        if lacks(claims, self.rule) and endpoints.userinfo_endpoint and tokens.access_token:
            claims = with_user_info(claims, await self._user_info(endpoints.userinfo_endpoint, tokens.access_token))
        return person_of(claims, self.rule)

    async def aclose(self) -> None:
        """Close every connection."""
        if self._session:
            await self._session.close()

    async def _read(self, token: str, keys: "KeySet", trip: Trip, now: datetime) -> Mapping[str, Any]:
        from paidup.oidc.token import UnknownKey, read  # noqa: PLC0415  it loads joserfc

        settings = self.settings
        wanted = {"issuer": settings.oidc_issuer, "client_id": settings.oidc_client_id, "nonce": trip.nonce}
        try:
            return read(token, keys, **wanted, now=now)
        except UnknownKey:
            _, fresh = await self._description(NEW_KEY_S)
            return read(token, fresh, **wanted, now=now)

    async def _user_info(self, url: str, access_token: str) -> Mapping[str, Any]:
        """What the provider says of whom the access token stands for (OpenID Connect Core, 5.3), as plain JSON."""
        status, given = await self._ask("GET", url, None, {"authorization": f"Bearer {access_token}"})
        if status != 200:
            raise ProviderAway(f"{url} answers HTTP {status}, and the ID token lacks what was asked for")
        return given

    async def _tokens(self, endpoints: Endpoints, code: str, trip: Trip, redirect_uri: str) -> Tokens:
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": trip.verifier,
        }
        headers = {}
        me, secret = self.settings.oidc_client_id, self.settings.oidc_client_secret
        if "client_secret_basic" in endpoints.token_endpoint_auth_methods_supported:
            pair = f"{quote(me, safe='')}:{quote(secret, safe='')}"  # RFC 6749, 2.3.1: encoded as in a form
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            fields |= {"client_id": me, "client_secret": secret}
        status, given = await self._ask("POST", endpoints.token_endpoint, fields, headers)
        if 400 <= status < 500:
            raise NotAllowed(f"the provider refuses the code: {given.get('error', status)!s:.100}")
        if status != 200 or not isinstance(given.get("id_token"), str):
            raise ProviderAway(f"the provider gave no token (HTTP {status})")
        access = given.get("access_token")
        return Tokens(str(given["id_token"]), access if isinstance(access, str) else "")

    async def _description(self, fresh_s: float) -> "tuple[Endpoints, KeySet]":
        from paidup.oidc.token import read_keys  # noqa: PLC0415  it loads joserfc

        if self._known and self._seconds() - self._known[0] < fresh_s:
            return self._known[1:]
        issuer = self.settings.oidc_issuer
        try:
            described = await self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            endpoints = msgspec.convert(described, Endpoints)
            _must_be_safe(endpoints, issuer)
            keys = read_keys(await self._get(endpoints.jwks_uri))
        except ValueError as error:  # msgspec.ValidationError is one
            raise ProviderAway(f"the provider's description makes no sense: {error}") from None
        self._known = (self._seconds(), endpoints, keys)
        return endpoints, keys

    async def _get(self, url: str) -> dict[str, Any]:
        status, given = await self._ask("GET", url, None, {})
        if status != 200:
            raise ProviderAway(f"{url} answers HTTP {status}")
        return given

    async def _ask(
        self, method: str, url: str, form: dict[str, str] | None, headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:  # fmt: skip
        """Status and JSON object of an answer."""
        self._session = self._session or aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        headers |= {"accept": "application/json"}
        try:
            async with (
                self._turn,
                asyncio.timeout(DEADLINE_S),
                self._session.request(method, url, data=form, headers=headers, allow_redirects=False) as answer,
            ):
                body = await answer.content.read(MAX_ANSWER_BYTES + 1)
                while len(body) <= MAX_ANSWER_BYTES and (more := await answer.content.read(MAX_ANSWER_BYTES)):
                    body += more
                if len(body) > MAX_ANSWER_BYTES:
                    raise ProviderAway(f"{url} answers with more than {MAX_ANSWER_BYTES} bytes")
                return answer.status, msgspec.json.decode(body, type=dict[str, Any]) if answer.status < 500 else {}
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ProviderAway(f"{url} gives no usable answer: {type(error).__name__}: {error!s:.200}") from None


def _must_be_safe(endpoints: Endpoints, issuer: str) -> None:
    """Raises ValueError for another issuer's description, and for endpoints that anybody on the way could play."""
    if endpoints.issuer != issuer:
        raise ValueError(f"it calls itself {endpoints.issuer[:200]}, and PAIDUP_OIDC_ISSUER is {issuer}")
    user_info = [endpoints.userinfo_endpoint] if endpoints.userinfo_endpoint else []
    for url in (endpoints.authorization_endpoint, endpoints.token_endpoint, endpoints.jwks_uri, *user_info):
        if not url or read_issuer(url.partition("?")[0]) == "":
            raise ValueError("an endpoint has no address")
