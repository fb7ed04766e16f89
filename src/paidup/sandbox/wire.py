"""One request to the sandbox and its answer, apart from any server; and what the merchant is told in callbacks."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol
from urllib.parse import parse_qsl

import msgspec

from paidup.errors import InvalidRequest
from paidup.sandbox.ledger import Refund, Trade

NONSENSE = (msgspec.MsgspecError, InvalidRequest, ValueError, OverflowError, RecursionError)
"""What reading a request may raise that makes no sense: the sender's mistake, and answered as such. The last is JSON
that is nested a thousand deep."""


class Ask(msgspec.Struct, frozen=True):
    """A request. Header names are lower case; target is path and query as sent."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def query(self) -> dict[str, str]:
        """The query's fields."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))


class Tell(msgspec.Struct, frozen=True):
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class News(msgspec.Struct, frozen=True, kw_only=True):
    """Something the merchant is told, as it was when it happened. Every sending of it is signed anew.

    key: the notice's own id, the same for each sending. kind: the channel's word for it. content: JSON, in the
    channel's form before it is encrypted or signed. about: the trade's number at the merchant.
    """

    channel: str
    account: str
    about: str
    key: str
    kind: str
    url: str
    at: datetime
    content: bytes
    forged: bool = False


class Notice(msgspec.Struct, frozen=True):
    """A callback, signed for one sending."""

    headers: Mapping[str, str]
    body: bytes


class Provider(Protocol):
    """One merchant account at one channel, from the channel's side. Nothing here waits or reads a clock."""

    @property
    def channel(self) -> str:
        """wechat, alipay or stripe."""
        ...

    @property
    def account(self) -> str:
        """The name of the account."""
        ...

    @property
    def identity(self) -> str:
        """What a request names the account by."""
        ...

    @property
    def retries_s(self) -> tuple[float, ...]:
        """Pauses before each further sending of a callback that is not acknowledged."""
        ...

    @property
    def ack_within_s(self) -> float:
        """How long the channel waits for an acknowledgement, in real seconds."""
        ...

    def subject(self, ask: Ask) -> str:
        """What a request is about, told without verifying it: fates and counts go by it."""
        ...

    def respond(self, ask: Ask, now: datetime) -> tuple[Tell, Trade | Refund | None]:
        """Answer one request, whatever its bytes are; the second value is the trade or refund that it changed."""
        ...

    def limited(self) -> Tell:
        """What is said to who asks too often."""
        ...

    def news(self, what: Trade | Refund, now: datetime) -> tuple[News, ...]:
        """What the merchant is told of this trade or refund as it stands now; nothing where the channel is silent."""
        ...

    def notice(self, news: News, now: datetime) -> Notice:
        """News, signed now; a forged one by a stranger's key."""
        ...

    def is_acknowledged(self, status: int, body: bytes) -> bool:
        """Whether the channel takes this answer to a callback as a success."""
        ...

    def happened(self, news: News) -> None:
        """It is so, and stands in the channel's own records. What a stranger claims never comes here."""
        ...

    def acknowledged(self, news: News) -> None:
        """The merchant has it."""
        ...


def flipped(notice: Notice, place: int) -> Notice:
    """The notice with one bit of its body flipped at this place."""
    body = bytearray(notice.body)
    body[place] ^= 1
    return Notice(notice.headers, bytes(body))
