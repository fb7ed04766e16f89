"""What a merchant's call says to Alipay: its parameters, what is signed of them, and until when a trade may be paid."""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl

import msgspec

from paidup.errors import InvalidRequest
from paidup.sandbox.wire import Ask

_BEIJING = timezone(timedelta(hours=8))


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
    """time_expire in Beijing time, or timeout_express such as 30m, 2h or 1d; fifteen days when neither is given."""
    if wanted.time_expire:
        return datetime.fromisoformat(wanted.time_expire).replace(tzinfo=_BEIJING)
    units = {"m": 60, "h": 3600, "d": 86400}
    if not wanted.timeout_express:
        return now + timedelta(days=15)
    count, unit = wanted.timeout_express[:-1], wanted.timeout_express[-1]
    if unit not in units or not (count.isascii() and count.isdigit() and len(count) < 6):
        raise InvalidRequest(f"timeout_express {wanted.timeout_express[:20]!r} is none such as 30m, 2h or 1d")
    return now + timedelta(seconds=int(count) * units[unit])
