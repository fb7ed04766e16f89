"""Which addresses may be called. Shops name the URLs, so each may be an attempt to reach our own inside.

A name is resolved once in a while (route.KEPT_S), every address it has is checked, and connections go to checked ones
only. So a name that answers differently the second time gains nothing.
"""

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

import msgspec

from paidup.errors import InvalidRequest, SenderError
from paidup.host import is_name

MAX_URL_CHARS = 2048
TO_TRY = "to try it on this machine set PAIDUP_ALLOW_LOOPBACK_ENDPOINTS=true, here and for every `paidup serve`"
_PORTS = {"https": 443, "http": 80}
_HERE = "which is this machine"
# What C libraries read as an IPv4 address: 2130706433, 0x7f.1, 0177.0.0.1. Names never end so (RFC 3696, section 2).
_NUMBER_AT_END = re.compile(r"(?:\A|\.)(?:[0-9]+|0[xX][0-9a-fA-F]*)\.?\Z")

# `is_global` differs between versions of Python, and some of these are global by the registry's letter.
_NEVER = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",
            "100.64.0.0/10",  # carrier-grade NAT; one cloud keeps its metadata at 100.100.100.200
            "168.63.129.16/32",  # one cloud's host agent, on a public address
            "192.0.0.0/24",  # protocol assignments; one cloud keeps its metadata at 192.0.0.192
            "192.88.99.0/24",  # relays for 6to4
            "198.18.0.0/15",  # benchmarks
            "240.0.0.0/4",
            "::/96",  # IPv4-compatible
            "::ffff:0:0/96",  # IPv4-mapped
            "::ffff:0:0:0/96",  # IPv4-translated
            "64:ff9b::/96",  # NAT64: whatever IPv4 address stands in the last 32 bits
            "64:ff9b:1::/48",
            "100::/64",
            "2001::/23",  # Teredo, ORCHID and other assignments
            "2001:db8::/32",
            "2002::/16",  # 6to4: an IPv4 address in the middle
            "3fff::/20",
            "5f00::/16",
            "fc00::/7",
            "fec0::/10",
        ),
    )
)


class Forbidden(SenderError):
    """An address that may not be called; nothing was sent."""


class Target(msgspec.Struct, frozen=True):
    """A URL that may be called once its host's addresses have been checked. `host` is a name or an address."""

    url: str
    scheme: str
    host: str
    port: int


def parse(url: str, *, allow_loopback: bool) -> Target:
    """Read an endpoint's URL. Raises InvalidRequest saying what to write instead.

    allow_loopback: also allow http, and addresses of this machine, for development. (A *name* over http is accepted
    here and refused by `check` unless it leads to this machine.)
    """
    if len(url) > MAX_URL_CHARS:
        raise InvalidRequest(f"the URL is longer than {MAX_URL_CHARS} characters: use a shorter one")
    if not url.isascii() or re.search(r"[\x00-\x20\x7f\\]", url):
        raise InvalidRequest("write the URL in plain ASCII without blanks (xn--… for other scripts, %20 for a blank)")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise InvalidRequest("this is no URL: write https://shop.example.com/paidup") from None
    if parts.scheme not in _PORTS or (parts.scheme == "http" and not allow_loopback):
        raise InvalidRequest(f"events are delivered over https only: write https://…; {TO_TRY}")
    if "@" in parts.netloc or "#" in url:
        raise InvalidRequest("leave user, password and #fragment out of the URL: deliveries are signed")
    if port == 0:
        raise InvalidRequest("port 0 cannot be called: name the port, or leave it out for 443")
    if not _stands_alone(host, parts.netloc):
        raise InvalidRequest("this is no URL: write https://shop.example.com/paidup")
    _must_be_host(host, https=parts.scheme == "https", allow_loopback=allow_loopback)
    return Target(url, parts.scheme, host, port or _PORTS[parts.scheme])


def check(target: Target, addresses: Sequence[str], *, allow_loopback: bool) -> tuple[str, ...]:
    """The addresses to connect to: all of those that the host has, provided that each of them may be called.

    One forbidden address among them forbids all: an honest name has none. Raises Forbidden.
    """
    if not addresses:
        raise Forbidden(f"{target.host} has no address: check the name in the endpoint's URL")
    for address in addresses:
        why = refusal(address, allow_loopback=allow_loopback)
        if why:
            wanted = TO_TRY if why == _HERE else "name an address on the public internet"
            raise Forbidden(f"{target.host} leads to {address:.45}, {why}: {wanted}")
        if target.scheme == "http" and not ipaddress.ip_address(address).is_loopback:
            raise Forbidden(f"{target.host} is not this machine: events travel over https only, write https://…")
    return tuple(addresses)


@lru_cache(maxsize=1000)  # each call asks once more about the address that it was connected to
def refusal(address: str, *, allow_loopback: bool) -> str | None:
    """Why this IP address may not be called; None when it may."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "which is no IP address"
    if isinstance(ip, ipaddress.IPv6Address) and (ip.scope_id is not None or ip.ipv4_mapped is not None):
        return "which is no plain IPv6 address"  # before is_loopback: Python 3.13 looks inside mapped ones
    if ip.is_loopback:
        return None if allow_loopback else _HERE
    if ip.is_multicast:
        return "which is a group of machines"
    if not ip.is_global or ip.is_reserved or any(ip in network for network in _NEVER):
        return "which is not a public address"
    return None


def _stands_alone(host: str, netloc: str) -> bool:
    """Whether `netloc` is this host and perhaps a port, and no more. `urllib` takes ``[::1]x`` for ``[::1]``."""
    written = f"[{host}]" if ":" in host else host
    return re.fullmatch(rf"{re.escape(written)}(?::[0-9]*)?", netloc.lower()) is not None


def _must_be_host(host: str, *, https: bool, allow_loopback: bool) -> None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not is_name(host) or _NUMBER_AT_END.search(host):
            raise InvalidRequest("the URL needs a host name, such as https://shop.example.com/paidup") from None
        return
    why = refusal(host, allow_loopback=allow_loopback)
    if why:
        wanted = TO_TRY if why == _HERE else "name a host on the public internet"
        raise InvalidRequest(f"{host} is an address {why}: {wanted}")
    if not https and not ipaddress.ip_address(host).is_loopback:
        raise InvalidRequest(f"{host} is not this machine: events travel over https only, write https://…")
