"""Who a verified token speaks of: the name of a user here, and the role that their groups give."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from paidup.errors import NotAllowed

_SAME_IN_ANY_CASE = frozenset({"email", "preferred_username", "upn"})


class Rule(msgspec.Struct, frozen=True):
    """Which claim names a person, which one their groups, and what a group is here (the first that fits counts)."""

    name_claim: str
    role_claim: str
    roles: Sequence[tuple[str, str]]


class Person(msgspec.Struct, frozen=True):
    """role: what the provider says they are here; None when the users' own list decides."""

    name: str
    role: str | None


def person_of(claims: Mapping[str, Any], rule: Rule) -> Person:
    """Raises NotAllowed when the token names nobody, or gives them no role."""
    return Person(_name(claims, rule.name_claim), _role(claims, rule) if rule.roles else None)


def lacks(claims: Mapping[str, Any], rule: Rule) -> bool:
    """Whether a claim that we go by is not there: many providers give some of them at UserInfo alone."""
    names = [rule.name_claim, *([rule.role_claim] if rule.roles else [])]
    names += ["email_verified"] if rule.name_claim == "email" else []
    return any(_claim(claims, name) is None for name in names)


def with_user_info(claims: Mapping[str, Any], told: Mapping[str, Any]) -> Mapping[str, Any]:
    """The ID token's claims, and from UserInfo those that it lacks. What the token says of itself stands: it is signed.

    Raises NotAllowed for what is told of somebody else: without the same `sub` it may not be used (Core, 5.3.2).
    """
    if told.get("sub") != claims["sub"]:
        raise NotAllowed("UserInfo speaks of somebody else (sub)")
    merged = {**told, **claims}
    if "email" not in claims:  # what the token says of an address that it does not name is of none
        merged["email_verified"] = told.get("email_verified")
    elif told.get("email") != claims["email"]:  # another address was verified there
        merged["email_verified"] = claims.get("email_verified")
    return merged


def _name(claims: Mapping[str, Any], claim: str) -> str:
    name = _claim(claims, claim)
    if not isinstance(name, str) or not name:
        raise NotAllowed(
            f"neither token nor UserInfo has a claim {claim}: ask for its scope, or name another in PAIDUP_OIDC_CLAIM"
        )
    # An address that nobody checked is no name: at many providers people may write any address into their profile.
    if claim == "email" and claims.get("email_verified") is not True:
        raise NotAllowed("the provider does not say that this address was verified (email_verified)")
    return name.lower() if claim in _SAME_IN_ANY_CASE else name


def _role(claims: Mapping[str, Any], rule: Rule) -> str:
    theirs = _claim(claims, rule.role_claim)
    groups = {theirs} if isinstance(theirs, str) else {g for g in theirs or () if isinstance(g, str)}
    for group, role in rule.roles:
        if group in groups:
            return role
    raise NotAllowed(f"none of the groups in the claim {rule.role_claim} stands in PAIDUP_OIDC_ROLES")


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by the way to it: ``realm_access.roles``."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
