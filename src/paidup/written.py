"""How a setting is written: from text to value. Each raises ValueError saying what to write instead."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from paidup.clock import parse_clock
from paidup.errors import InvalidRequest
from paidup.money import from_major

ROLES = ("web", "intake", "repair", "reconcile", "checkout", "delivery")


def whole(low: int, high: int) -> Callable[[str], int]:
    """A whole number within bounds."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text) or not low <= int(text) <= high:
            raise ValueError(f"write a whole number from {low} to {high}")
        return int(text)

    return read


def number(low: float, high: float) -> Callable[[str], float]:
    """A number within bounds."""

    def read(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", text) or not low <= float(text) <= high:
            raise ValueError(f"write a number from {low:g} to {high:g}")
        return float(text)

    return read


def yes_no(text: str) -> bool:
    """true or false."""
    if text not in ("true", "false"):
        raise ValueError("write true or false")
    return text == "true"


def host(text: str) -> str:
    """A host name or address."""
    if not re.fullmatch(r"[A-Za-z0-9.:_-]{1,253}", text):
        raise ValueError("write a host name or address such as 127.0.0.1")
    return text


def folder(text: str) -> Path:
    """The path of a folder, ~ filled in."""
    if not text or "\0" in text:
        raise ValueError("write the path of a folder")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError("write the path of a folder; there is no such user whose home it could begin with") from None


def folder_or_none(text: str) -> Path | None:
    """Likewise, or nothing."""
    return folder(text) if text else None


def database_url(text: str) -> str:
    """The address of a PostgreSQL database, or nothing."""
    if text and not re.match(r"postgres(ql)?://", text):
        raise ValueError("write postgresql://user:password@host:5432/name, or leave it empty for the embedded one")
    return text


def public_url(text: str) -> str:
    """An address that others reach us at, or nothing."""
    parts = urlsplit(text)
    usable = parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.fragment)
    if text and not usable:
        raise ValueError("write the address the channels call, such as https://pay.example.com")
    return text.rstrip("/")


def clock(text: str) -> str:
    """What clock.py can read."""
    parse_clock(text)
    return text


def limits(text: str) -> tuple[tuple[str, int], ...]:
    """``CNY=1000, USD=150.50``: the largest amount that one person may move alone, in major units."""
    limits = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        currency, _, amount = part.partition("=")
        try:
            money = from_major(amount, currency.strip())
        except InvalidRequest as error:
            raise ValueError(f"write amounts such as CNY=1000,USD=150.50: {error}") from None
        limits.append((money.currency, money.amount_minor))
    return tuple(limits)


def roles(text: str) -> tuple[str, ...]:
    """``all``, or some roles."""
    named = [role.strip() for role in text.split(",")]
    if named == ["all"]:
        return ROLES
    if not set(named) <= set(ROLES):
        raise ValueError(f"write all, or some of {', '.join(ROLES)} with commas between them")
    return tuple(role for role in ROLES if role in named)


def app(text: str) -> str:
    """module:attribute, or nothing."""
    if text and not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", text):
        raise ValueError("write module:attribute, as uvicorn does, such as shop.main:paidup")
    return text


def token(text: str) -> str:
    """A bearer token, or nothing."""
    if text and not re.fullmatch(r"[!-~]{16,200}", text):
        raise ValueError("write 16 to 200 characters without blanks, such as `openssl rand -hex 24` makes")
    return text


def issuer(text: str) -> str:
    """The address of an OpenID Connect provider, or nothing. Over http only on this machine."""
    parts = urlsplit(text)
    local = parts.hostname in ("127.0.0.1", "::1", "localhost")
    usable = parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and local))
    if text and not (usable and not parts.query and not parts.fragment and parts.username is None):
        raise ValueError("write the provider's issuer, such as https://login.example.com/realms/shop")
    return text


def words(text: str) -> str:
    """Some printable words."""
    if len(text) > 200 or not text.isprintable():
        raise ValueError("write at most 200 printable characters")
    return text


def group_roles(text: str) -> tuple[tuple[str, str], ...]:
    """``paidup-finance=finance, paidup-desk=operator``: groups of the provider and what their people are here."""
    pairs = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        group, _, role = part.rpartition("=")
        if not group.strip() or not re.fullmatch(r"[a-z]+", role.strip()):
            raise ValueError("write groups and roles such as paidup-finance=finance,paidup-desk=operator")
        pairs.append((group.strip(), role.strip()))
    return tuple(pairs)
