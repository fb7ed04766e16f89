"""What passes between a channel and us: callbacks and our replies, requests and what their answers come to."""

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from paidup.channels.bill import BillProof
from paidup.evidence import MAX_NUMBER_CHARS, Evidence, must_be_holdable

MAX_PAY_WITH_CHARS = 64 << 10
"""A signed page's URL has some thousand characters, a QR code's text fewer."""


def _only(headers: tuple[tuple[str, str], ...], name: str) -> str | None:
    """The value of a header that is there once: of two, nobody knows which one was signed."""
    found = None
    for key, value in headers:
        if key == name:
            if found is not None:
                return None
            found = value
    return found


class CallbackRequest(msgspec.Struct, frozen=True):
    """A callback as it came in, untouched. Header names are lower case, values as sent (latin-1)."""

    method: str
    target: str  # path and query as on the request line
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header (name in lower case); None when it is absent or given twice."""
        return _only(self.headers, name)


class Reading(msgspec.Struct, frozen=True):
    """A verified callback. `evidence` is empty for kinds of notice that say nothing about money we follow.

    Raises InvalidRequest for a key or kind that the database could not hold.
    """

    key: str
    kind: str  # the channel's own word for the kind of notice
    evidence: tuple[Evidence, ...]

    def __post_init__(self) -> None:
        must_be_holdable(self.key, MAX_NUMBER_CHARS)
        must_be_holdable(self.kind, MAX_NUMBER_CHARS)


class Reply(msgspec.Struct, frozen=True):
    """What the channel wants to hear."""

    status: int
    content_type: str
    body: bytes


class Request(msgspec.Struct, frozen=True):
    """A signed request, ready to send. `target` is path and query; `body` must be sent byte for byte."""

    method: str
    base_url: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __repr__(self) -> str:
        return f"Request({self.method} {self.base_url}…)"  # headers and queries carry keys and signatures


class Response(msgspec.Struct, frozen=True):
    """The channel's whole answer; header names are lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header (name in lower case); None when it is absent or given twice."""
        return _only(self.headers, name)


class BillAt(msgspec.Struct, frozen=True):
    """The bill is there: `download` fetches it, at once, for such addresses live for seconds or minutes."""

    download: Request
    proof: BillProof


class BillComing(msgspec.Struct, frozen=True):
    """The channel has not made it yet: ask again later, by BillName.made_as when the channel gave it a number."""

    why: str
    made_as: str | None = None


class NoBill(msgspec.Struct, frozen=True):
    """The channel says that there is none for this day. True only if nothing was paid or given back on it."""

    why: str


BillFound = BillAt | BillComing | NoBill


class Success(msgspec.Struct, frozen=True):
    """The channel did or told what was asked. `pay_with` is what the customer's device needs (code_url, html …);
    `bill` is what became of a bill that was asked for.

    Raises InvalidRequest for texts that the database could not hold.
    """

    evidence: tuple[Evidence, ...] = ()
    pay_with: Mapping[str, str] = {}
    channel_txn_id: str | None = None
    bill: BillFound | None = None

    def __post_init__(self) -> None:
        must_be_holdable(self.channel_txn_id or "", MAX_NUMBER_CHARS)
        for text in (*self.pay_with, *self.pay_with.values()):
            must_be_holdable(text, MAX_PAY_WITH_CHARS)


class Declined(msgspec.Struct, frozen=True):
    """The channel understood and says no; asking again will not help."""

    code: str
    why: str


class Retryable(msgspec.Struct, frozen=True):
    """Certainly nothing happened at the channel; the same request may be sent again."""

    why: str


class Unknown(msgspec.Struct, frozen=True):
    """It may or may not have happened. Never sent again as a new payment: ask the channel first."""

    why: str


Outcome = Success | Declined | Retryable | Unknown


class Exchange(msgspec.Struct, frozen=True):
    """One request together with the function that reads its answer.

    `read(response, now)` verifies the answer where the channel signs it; it never raises on hostile bytes: an answer
    that cannot be trusted or read is Unknown.
    """

    request: Request
    read: Callable[[Response, datetime], Outcome]
