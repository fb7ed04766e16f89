"""An amount with a time, as somebody says it who has no number at hand. Pure."""

import re
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal

import msgspec

_AMOUNT = re.compile(r"^(?:[¥￥$€£]|[A-Z]{3})?\s*(\d{1,12}(?:[.,]\d{1,3})?)\s*(?:元|[A-Z]{3})?$")
_TIME = re.compile(r"^(\d{1,2}):(\d{2})(?::\d{2})?$")
_DAY = re.compile(r"^([12]\d{3})-(\d{1,2})-(\d{1,2})$")  # beside the first and the last year there is no other day
AROUND = timedelta(minutes=30)
LOOK_BACK = timedelta(days=7)


class AmountSought(msgspec.Struct, frozen=True):
    """An amount in minor units, whatever the currency's decimals, and when it was ordered or paid, about."""

    amounts_minor: list[int]
    since: datetime
    until: datetime


def read_amount(text: str, now: datetime, zone: tzinfo) -> AmountSought | None:
    """``12.50``, ``12.50 14:03``, ``12.50 2026-11-27`` or ``12.50 2026-11-27 14:03``; None for anything else."""
    words = text.split()
    if not words:
        return None
    time = _TIME.match(words[-1]) if len(words) > 1 else None
    words = words[:-1] if time else words
    day = _DAY.match(words[-1]) if len(words) > 1 else None
    words = words[:-1] if day else words
    amount = _AMOUNT.match(" ".join(words))
    if amount is None:
        return None
    number = Decimal(amount[1].replace(",", "."))
    minor = [int(number.scaleb(places)) for places in (0, 2, 3) if number.scaleb(places) % 1 == 0]
    try:
        since, until = _when(day, time, now.astimezone(zone))
    except ValueError:  # the 31st of February, 25 o'clock
        return None
    return AmountSought(minor, since, until)


def _when(day: re.Match[str] | None, time: re.Match[str] | None, now: datetime) -> tuple[datetime, datetime]:
    if day is None and time is None:
        return now - LOOK_BACK, now
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if day:
        midnight = midnight.replace(year=int(day[1]), month=int(day[2]), day=int(day[3]))
    if time is None:
        return midnight, midnight + timedelta(days=1)
    at = midnight.replace(hour=int(time[1]), minute=int(time[2]))
    if day is None and at - AROUND > now:
        at -= timedelta(days=1)
    return at - AROUND, at + AROUND
