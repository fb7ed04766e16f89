"""How a setting is written: from text to value. Each raises ValueError saying what to write instead."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from paidup.clock import parse_clock
from paidup.errors import InvalidRequest
from paidup.money import from_major

PEOPLE = ("viewer", "operator", "finance", "approver", "admin")
"""The roles that people may have, as people/user.py explains them."""
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
    """The address of a PostgreSQL database, or nothing. There may be several hosts, with commas between."""
    read = re.fullmatch(r"postgres(?:ql)?://([^/?#]*)(?:/[^?#]*)?(?:\?([^#]*))?", text)
    hosts = read[1].rpartition("@")[2].split(",") if read else []
    if text and not (hosts and all(map(_is_host_and_port, hosts))):
        raise ValueError(
            "write postgresql://user:password@host:5432/name, or leave it empty for the embedded one; "
            "marks such as / ? # @ in a password are written %2F %3F %23 %40"
        )
    options = dict(parse_qsl(read[2] or "")) if read else {}
    if not all(map(_is_port, filter(None, options.get("port", "").split(",")))):
        raise ValueError("write a port from 1 to 65535")
    if options.get("sslmode", "prefer") not in _SSL_MODES:
        raise ValueError(f"sslmode is one of {', '.join(_SSL_MODES)}")
    return text


_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def _is_host_and_port(text: str) -> bool:
    read = re.fullmatch(r"(?:\[[^\[\]]+\]|[^:\[\]]*)(?::([^:]*))?", text)
    return read is not None and (not read[1] or _is_port(read[1]))


def _is_port(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,5}", text) is not None and 1 <= int(text) <= 65535


_ADDRESS = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?)"
    r"(?::(?P<port>[0-9]+))?(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?"
)
_MAX_ADDRESS_CHARS = 255  # as many as WeChat Pay's notify_url may have


def _address(text: str) -> re.Match[str] | None:
    """What makes an address that others can call: no name, question or fragment in it, and a port that there can be."""
    read = _ADDRESS.fullmatch(text) if len(text) <= _MAX_ADDRESS_CHARS else None
    if read is None or not (read["port"] is None or _is_port(read["port"])):
        return None
    try:
        urlsplit(text)
    except ValueError:  # there is no such IPv6 address
        return None
    return read


def public_url(text: str) -> str:
    """An address that others reach us at, or nothing."""
    if text and not _address(text):
        raise ValueError(
            "write the address the channels call, such as https://pay.example.com or https://example.com:8443/pay: "
            f"at most {_MAX_ADDRESS_CHARS} characters, no blanks, and a port from 1 to 65535"
        )
    return text.rstrip("/")


def clock(text: str) -> str:
    """What clock.py can read."""
    parse_clock(text)
    return text


def limits(text: str) -> tuple[tuple[str, int], ...]:
    """``CNY=1000, USD=150.50``: the largest amount that one person may move alone, in major units."""
    limits: list[tuple[str, int]] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        currency, _, amount = part.partition("=")
        try:
            money = from_major(amount, currency.strip())
        except InvalidRequest as error:
            raise ValueError(f"write amounts such as CNY=1000,USD=150.50: {error}") from None
        if money.currency in dict(limits):
            raise ValueError(f"write {money.currency} once")
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
    read = _address(text)
    local = read is not None and read["host"] in ("127.0.0.1", "[::1]", "localhost")
    if text and not (read is not None and (read["scheme"] == "https" or local)):
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
        if not group.strip() or role.strip() not in PEOPLE:
            raise ValueError(
                "write groups and roles such as paidup-finance=finance,paidup-desk=operator; "
                f"roles are {', '.join(PEOPLE)}"
            )
        pairs.append((group.strip(), role.strip()))
    return tuple(pairs)
