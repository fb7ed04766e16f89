"""Stripe's REST API: form-encoded requests under a bearer key, JSON answers that TLS alone makes trustworthy."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from paidup.channels.messages import Declined, Exchange, Outcome, Request, Response, Retryable, Unknown
from paidup.channels.stripe.keys import StripeAccount
from paidup.channels.stripe.objects import PaymentIntent
from paidup.errors import InvalidRequest

API_VERSION = "2025-03-31.basil"
"""Pinned: an answer's shape must not change when somebody upgrades the account."""

ObjectT = TypeVar("ObjectT")


class ApiError(msgspec.Struct, frozen=True, kw_only=True):
    """Stripe's error object. Some errors carry the PaymentIntent as it stands."""

    status: int = 0
    type: str = ""
    code: str | None = None
    message: str | None = None
    decline_code: str | None = None
    payment_intent: PaymentIntent | None = None

    def __str__(self) -> str:
        return f"HTTP {self.status} {self.code or self.type}: {self.message or 'no message'}"[:300]

    @property
    def is_missing(self) -> bool:
        """Stripe does not know the object, at least not in this mode and account."""
        return self.status == 404 and self.code == "resource_missing"


class _ErrorBody(msgspec.Struct, frozen=True):
    error: ApiError


OnObject = Callable[[ObjectT, datetime], Outcome]
OnError = Callable[[ApiError, datetime], Outcome]


def get(
    path: str, account: StripeAccount, kind: type[ObjectT], on_object: OnObject[ObjectT], on_error: OnError
) -> Exchange:
    """Read one object. `path` is already quoted."""
    request = Request("GET", account.base_url, path, headers(account), b"")
    return Exchange(request, _reading(kind, on_object, on_error))


def post(
    path: str,
    parameters: Mapping[str, str],
    account: StripeAccount,
    kind: type[ObjectT],
    on_object: OnObject[ObjectT],
    on_error: OnError,
    idempotency_key: str | None = None,
) -> Exchange:
    """Change something. Stripe keeps the answer, errors included, for a day under the idempotency key; so deeds that
    are idempotent by themselves (cancel, expire) go without one, or a refusal would be repeated for a day."""
    sent = (*headers(account), ("content-type", "application/x-www-form-urlencoded"))
    if idempotency_key is not None:
        sent = (*sent, ("idempotency-key", idempotency_key))
    request = Request("POST", account.base_url, path, sent, urlencode(parameters).encode("ascii"))
    return Exchange(request, _reading(kind, on_object, on_error))


def segment(identifier: str) -> str:
    """An id as one segment of a path."""
    return quote(identifier, safe="")


def no_to_a_question(error: ApiError, _: datetime) -> Outcome:
    """What an error means when we only asked: mostly that it is asked again later. A question that is refused for its
    own sake (400) was answered, and nothing is wrong with Stripe: it must not stop the questions about others."""
    if error.status == 400 and error.type == "invalid_request_error":
        return Declined(error.code or error.type, str(error))
    return Retryable(f"Stripe cannot say: {error}")


def no_to_a_deed(error: ApiError, _: datetime) -> Outcome:
    """What an error means when something was to be moved.

    429 and 409 (too many calls, a lock, the same key at the same moment) did nothing and may be repeated under the
    same key. A 5xx leaves it open, and so does a key that was used before with other parameters. 401 and 403 are our
    key's fault and will do once it is mended.
    """
    if error.status in (409, 429):
        return Retryable(str(error))
    if error.status in (401, 403):
        return Retryable(f"mend secret_key or its rights: {error}")
    if error.status >= 500 or error.type == "idempotency_error":
        return Unknown(str(error))
    return Declined(error.decline_code or error.code or error.type or "no code", str(error))


def headers(account: StripeAccount) -> tuple[tuple[str, str], ...]:
    """What every request carries: the secret key, the version, and for whom it is made."""
    own = (("authorization", f"Bearer {account.secret_key.value}"), ("stripe-version", API_VERSION))
    return (*own, ("stripe-account", account.connect_account)) if account.connect_account else own


def _reading(
    kind: type[ObjectT], on_object: OnObject[ObjectT], on_error: OnError
) -> Callable[[Response, datetime], Outcome]:
    def read(response: Response, now: datetime) -> Outcome:
        try:
            if response.status == 200:
                return on_object(msgspec.json.decode(response.body, type=kind), now)
            error = msgspec.json.decode(response.body, type=_ErrorBody).error
        except (msgspec.MsgspecError, InvalidRequest, RecursionError, UnicodeDecodeError) as wrong:
            return Unknown(f"HTTP {response.status} from Stripe makes no sense: {str(wrong)[:200]}")
        return on_error(msgspec.structs.replace(error, status=response.status), now)

    return read
