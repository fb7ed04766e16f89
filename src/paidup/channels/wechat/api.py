"""WeChat Pay's API v3: signed requests, signed answers."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from paidup.channels.channel import Declined, Exchange, Outcome, Request, Response, Retryable, Unknown
from paidup.channels.wechat.keys import PUBLIC_KEY_PREFIX, WechatAccount
from paidup.channels.wechat.sign import authorization, verify
from paidup.errors import CallbackRefused, InvalidRequest


class ApiError(msgspec.Struct, frozen=True):
    """WeChat Pay's error object, with the HTTP status it came under."""

    code: str = ""
    message: str = ""
    status: int = 0

    def __str__(self) -> str:
        return f"HTTP {self.status} {self.code}: {self.message}"[:300]


ObjectT = TypeVar("ObjectT")
OnObject = Callable[[ObjectT, datetime], Outcome]
OnError = Callable[[ApiError, datetime], Outcome]
OnDoubt = Callable[[str], Outcome]


def get(
    path: str,
    query: Mapping[str, str],
    account: WechatAccount,
    now: datetime,
    kind: type[ObjectT],
    on_object: OnObject[ObjectT],
    on_error: OnError,
) -> Exchange:
    """A question. An answer that cannot be trusted is no answer: it is asked again."""
    target = f"{path}?{urlencode(query)}" if query else path
    request = Request("GET", account.base_url, target, _headers("GET", target, b"", account, now), b"")
    return Exchange(request, _reading(account, kind, on_object, on_error, Retryable))


def post(
    path: str,
    body: Mapping[str, object],
    account: WechatAccount,
    now: datetime,
    kind: type[ObjectT],
    on_object: OnObject[ObjectT],
    on_error: OnError,
) -> Exchange:
    """A deed. After an answer that cannot be trusted nobody knows whether it was done."""
    data = msgspec.json.encode(body)
    headers = (*_headers("POST", path, data, account, now), ("content-type", "application/json"))
    request = Request("POST", account.base_url, path, headers, data)
    return Exchange(request, _reading(account, kind, on_object, on_error, Unknown))


def segment(number: str) -> str:
    """A merchant's number as one segment of a path."""
    return quote(number, safe="")


def no_to_a_question(error: ApiError, _: datetime) -> Outcome:
    """What an error means when we only asked: it is asked again later."""
    return Retryable(f"WeChat Pay cannot say: {error}")


def no_to_a_deed(error: ApiError, _: datetime) -> Outcome:
    """What an error means when something was to be moved. After a 5xx nobody knows; a rate limit did nothing."""
    if error.status == 429:
        return Retryable(str(error))
    if error.status == 401:
        return Retryable(f"mend private_key or certificate_serial: {error}")
    if error.status >= 500:
        return Unknown(str(error))
    return Declined(error.code or f"HTTP_{error.status}", str(error))


def _headers(
    method: str, target: str, body: bytes, account: WechatAccount, now: datetime
) -> tuple[tuple[str, str], ...]:
    headers = (
        ("authorization", authorization(method, target, body, account, now)),
        ("accept", "application/json"),
    )
    # Chooses the key that signs the answer, while an account changes from certificates to the public key.
    chosen = next((key.serial for key in account.verify_keys if key.serial.startswith(PUBLIC_KEY_PREFIX)), None)
    return (*headers, ("wechatpay-serial", chosen)) if chosen else headers


def _reading(
    account: WechatAccount, kind: type[ObjectT], on_object: OnObject[ObjectT], on_error: OnError, on_doubt: OnDoubt
) -> Callable[[Response, datetime], Outcome]:
    def read(response: Response, now: datetime) -> Outcome:
        if response.status >= 500:  # a gateway's page is not signed; it proves nothing, and need not
            return on_error(ApiError("", "the server failed", response.status), now)
        try:
            verify(response.header, response.body, account, now)
            if response.status in (200, 204):
                return on_object(msgspec.json.decode(response.body or b"{}", type=kind), now)
            error = msgspec.json.decode(response.body, type=ApiError)
        except CallbackRefused as refusal:
            return _unsigned(response, refusal, on_doubt)
        except (msgspec.MsgspecError, InvalidRequest, ValueError, RecursionError) as wrong:
            return on_doubt(f"HTTP {response.status} from WeChat Pay makes no sense: {str(wrong)[:200]}")
        return on_error(msgspec.structs.replace(error, status=response.status), now)

    return read


def _unsigned(response: Response, refusal: CallbackRefused, on_doubt: OnDoubt) -> Outcome:
    """A rate limit or a wrong signature of ours is answered before WeChat Pay signs anything: nothing was done."""
    if response.status in (401, 429):
        return Retryable(f"HTTP {response.status} from WeChat Pay, unsigned: mend our key, or ask less often")
    return on_doubt(f"the answer (HTTP {response.status}) cannot be trusted: {refusal}")
