"""A request of the coordinator, as a participant reads it: whose it is, and what is asked.

It is one POST of JSON, signed after the Standard Webhooks specification (github.com/standard-webhooks)::

    {"xid": "txn00…", "step": "coupon", "operation": "action", "shop": "teahouse", "order_id": "ord00…", "data": …}

The header `webhook-id` is the request's key, ``xid.step.operation``: the same however often it is sent.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from paidup.errors import ConfigError, NotAllowed

TOLERANCE_S = 300
"""How far the sender's clock may be from ours; the specification's own libraries allow five minutes."""

MAX_BODY_BYTES = 20_000
_PREFIX = "whsec_"


class Operation(StrEnum):
    """What a participant is asked to do."""

    ACTION = "action"  # saga: do it
    COMPENSATE = "compensate"  # saga: take it back
    TRY = "try"  # tcc: set aside what you promise
    CONFIRM = "confirm"  # tcc: make it final
    CANCEL = "cancel"  # tcc: give it back
    CHECK = "check"  # message: did you act by yourself? If not, never do
    REPORT = "report"  # which of these have you done? It changes nothing


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked. data: this step's part of what the transaction was begun with; None when there is none."""

    xid: str
    step: str
    operation: Operation
    shop: str
    order_id: str
    data: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def key(self) -> str:
        """The idempotency key: the same however often it is asked."""
        return f"{self.xid}.{self.step}.{self.operation}"

    def told(self) -> object:
        """The data as plain Python values."""
        value: object = msgspec.json.decode(self.data)
        return value


class Untrusted(NotAllowed):
    """The request is not the coordinator's, or is too old: answer 401, and do nothing."""


def read_call(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> Call:
    """Verify and read a request. headers: with names in any case. secrets: ``whsec_…``, any of which may sign.

    Raises Untrusted; ConfigError when a secret of ours is none.
    """
    given_headers = {name.lower(): value for name, value in headers.items()}
    message_id, sent, signed = (given_headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if len(body) > MAX_BODY_BYTES or not (sent.isascii() and sent.isdigit() and len(sent) < 15):
        raise Untrusted("this is no request of the coordinator")
    if abs(now.timestamp() - int(sent)) > TOLERANCE_S:
        raise Untrusted("the request is too old, or a clock is wrong")
    ours = [_signature(_key(secret), message_id, sent, body) for secret in secrets]
    given = signed.encode().split()[:10]
    if not any(hmac.compare_digest(one, other) for one in given for other in ours):
        raise Untrusted("the signature is wrong")
    try:
        call = msgspec.json.decode(body, type=Call)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Untrusted(f"the request cannot be read: {error}") from None
    if call.key != message_id:
        raise Untrusted("the request's key does not fit its content")
    return call


def _signature(key: bytes, message_id: str, sent: str, body: bytes) -> bytes:
    digest = hmac.new(key, f"{message_id}.{sent}.".encode() + body, hashlib.sha256).digest()
    return b"v1," + base64.b64encode(digest)


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or len(key) < 24:
        raise ConfigError("a participant's secret is whsec_ followed by base64, as `paidup tx participant` printed it")
    return key
