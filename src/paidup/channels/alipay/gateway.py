"""Alipay's gateway (OpenAPI v2): every question is one signed call of ``/gateway.do``, and so is every answer.

System parameters go into the query and biz_content into the body, as in Alipay's own SDKs; both are signed. An answer
is proof only when the raw bytes of its ``<method>_response`` are signed: Alipay leaves some errors unsigned (it may
not even know who asked), and an unsigned error proves nothing.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import urlencode

import msgspec

from paidup.channels.alipay.keys import AlipayAccount
from paidup.channels.alipay.sign import FOR_REQUEST, sign, signed_text, verify
from paidup.channels.alipay.trade import in_beijing
from paidup.channels.messages import Declined, Exchange, Outcome, Request, Response, Retryable, Unknown
from paidup.errors import InvalidRequest, Verdict

OK = "10000"
TRADE_NOT_EXIST = "ACQ.TRADE_NOT_EXIST"

_UNAVAILABLE = "20000"
_REFUSED = "40004"
_TOO_OFTEN = "40005"
_outer: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])
_inner: msgspec.json.Decoder[dict[str, object]] = msgspec.json.Decoder(dict[str, object])


class Answer(msgspec.Struct, frozen=True):
    """The text fields of an answer. Only when `signed` do they prove anything."""

    fields: Mapping[str, str]
    signed: bool

    @property
    def ok(self) -> bool:
        return self.signed and self.fields.get("code") == OK

    def says_no(self, sub_code: str) -> bool:
        """Whether Alipay, under its signature, refuses for this reason."""
        return self.signed and self.fields.get("sub_code") == sub_code

    def __str__(self) -> str:
        parts = (self.fields.get(name, "") for name in ("code", "sub_code", "msg", "sub_msg"))
        return " ".join(part for part in parts if part)[:300]


def signed_parameters(
    method: str, biz: Mapping[str, object], account: AlipayAccount, now: datetime, more: Mapping[str, str]
) -> dict[str, str]:
    """All parameters of a call, signed. `more` are further system parameters such as notify_url."""
    parameters = {
        "app_id": account.app_id,
        "method": method,
        "format": "JSON",
        "charset": "utf-8",
        "sign_type": "RSA2",
        "timestamp": in_beijing(now),
        "version": "1.0",
        **more,
        "biz_content": msgspec.json.encode(biz).decode(),
    }
    pairs = ((name.encode(), value.encode()) for name, value in parameters.items())
    return {**parameters, "sign": sign(signed_text(pairs, FOR_REQUEST), account.private_key)}


def ask(
    method: str,
    biz: Mapping[str, object],
    account: AlipayAccount,
    now: datetime,
    read: Callable[[Answer, datetime], Outcome],
    more: Mapping[str, str] | None = None,
) -> Exchange:
    """The exchange for a call. `read` gets answers whose signature is good, and unsigned errors; never less.

    An InvalidRequest that `read` raises (a field is missing or unreadable) becomes Unknown.
    """
    parameters = signed_parameters(method, biz, account, now, more or {})
    body = urlencode({"biz_content": parameters.pop("biz_content")}).encode("ascii")
    request = Request(
        method="POST",
        base_url=account.base_url,
        target=f"/gateway.do?{urlencode(parameters)}",
        headers=(("content-type", "application/x-www-form-urlencoded; charset=utf-8"),),
        body=body,
    )

    def read_response(response: Response, now: datetime) -> Outcome:
        answer = read_answer(method, response, account)
        if not isinstance(answer, Answer):
            return answer
        try:
            return read(answer, now)
        except InvalidRequest as wrong:
            return Unknown(f"Alipay's answer to {method} makes no sense: {wrong}")

    return Exchange(request, read_response)


def read_answer(method: str, response: Response, account: AlipayAccount) -> Answer | Unknown:
    """The answer to `method`; Unknown when it is unreadable, forged, or a success without a signature."""
    if response.status != 200:
        return Unknown(f"HTTP {response.status} from Alipay, which answers everything, errors included, with 200")
    members = _members(response.body)
    own = members.get(f"{method.replace('.', '_')}_response")
    raw = own if own is not None else members.get("error_response")
    if raw is None:
        return Unknown(f"HTTP {response.status} from Alipay with no answer to {method}")
    signature = _text(members.get("sign"))
    if signature and verify(bytes(raw), signature.encode(), account.public_keys) is not Verdict.VALID:
        return Unknown(f"the answer to {method} is not signed by any of alipay_public_keys")
    answer = Answer(_fields(bytes(raw)), signed=bool(signature))
    if answer.fields.get("code") == OK and (own is None or not signature):
        return Unknown(f"the answer to {method} claims success without a signature")
    return answer


def matching(answer: Answer, name: str, expected: str) -> None:
    """Raises InvalidRequest when the answer speaks of another trade or refund than the one we asked about."""
    stated = answer.fields.get(name)
    if stated is not None and stated != expected:
        raise InvalidRequest(f"asked about {name} {expected}, answered about {stated[:64]}")


def needed(answer: Answer, name: str) -> str:
    """A field that must be there. Raises InvalidRequest when it is not."""
    if not answer.fields.get(name):
        raise InvalidRequest(f"there is no {name}")
    return answer.fields[name]


def no_to_a_question(answer: Answer) -> Outcome:
    """What an error means when we only asked: mostly that it is asked again later.

    A signed refusal of this very question (40004) is an answer, and nothing is wrong with Alipay: a few numbers that it
    will never take must not stop the questions about all others.
    """
    if answer.signed and answer.fields.get("code") == _REFUSED and not _is_trouble(answer):
        return Declined(answer.fields.get("sub_code", _REFUSED), str(answer))
    return Retryable(f"Alipay cannot say: {answer}")


def no_to_a_deed(answer: Answer) -> Outcome:
    """What an error means when money or a trade was to be moved.

    Declined only under a signature; a limit on the number of calls certainly did nothing; the system's own trouble
    (``ACQ.SYSTEM_ERROR``, ``isp.…``, 20000) and unsigned errors leave it open.
    """
    code = answer.fields.get("code", "")
    if not answer.signed:
        return Unknown(f"an unsigned error proves nothing: {answer}")
    if code == _TOO_OFTEN:
        return Retryable(str(answer))
    if _is_trouble(answer):
        return Unknown(str(answer))
    return Declined(answer.fields.get("sub_code") or code or "no code", str(answer))


def _is_trouble(answer: Answer) -> bool:
    """Alipay's own trouble, and no answer to what was asked."""
    code, sub_code = answer.fields.get("code", ""), answer.fields.get("sub_code", "")
    return code == _UNAVAILABLE or sub_code.endswith("SYSTEM_ERROR") or sub_code.startswith(("isp.", "aop."))


def _members(body: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _outer.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return {}


def _text(raw: msgspec.Raw | None) -> str:
    try:
        return msgspec.json.decode(raw, type=str) if raw is not None else ""
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "?"


def _fields(raw: bytes) -> dict[str, str]:
    try:
        decoded = _inner.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return {}
    return {name: value for name, value in decoded.items() if isinstance(value, str) and value}
