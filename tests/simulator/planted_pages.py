"""Defects of payments on pages, and of what the shop opened by itself; planted by planted.py like all others."""

from datetime import datetime
from typing import Any

import msgspec
import pytest

from paidup.channels import alipay
from paidup.channels.alipay import close
from paidup.channels.alipay.gateway import TRADE_NOT_EXIST, Answer
from paidup.channels.alipay.query import said
from paidup.channels.messages import Outcome, Success
from paidup.channels.stripe import query
from paidup.checkout import open as open_
from paidup.evidence import PaymentSays
from paidup.web import payments

Patch = pytest.MonkeyPatch


def no_trade_means_closed(patch: Patch) -> None:
    """Alipay knows no such trade, so there is nothing to close, and nobody can pay."""
    honest = close._closed

    def closed(answer: Answer, payment: Any, account: Any, now: datetime) -> Outcome:
        if answer.says_no(TRADE_NOT_EXIST):
            return Success((said(payment, account, now, PaymentSays.CLOSED, TRADE_NOT_EXIST),))
        return honest(answer, payment, account, now)

    patch.setattr(close, "_closed", closed)


def a_code_of_the_shop_is_closed(patch: Patch) -> None:
    """A code that the shop opened by itself is taken to have died with the order, as ours have."""

    def close_payment(payment: Any, account: Any, now: datetime) -> Any:
        return close.close_payment(msgspec.structs.replace(payment, registered=False), account, now)

    patch.setattr(alipay, "close_payment", close_payment)


def asked_by_its_intent(patch: Patch) -> None:
    """A page of Stripe's whose PaymentIntent is known is asked about, and closed, by that."""
    patch.setattr(query, "_pages_of", lambda intent_id: f"/v1/payment_intents/{intent_id}")
    patch.setattr(query, "SessionList", query.PaymentIntent)
    patch.setattr(query, "_page_told", query.intent_told)


def ends_with_the_order(patch: Patch) -> None:
    """Until when a registered payment can be paid is read, and not kept."""
    honest = payments.register_payment

    async def register(*given: Any, **named: Any) -> Any:
        return await honest(*given, **(named | {"expires_at": None}))

    patch.setattr(payments, "register_payment", register)


def numbers_of_64_characters(patch: Patch) -> None:
    """What a shop opened by itself has a number of at most 64 characters, as everybody's but Stripe's Checkout has."""
    patch.setattr(open_, "MAX_REF_CHARS", 64)
