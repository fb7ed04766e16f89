"""The bytes and headers of one delivery, after the Standard Webhooks specification (github.com/standard-webhooks).

The body is JSON in UTF-8 without blanks, with its fields in this order::

    {"id": "evt00…", "type": "order.paid", "created_at": "2026-11-23T08:00:00.123456Z", "shop": "teahouse",
     "order_id": "ord00…", "seq": 2, "data": {…}}

`created_at` is UTC. `seq` counts the events of an order: 1, 2, 3 … An endpoint that asked for some types only sees
gaps. `data` stands as it was written with the event. The same event always gives the same bytes.

Three headers carry the signature: `webhook-id` is the event's id and stays the same however often it is sent, so the
receiver can drop repeats by it; `webhook-timestamp` is that of this attempt, in seconds; `webhook-signature` holds one
`v1,<base64 of HMAC-SHA256>` per secret, with blanks between them, over ``id.timestamp.body``.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from paidup.errors import ConfigError, OurError

PREFIX = "whsec_"
MIN_KEY_BYTES, MAX_KEY_BYTES = 24, 64
MAX_BODY_BYTES = 20_000 - 1
"""The specification asks for less than 20 kB, which receivers and their proxies take without being set up for it."""


class TooLarge(OurError):
    """An event that we wrote is larger than receivers must accept."""


class Message(msgspec.Struct, frozen=True):
    """An event as it is sent. `data` is the text of a JSON object, kept as it was written."""

    id: str
    type: str
    created_at: datetime
    shop: str
    order_id: str
    seq: int
    data: str


class _Body(msgspec.Struct, frozen=True):
    id: str
    type: str
    created_at: str
    shop: str
    order_id: str
    seq: int
    data: msgspec.Raw


def body(message: Message) -> bytes:
    """The bytes to send. Raises TooLarge."""
    created_at = message.created_at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    data = msgspec.Raw(message.data.encode())
    fields = (message.id, message.type, created_at, message.shop, message.order_id, message.seq, data)
    encoded = msgspec.json.encode(_Body(*fields))
    if len(encoded) > MAX_BODY_BYTES:
        raise TooLarge(f"event {message.id} has {len(encoded)} bytes, more than {MAX_BODY_BYTES}: shorten its data")
    return encoded


def headers(message_id: str, sent_at: datetime, body: bytes, secrets: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The headers of one attempt, signed with every secret so that the receiver may still hold an older one.

    Raises ConfigError for a secret that `key_of` refuses, and when there is none.
    """
    if not secrets:
        raise ConfigError("an endpoint without a secret cannot be signed for: rotate its secret to give it one")
    timestamp_s = int(sent_at.timestamp())
    signatures = (signature(key_of(secret), message_id, timestamp_s, body) for secret in secrets)
    return (
        ("content-type", "application/json"),
        ("webhook-id", message_id),
        ("webhook-timestamp", str(timestamp_s)),
        ("webhook-signature", " ".join(signatures)),
    )


def signature(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    """One entry of the webhook-signature header."""
    digest = hmac.digest(key, f"{message_id}.{timestamp_s}.".encode() + body, "sha256")
    return "v1," + base64.b64encode(digest).decode()


def secret_text(key: bytes) -> str:
    """The key as it is shown to the shop: ``whsec_…``. Raises ConfigError when it is too short or too long."""
    _check_size(key)
    return PREFIX + base64.b64encode(key).decode()


def key_of(secret: str) -> bytes:
    """The key within a ``whsec_…`` secret. Raises ConfigError, never quoting it, when it is none."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not key:
        raise ConfigError("a signing secret is whsec_ followed by base64: rotate the endpoint's secret")
    _check_size(key)
    return key


def _check_size(key: bytes) -> None:
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise ConfigError(f"a signing secret has {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes, not {len(key)}: rotate it")
