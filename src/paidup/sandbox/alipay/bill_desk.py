"""Where a seller asks Alipay for bills.

Source: alipay.data.dataservice.bill.downloadurl.query.
"""

from datetime import date, datetime
from urllib.parse import urlencode

from paidup.errors import InvalidRequest
from paidup.sandbox.alipay.bill_files import alipay_funds, alipay_trades
from paidup.sandbox.bill_cells import BEIJING
from paidup.sandbox.bills import BilledDay, Bills, Standing
from paidup.sandbox.downloads import is_open, lives, origin_of, token_parts
from paidup.sandbox.keys import AlipayKeys
from paidup.sandbox.wire import NONSENSE, Ask, Tell

METHOD = "alipay.data.dataservice.bill.downloadurl.query"
DOWNLOAD = "/downloadBillFile.resource"
LIVES_S = 30
"""How long a download address works."""


class AlipayDesk:
    """The bills of one seller at Alipay."""

    def __init__(self, bills: Bills, account: str, keys: AlipayKeys) -> None:
        self._bills = bills
        self._account = account
        self._keys = keys

    def where(self, bill_type: str, bill_date: str, ask: Ask, now: datetime) -> dict[str, str] | None:
        """The address of a bill; None when there is none (yet). Raises ValueError and InvalidRequest."""
        day = date.fromisoformat(bill_date)
        if bill_type not in ("trade", "signcustomer"):
            raise InvalidRequest(f"bill_type {bill_type[:20]!r} is neither trade nor signcustomer")
        may_be = self._bills.are_early or is_open(day, now)
        if not may_be or self._bills.standing("alipay", self._account, day, BEIJING) is not Standing.MADE:
            return None
        # Whoever has the address may fetch the file: it names the app, and no signature is asked for.
        fields = {"app_id": self._keys.app_id, "fileId": f"{bill_type}.{day}.{int(now.timestamp())}"}
        return {"bill_download_url": f"{origin_of(ask)}{DOWNLOAD}?{urlencode(fields)}"}

    def file(self, ask: Ask, now: datetime) -> Tell:
        """The zip file, for thirty seconds."""
        try:
            bill_type, stated, made = token_parts(ask, "fileId", 3)
            day = date.fromisoformat(stated)
        except NONSENSE:
            return Tell(404, {"content-type": "text/html"}, b"no such file")
        if not lives(made, now, LIVES_S):
            return Tell(403, {"content-type": "text/html; charset=utf-8"}, "下载链接已过期".encode())
        render = alipay_trades if bill_type == "trade" else alipay_funds
        booked = self._day(day)
        file = booked.cut(render(booked, self._keys.seller_id, day))
        return Tell(200, {"content-type": "application/octet-stream"}, file)

    def _day(self, day: date) -> BilledDay:
        return self._bills.day("alipay", self._account, day, BEIJING)
