"""Reading a request: its body into a shape, its path and query; all bounded, with errors that point at the field."""

import difflib
import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from starlette.requests import Request

from paidup.errors import InvalidRequest, NotFound
from paidup.web.problem import Flaw, Flawed, NotJson, TooLarge
from paidup.web.route import Route

MAX_BODY_BYTES = 64 << 10
MAX_PARAMETER_CHARS = 255

ShapeT = TypeVar("ShapeT", bound=msgspec.Struct)

_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<where>.*)`)?$", re.S)
_FIELD = re.compile(r"(missing required|contains unknown) field `(?P<name>[^`]*)`")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|(\[\.\.\.\])")


async def read(request: Request) -> bytes:
    """The whole body. Raises TooLarge."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(f"a body has at most {MAX_BODY_BYTES} bytes")
    return bytes(body)


def decode(raw: bytes, shape: type[ShapeT]) -> ShapeT:
    """The body as this shape; no body is an empty object. Raises NotJson, or Flawed with a pointer to the field."""
    try:
        return msgspec.json.decode(raw or b"{}", type=shape)
    except msgspec.ValidationError as error:
        raise _flawed(str(error), shape) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotJson(f"the body must be one JSON object in UTF-8: {error}") from None
    except RecursionError:
        raise NotJson("the body is nested too deeply to be read") from None


def fields_as(fields: Mapping[str, str], shape: type[ShapeT]) -> ShapeT:
    """The fields of a form as this shape. Raises Flawed with a pointer to the field."""
    try:
        return msgspec.convert(dict(fields), shape)
    except msgspec.ValidationError as error:
        raise _flawed(str(error), shape) from None


def must_be_empty(raw: bytes) -> None:
    """Raises InvalidRequest when a request without a body brings one: its fields would be without effect."""
    if raw.strip() not in (b"", b"{}"):
        raise InvalidRequest("this operation takes no body; send none")


def check_path(request: Request) -> None:
    """The ids in the path are neither too long nor unprintable. Raises NotFound."""
    for value in request.path_params.values():
        if not 1 <= len(value) <= MAX_PARAMETER_CHARS or not value.isprintable():
            raise NotFound("no id looks like this")


def check_address(request: Request, route: Route) -> None:
    """Path and query hold nothing too long, unprintable, unknown or given twice. Raises NotFound or InvalidRequest."""
    check_path(request)
    given = request.query_params.multi_items()
    known = {query.name for query in route.query}
    for name, value in given:
        if name not in known:
            raise InvalidRequest(f"unknown query parameter {name[:40]!r}; known are: {', '.join(known) or 'none'}")
        if len(value) > MAX_PARAMETER_CHARS or not value.isprintable():
            raise InvalidRequest(f"?{name}= takes at most {MAX_PARAMETER_CHARS} printable characters")
    if len(given) != len({name for name, _ in given}):
        raise InvalidRequest("a query parameter is given twice; give it once")


def _flawed(message: str, shape: type[msgspec.Struct]) -> Flawed:
    """msgspec says what is wrong, and where as ``$.extra[...]``; people and programs want a JSON pointer."""
    match = _WHERE.match(message)
    what, where = (match["what"], match["where"] or "") if match else (message, "")
    pointer = "#" + "".join(f"/{name or index}" for name, index, any_key in _STEP.findall(where) if not any_key)
    field = _FIELD.search(what)
    if field:
        pointer += "/" + field["name"].replace("~", "~0").replace("/", "~1")
    advice = _advice(pointer, what, shape)
    return Flawed(f"{message}{advice}", [Flaw(pointer, f"{what}{advice}")])


def _advice(pointer: str, what: str, shape: type[msgspec.Struct]) -> str:
    if "unknown field" in what:
        near = difflib.get_close_matches(pointer.rpartition("/")[2], shape.__struct_fields__, n=1, cutoff=0.6)
        return f"; did you mean `{near[0]}`?" if near else ""
    if pointer.endswith("amount_minor") and "got" in what:
        return ": amounts are whole numbers of the minor unit, without quotes and without a point (12.50 CNY is 1250)"
    if pointer.endswith("currency") and "matching regex" in what:
        return ": a currency is three capital letters of ISO 4217, such as CNY"
    return ""
