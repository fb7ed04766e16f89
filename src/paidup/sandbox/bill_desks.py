"""Where a merchant asks for bills: one desk per account, behind the provider that knows who asks.

Source: WeChat Pay's 申请交易账单, 申请资金账单 and 下载账单; Alipay's alipay.data.dataservice.bill.downloadurl.query;
Stripe's "Reports API".
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from urllib.parse import urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from paidup.errors import InvalidRequest
from paidup.sandbox.bill_formats import (
    BEIJING,
    STRIPE_BALANCE_COLUMNS,
    STRIPE_COLUMNS,
    alipay_funds,
    alipay_trades,
    gzipped,
    stripe_balance,
    stripe_payouts,
    stripe_report,
    wechat_funds,
    wechat_trades,
)
from paidup.sandbox.bills import BilledDay, Bills, Standing
from paidup.sandbox.keys import AlipayKeys, WechatKeys
from paidup.sandbox.wire import NONSENSE, Ask, Tell

ALIPAY_METHOD = "alipay.data.dataservice.bill.downloadurl.query"
ALIPAY_DOWNLOAD = "/downloadBillFile.resource"
WECHAT_LIVES_S, ALIPAY_LIVES_S = 300, 30
"""How long a download address works."""
REPORT_TAKES_S = 20
MAX_RUNS = 10_000
_OPENS = time(10)
_CHANGES, _BALANCE, _PAYOUTS = (
    "balance_change_from_activity.itemized.3", "balance.summary.1", "payout_reconciliation.itemized.5",
)  # fmt: skip
_REPORTS = {_CHANGES: STRIPE_COLUMNS, _BALANCE: STRIPE_BALANCE_COLUMNS, _PAYOUTS: STRIPE_COLUMNS}

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
        if not (self._bills.are_early or _is_past(day, now)):
            raise InvalidRequest("bill_date: 只能查询今天之前的账单")
        standing = Standing.COMING
        if self._bills.are_early or _is_open(day, now):
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
        url = f"{_origin(ask)}/v3/billdownload/file?{urlencode({'token': token})}"
        return 200, {"hash_type": "SHA1", "hash_value": digest, "download_url": url}

    def file(self, ask: Ask, now: datetime) -> Tell:
        """The second step. The answer is not signed."""
        kind, day, made, tar_type = _token(ask, "token", 4)
        if not _lives(made, now, WECHAT_LIVES_S):
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
        is_open = self._bills.are_early or _is_open(day, now)
        if not is_open or self._bills.standing("alipay", self._account, day, BEIJING) is not Standing.MADE:
            return None
        # Whoever has the address may fetch the file: it names the app, and no signature is asked for.
        fields = {"app_id": self._keys.app_id, "fileId": f"{bill_type}.{day}.{int(now.timestamp())}"}
        return {"bill_download_url": f"{_origin(ask)}{ALIPAY_DOWNLOAD}?{urlencode(fields)}"}

    def file(self, ask: Ask, now: datetime) -> Tell:
        """The zip file, for thirty seconds."""
        try:
            bill_type, stated, made = _token(ask, "fileId", 3)
            day = date.fromisoformat(stated)
        except NONSENSE:
            return Tell(404, {"content-type": "text/html"}, b"no such file")
        if not _lives(made, now, ALIPAY_LIVES_S):
            return Tell(403, {"content-type": "text/html; charset=utf-8"}, "下载链接已过期".encode())
        render = alipay_trades if bill_type == "trade" else alipay_funds
        booked = self._day(day)
        file = booked.cut(render(booked, self._keys.seller_id, day))
        return Tell(200, {"content-type": "application/octet-stream"}, file)

    def _day(self, day: date) -> BilledDay:
        return self._bills.day("alipay", self._account, day, BEIJING)


class StripeDesk:
    """The reports of one Stripe account."""

    def __init__(self, bills: Bills, account: str) -> None:
        self._bills = bills
        self._account = account
        self._runs: dict[str, tuple[Mapping[str, str], datetime]] = {}

    def start(self, fields: Mapping[str, str], ask: Ask, now: datetime) -> dict[str, object]:
        """Begin a run. Raises InvalidRequest and ValueError for parameters that make no sense."""
        begins, ends, zone = _span(fields)
        has = _REPORTS.get(fields.get("report_type", ""), ())
        unknown = [column for column in _columns(fields) if column not in has]
        if not has or unknown:
            raise InvalidRequest(f"no such report_type, or no such column: {', '.join(unknown)[:100]}")
        day = begins.astimezone(zone).date()
        is_over = self._bills.are_early or ends <= now
        is_coming = is_over and self._bills.standing("stripe", self._account, day, zone) is Standing.COMING
        if datetime.combine(day, time(), zone) != begins or not is_over or is_coming:
            raise InvalidRequest("interval: the sandbox reports whole days in the timezone, and only past ones")
        number = f"frr_{len(self._runs):024x}"
        if len(self._runs) >= MAX_RUNS:
            raise InvalidRequest(f"the sandbox keeps {MAX_RUNS} report runs; start it anew")
        self._runs[number] = (fields, now)
        return self._run(number, ask, now)

    def run(self, number: str, ask: Ask, now: datetime) -> dict[str, object] | None:
        """A run as it stands; None when there is none of this number."""
        return self._run(number, ask, now) if number in self._runs else None

    def file(self, number: str) -> bytes | None:
        """The file of a run, by the file's id; None when there is none."""
        number = number.replace("file_", "frr_")
        booked = self._day(number) if number in self._runs else None
        return booked.cut(self._csv(number, booked)) if booked else None

    def _run(self, number: str, ask: Ask, now: datetime) -> dict[str, object]:
        fields, began = self._runs[number]
        run: dict[str, object] = {
            "id": number,
            "object": "reporting.report_run",
            "created": int(began.timestamp()),
            "error": None,
            "livemode": False,
            "parameters": {
                "interval_start": int(fields["parameters[interval_start]"]),
                "interval_end": int(fields["parameters[interval_end]"]),
                "timezone": fields.get("parameters[timezone]", "Etc/UTC"),
                "columns": _columns(fields),
            },
            "report_type": fields["report_type"],
            "result": None,
            "status": "pending",
        }
        if now < began + timedelta(seconds=REPORT_TAKES_S):
            return run
        file, booked = number.replace("frr_", "file_"), self._day(number)
        size = len(self._csv(number, booked)) + booked.wrong_hash
        result = {
            "id": file,
            "object": "file",
            "size": size,
            "type": "csv",
            "url": f"{_origin(ask)}/v1/files/{file}/contents",
        }
        return run | {"status": "succeeded", "result": result}

    def _day(self, number: str) -> BilledDay:
        begins, _, zone = _span(self._runs[number][0])
        return self._bills.day("stripe", self._account, begins.astimezone(zone).date(), zone)

    def _csv(self, number: str, booked: BilledDay) -> bytes:
        fields = self._runs[number][0]
        kind = fields["report_type"]
        columns = _columns(fields) or _REPORTS[kind]
        if kind == _CHANGES:
            return stripe_report(booked, columns)
        if kind == _PAYOUTS:
            return stripe_payouts(booked, columns)
        begins, _, zone = _span(fields)
        return stripe_balance(booked, columns, booked.of or begins.astimezone(zone).date())


def _span(fields: Mapping[str, str]) -> tuple[datetime, datetime, tzinfo]:
    """Raises InvalidRequest and ValueError."""
    begins, ends = (
        datetime.fromtimestamp(int(fields.get(f"parameters[interval_{it}]", "")), UTC) for it in ("start", "end")
    )
    name = fields.get("parameters[timezone]", "Etc/UTC")
    try:
        return begins, ends, UTC if name == "Etc/UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError):
        raise InvalidRequest(f"parameters[timezone]: there is no zone {name[:60]!r}") from None


def _columns(fields: Mapping[str, str]) -> list[str]:
    return [value for name, value in fields.items() if name.startswith("parameters[columns][")]


def _is_past(day: date, now: datetime) -> bool:
    return day < now.astimezone(BEIJING).date()


def _is_open(day: date, now: datetime) -> bool:
    """Bills are made in the morning of the next day."""
    return now >= datetime.combine(day + timedelta(days=1), _OPENS, BEIJING)


def _origin(ask: Ask) -> str:
    return f"http://{ask.headers.get('host', '127.0.0.1')}"


def _token(ask: Ask, name: str, parts: int) -> list[str]:
    found = ask.query().get(name, "").split(".")
    if len(found) != parts:
        raise InvalidRequest(f"{name} is none that was given out")
    return found


def _lives(made: str, now: datetime, lives_s: int) -> bool:
    return made.isascii() and made.isdigit() and len(made) < 12 and 0 <= now.timestamp() - int(made) < lives_s + 1
