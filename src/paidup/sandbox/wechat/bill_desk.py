"""Where a merchant asks WeChat Pay for bills.

Source: 申请交易账单, 申请资金账单 and 下载账单.
"""

import hashlib
from datetime import date, datetime
from urllib.parse import urlencode

from paidup.errors import InvalidRequest
from paidup.sandbox.bill_cells import BEIJING
from paidup.sandbox.bills import BilledDay, Bills, Standing
from paidup.sandbox.downloads import is_open, is_past, lives, origin_of, token_parts
from paidup.sandbox.keys import WechatKeys
from paidup.sandbox.wechat.bill_files import gzipped, wechat_funds, wechat_trades
from paidup.sandbox.wire import Ask, Tell

LIVES_S = 300
"""How long a download address works."""

_Told = tuple[int, dict[str, object]]


class WechatDesk:
    """The bills of one merchant at WeChat Pay."""

    def __init__(self, bills: Bills, account: str, keys: WechatKeys) -> None:
        self._bills = bills
        self._account = account
        self._keys = keys

    def where(self, kind: str, ask: Ask, now: datetime) -> _Told:
        """The first step. Raises InvalidRequest or ValueError for parameters that make no sense."""
        query = ask.query()
        day = date.fromisoformat(query.get("bill_date", ""))
        asked = (kind, query.get("bill_type", "ALL"), query.get("account_type", "BASIC"))
        if asked not in (("tradebill", "ALL", "BASIC"), ("fundflowbill", "ALL", "BASIC")):
            raise InvalidRequest(f"the sandbox makes no such bill: {' '.join(asked)[:60]}")
        if not (self._bills.are_early or is_past(day, now)):
            raise InvalidRequest("bill_date: 只能查询今天之前的账单")
        standing = Standing.COMING
        if self._bills.are_early or is_open(day, now):
            standing = self._bills.standing("wechat", self._account, day, BEIJING)
        if standing is Standing.COMING:
            return 400, {"code": "STATEMENT_CREATING", "message": "账单正在生成中，请稍后再试"}
        if standing is Standing.NONE:
            return 400, {"code": "NO_STATEMENT_EXIST", "message": "账单文件不存在"}
        booked = self._day(day)
        digest = hashlib.sha1(self._text(kind, booked), usedforsecurity=False).hexdigest()
        if booked.wrong_hash:
            digest = digest[:-1] + ("0" if digest[-1] != "0" else "1")
        token = f"{kind}.{day}.{int(now.timestamp())}.{query.get('tar_type', '')}"
        url = f"{origin_of(ask)}/v3/billdownload/file?{urlencode({'token': token})}"
        return 200, {"hash_type": "SHA1", "hash_value": digest, "download_url": url}

    def file(self, ask: Ask, now: datetime) -> Tell:
        """The second step. The answer is not signed."""
        kind, day, made, tar_type = token_parts(ask, "token", 4)
        if not lives(made, now, LIVES_S):
            raise InvalidRequest("token: 下载地址已过期")
        booked = self._day(date.fromisoformat(day))
        text = self._text(kind, booked)
        file = booked.cut(gzipped(text) if tar_type == "GZIP" else text)
        return Tell(200, {"content-type": "application/octet-stream"}, file)

    def _day(self, day: date) -> BilledDay:
        return self._bills.day("wechat", self._account, day, BEIJING)

    def _text(self, kind: str, booked: BilledDay) -> bytes:
        if kind == "tradebill":
            return wechat_trades(booked, self._keys.mchid, self._keys.appid)
        return wechat_funds(booked, self._keys.mchid)
