"""One trip of a browser to the provider and back: what must be the same on the way home.

State ties the answer to this browser, nonce ties the token to this trip, the verifier (PKCE, RFC 7636) ties the code to
us. All three travel in a cookie of this browser, which is signed so that nobody can make one up.
"""

import base64
import binascii
import hashlib
import hmac
from datetime import datetime, timedelta

import msgspec

from paidup import ids

LASTS = timedelta(minutes=10)
MAX_ONWARD_BYTES = 1000  # a cookie has room for 4096 bytes


class Trip(msgspec.Struct, frozen=True):
    """onward: the page of the console to go on to. until: seconds since 1970."""

    state: str
    nonce: str
    verifier: str
    onward: str
    until: int

    @property
    def challenge(self) -> str:
        """What the provider is shown of the verifier."""
        return _text(hashlib.sha256(self.verifier.encode()).digest())


def begin(onward: str, now: datetime) -> Trip:
    """Set out."""
    fits = len(onward.encode()) <= MAX_ONWARD_BYTES
    state, nonce, verifier = (_text(ids.new_secret()) for _ in range(3))
    return Trip(state, nonce, verifier, onward if fits else "/", int((now + LASTS).timestamp()))


def pack(trip: Trip, secret: str) -> str:
    """For the cookie."""
    body = msgspec.json.encode(trip)
    return f"{_text(body)}.{_text(_sign(body, secret))}"


def unpack(cookie: str, secret: str, now: datetime) -> Trip | None:
    """What was packed; None when it is not ours, or took too long."""
    body, _, signature = cookie.partition(".")
    try:
        raw, signed = _bytes(body), _bytes(signature)
        if not hmac.compare_digest(signed, _sign(raw, secret)):
            return None
        trip = msgspec.json.decode(raw, type=Trip)
    except (binascii.Error, ValueError):  # no base64, or no trip
        return None
    return trip if now.timestamp() < trip.until else None


def _sign(body: bytes, secret: str) -> bytes:
    key = hashlib.sha256(b"paidup/oidc/trip/" + secret.encode()).digest()
    return hmac.digest(key, body, "sha256")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
