"""One line to a receiver: a libcurl handle that is used again and again, and what came back of its present call."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from ssl import get_default_verify_paths

import msgspec
import pycurl

from paidup import __version__
from paidup.delivery.plan import MAX_ANSWER_BYTES

MayBe = Callable[[str], bool]
"""Whether anything may be sent to this IP address."""

IDLE_S = 10
"""Shorter than receivers keep an idle connection, so that we seldom write to one that is closing."""

LIFE_S = 60
"""No new call on an older connection, however busy: its name may have moved while the old machine answers."""

_MAX_HEADER_CHARS = 100
_FINAL = 200
_ENDS = (b"\r\n", b"\n")
_STATUS_LINE = re.compile(rb"HTTP/[0-9.]+ +([0-9]{3})")
_OURS = (
    f"User-Agent: paidup/{__version__}",
    "Accept-Encoding: identity",  # a small answer must not grow into a large one
    "Expect:",  # none of it: before a long body libcurl would wait for the receiver's consent
)


class Head(msgspec.Struct, frozen=True):
    """An answer's status, and its headers Retry-After and Paidup-Applied as they were sent, cut short."""

    status: int
    retry_after: str | None
    applied: str | None


class Line:
    """Makes one call at a time; the connections belong to all lines of a sender.

    may_be: asked last, whatever name led to an address. trusted: a file of authorities, instead of the system's.
    """

    def __init__(self, may_be: MayBe, trusted: Path | None = None) -> None:
        self._may_be = may_be
        self._lines: list[bytes] = []  # libcurl gives up after 300 KB of them
        self._begin()
        self.curl = pycurl.Curl()
        _set_up(self.curl, trusted)
        self.curl.setopt(pycurl.PREREQFUNCTION, self._connected)
        self.curl.setopt(pycurl.HEADERFUNCTION, self._lines.append)
        self.curl.setopt(pycurl.WRITEFUNCTION, self._piece)

    def asked(
        self, url: str, headers: Sequence[tuple[str, str]], body: bytes, *, route: list[str], within_s: float
    ) -> pycurl.Curl:
        """The handle, ready for this call. route: libcurl's option RESOLVE."""
        self._begin()
        self.curl.setopt(pycurl.URL, url)
        self.curl.setopt(pycurl.RESOLVE, route)
        self.curl.setopt(pycurl.HTTPHEADER, [*_OURS, *(f"{name}: {value}" for name, value in headers)])
        self.curl.setopt(pycurl.POSTFIELDS, body)
        self.curl.setopt(pycurl.TIMEOUT_MS, max(1, round(within_s * 1000)))  # 0 would be for ever
        return self.curl

    def _begin(self) -> None:
        self.connected = False
        self.body = bytearray()
        self._lines.clear()

    def head(self) -> Head | None:
        """What the answer begins with, once that has come whole; the last word, for answers below 200 say that another
        is to come."""
        began = 0
        for at, line in enumerate(self._lines):
            if line not in _ENDS:
                continue
            first = _STATUS_LINE.match(self._lines[began])
            if first and int(first[1]) >= _FINAL:
                return _head(int(first[1]), self._lines[began + 1 : at])  # after it come trailers
            began = at + 1
        return None

    def _connected(self, ip: str, *_rest: object) -> int:
        """The call has been given a connection, TLS and all, and its first byte comes next."""
        self.connected = self._may_be(ip)
        go_on: int = pycurl.PREREQFUNC_OK if self.connected else pycurl.PREREQFUNC_ABORT
        return go_on

    def _piece(self, piece: bytes) -> int | None:
        """A piece of the answer's body. Taking less than came ends the call."""
        room = MAX_ANSWER_BYTES - len(self.body)
        self.body += piece[:room]
        return None if len(piece) <= room else room


def _head(status: int, lines: Sequence[bytes]) -> Head:
    split = (line.partition(b":") for line in lines)
    values = {name.lower(): value for name, _, value in split}
    return Head(status, _text(values.get(b"retry-after")), _text(values.get(b"paidup-applied")))


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.strip().decode("latin-1")[:_MAX_HEADER_CHARS]


def _set_up(curl: pycurl.Curl, trusted: Path | None) -> None:
    """No redirects, proxies, cookies, passwords of ~/.netrc, other protocols or decompression: all but the first, the
    second and the fifth are libcurl's own way."""
    for option, value in (
        (pycurl.POST, 1),
        (pycurl.FOLLOWLOCATION, 0),
        (pycurl.PROXY, ""),  # whatever the environment says
        (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
        (pycurl.PATH_AS_IS, 1),
        (pycurl.NOSIGNAL, 1),
        (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
        (pycurl.MAXAGE_CONN, IDLE_S),
        (pycurl.MAXLIFETIME_CONN, LIFE_S),
        (pycurl.UPLOAD_BUFFERSIZE, 16 << 10),  # the least there is; 64 KB for each handle would be 20 MB for 320
    ):
        curl.setopt(option, value)
    here = get_default_verify_paths()
    authorities = str(trusted) if trusted else here.cafile
    if authorities:
        curl.setopt(pycurl.CAINFO, authorities)
    if here.capath and not trusted:
        curl.setopt(pycurl.CAPATH, here.capath)
