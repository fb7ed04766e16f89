"""An ID token is what it claims to be, or it is refused (OpenID Connect Core, 3.1.3.7)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from paidup.errors import NotAllowed

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""Signatures by the provider's own key. Never `none`, and none by a secret that both sides know (HS256)."""
LEEWAY_S = 60
MAX_AGE_S = 600


class UnknownKey(NotAllowed):
    """The provider signed with a key that we have not seen: perhaps it is new."""


def read_keys(document: Mapping[str, Any]) -> KeySet:
    """The provider's public signing keys. Raises ValueError when there are none."""
    given = [k for k in document.get("keys", ()) if isinstance(k, dict) and k.get("kty") in ("RSA", "EC", "OKP")]
    signing = [{k: v for k, v in key.items() if k != "key_ops"} for key in given if key.get("use", "sig") == "sig"]
    try:
        return KeySet.import_key_set({"keys": signing})
    except JoseError as error:
        raise ValueError(f"no usable keys: {error}") from None


def read(
    token: str, keys: KeySet, *, issuer: str, client_id: str, nonce: str, now: datetime
) -> Mapping[str, Any]:  # fmt: skip
    """The claims of a token that is signed by the provider, for us, for this trip, and fresh. Raises NotAllowed."""
    try:
        claims = jwt.decode(token, keys, algorithms=list(ALGORITHMS)).claims
        jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        ).validate(claims)
    except InvalidKeyIdError as error:
        raise UnknownKey(f"the token is signed by an unknown key: {error}") from None
    except (JoseError, ValueError) as error:
        raise NotAllowed(f"the token is refused: {type(error).__name__}: {error}") from None
    _must_be_ours_alone(claims, client_id, now)
    return claims


def _must_be_ours_alone(claims: Mapping[str, Any], client_id: str, now: datetime) -> None:
    party = claims.get("azp")
    shared = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if (shared and party is None) or (party is not None and party != client_id):
        raise NotAllowed("the token was made for another application (azp)")
    if now.timestamp() - claims["iat"] > MAX_AGE_S + LEEWAY_S:
        raise NotAllowed("the token was made too long ago")
