"""What Alipay's words about a trade mean. Notices and answers use the same field names and formats."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

from paidup.errors import InvalidRequest
from paidup.evidence import PaymentSays
from paidup.money import Money, from_major

BEIJING = timezone(timedelta(hours=8))
"""Alipay writes and reads times without a zone; they are Beijing time, which has had no summer time since 1991."""

_YUAN = re.compile(r"[0-9]{1,10}(\.[0-9]{1,2})?")
_TIME = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?")
_SAYS = {
    "WAIT_BUYER_PAY": PaymentSays.WAITING,
    "TRADE_SUCCESS": PaymentSays.PAID,
    "TRADE_FINISHED": PaymentSays.PAID,  # paid, and can no longer be refunded
}


def payment_says(fields: Mapping[str, str]) -> PaymentSays | None:
    """What `trade_status` means for the payment; None for a status that says nothing about money.

    TRADE_CLOSED has two meanings: nobody paid in time, or everything was given back after it had been paid. In a notice
    the refund's own fields tell them apart.
    """
    status = fields.get("trade_status", "")
    if status == "TRADE_CLOSED":
        return PaymentSays.GIVEN_BACK if is_refunded(fields) else PaymentSays.CLOSED
    return _SAYS.get(status)


def is_refunded(fields: Mapping[str, str]) -> bool:
    """Whether the message tells of money given back. Raises InvalidRequest when refund_fee is no amount."""
    if "refund_fee" in fields:
        return yuan(fields["refund_fee"]).amount_minor > 0
    return "gmt_refund" in fields


def yuan(text: str) -> Money:
    """``"12.50"`` as money. Raises InvalidRequest for anything but plain yuan with at most two decimals."""
    if not _YUAN.fullmatch(text):
        raise InvalidRequest(f"{text[:40]!r} is no amount in yuan such as 12.50")
    return from_major(text, "CNY")


def moment(text: str | None) -> datetime | None:
    """``"2019-08-15 15:56:24"`` in Beijing as an aware time in UTC; None stays None.

    Raises InvalidRequest for anything else. Fractions of a second occur in gmt_refund.
    """
    if text is None:
        return None
    try:
        if not _TIME.fullmatch(text):
            raise ValueError(text)
        head, _, fraction = text.partition(".")
        read = datetime.fromisoformat(head).replace(tzinfo=BEIJING, microsecond=int(fraction.ljust(6, "0")))
    except ValueError:
        raise InvalidRequest(f"{text[:40]!r} is no time such as 2019-08-15 15:56:24") from None
    return read.astimezone(UTC)


def in_beijing(when: datetime) -> str:
    """A moment as Alipay reads it: ``yyyy-MM-dd HH:mm:ss``, Beijing time."""
    return when.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")
