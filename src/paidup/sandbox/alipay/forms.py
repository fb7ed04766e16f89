"""What a merchant's call says to Alipay: its parameters, what is signed of them, and until when a trade may be paid."""

import re
from collections.abc import Mapping
from datetime import datetime, time, timedelta, timezone
from urllib.parse import parse_qsl

import msgspec

from paidup.errors import InvalidRequest
from paidup.sandbox.wire import Ask

_BEIJING = timezone(timedelta(hours=8))
_LONGEST = timedelta(days=15)
_TIMEOUT = re.compile(r"([0-9]{1,6})([mhd])")
_UNITS_S = {"m": 60, "h": 3600, "d": 86400}


class Wanted(msgspec.Struct):
    """What biz_content may say. Amounts come as text in yuan, from some merchants as numbers."""

    out_trade_no: str = ""
    trade_no: str = ""
    total_amount: str | int | float = ""
    subject: str = ""
    time_expire: str = ""
    timeout_express: str = ""
    refund_amount: str | int | float = ""
    out_request_no: str = ""
    bill_type: str = ""
    bill_date: str = ""


def fields_of(ask: Ask) -> dict[str, str]:
    """The parameters of a call: system ones mostly in the query, biz_content mostly in the body."""
    form = ask.body.decode("utf-8", "replace") if ask.method == "POST" else ""
    return dict(parse_qsl(form, keep_blank_values=True)) | ask.query()


def signed_text(fields: Mapping[str, str]) -> bytes:
    """What a signature covers, of the fields that are to be signed."""
    return "&".join(f"{name}={value}" for name, value in sorted(fields.items())).encode()


def expiry(wanted: Wanted, now: datetime) -> datetime:
    """time_expire in Beijing time, or timeout_express: from 1m to 15d, or 1c for the end of today; fifteen days when
    neither is given. Raises InvalidRequest and ValueError."""
    if wanted.time_expire:
        expires_at = datetime.fromisoformat(wanted.time_expire).replace(tzinfo=_BEIJING)
        if expires_at <= now:
            raise InvalidRequest(f"time_expire {wanted.time_expire[:30]} is over already")
        return expires_at
    return now + _LONGEST if not wanted.timeout_express else _after(wanted.timeout_express, now)


def _after(timeout_express: str, now: datetime) -> datetime:
    if timeout_express == "1c":
        return datetime.combine(now.astimezone(_BEIJING).date() + timedelta(days=1), time(), _BEIJING)
    found = _TIMEOUT.fullmatch(timeout_express)
    lasts = timedelta(seconds=int(found[1]) * _UNITS_S[found[2]]) if found else timedelta()
    if not timedelta() < lasts <= _LONGEST:
        raise InvalidRequest(f"timeout_express {timeout_express[:20]!r} is none such as 30m, 2h, 15d or 1c")
    return now + lasts
