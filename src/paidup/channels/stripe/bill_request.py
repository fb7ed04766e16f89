"""Asking Stripe for a report: a run is started, asked about until it has succeeded, and its file is fetched.

Source: Stripe's documents "Reports API" and "The ReportRun object".
"""

from datetime import date, datetime, timedelta

import msgspec

from paidup.channels.bill import BillKind, BillName, BillProof, day_in
from paidup.channels.bill_address import address_of
from paidup.channels.messages import BillAt, BillComing, Exchange, Outcome, Request, Success
from paidup.channels.stripe.api import ApiError, get, headers, no_to_a_question, post, segment
from paidup.channels.stripe.balance import COLUMNS as BALANCE_COLUMNS
from paidup.channels.stripe.bill import COLUMNS, OF_PAYOUT, OUR_NUMBERS
from paidup.channels.stripe.keys import StripeAccount
from paidup.errors import InvalidRequest

_TYPES = {
    BillKind.TRADES: "balance_change_from_activity.itemized.3",
    BillKind.FUNDS: "balance.summary.1",
    BillKind.PAYOUTS: "payout_reconciliation.itemized.5",
}
_COLUMNS = {
    BillKind.TRADES: (*COLUMNS, *OUR_NUMBERS),
    BillKind.FUNDS: BALANCE_COLUMNS,
    BillKind.PAYOUTS: (*OF_PAYOUT, *COLUMNS, *OUR_NUMBERS),
}
_READY_AFTER = timedelta(hours=12)
_SURELY_READY_AFTER = timedelta(days=3)
"""A run for a day whose data are not complete yet is refused as a bad request; after so long it is one."""
_HOSTS = ("files.stripe.com",)


class _Parameters(msgspec.Struct, frozen=True):
    interval_start: int
    interval_end: int


class _File(msgspec.Struct, frozen=True):
    url: str
    size: int


class _Run(msgspec.Struct, frozen=True):
    id: str
    status: str
    report_type: str
    livemode: bool
    parameters: _Parameters
    error: str | None = None
    result: _File | None = None


def ready_at(day: date, account: StripeAccount) -> datetime:
    """Half a day after the day's end; Stripe promises no hour."""
    return day_in(account.zone, day)[1] + _READY_AFTER


def ask_bill(name: BillName, account: StripeAccount) -> Exchange:
    """Starts a run, or asks about the one that `made_as` names. A second run does no harm, so there is no idempotency
    key, which would repeat a failed one for a day. A day without any activity gives an empty bill."""
    begins, ends = day_in(account.zone, name.day)

    def told(run: _Run, _: datetime) -> Outcome:
        span = (int(begins.timestamp()), int(ends.timestamp()))
        stated = (run.parameters.interval_start, run.parameters.interval_end)
        if (stated, run.report_type) != (span, _TYPES[name.kind]) or run.livemode != account.payee.startswith("live"):
            raise InvalidRequest(f"report run {run.id[:64]} is of another day, kind or mode than the one asked for")
        return Success(bill=_found(run, account))

    def no(error: ApiError, at: datetime) -> Outcome:
        if error.is_missing:
            return Success(bill=BillComing(f"the report run is gone and will be started anew: {error}"))
        if error.status == 400 and at < ends + _SURELY_READY_AFTER:
            return Success(bill=BillComing(str(error)))
        return no_to_a_question(error, at)

    if name.made_as is not None:
        return get(f"/v1/reporting/report_runs/{segment(name.made_as)}", account, _Run, told, no)
    parameters = {
        "report_type": _TYPES[name.kind],
        "parameters[interval_start]": str(int(begins.timestamp())),
        "parameters[interval_end]": str(int(ends.timestamp())),
        "parameters[timezone]": account.timezone,
        **{f"parameters[columns][{n}]": column for n, column in enumerate(_COLUMNS[name.kind])},
    }
    return post("/v1/reporting/report_runs", parameters, account, _Run, told, no)


def _found(run: _Run, account: StripeAccount) -> BillAt | BillComing:
    """Raises InvalidRequest when it succeeded without a file, or its file lies elsewhere."""
    if run.status == "pending":
        return BillComing("Stripe is making the report", made_as=run.id)
    if run.status != "succeeded":
        return BillComing(
            f"the report run ended as {run.status[:40]} and will be started anew: {run.error or ''}"[:300]
        )
    if run.result is None:
        raise InvalidRequest(f"report run {run.id[:64]} succeeded and has no file")
    base_url, target = address_of(run.result.url, account, _HOSTS)
    return BillAt(Request("GET", base_url, target, headers(account), b""), BillProof(size_bytes=run.result.size))
