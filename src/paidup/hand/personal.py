"""What names or reaches a person, taken out of raw texts: JSON whole or cut off, JSON inside JSON, forms, free text.

Nothing is parsed and written again: what is not masked stays word for word as it came.
"""

import json
import re
from urllib.parse import quote_plus, unquote_plus

from paidup.orders.order import MASK

_NAMES = (
    "openid|sub_openid|sp_openid|buyer_id|buyer_logon_id|buyer_open_id|buyer_user_id|payer_client_ip|name|email|phone|"
    "receipt_email|line1|line2|postal_code|city|last4|fingerprint|bank_account_name|recv_account_name"
)
_PERSONAL = frozenset(_NAMES.split("|"))
# A string of JSON to its end, or to the end of a text that was cut off; with a colon behind it, it is a field's name.
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)("?)(\s*:\s*)?', re.S)
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.S)
_SCALAR = re.compile(r"[^,\]}\r\n]*")
_ESCAPED = re.compile(r"\\(?:u([0-9a-f]{4})|(.?))", re.I | re.S)
_MEANT = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
# Where a stray quote hides from _STRING what is a name and what is a value: to the next quote that is not escaped.
_IN_BROKEN_JSON = re.compile(rf'(?<!\\)((\\{{0,255}})"(?:{_NAMES})\2"\s*:\s*\2")((?:(?!(?<!\\)\2").)+)', re.I | re.S)
_IN_FORM = re.compile(rf"(\b(?:{_NAMES})=)(?!{MASK})([^&\s]+)", re.I)
_JSON_IN_FORM = re.compile(r"(?<==)(?:%7B|%5B|%22)[^&\s\"]*", re.I)
_MAIL = re.compile(r"[\w.+-]{1,64}(?:@|%40)[\w-]{1,63}(?:\.[\w-]{1,63})+")
_MOBILE = re.compile(r"(?<![\w.])(?:\+?86)?1[3-9]\d{9}(?![\w.])")
MAX_DEPTH = 8
"""So deep may texts stand inside of texts; what lies deeper is masked unread."""


def mask(text: str) -> str:
    """The text without what names or reaches a person, as far as fields and patterns tell."""
    return _masked(text, 0)


def _masked(text: str, depth: int) -> str:
    if '"' in text:
        text = _IN_BROKEN_JSON.sub(rf"\g<1>{MASK}", _in_json(text, depth))
    text = _IN_FORM.sub(rf"\g<1>{MASK}", text)
    text = _JSON_IN_FORM.sub(lambda found: _decoded(found[0], depth), text)
    return _MOBILE.sub(MASK, _MAIL.sub(MASK, text))


def _in_json(text: str, depth: int) -> str:
    """What stands under a personal name is masked whole; every other string as the text that it stands for."""
    shown, at = [], 0
    while found := _STRING.search(text, at):
        shown.append(text[at : found.start()])
        at = found.end()
        if found[3] and _meant(found[1]).lower() in _PERSONAL:
            ends = _end_of_value(text, at)
            shown += [found[0], text[at:ends] if _is_nothing(text[at:ends]) else f'"{MASK}"']
            at = ends
        else:
            shown.append(f'"{_inside(found[1], depth)}{found[2]}{found[3] or ""}')
    return "".join(shown) + text[at:]


def _inside(written: str, depth: int) -> str:
    """What stands between two quotes; as it was if there is nothing to mask."""
    if depth == MAX_DEPTH:
        return MASK if written else ""
    meant = _meant(written)
    shown = _masked(meant, depth + 1)
    return written if shown == meant else json.dumps(shown, ensure_ascii=False)[1:-1]


def _decoded(value: str, depth: int) -> str:
    """JSON in a field of a form."""
    if depth == MAX_DEPTH:
        return MASK
    meant = unquote_plus(value)
    shown = _masked(meant, depth + 1)
    return value if shown == meant else quote_plus(shown).replace(quote_plus(MASK), MASK)


def _end_of_value(text: str, at: int) -> int:
    """Where the value that begins here ends: after its quote or bracket, or before what follows a number."""
    if text[at : at + 1] not in ('"', "{", "["):
        scalar = _SCALAR.match(text, at)
        return scalar.end() if scalar else at
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(text, at):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(found[0], 0)
        if depth <= 0:
            return found.end()
    return len(text)


def _is_nothing(value: str) -> bool:
    return value.strip() in ("", "null", '""', "[]", "{}")


def _meant(written: str) -> str:
    """The characters that escapes stand for. A text that was cut off may end within one."""
    if "\\" not in written:
        return written
    plain = _ESCAPED.sub(lambda e: chr(int(e[1], 16)) if e[1] else _MEANT.get(e[2], e[2]), written)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
