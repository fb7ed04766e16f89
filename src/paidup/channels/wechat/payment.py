"""Opening, asking about and closing a payment at WeChat Pay."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec

from paidup.channels.channel import Declined, Exchange, Outcome, PaymentName, Retryable, Success, ToOpen
from paidup.channels.wechat.api import ApiError, get, no_to_a_deed, no_to_a_question, post, segment
from paidup.channels.wechat.keys import WechatAccount
from paidup.channels.wechat.objects import Transaction, payment_says
from paidup.channels.wechat.sign import pay_sign
from paidup.errors import InvalidRequest
from paidup.evidence import PaymentEvidence, PaymentSays, Road

METHODS = ("native", "jsapi", "h5")

_BEIJING = timezone(timedelta(hours=8))


class Prepaid(msgspec.Struct, frozen=True):
    """The answer to an opening; which field is there depends on the method."""

    code_url: str | None = None
    prepay_id: str | None = None
    h5_url: str | None = None


class Done(msgspec.Struct, frozen=True):
    """An answer without content."""


def open_payment(payment: ToOpen, account: WechatAccount, now: datetime) -> Exchange:
    """Offer a payment. jsapi needs extra openid; h5 needs extra payer_client_ip.

    Opening the same number again with the same content gives the customer the same trade: never two.
    """
    body: dict[str, object] = {
        "appid": account.appid,
        "mchid": account.mchid,
        "description": payment.description,
        "out_trade_no": payment.merchant_ref,
        "time_expire": payment.expires_at.astimezone(_BEIJING).isoformat(timespec="seconds"),
        "notify_url": account.notify_url,
        "amount": {"total": payment.money.amount_minor, "currency": payment.money.currency},
        **_for_method(payment),
    }

    def opened(prepaid: Prepaid, at: datetime) -> Outcome:
        pay_with = _pay_with(payment.method, prepaid, account, at)
        return (
            Success(pay_with=pay_with) if pay_with else Declined("NO_PREPAY", f"no {payment.method} data in the answer")
        )

    return post(f"/v3/pay/transactions/{payment.method}", body, account, now, Prepaid, opened, no_to_a_deed)


def query_payment(payment: PaymentName, account: WechatAccount, now: datetime) -> Exchange:
    """Ask by our number: unpaid trades are known by no other."""

    def told(transaction: Transaction, at: datetime) -> Outcome:
        if transaction.out_trade_no != payment.merchant_ref:
            return Retryable(f"WeChat Pay answered about {transaction.out_trade_no[:40]!r}")
        key = f"query:{payment.merchant_ref}:{transaction.trade_state}"
        return Success(payment_says(transaction, account, road=Road.QUERY, key=key, now=at))

    def no(error: ApiError, at: datetime) -> Outcome:
        if error.status == 404 and error.code in ("ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS"):
            return Success((_says(payment, account, PaymentSays.NOT_FOUND, error.code, at),))
        return no_to_a_question(error, at)

    path = f"/v3/pay/transactions/out-trade-no/{segment(payment.merchant_ref)}"
    return get(path, {"mchid": account.mchid}, account, now, Transaction, told, no)


def close_payment(payment: PaymentName, account: WechatAccount, now: datetime) -> Exchange:
    """Make it unpayable; closing twice does no harm. A paid one is declined with ORDERPAID, and then queried."""

    def closed(_done: Done, at: datetime) -> Outcome:
        return Success((_says(payment, account, PaymentSays.CLOSED, "closed", at),))

    def no(error: ApiError, at: datetime) -> Outcome:
        # A trade that WeChat Pay does not have, or has closed itself, can be paid by nobody.
        if error.code in ("ORDER_NOT_EXIST", "ORDERNOTEXIST", "ORDER_CLOSED", "ORDERCLOSED"):
            return Success((_says(payment, account, PaymentSays.CLOSED, error.code, at),))
        return no_to_a_deed(error, at)

    path = f"/v3/pay/transactions/out-trade-no/{segment(payment.merchant_ref)}/close"
    return post(path, {"mchid": account.mchid}, account, now, Done, closed, no)


def _says(payment: PaymentName, account: WechatAccount, says: PaymentSays, note: str, at: datetime) -> PaymentEvidence:
    return PaymentEvidence(
        road=Road.QUERY,
        channel="wechat",
        account=account.name,
        key=f"query:{payment.merchant_ref}:{says}",
        received_at=at.astimezone(UTC),
        merchant_ref=payment.merchant_ref,
        says=says,
        note=note,
    )


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


def _pay_with(method: str, prepaid: Prepaid, account: WechatAccount, now: datetime) -> dict[str, str]:
    if method == "native" and prepaid.code_url:
        return {"code_url": prepaid.code_url}
    if method == "h5" and prepaid.h5_url:
        return {"h5_url": prepaid.h5_url}
    if method == "jsapi" and prepaid.prepay_id:
        return pay_sign(account, f"prepay_id={prepaid.prepay_id}", now)
    return {}
