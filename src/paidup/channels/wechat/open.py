"""Offering a payment: a QR code (native), a page inside WeChat (jsapi), or a page in a phone's browser (h5)."""

from datetime import datetime, timedelta, timezone

import msgspec

from paidup.channels.channel import ToOpen
from paidup.channels.messages import Exchange, Outcome, Success
from paidup.channels.wechat.api import no_to_a_deed, post
from paidup.channels.wechat.keys import WechatAccount
from paidup.channels.wechat.sign import pay_sign
from paidup.errors import InvalidRequest

METHODS = ("native", "jsapi", "h5")
MAX_DESCRIPTION_BYTES = 127

_BEIJING = timezone(timedelta(hours=8))


class _Prepaid(msgspec.Struct, frozen=True):
    """The answer to an opening; which field is there depends on the method."""

    code_url: str | None = None
    prepay_id: str | None = None
    h5_url: str | None = None


def open_payment(payment: ToOpen, account: WechatAccount, now: datetime) -> Exchange:
    """Raises InvalidRequest when WeChat Pay could not take the payment. jsapi needs extra openid, h5 payer_client_ip.

    Opened again under the same number with the same content, it is the same trade for the customer: never two.
    """
    _must_be_payable(payment, now)
    body = {
        "appid": account.appid,
        "mchid": account.mchid,
        "description": cut(payment.description.strip(), MAX_DESCRIPTION_BYTES) or payment.merchant_ref,
        "out_trade_no": payment.merchant_ref,
        "time_expire": payment.expires_at.astimezone(_BEIJING).isoformat(timespec="seconds"),
        "notify_url": account.notify_url,
        "amount": {"total": payment.money.amount_minor, "currency": payment.money.currency},
        **_for_method(payment),
    }

    def opened(prepaid: _Prepaid, at: datetime) -> Outcome:
        return Success(pay_with=_pay_with(payment.method, prepaid, account, at))

    return post(f"/v3/pay/transactions/{payment.method}", body, account, now, _Prepaid, opened, no_to_a_deed)


def cut(text: str, limit: int) -> str:
    """The text within so many bytes of UTF-8; no character is cut in two."""
    return text.encode()[:limit].decode("utf-8", "ignore")


def _must_be_payable(payment: ToOpen, now: datetime) -> None:
    if payment.method not in METHODS:
        raise InvalidRequest(f"method {payment.method!r} is none of WeChat Pay's: {', '.join(METHODS)}")
    if payment.money.currency != "CNY" or payment.money.amount_minor < 1:
        raise InvalidRequest(f"WeChat Pay takes amounts in CNY from 0.01, not {payment.money}")
    if payment.expires_at <= now:
        raise InvalidRequest(f"expires_at {payment.expires_at.isoformat()} is over already")


def _for_method(payment: ToOpen) -> dict[str, object]:
    """What only this method needs. Raises InvalidRequest naming the missing field."""
    if payment.method == "jsapi":
        return {"payer": {"openid": _extra(payment, "openid")}}
    if payment.method == "h5":
        return {"scene_info": {"payer_client_ip": _extra(payment, "payer_client_ip"), "h5_info": {"type": "Wap"}}}
    return {}


def _extra(payment: ToOpen, name: str) -> str:
    value = payment.extra.get(name)
    if not value:
        raise InvalidRequest(f"WeChat Pay's {payment.method} needs {name!r} in extra")
    return value


def _pay_with(method: str, prepaid: _Prepaid, account: WechatAccount, now: datetime) -> dict[str, str]:
    """What the customer's device needs; for jsapi signed already. Raises InvalidRequest when the answer lacks it."""
    if method == "native" and prepaid.code_url:
        return {"code_url": prepaid.code_url}
    if method == "h5" and prepaid.h5_url:
        return {"h5_url": prepaid.h5_url}
    if method == "jsapi" and prepaid.prepay_id:
        return pay_sign(account, f"prepay_id={prepaid.prepay_id}", now)
    raise InvalidRequest(f"there is nothing for {method} in the answer")
