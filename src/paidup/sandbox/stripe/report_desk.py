"""Where reports are asked for at Stripe, and when they are done.

Source: Stripe's "Reports API".
"""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from paidup.errors import InvalidRequest
from paidup.sandbox.bills import BilledDay, Bills, Standing
from paidup.sandbox.downloads import origin_of
from paidup.sandbox.stripe.reports import (
    STRIPE_BALANCE_COLUMNS,
    STRIPE_COLUMNS,
    stripe_balance,
    stripe_payouts,
    stripe_report,
)
from paidup.sandbox.wire import Ask

REPORT_TAKES_S = 20
MAX_RUNS = 10_000
_CHANGES, _BALANCE, _PAYOUTS = (
    "balance_change_from_activity.itemized.3", "balance.summary.1", "payout_reconciliation.itemized.5",
)  # fmt: skip
_REPORTS = {_CHANGES: STRIPE_COLUMNS, _BALANCE: STRIPE_BALANCE_COLUMNS, _PAYOUTS: STRIPE_COLUMNS}


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
            "url": f"{origin_of(ask)}/v1/files/{file}/contents",
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
