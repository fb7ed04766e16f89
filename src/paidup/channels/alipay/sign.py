"""RSA2: RSA PKCS#1 v1.5 with SHA-256, over sorted ``k=v`` joined by ``&``, or over a raw JSON substring."""

import base64
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from paidup.errors import Verdict

Pairs = tuple[tuple[bytes, bytes], ...]

FOR_NOTICE = frozenset((b"sign", b"sign_type"))
"""Left out of what is signed in notices about trades and in return URLs (Alipay's SDKs call it rsaCheckV1)."""
FOR_REQUEST = frozenset((b"sign",))
"""Left out in our requests, and in notices about anything but trades (rsaCheckV2)."""

MAX_SIGNATURE_CHARS = 1024  # base64 of 4096 bits has 684


def signed_text(pairs: Iterable[tuple[bytes, bytes]], left_out: frozenset[bytes]) -> bytes:
    """The bytes that are signed: sorted by name as bytes, values decoded exactly once and otherwise untouched."""
    return b"&".join(name + b"=" + value for name, value in sorted(pairs) if name not in left_out)


def sign(text: bytes, key: RSAPrivateKey) -> str:
    """The signature in base64."""
    return base64.b64encode(key.sign(text, PKCS1v15(), SHA256())).decode("ascii")


def verify(text: bytes, signature: bytes, keys: Iterable[RSAPublicKey]) -> Verdict:
    """VALID when any of the keys signed the text; MALFORMED when the signature is no strict base64.

    Alipay names no key, so while a key is being exchanged all configured ones are tried. A ``+`` that became a space
    on the way is not mended: base64 stays strict.
    """
    raw = _decoded(signature)
    if raw is None:
        return Verdict.MALFORMED
    return Verdict.VALID if any(_fits(text, raw, key) for key in keys) else Verdict.INVALID_SIGNATURE


def _decoded(signature: bytes) -> bytes | None:
    if not 0 < len(signature) <= MAX_SIGNATURE_CHARS:
        return None
    try:
        return base64.b64decode(signature, validate=True)
    except ValueError:
        return None


def _fits(text: bytes, raw: bytes, key: RSAPublicKey) -> bool:
    try:
        key.verify(raw, text, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True
