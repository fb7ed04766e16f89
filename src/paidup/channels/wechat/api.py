"""WeChat Pay's API v3: signed requests, signed answers."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from paidup.channels.messages import Declined, Exchange, Outcome, Request, Response, Retryable, Unknown
from paidup.channels.wechat.keys import PUBLIC_KEY_PREFIX, WechatAccount
from paidup.channels.wechat.sign import authorization, verify
from paidup.errors import CallbackRefused, InvalidRequest

_LIMITS = frozenset({"FREQUENCY_LIMITED", "FREQUENCY_LIMIT_EXCEED", "RATELIMIT_EXCEEDED", "RATELIMIT_EXCEED"})
_TROUBLE = frozenset({"SYSTEM_ERROR", "SYSTEMERROR", "BANK_ERROR", "BANKERROR"})
_OUR_FAULT = (401, 403)  # a key or a right of ours: once it is mended the same question is answered


class ApiError(msgspec.Struct, frozen=True):
    """WeChat Pay's error object, with the HTTP status it came under."""

    code: str = ""
    message: str = ""
    status: int = 0

    def __str__(self) -> str:
        return f"HTTP {self.status} {self.code}: {self.message}"[:300]

    @property
    def is_limit(self) -> bool:
        """We ask too often; the request was not looked at."""
        return self.status == 429 or self.code in _LIMITS

    @property
    def is_passing(self) -> bool:
        """Trouble at WeChat Pay, or a limit; not an answer to what was asked."""
        return self.is_limit or self.code in _TROUBLE


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
    return Exchange(request, reading(account, kind, on_object, on_error, Retryable))


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
    return Exchange(request, reading(account, kind, on_object, on_error, Unknown))


def segment(number: str) -> str:
    """A merchant's number as one segment of a path."""
    return quote(number, safe="")


def no_to_a_question(error: ApiError, _: datetime) -> Outcome:
    """What an error means when we only asked: mostly that it is asked again later."""
    if error.status in _OUR_FAULT or error.is_passing:
        return Retryable(f"WeChat Pay cannot say: {error}")
    return Declined(error.code or f"HTTP_{error.status}", str(error))


def no_to_a_deed(error: ApiError, _: datetime) -> Outcome:
    """What an error means when something was to be moved. After trouble at WeChat Pay nobody knows; a rate limit, or a
    key of ours that is to be mended, certainly did nothing."""
    if error.is_limit:
        return Retryable(str(error))
    if error.is_passing:
        return Unknown(str(error))
    if error.status == 401:
        return Retryable(f"mend private_key or certificate_serial: {error}")
    return Declined(error.code or f"HTTP_{error.status}", str(error))


def _headers(
    method: str, target: str, body: bytes, account: WechatAccount, now: datetime
) -> tuple[tuple[str, str], ...]:
    headers = (
        ("authorization", authorization(method, target, body, account, now)),
        ("accept", "application/json"),
    )
    # Chooses the key that signs the answer while an account moves from certificates to a public key: the first one.
    chosen = next((key.serial for key in account.verify_keys if key.serial.startswith(PUBLIC_KEY_PREFIX)), None)
    return (*headers, ("wechatpay-serial", chosen)) if chosen else headers


def reading(
    account: WechatAccount, kind: type[ObjectT], on_object: OnObject[ObjectT], on_error: OnError, on_doubt: OnDoubt
) -> Callable[[Response, datetime], Outcome]:
    """Reads an answer whose signature is good. What `on_object` raises as InvalidRequest is in doubt, too.

    A 5xx is a gateway's page as often as WeChat Pay's own word; signed or not, it proves nothing.
    """

    def read(response: Response, now: datetime) -> Outcome:
        if response.status >= 500:
            return on_doubt(f"HTTP {response.status}: trouble at WeChat Pay")
        try:
            verify(response.header, response.body, account, now)
            if response.status in (200, 204):
                return on_object(msgspec.json.decode(response.body or b"{}", type=kind), now)
            error = msgspec.json.decode(response.body, type=ApiError)
        except CallbackRefused as refusal:
            return on_doubt(f"the answer cannot be trusted (HTTP {response.status}{_hint(response)}): {refusal}")
        except (msgspec.MsgspecError, InvalidRequest, ValueError, RecursionError) as wrong:
            return on_doubt(f"HTTP {response.status} from WeChat Pay makes no sense: {str(wrong)[:200]}")
        if not 400 <= response.status < 500:
            return on_doubt(f"HTTP {response.status} from WeChat Pay is neither yes nor no")
        return on_error(msgspec.structs.replace(error, status=response.status), now)

    return read


def _hint(response: Response) -> str:
    """WeChat Pay signs nothing for a sender whose own signature it could not verify."""
    return "; check private_key, certificate_serial and this machine's clock" if response.status == 401 else ""
