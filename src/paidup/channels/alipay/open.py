"""Offering a payment: a QR code that the gateway gives (precreate), or a page whose signed URL needs no network."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import urlencode

from paidup.channels.alipay.gateway import Answer, ask, matching, needed, no_to_a_deed, signed_parameters
from paidup.channels.alipay.keys import AlipayAccount
from paidup.channels.alipay.trade import in_beijing
from paidup.channels.channel import ToOpen
from paidup.channels.messages import Exchange, Outcome, Success
from paidup.errors import InvalidRequest
from paidup.money import major

METHODS = ("precreate", "page")
MAX_SUBJECT_CHARS = 256
MAX_LIFE = timedelta(days=15)
"""Alipay's own bound on how long a trade may stay unpaid."""

_UNWELCOME = str.maketrans("/=&", "   ")  # Alipay refuses subjects that contain these


def open_payment(payment: ToOpen, account: AlipayAccount, now: datetime) -> Exchange | Success:
    """Raises InvalidRequest when Alipay could not take the payment. Neither way makes a trade at Alipay yet: that
    happens when the customer scans or follows, and until then a query says ACQ.TRADE_NOT_EXIST."""
    if payment.method == "precreate":
        return _precreate(payment, account, now)
    if payment.method == "page":
        return Success(pay_with={"url": _page_url(payment, account, now)})
    raise InvalidRequest(f"method {payment.method!r} is none of Alipay's: {', '.join(METHODS)}")


def _precreate(payment: ToOpen, account: AlipayAccount, now: datetime) -> Exchange:
    def read(answer: Answer, _: datetime) -> Outcome:
        if not answer.ok:
            return no_to_a_deed(answer)
        matching(answer, "out_trade_no", payment.merchant_ref)
        return Success(pay_with={"qr_code": needed(answer, "qr_code")})

    more = {"notify_url": account.notify_url}
    return ask("alipay.trade.precreate", _trade(payment, now), account, now, read, more)


def _page_url(payment: ToOpen, account: AlipayAccount, now: datetime) -> str:
    """The URL the browser follows. Alipay checks its timestamp, so it should be made when the customer comes."""
    more = {"notify_url": account.notify_url}
    if "return_url" in payment.extra:
        more["return_url"] = payment.extra["return_url"]
    biz = {**_trade(payment, now), "product_code": "FAST_INSTANT_TRADE_PAY"}
    parameters = signed_parameters("alipay.trade.page.pay", biz, account, now, more)
    return f"{account.base_url}/gateway.do?{urlencode(parameters)}"


def _trade(payment: ToOpen, now: datetime) -> Mapping[str, object]:
    if payment.money.currency != "CNY" or payment.money.amount_minor < 1:
        raise InvalidRequest(f"Alipay takes amounts in CNY from 0.01, not {payment.money}")
    if not now < payment.expires_at <= now + MAX_LIFE:
        raise InvalidRequest(f"expires_at must lie within the next {MAX_LIFE.days} days for Alipay")
    return {
        "out_trade_no": payment.merchant_ref,
        "total_amount": major(payment.money),
        "subject": _subject(payment),
        "time_expire": in_beijing(payment.expires_at),
    }


def _subject(payment: ToOpen) -> str:
    return payment.description.translate(_UNWELCOME).strip()[:MAX_SUBJECT_CHARS] or payment.merchant_ref
