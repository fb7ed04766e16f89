"""The other side of single sign-on in small: an OpenID Connect provider over real HTTP, with keys and signatures of its
own making, that can be told to cheat in one way."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from paidup.clock import SystemClock
from served import served

CLIENT, SECRET = "paidup-console", "s3cret of the client/+="
ACCESS = "the access token of one sign-in"
Claims = dict[str, Any]


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@dataclass
class Idp:
    """Its buttons: whom it knows, and how it cheats. claims: changed before they are signed; token: changed after."""

    url: str = ""
    person: Claims = field(default_factory=lambda: {"sub": "u-1", "email": "Alice@Example.com", "email_verified": True})
    claims: Callable[[Claims], Claims] = lambda claims: claims
    token: Callable[[str, "Idp"], str] = lambda token, _: token
    refuses: bool = False
    methods: tuple[str, ...] = ("client_secret_basic",)
    asked: list[str] = field(default_factory=list)
    info: Claims | None = None
    """What UserInfo says; None: it has no such page."""
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    kid: str = "k1"
    codes: dict[str, Claims] = field(default_factory=dict)

    def new_key(self) -> None:
        """It rotates its key: the old one is gone from its list."""
        self.key, self.kid = rsa.generate_private_key(65537, 2048), "k2"

    def public_pem(self) -> bytes:
        return self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, claims: Claims, **header: Any) -> str:
        """RS256 by hand: what checks it is another library."""
        head = {"alg": "RS256", "kid": self.kid, "typ": "JWT"} | header
        signed = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims).encode())}"
        return f"{signed}.{b64(self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    # Its pages

    async def describe(self, _request: Request) -> Response:
        return JSONResponse({
            "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            **({"userinfo_endpoint": f"{self.url}/userinfo"} if self.info is not None else {}),
            "jwks_uri": f"{self.url}/jwks", "token_endpoint_auth_methods_supported": list(self.methods),
        })  # fmt: skip

    async def jwks(self, _request: Request) -> Response:
        self.asked.append("jwks")
        numbers = self.key.public_key().public_numbers()
        parts = {"n": b64(numbers.n.to_bytes(256)), "e": b64(numbers.e.to_bytes(3))}
        return JSONResponse({"keys": [{"kty": "RSA", "kid": self.kid, "use": "sig", "alg": "RS256"} | parts]})

    async def authorize(self, request: Request) -> Response:
        """The person has signed in there, and agrees."""
        q = request.query_params
        assert ("code", CLIENT, "S256") == (q["response_type"], q["client_id"], q["code_challenge_method"])
        code = f"code-{len(self.codes)}"
        self.codes[code] = dict(q)
        answer = {"error": "access_denied"} if self.refuses else {"code": code, "iss": self.url}
        return RedirectResponse(f"{q['redirect_uri']}?{urlencode(answer | {'state': q['state']})}", 302)

    async def exchange(self, request: Request) -> Response:
        """A code works once, for the client that proves itself, with the verifier and address of its trip."""
        given = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        trip = self.codes.pop(given.get("code", ""), None)
        if not self._is_client(request, given) or trip is None:
            return JSONResponse({"error": "invalid_client" if trip else "invalid_grant"}, 401 if trip else 400)
        challenge = b64(hashlib.sha256(given["code_verifier"].encode()).digest())
        if (challenge, given["redirect_uri"]) != (trip["code_challenge"], trip["redirect_uri"]):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(SystemClock().now().timestamp())
        claims = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": trip["nonce"]} | self.person
        tokens = {"id_token": self.token(self.sign(self.claims(claims)), self), "access_token": ACCESS}
        return JSONResponse(tokens | {"token_type": "Bearer"})

    async def user_info(self, request: Request) -> Response:
        """For whoever shows the access token."""
        self.asked.append("userinfo")
        if request.headers.get("authorization") != f"Bearer {ACCESS}":
            return JSONResponse({"error": "invalid_token"}, 401)
        return JSONResponse(self.info)

    def _is_client(self, request: Request, given: dict[str, str]) -> bool:
        if "client_secret_basic" not in self.methods:
            return (CLIENT, SECRET) == (given.get("client_id"), given.get("client_secret"))
        name, _, secret = base64.b64decode(request.headers["authorization"].split()[1]).decode().partition(":")
        decoded = parse_qs(f"n={name}&s={secret}")
        return ([CLIENT], [SECRET]) == (decoded["n"], decoded["s"])


def unsigned(token: str, _idp: Idp) -> str:
    """alg: none."""
    head = b64(json.dumps({"alg": "none"}).encode())
    return f"{head}.{token.split('.')[1]}."


def signed_by_the_public_key(token: str, idp: Idp) -> str:
    """HS256 with what everybody knows as the secret."""
    signed = f"{b64(json.dumps({'alg': 'HS256', 'kid': idp.kid}).encode())}.{token.split('.')[1]}"
    return f"{signed}.{b64(hmac.digest(idp.public_pem(), signed.encode(), 'sha256'))}"


def signed_by_another(token: str, idp: Idp) -> str:
    """The right kid, another key."""
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return Idp(kid=idp.kid).sign(claims)


def with_another_name(token: str, _idp: Idp) -> str:
    """The claims changed after signing."""
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "==")) | {"email": "root@example.com"}
    return f"{head}.{b64(json.dumps(claims).encode())}.{signature}"


@asynccontextmanager
async def an_idp() -> AsyncIterator[Idp]:
    idp = Idp()
    routes = [
        Route("/.well-known/openid-configuration", idp.describe),
        Route("/jwks", idp.jwks),
        Route("/authorize", idp.authorize),
        Route("/token", idp.exchange, methods=["POST"]),
        Route("/userinfo", idp.user_info),
    ]
    async with served(Starlette(routes=routes)) as url:
        idp.url = url
        yield idp
