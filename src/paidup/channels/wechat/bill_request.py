"""Asking WeChat Pay where a bill is: the first step; the second is the signed download."""

from datetime import date, datetime, time, timedelta

import msgspec

from paidup.channels.bill import BillKind, BillName, BillProof
from paidup.channels.bill_address import address_of
from paidup.channels.messages import BillAt, BillComing, Exchange, NoBill, Outcome, Request, Success
from paidup.channels.wechat.api import ApiError, get, no_to_a_question
from paidup.channels.wechat.bill import BEIJING
from paidup.channels.wechat.keys import WechatAccount
from paidup.channels.wechat.sign import authorization
from paidup.errors import InvalidRequest

_READY = time(10)
"""WeChat Pay makes a day's bills from 9 o'clock of the next day on, and asks to come after 10."""
_HASH_TYPE = "SHA1"
_ADDRESSES: dict[BillKind, tuple[str, dict[str, str]]] = {
    BillKind.TRADES: ("/v3/bill/tradebill", {"bill_type": "ALL", "tar_type": "GZIP"}),
    BillKind.FUNDS: ("/v3/bill/fundflowbill", {"account_type": "BASIC", "tar_type": "GZIP"}),
}


class _BillUrl(msgspec.Struct, frozen=True):
    hash_type: str
    hash_value: str
    download_url: str


def ready_at(day: date) -> datetime:
    """When the bill of a day is made."""
    return datetime.combine(day + timedelta(days=1), _READY, BEIJING)


def ask_bill(name: BillName, account: WechatAccount, now: datetime) -> Exchange:
    """The answer is signed, the file is not: its SHA-1 ties it to the answer."""

    def told(url: _BillUrl, at: datetime) -> Outcome:
        if url.hash_type != _HASH_TYPE:
            raise InvalidRequest(f"the bill's hash is of type {url.hash_type[:20]!r}, not {_HASH_TYPE}")
        proof = BillProof(sha1_hex=url.hash_value)
        return Success(bill=BillAt(_download(url.download_url, account, at), proof))

    def no(error: ApiError, at: datetime) -> Outcome:
        if error.code == "STATEMENT_CREATING" or (error.code == "NO_STATEMENT_EXIST" and at < ready_at(name.day)):
            return Success(bill=BillComing(str(error)))
        return Success(bill=NoBill(str(error))) if error.code == "NO_STATEMENT_EXIST" else no_to_a_question(error, at)

    path, fixed = _ADDRESSES[name.kind]
    return get(path, {"bill_date": name.day.isoformat(), **fixed}, account, now, _BillUrl, told, no)


def _download(url: str, account: WechatAccount, now: datetime) -> Request:
    """Signed like every request, with its query, so it goes to WeChat Pay and nowhere else."""
    base_url, target = address_of(url, account, ())
    headers = (("authorization", authorization("GET", target, b"", account, now)), ("accept", "*/*"))
    return Request("GET", base_url, target, headers, b"")
