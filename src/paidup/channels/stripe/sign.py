"""Stripe's webhook signature: HMAC-SHA256 over ``<t>.<raw body>`` in hex, and a time that must be near."""

import hashlib
import hmac
import re
from collections.abc import Iterable
from datetime import datetime

from paidup.channels.stripe.keys import Secret
from paidup.errors import CallbackRefused, Verdict

TOLERANCE_S = 300
"""On both sides: Stripe's own libraries refuse only what is old, but a time far ahead is as wrong."""

MAX_HEADER_CHARS = 4096
_SECONDS = re.compile(r"[0-9]{1,12}")


def verify(header: str | None, body: bytes, secrets: Iterable[Secret], now: datetime) -> None:
    """Raises CallbackRefused unless one v1 signature fits one secret, and `t` is within the tolerance of `now`.

    While a secret is rolled Stripe sends one v1 per living secret. v0 and unknown schemes count for nothing, so that
    nobody can talk us down to a weaker one.
    """
    stamp, signatures = _parse(header)
    signed = stamp.encode("ascii") + b"." + body
    expected = [hmac.new(secret.value.encode(), signed, hashlib.sha256).hexdigest().encode() for secret in secrets]
    given = [signature.encode("utf-8", "replace") for signature in signatures]
    if not any(hmac.compare_digest(ours, theirs) for ours in expected for theirs in given):
        raise CallbackRefused(
            Verdict.INVALID_SIGNATURE, "no v1 fits any of webhook_secrets; compare with the endpoint's signing secret"
        )
    ahead_s = int(stamp) - now.timestamp()
    if abs(ahead_s) > TOLERANCE_S:
        raise CallbackRefused(Verdict.EXPIRED, f"signed {abs(ahead_s):.0f} s {'ahead' if ahead_s > 0 else 'ago'}")


def _parse(header: str | None) -> tuple[str, list[str]]:
    if header is None or len(header) > MAX_HEADER_CHARS:
        raise CallbackRefused(Verdict.MALFORMED, "there must be one Stripe-Signature header")
    pairs = [(name.strip(), value.strip()) for name, _, value in (part.partition("=") for part in header.split(","))]
    stamps = [value for name, value in pairs if name == "t"]
    signatures = [value for name, value in pairs if name == "v1" and value]
    if len(stamps) != 1 or not _SECONDS.fullmatch(stamps[0]):
        raise CallbackRefused(Verdict.MALFORMED, "Stripe-Signature has no time t=<seconds>")
    if not signatures:
        raise CallbackRefused(Verdict.MALFORMED, "Stripe-Signature has no v1 signature")
    return stamps[0], signatures
