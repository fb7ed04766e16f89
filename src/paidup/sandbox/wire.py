"""One request to the sandbox and its answer, apart from any server; and one callback on its way to the merchant."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec


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


class Notice(msgspec.Struct, frozen=True):
    """A callback, signed for one sending."""

    headers: Mapping[str, str]
    body: bytes
