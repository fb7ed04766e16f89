"""Where an endpoint's URL leads: the addresses that were checked, for whoever connects to them.

The client is never left to look a name up for itself: what it were told then nobody would have checked.
"""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Sequence

import pycurl

from paidup.clock import monotonic_s
from paidup.delivery import address
from paidup.delivery.address import Target
from paidup.errors import InvalidRequest

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""A host name and port to IP addresses as text. Raises OSError."""

KEPT_S = 10.0
"""So long the addresses of a name are used before it is asked for again; a connection in use lives on (line.LIFE_S)."""

_MOST_KEPT = 1000


class Routes:
    """The checked addresses of the names that one Sender calls.

    resolve: who knows addresses. kept_s: for how long an answer is used. seconds: a clock that never jumps.
    """

    def __init__(
        self,
        resolve: Resolve,
        *,
        allow_loopback: bool,
        kept_s: float = KEPT_S,
        seconds: Callable[[], float] = monotonic_s,
    ) -> None:
        self._resolve = resolve
        self._allow_loopback = allow_loopback
        self._kept_s = kept_s
        self._seconds = seconds
        self._kept: dict[str, tuple[float, list[str]]] = {}

    async def to(self, url: str, within_s: float) -> list[str]:
        """What libcurl's option RESOLVE is to be for this URL; nothing for an address, which `parse` has checked.

        Raises InvalidRequest and address.Forbidden when it may not be called, OSError when the name is not known,
        TimeoutError when nobody said within `within_s` seconds.
        """
        until_s, route = self._kept.get(url, (0.0, []))
        if self._seconds() < until_s:
            return route
        target = read_url(url, allow_loopback=self._allow_loopback)
        route = [] if _is_address(target.host) else [await self._pinned(target, within_s)]
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[url] = (self._seconds() + self._kept_s, route)
        return route

    def forget(self, url: str) -> None:
        """Ask for the name again next time: perhaps it has moved."""
        self._kept.pop(url, None)

    async def _pinned(self, target: Target, within_s: float) -> str:
        """The name with its checked addresses, as https://curl.se/libcurl/c/CURLOPT_RESOLVE.html has it."""
        async with asyncio.timeout(within_s):
            found = await self._resolve(target.host, target.port)
        checked = address.check(target, found, allow_loopback=self._allow_loopback)
        return f"+{target.host}:{target.port}:{','.join(f'[{ip}]' if ':' in ip else ip for ip in checked)}"


def read_url(url: str, *, allow_loopback: bool) -> Target:
    """The URL as we and libcurl read it. Raises InvalidRequest when it may not be called or was read otherwise."""
    target = address.parse(url, allow_loopback=allow_loopback)
    if _as_libcurl_reads(url) != (target.scheme, _plain(target.host), target.port):
        raise InvalidRequest("two readers of this URL see two hosts in it: write it plainly")
    return target


def _as_libcurl_reads(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port, or None when it cannot be read."""
    parts = pycurl.CurlUrl()
    try:
        parts.setpart(pycurl.UPART_URL, url)
        host = parts.getpart(pycurl.UPART_HOST)
        port = parts.getpart(pycurl.UPART_PORT, pycurl.U_DEFAULT_PORT)
    except pycurl.error:
        return None
    return parts.scheme, _plain(host.strip("[]").lower()), int(port)


def _plain(host: str) -> str:
    """An address in its one short spelling, for an IPv6 address has many; a name as it stands."""
    return str(ipaddress.ip_address(host)) if _is_address(host) else host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
