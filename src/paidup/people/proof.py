"""What proves that somebody is who they say: a password (argon2id) and a code of their phone (TOTP, RFC 6238).

Hashing takes tens of milliseconds and 64 MiB on purpose: callers run it outside the event loop, few at a time.
"""

import base64
import hmac
import unicodedata
from datetime import datetime

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from paidup import ids
from paidup.errors import InvalidRequest

MIN_PASSWORD_CHARS, MAX_PASSWORD_CHARS = 12, 200
_HASHER = PasswordHasher()  # RFC 9106's second recommendation: 64 MiB, three passes
_NOBODY = _HASHER.hash("nobody knows this one")
_STEP_S = 30


def must_do(password: str) -> None:
    """Raises InvalidRequest for a password that is too short or long."""
    if not MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS:
        raise InvalidRequest(
            f"a password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters; four random words make a good one"
        )


def hash_password(password: str) -> str:
    """The argon2id hash. Raises InvalidRequest for a password that is too short or long."""
    must_do(password)
    return _HASHER.hash(password)


def password_fits(password: str, password_hash: str | None) -> bool:
    """Whether it is the password. It takes as long when there is no such user, so that nobody learns who there is."""
    try:
        _HASHER.verify(password_hash or _NOBODY, password[:MAX_PASSWORD_CHARS])
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


def new_totp_secret() -> str:
    """160 bits in base 32, as RFC 4226 wants them."""
    return base64.b32encode(ids.new_secret(20)).decode()


def totp_uri(secret: str, name: str) -> str:
    """What an authenticator app reads."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name="Paidup")


def totp_step(code: str, secret: str, now: datetime) -> int | None:
    """The step (30 s each since 1970) whose code this is, of the present one and its neighbours; None if of none.

    Digits may be full-width, as an input method of Chinese writes them.
    """
    totp = pyotp.TOTP(secret)
    step = int(now.timestamp()) // _STEP_S
    digits = unicodedata.normalize("NFKC", "".join(code.split()))[:10]
    if not digits.isascii() or not digits.isdigit():
        return None
    fitting = [n for n in (step - 1, step, step + 1) if hmac.compare_digest(totp.generate_otp(n), digits)]
    return fitting[0] if fitting else None
