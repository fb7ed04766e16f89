"""What a hostile sender makes of a valid message: strategies that spoil specimens, so that the deep code is reached.

Arbitrary bytes die at the first check. A message that is right but for one bit, one doubled key or one number of a
thousand digits gets further, and further still when the spoiler can sign it.
"""

import re
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

LONG_PROFILE = "long"
_LONGER = 60  # how many times as many examples the long profile tries
_HANGS = timedelta(seconds=20)  # no example takes a hundredth of it; one that does not end is found all the same

NASTY_TEXTS = (
    "", " ", "\x00", "pay\x00", "\r\nx-evil: 1", "\n", "\x1b[2J", "\x9b2J", "\u202egpj", "\u2028", "\ufeff",
    "\ufffd", "💰", "ſ", "İ", "٣", "１２", "A" * 300, "pay1" * 4000, "'; DROP TABLE orders; --", "%00", "%n%s", "{0}",
    "${jndi:x}", "[/red]", "../../etc/passwd", "~nobody-of-this-name/x", "tea\n", "NaN", "Infinity", "-1", "1e9",
    "0x10", "1_000", "+1", "TRADE_SUCCESS\n", "cny", "ZZZ", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00", "2026-13-45 99:99:99", "2099-02-29 00:00:00",
)  # fmt: skip
NASTY_NUMBERS = (
    "-1", "0", "-0", "0.5", "1e2", "1e999", "-1e999", "NaN", "Infinity", "-Infinity", "01", "+1", "0x10", "1_0",
    "9007199254740993", "9223372036854775808", "18446744073709551616", "-9223372036854775809", "1" + "0" * 30,
    "1" * 4400, "1000000000000001", "12345678901234",
)  # fmt: skip
_NASTY_JSON = (
    *NASTY_NUMBERS, "null", "true", "[]", "{}", '""', "[1,2]", '{"a":{"b":[]}}', '"\\u0000"', '"\\ud800"',
    '"\\udc00\\ud800"', '"\\x41"', "'a'", "undefined", "[" * 40, "[" * 3000, "[" * 60_000, '{"a":' * 3000,
    "[" * 500 + "]" * 500, '{"a":' * 500 + "1" + "}" * 500, "/* c */ 1", '"\\u0022},\\u007b\\u0022"',
)  # fmt: skip
_NASTY_FORM = (
    "%00", "%0d%0a", "%FF", "%ff%fe", "%", "%%", "%zz", "%u0041", "+", "%2B", "&", "=", "&charset=utf-7",
    "&charset=gbk", "&charset=utf-16", "&charset=%00", "&charset=", "&sign_type=RSA", "&sign=",
    "&out_trade_no=pay2", "&total_amount=0.01", "&" * 300, "&a=b" * 300, "=" * 300, ";", "%E2%80%AE", "%C0%AF",
    "%ED%A0%80", "1" * 5000, "-1", "1e5", "NaN", "１２.50",
)  # fmt: skip

_JSON_VALUE = re.compile(rb'"(?:[^"\\]|\\.)*"(?!\s*:)|-?\d[\d.eE+-]*|true|false|null')
_JSON_KEY = re.compile(rb'"(?:[^"\\]|\\.)*"(?=\s*:)')
_FORM_VALUE = re.compile(rb"(?<==)[^&]*")


def tries(count: int) -> settings:
    """So many examples; many more in the long profile. No example may hang."""
    longer = _LONGER if settings.get_current_profile_name() == LONG_PROFILE else 1
    return settings(
        max_examples=count * longer,
        deadline=_HANGS,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )


@st.composite
def spoiled(draw: st.DrawFn, *specimens: bytes) -> bytes:
    """One of the specimens with one to three wounds."""
    data = draw(st.sampled_from(specimens))
    for wound in draw(st.lists(st.sampled_from(_WOUNDS), min_size=1, max_size=3)):
        data = wound(draw, data)
    return data


@st.composite
def spoiled_text(draw: st.DrawFn, *specimens: str) -> str:
    """The same for header values and the like, as latin-1 text."""
    return draw(spoiled(*(specimen.encode("latin-1") for specimen in specimens))).decode("latin-1")


def nasty_text(max_size: int = 40) -> st.SearchStrategy[str]:
    """Texts that somebody has tripped over, and any others; no lone surrogates, which no encoder can send."""
    return st.sampled_from(NASTY_TEXTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=max_size)


def _flip(draw: st.DrawFn, data: bytes) -> bytes:
    if not data:
        return b"\x00"
    at = draw(st.integers(0, len(data) - 1))
    return data[:at] + bytes([data[at] ^ (1 << draw(st.integers(0, 7)))]) + data[at + 1 :]


def _truncate(draw: st.DrawFn, data: bytes) -> bytes:
    return data[: draw(st.integers(0, len(data)))]


def _repeat(draw: st.DrawFn, data: bytes) -> bytes:
    at, size = draw(st.integers(0, len(data))), draw(st.integers(1, 60))
    return data[: at + size] + data[at : at + size] * draw(st.sampled_from((1, 2, 50))) + data[at + size :]


def _insert(draw: st.DrawFn, data: bytes) -> bytes:
    at, size = draw(st.integers(0, len(data))), draw(st.integers(0, 4))
    return data[:at] + draw(st.binary(max_size=12)) + data[at + size :]


def _json_value(draw: st.DrawFn, data: bytes) -> bytes:
    return _replaced(draw, data, _JSON_VALUE, _nasty_json(draw))


def _json_text(draw: st.DrawFn, data: bytes) -> bytes:
    text = draw(nasty_text())
    return _replaced(draw, data, _JSON_VALUE, _quoted(text))


def _json_key(draw: st.DrawFn, data: bytes) -> bytes:
    """A key renamed, or given twice with another value before its own."""
    if draw(st.booleans()):
        return _replaced(draw, data, _JSON_KEY, _quoted(draw(nasty_text())))
    found = list(_JSON_KEY.finditer(data))
    if not found:
        return data
    key = draw(st.sampled_from(found))
    return data[: key.start()] + key.group() + b":" + _nasty_json(draw) + b"," + data[key.start() :]


def _form_value(draw: st.DrawFn, data: bytes) -> bytes:
    return _replaced(draw, data, _FORM_VALUE, draw(st.sampled_from(_NASTY_FORM)).encode())


def _charset(draw: st.DrawFn, data: bytes) -> bytes:
    """The same words in other clothes."""
    text = data.decode("utf-8", "replace")
    name = draw(st.sampled_from(("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7", "gb18030")))
    return text.encode(name, "replace")


_WOUNDS = (_flip, _truncate, _repeat, _insert, _json_value, _json_text, _json_key, _form_value, _charset)


def _nasty_json(draw: st.DrawFn) -> bytes:
    return draw(st.sampled_from(_NASTY_JSON)).encode()


def _quoted(text: str) -> bytes:
    escaped = re.sub(r'[\x00-\x1f"\\]', lambda found: f"\\u{ord(found.group()):04x}", text)
    return f'"{escaped}"'.encode()


def _replaced(draw: st.DrawFn, data: bytes, what: "re.Pattern[bytes]", by: bytes) -> bytes:
    found: list[Any] = list(what.finditer(data))
    if not found:
        return data + by
    place = draw(st.sampled_from(found))
    return data[: place.start()] + by + data[place.end() :]
