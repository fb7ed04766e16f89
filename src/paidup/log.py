"""Structured log lines: one per change of state, named ``noun.past`` like the events, with key=value fields.

::

    from paidup import log
    log.info("payment.paid", payment_id=payment.id, why=decision.why)

    08:00:02.118 info  payment.paid payment_id=pay00… why="the channel says it is paid"      on a terminal
    {"at":"2026-11-23T08:00:02.118Z","level":"info","event":"payment.paid","payment_id":…}   everywhere else

Lines go to stderr, and what libraries have to say goes with them, one line each, as ``library.said``. What is secret is
masked by the name of its field, and again where a value looks like a key.
"""

import json
import logging
import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import lru_cache
from io import StringIO
from pathlib import Path
from traceback import walk_tb
from typing import TextIO
from urllib.parse import unquote

import msgspec

MAX_VALUE_CHARS = 2000
MAX_PLACES = 8  # enough to leave the driver, and reach the code of ours that called it
MASK = "***"

_LOGGER = logging.getLogger("paidup")
_SECRET_WORDS = frozenset(
    "secret secrets password passwd passphrase token tokens authorization cookie credential credentials signature sign"
    " apikey whsec dsn".split()
)
_SECRET_ENDINGS = ("api_key", "apiv3_key", "private_key", "access_key", "secret_key", "signing_key", "key_pem")
_LOOKS_SECRET = re.compile(
    r"(?<![A-Za-z0-9])(?:sk|rk)_(?:live|test)_\w+|whs(?:ec|k)_[\w+/=-]+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|(?<=://)[^\s/@]{1,200}@",
    re.DOTALL,
)
_JSON_FIELD = re.compile(rb'"([\w.-]{1,64})"(\s{0,8}:\s{0,8})"(?:[^"\\]|\\.)*(?:"|\\?\Z)')
_PLAIN_VALUE = re.compile(r"[^\s\"=\\\x00-\x1f\x7f]+")


def info(event: str, /, **fields: object) -> None:
    """A change of state that belongs to ordinary life."""
    _tell(logging.INFO, event, fields)


def warning(event: str, /, **fields: object) -> None:
    """Something that mends itself, and that somebody should know of when it goes on."""
    _tell(logging.WARNING, event, fields)


def error(event: str, /, **fields: object) -> None:
    """Something that somebody must look at."""
    _tell(logging.ERROR, event, fields)


def _tell(level: int, event: str, fields: Mapping[str, object]) -> None:
    # Not by the logger's own `log`, which also searches the stack for its caller: that would always be this file.
    if _LOGGER.isEnabledFor(level):
        extra = {"fields": fields}
        _LOGGER.handle(_LOGGER.makeRecord(_LOGGER.name, level, __file__, 0, event, (), None, extra=extra))


def set_up(stream: TextIO | None = None) -> None:
    """Send the lines to `stream` (stderr unless given): for people on a terminal, JSON otherwise, with the warnings and
    errors of all libraries among them. For a process of our own, once; a second call replaces the first."""
    target = stream or sys.stderr
    # No line shows them, and each would be looked up for it.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = _Lines(target)
    handler.setFormatter(_ForPeople() if target.isatty() else _ForMachines())
    _LOGGER.handlers = [handler]
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False
    everybody = logging.getLogger()
    everybody.handlers = [other for other in everybody.handlers if not isinstance(other, _Lines)] + [handler]


@contextmanager
def at_once() -> Iterator[None]:
    """What is told within is written with one call when it ends, for a batch that tells a line of each of its rows.

    Nothing may be awaited within.
    """
    handler = next((handler for handler in _LOGGER.handlers if isinstance(handler, _Lines)), None)
    with handler.held() if handler else nullcontext():
        yield


class _Lines(logging.StreamHandler[TextIO]):
    """What set_up has put there."""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lines back until it ends. A stream that cannot be written to stops no work, here as in `emit`."""
        stream, self.stream = self.stream, StringIO()
        try:
            yield
        finally:
            lines, self.stream = self.stream.getvalue(), stream
            with suppress(OSError, ValueError):
                stream.write(lines)
                stream.flush()


def where(error: BaseException) -> str:
    """The way to where it was raised: ``worker.py:42 run_once > apply.py:90 apply``, the last places of it."""
    places = [
        f"{Path(frame.f_code.co_filename).name}:{line} {frame.f_code.co_name}"
        for frame, line in walk_tb(error.__traceback__)
    ]
    return " > ".join(places[-MAX_PLACES:])


@lru_cache(maxsize=1024)  # the same few dozen names stand in every line
def is_secret(name: str) -> bool:
    """Whether a field of this name is masked: ``client_secret`` is, ``dedup_key`` is not."""
    words = re.split(r"[^a-z0-9]+", name.lower())
    return not _SECRET_WORDS.isdisjoint(words) or "_".join(words).endswith(_SECRET_ENDINGS)


def masked(name: str, value: object) -> object:
    """The value as it may be shown under this field name; mappings and sequences are masked inside as well."""
    if value is None:
        return None
    if is_secret(name):
        return MASK
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): masked(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(name, inner) for inner in value]
    return masked_text(_text(value))


def masked_text(text: str) -> str:
    """Free text with what looks like a key masked, cut at MAX_VALUE_CHARS."""
    suspicious = "k_" in text or "whs" in text or "://" in text or "-----" in text
    shown = _LOOKS_SECRET.sub(_mask_match, text) if suspicious else text
    return shown if len(shown) <= MAX_VALUE_CHARS else f"{shown[:MAX_VALUE_CHARS]}…"


def one_line(text: str) -> str:
    """The text with line ends, control characters, and marks that turn the direction of writing, shown as escapes.

    What others wrote can then neither begin a line of its own nor speak to a terminal. Inside of a JSON text the
    escapes stand for the same characters.
    """
    return text if text.isprintable() else "".join(c if _is_plain(c) else json.dumps(c)[1:-1] for c in text)


def _is_plain(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def masked_json(body: bytes) -> bytes:
    """A JSON text, whole or cut off anywhere, with the string values of secret fields masked. Other bytes stay."""
    return _JSON_FIELD.sub(_mask_json_field, body)


def masked_query(target: str) -> str:
    """A request target whose secret query parameters are masked."""
    path, mark, query = target.partition("?")
    pairs = (pair.partition("=") for pair in query.split("&"))
    shown = "&".join(f"{name}={MASK}" if is_secret(unquote(name)) else name + eq + value for name, eq, value in pairs)
    return path + mark + shown


def _mask_match(found: re.Match[str]) -> str:
    return f"{MASK}@" if found.group().endswith("@") else MASK


def _mask_json_field(found: re.Match[bytes]) -> bytes:
    name, colon = found.group(1), found.group(2)
    return b'"%b"%b"***"' % (name, colon) if is_secret(name.decode("latin-1")) else found.group()


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _shown(record: logging.LogRecord) -> tuple[str, dict[str, object]]:
    """The event and its fields; a record of a library becomes an event of ours."""
    said = record.getMessage()
    event, fields = said, getattr(record, "fields", {})
    if record.name != _LOGGER.name:
        event, fields = "library.said", {"library": record.name, "says": said.strip()}
    shown = {name: masked(name, value) for name, value in fields.items()}
    if record.exc_info and record.exc_info[1]:
        shown |= {"error": masked_text(_text(record.exc_info[1])), "where": where(record.exc_info[1])}
    return event, shown


@lru_cache(maxsize=4)  # many lines are written within one second
def _second(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class _ForMachines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        at = f"{_second(int(record.created))}.{int(record.msecs):03}Z"
        event, fields = _shown(record)
        head = {"at": at, "level": record.levelname.lower(), "event": event}
        # What names the line stands first and cannot be replaced by a field of the same name.
        return one_line(_json({**head, **_renamed(fields, head)}))


class _ForPeople(logging.Formatter):
    """One line that a person reads from left to right."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        event, fields = _shown(record)
        shown = (f"{name}={_quoted(value)}" for name, value in fields.items())
        return one_line(" ".join([at, f"{record.levelname.lower():7}", event, *shown]))


def _renamed(fields: dict[str, object], taken: Mapping[str, str]) -> dict[str, object]:
    return {f"{name}_" if name in taken else name: value for name, value in fields.items()}


def _json(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # half a surrogate pair, which is no text in UTF-8: an old file name, a hostile value
        return json.dumps(value)


def _quoted(value: object) -> str:
    """The value in quotes where a blank or a control character would break the line apart."""
    text = value if isinstance(value, str) else _json(value)
    return text if _PLAIN_VALUE.fullmatch(text) else json.dumps(text, ensure_ascii=False)
