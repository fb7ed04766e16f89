"""multipart/form-data, read as it comes (RFC 7578): pure, and never more of it in memory than a chunk and a head."""

import re
from collections.abc import Iterator
from enum import Enum, auto

import msgspec

from paidup.errors import InvalidRequest

MAX_HEAD_BYTES = 8 << 10
_TYPE = re.compile(r'multipart/form-data\s*;.*?boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))', re.I)
_NAME = re.compile(r'content-disposition:[^\r\n]*?;\s*name="([^"\r\n]{1,100})"', re.I)
_FILE_NAME = re.compile(r'content-disposition:[^\r\n]*?;\s*filename="([^"\r\n]*)"', re.I)


class Part(msgspec.Struct, frozen=True):
    """A field begins; its content follows. file_name: None for one that is no file."""

    name: str
    file_name: str | None


class _Place(Enum):
    CONTENT = auto()  # of a part, or before the first one
    MARK = auto()  # right after a boundary
    HEAD = auto()
    END = auto()


class Reader:
    """Takes the body in chunks of any size; gives parts and their content. Raises InvalidRequest for what is none."""

    def __init__(self, content_type: str) -> None:
        found = _TYPE.match(content_type)
        if found is None:
            raise InvalidRequest("send the file as multipart/form-data, as `curl -F file=@bill.csv.gz` does")
        self._mark = b"\r\n--" + (found[1] or found[2]).encode()
        self._held = bytearray(b"\r\n")  # the first boundary stands at the beginning, and looks like the others
        self._place = _Place.CONTENT
        self._in_part = False

    @property
    def is_whole(self) -> bool:
        """Whether the last boundary has come."""
        return self._place is _Place.END

    def feed(self, chunk: bytes) -> Iterator[Part | bytes]:
        """What is certain after this chunk; what comes after the last boundary is passed over, and not held."""
        if self.is_whole:
            return
        self._held += chunk
        before = None
        while self._place is not _Place.END and before != (self._place, len(self._held)):
            before = self._place, len(self._held)
            if self._place is _Place.CONTENT:
                yield from self._content()
            elif self._place is _Place.MARK:
                self._after_mark()
            else:
                yield from self._head()

    def _content(self) -> Iterator[bytes]:
        at = self._held.find(self._mark)
        content = self._take(at if at >= 0 else max(0, len(self._held) - len(self._mark) + 1))
        if content and self._in_part:
            yield content
        if at >= 0:
            self._take(len(self._mark))
            self._place = _Place.MARK

    def _after_mark(self) -> None:
        if len(self._held) < 2:
            return
        tail = self._take(2)
        if tail not in (b"--", b"\r\n"):
            raise InvalidRequest("a boundary of the form is followed by neither a line end nor two hyphens")
        self._place = _Place.END if tail == b"--" else _Place.HEAD
        if self.is_whole:
            self._held.clear()

    def _head(self) -> Iterator[Part]:
        at = self._held.find(b"\r\n\r\n")
        if max(at, len(self._held) if at < 0 else 0) > MAX_HEAD_BYTES:
            raise InvalidRequest(f"the head of a field has more than {MAX_HEAD_BYTES} bytes")
        if at < 0:
            return
        yield _part(self._take(at))
        self._take(4)
        self._place, self._in_part = _Place.CONTENT, True

    def _take(self, size: int) -> bytes:
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken


def _part(head: bytes) -> Part:
    text = head.decode("utf-8", "replace")
    name, file_name = _NAME.search(text), _FILE_NAME.search(text)
    if name is None:
        raise InvalidRequest("a field of the form has no name")
    return Part(name[1], file_name[1] if file_name else None)
