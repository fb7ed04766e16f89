"""The channels as a spoiler sees them: valid messages, and the keys to sign whatever has been made of them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import urlencode

import alipay_side as alipay
import stripe_side as stripe
import wechat_side as wechat
from paidup.channels.alipay import ALIPAY
from paidup.channels.alipay.form import parse_form
from paidup.channels.alipay.sign import FOR_NOTICE, sign, signed_text
from paidup.channels.channel import Account, Channel, PaymentName, RefundName
from paidup.channels.messages import CallbackRequest, Exchange, Response
from paidup.channels.stripe import STRIPE
from paidup.channels.wechat import WECHAT
from paidup.errors import CallbackRefused


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """One channel.

    honest: callbacks as the channel sends them. contents: what is inside of them, before it is signed. signed: any
    bytes as the content of a callback that is truly signed. answers: what the channel says to `exchanges`, by name.
    answered: any bytes as a truly signed answer to the exchange of this name.
    """

    channel: Channel[Any]
    account: Account
    now: datetime
    honest: tuple[CallbackRequest, ...]
    contents: tuple[bytes, ...]
    signed: Callable[[bytes], CallbackRequest]
    exchanges: Mapping[str, Exchange]
    answers: Mapping[str, tuple[bytes, ...]]
    answered: Callable[[str, int, bytes], Response]

    @property
    def name(self) -> str:
        return self.channel.name


@cache
def speakers() -> tuple[Speaker, ...]:
    """All of them."""
    return (_wechat(), _alipay(), _stripe())


def _exchanges(
    channel: Channel[Any], account: Account, now: datetime, payment: PaymentName, refund: RefundName
) -> dict[str, Exchange]:
    opening = channel.open(payment.reopen, account, now)
    assert isinstance(opening, Exchange)
    return {
        "open": opening,
        "query": channel.query(payment, account, now),
        "close": channel.close(payment, account, now),
        "refund": channel.refund(refund, account, now),
        "query_refund": channel.query_refund(refund, account, now),
    }


def _bytes(of: object) -> bytes:
    return json.dumps(of, ensure_ascii=False).encode()


# WeChat Pay: the envelope is signed, what is inside is encrypted -----------------------------------------------------


def _wechat() -> Speaker:
    account, now = wechat.account(), wechat.NOW
    refused = _bytes({"code": "ORDER_NOT_EXIST", "message": "订单不存在"})
    return Speaker(
        channel=WECHAT,
        account=account,
        now=now,
        honest=(wechat.notice(), wechat.notice(wechat.REFUND_NOTICE, "REFUND.SUCCESS", 2)),
        contents=(
            wechat.event(wechat.TRANSACTION),
            b"TRANSACTION.SUCCESS\n" + _bytes(wechat.TRANSACTION),
            b"REFUND.SUCCESS\n" + _bytes(wechat.REFUND_NOTICE),
        ),
        signed=_wechat_signed,
        exchanges=_exchanges(WECHAT, account, now, wechat.name_of(), wechat.refund_of()),
        answers={
            "open": (_bytes({"code_url": "weixin://wxpay/bizpayurl?pr=1"}), refused),
            "query": (_bytes(wechat.TRANSACTION), refused),
            "close": (b"", _bytes({"code": "ORDERPAID", "message": "已支付"})),
            "refund": (_bytes({**wechat.REFUND, "status": "PROCESSING"}), refused),
            "query_refund": (_bytes(wechat.REFUND), refused),
        },
        answered=lambda _, status, body: Response(status, wechat.signed_headers(body), body),
    )


def _wechat_signed(content: bytes) -> CallbackRequest:
    """An envelope as it stands; with a kind on a line of its own, what is to be encrypted."""
    kind, line, plain = content.partition(b"\n")
    if not line or b"{" in kind:
        return wechat.callback(content)
    envelope = {"id": "EV-9", "event_type": kind.decode("latin-1"), "resource": wechat.sealed(plain)}
    return wechat.callback(_bytes(envelope))


# Alipay: a form, signed over its decoded bytes -----------------------------------------------------------------------


def _alipay() -> Speaker:
    account, now = alipay.account(), alipay.NOW
    given_back = alipay.changed(refund_fee="5.00", gmt_refund="2026-11-23 16:30:00.123", out_biz_no="ref1")
    trade = {"code": "10000", "out_trade_no": "pay1", "trade_no": alipay.PAID["trade_no"], "total_amount": "12.50"}
    paid = {**trade, "trade_status": "TRADE_SUCCESS", "send_pay_date": "2026-11-23 16:00:00"}
    gone = {"code": "40004", "msg": "Business Failed", "sub_code": "ACQ.TRADE_NOT_EXIST", "sub_msg": "交易不存在"}
    refunded = {**trade, "out_request_no": "ref1", "refund_amount": "5.00", "refund_status": "REFUND_SUCCESS"}
    return Speaker(
        channel=ALIPAY,
        account=account,
        now=now,
        honest=(alipay.notice(), alipay.notice(given_back)),
        contents=(urlencode(alipay.PAID).encode(), urlencode(given_back).encode()),
        signed=_alipay_signed,
        exchanges=_exchanges(ALIPAY, account, now, alipay.name_of(), alipay.refund_of()),
        answers={
            "open": (
                _bytes({"code": "10000", "out_trade_no": "pay1", "qr_code": "https://qr.example/1"}),
                _bytes(gone),
            ),
            "query": (_bytes(paid), _bytes(gone)),
            "close": (_bytes({"code": "10000", "retry_flag": "N", "action": "refund"}), _bytes(gone)),
            "refund": (_bytes({**trade, "fund_change": "Y", "refund_fee": "5.00"}), _bytes(gone)),
            "query_refund": (_bytes({**refunded, "gmt_refund_pay": "2026-11-23 16:30:00"}), _bytes(gone)),
        },
        answered=_alipay_answered,
    )


def _alipay_signed(form: bytes) -> CallbackRequest:
    """The form with a sign that fits, as far as there is one for it."""
    try:
        text = signed_text(parse_form(form), FOR_NOTICE)
    except CallbackRefused:
        text = form
    signature = urlencode({"sign": sign(text, alipay.key("alipay"))}).encode()
    return CallbackRequest("POST", "/callbacks/alipay/main", (), form + b"&" + signature)


_METHODS = {
    "open": "alipay_trade_precreate",
    "query": "alipay_trade_query",
    "close": "alipay_trade_cancel",
    "refund": "alipay_trade_refund",
    "query_refund": "alipay_trade_fastpay_refund_query",
}


def _alipay_answered(name: str, status: int, content: bytes) -> Response:
    signature = sign(content, alipay.key("alipay")).encode()
    return Response(status, (), b'{"%b_response":%b,"sign":"%b"}' % (_METHODS[name].encode(), content, signature))


# Stripe: the body is signed; answers are trusted for their TLS -------------------------------------------------------


def _stripe() -> Speaker:
    account, now = stripe.account(), stripe.NOW
    events = (
        stripe.event("payment_intent.succeeded", stripe.INTENT),
        stripe.event("checkout.session.completed", stripe.SESSION),
        stripe.event("refund.created", stripe.REFUND),
        stripe.event("charge.refunded", {**stripe.CHARGE, "refunds": {"data": [stripe.REFUND], "has_more": False}}),
        stripe.event("charge.dispute.created", stripe.DISPUTE),
    )
    missing = _bytes({"error": {"type": "invalid_request_error", "code": "resource_missing", "message": "no"}})
    declined = _bytes({"error": {"type": "card_error", "code": "card_declined", "payment_intent": stripe.INTENT}})
    return Speaker(
        channel=STRIPE,
        account=account,
        now=now,
        honest=tuple(map(stripe.callback, events)),
        contents=events,
        signed=stripe.callback,
        exchanges=_exchanges(STRIPE, account, now, stripe.name_of(), stripe.refund_of()),
        answers={
            "open": (_bytes(stripe.INTENT), declined),
            "query": (_bytes(stripe.INTENT), missing),
            "close": (_bytes({**stripe.INTENT, "status": "canceled"}), declined),
            "refund": (_bytes(stripe.REFUND), missing),
            "query_refund": (_bytes({"data": [stripe.REFUND], "has_more": False}), missing),
        },
        answered=lambda _, status, body: Response(status, (("content-type", "application/json"),), body),
    )
