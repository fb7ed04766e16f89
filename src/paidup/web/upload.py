"""A file that somebody sends: written to disk as it comes, bounded in size, in time and in how many at once."""

import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
from starlette.requests import Request

from paidup.errors import InvalidRequest, Overloaded
from paidup.web.multipart import Part, Reader
from paidup.web.problem import TooLarge

FILE = "file"
MAX_FIELDS_BYTES = 256 << 10
MAX_FIELDS = 50
AT_ONCE = 4
PATHS = frozenset({"/v1/bills", "/console/reconcile/bills"})
"""Where files may be sent to: the server lets bodies be larger, and longer under way, there alone."""

Admit = Callable[[Mapping[str, str]], None]
"""Given the fields that came before the file; raises when the file is not even to be received."""


class Sent(msgspec.Struct, frozen=True):
    """The fields of a form, and its file from its start."""

    fields: Mapping[str, str]
    file: BinaryIO
    file_name: str


class Uploads:
    """Receives files. folder: where they lie meanwhile; None: the system's temporary folder."""

    def __init__(self, max_bytes: int, folder: Path | None) -> None:
        self.max_bytes = max_bytes
        self._folder = folder
        self._under_way = 0

    @asynccontextmanager
    async def received(self, request: Request, admit: Admit = lambda _: None) -> AsyncIterator[Sent]:
        """The form of a request; its file is gone when the block ends.

        Raises TooLarge, InvalidRequest for what is no such form, and Overloaded while too many are under way.
        """
        if self._under_way >= AT_ONCE:
            raise Overloaded(f"{AT_ONCE} files are being received; try again")
        self._under_way += 1
        try:
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(prefix="paidup-upload-", dir=self._folder) as file:
                yield await self._receive(request, file, admit)
        finally:
            self._under_way -= 1

    async def _receive(self, request: Request, file: BinaryIO, admit: Admit) -> Sent:
        announced = request.headers.get("content-length", "")
        self._must_fit(int(announced[:15]) - MAX_FIELDS_BYTES if announced.isdecimal() else 0)
        reader, form = Reader(request.headers.get("content-type", "")), _Form(file, admit)
        received_bytes = 0
        async for chunk in request.stream():
            received_bytes += len(chunk)  # with all that stands around the parts, and is passed over
            self._must_fit(received_bytes - MAX_FIELDS_BYTES)
            for piece in reader.feed(chunk):
                form.take(piece)
            self._must_fit(form.file_bytes)
        if not reader.is_whole or form.file_name is None:
            raise InvalidRequest(f"the form ended half-way, or has no field {FILE!r} with a file")
        file.seek(0)
        return Sent(form.fields, file, form.file_name)

    def _must_fit(self, size_bytes: int) -> None:
        if size_bytes > self.max_bytes:
            raise TooLarge(
                f"a file has at most {self.max_bytes >> 20} MB (PAIDUP_UPLOAD_MAX_MB); "
                "`paidup reconcile upload` takes larger ones"
            )


class _Form:
    """Puts the pieces where they belong: the file on disk, everything else into fields."""

    def __init__(self, file: BinaryIO, admit: Admit) -> None:
        self._file, self._admit = file, admit
        self._values: dict[str, bytearray] = {}
        self._into: bytearray | None = None
        self.file_bytes = 0
        self.file_name: str | None = None

    @property
    def fields(self) -> dict[str, str]:
        """As texts. Raises InvalidRequest for what is none."""
        try:
            return {name: value.decode() for name, value in self._values.items()}
        except UnicodeDecodeError:
            raise InvalidRequest("every field but the file is text in UTF-8") from None

    def take(self, piece: Part | bytes) -> None:
        if isinstance(piece, Part):
            self._begin(piece)
        elif self._into is None:
            self.file_bytes += len(piece)
            self._file.write(piece)
        else:
            self._into += piece
            if sum(map(len, self._values.values())) > MAX_FIELDS_BYTES:
                raise TooLarge(f"all fields but the file have at most {MAX_FIELDS_BYTES} bytes together")

    def _begin(self, part: Part) -> None:
        is_file = part.name == FILE and part.file_name is not None
        if part.name in self._values or (is_file and self.file_name is not None):
            raise InvalidRequest(f"the field {part.name!r} is given twice; give it once")
        if is_file:
            self._admit(self.fields)
            self.file_name, self._into = part.file_name, None
            return
        if len(self._values) >= MAX_FIELDS:
            raise TooLarge(f"a form has at most {MAX_FIELDS} fields")
        self._into = self._values[part.name] = bytearray()
