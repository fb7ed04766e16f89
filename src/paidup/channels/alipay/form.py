"""A form body as bytes: parsed once, percent-decoded once, blanks kept, nothing trimmed.

The signature covers the percent-decoded bytes, before any charset is applied (a gbk notice is verified as gbk bytes).
"""

from urllib.parse import unquote_to_bytes

from paidup.channels.alipay.sign import Pairs
from paidup.errors import CallbackRefused, Verdict

MAX_FORM_BYTES = 64 << 10
MAX_FIELDS = 200

# What Alipay's `charset` may say, and how Python calls it. gb2312 is read as its superset.
_CHARSETS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "gb18030": "gb18030",
}


def parse_form(body: bytes) -> Pairs:
    """The fields in their order.

    Raises CallbackRefused when there are too many, or one is given twice: which of the two was signed is anybody's
    guess, and guessing differently from whoever reads it next is how amounts get swapped.
    """
    if len(body) > MAX_FORM_BYTES:
        raise CallbackRefused(Verdict.MALFORMED, f"the form has {len(body)} bytes; {MAX_FORM_BYTES} is the limit")
    pieces = [piece for piece in body.split(b"&") if piece]
    if len(pieces) > MAX_FIELDS:
        raise CallbackRefused(Verdict.MALFORMED, f"the form has {len(pieces)} fields; {MAX_FIELDS} is the limit")
    pairs = tuple(_pair(piece) for piece in pieces)
    if len({name for name, _ in pairs}) != len(pairs):
        raise CallbackRefused(Verdict.MALFORMED, "a field is given twice")
    return pairs


def as_text(pairs: Pairs) -> dict[str, str]:
    """The fields as text, by the form's own `charset` (utf-8 when it names none); blank ones count as absent.

    Raises CallbackRefused when the charset is unknown or the bytes are not in it.
    """
    named = (dict(pairs).get(b"charset") or b"utf-8").decode("latin-1").lower()
    charset = _CHARSETS.get(named)
    if charset is None:
        raise CallbackRefused(Verdict.MALFORMED, f"charset {named[:40]!r} is none that Alipay uses")
    try:
        return {name.decode(charset): value.decode(charset) for name, value in pairs if value}
    except UnicodeDecodeError:
        raise CallbackRefused(
            Verdict.MALFORMED, f"a field is not in the charset {named!r} that the form names"
        ) from None


def _pair(piece: bytes) -> tuple[bytes, bytes]:
    name, _, value = piece.partition(b"=")
    return _once(name), _once(value)


def _once(quoted: bytes) -> bytes:
    return unquote_to_bytes(quoted.replace(b"+", b" "))
