"""Stripe's reports: found by their columns' names, exact in every currency, whole by their size."""

import io
from datetime import UTC, date, datetime
from urllib.parse import parse_qsl

import msgspec
import pytest

import stripe_side as stripe
from bill_side import fault, lines, name_of
from paidup.channels.bill import Bill, BillFault, BillKind, BillName, BillProof, LineKind
from paidup.channels.messages import BillAt, BillComing, Declined, Outcome, Response, Success, Unknown
from paidup.channels.stripe import STRIPE, StripeAccount
from paidup.channels.stripe.bill import COLUMNS, OUR_NUMBERS
from paidup.errors import ConfigError

DAY = date(2026, 11, 22)
BEGINS = int(datetime(2026, 11, 22, tzinfo=UTC).timestamp())
CHARGE = "txn_1,2026-11-22 08:00:00,usd,12.50,0.66,11.84,charge,ch_1,ch_1,pi_1,pay1,"
RUN = {
    "id": "frr_1",
    "object": "reporting.report_run",
    "livemode": False,
    "report_type": "balance_change_from_activity.itemized.3",
    "parameters": {"interval_start": BEGINS, "interval_end": BEGINS + 86400},
    "status": "succeeded",
    "error": None,
    "result": {"id": "file_1", "url": "https://files.stripe.com/v1/files/file_1/contents", "size": 100},
}


def account(**table: object) -> StripeAccount:
    return STRIPE.parse_account("main", {**stripe.TABLE, **table}, stripe.FILES)


def csv(*rows: str, header: str = ",".join((*COLUMNS, *OUR_NUMBERS))) -> bytes:
    return "\n".join((header, *rows)).encode()


def read(content: bytes, kind: BillKind = BillKind.TRADES, **table: object) -> Bill:
    return STRIPE.read_bill(io.BytesIO(content), name_of(DAY, kind), account(**table), BillProof())


def asked(answer: Response, name: BillName = name_of(DAY), at: datetime = stripe.NOW) -> Outcome:  # noqa: B008
    return STRIPE.ask_bill(name, account(), at).read(answer, at)


def row(word: str, gross: str, fee: str, net: str, currency: str = "usd") -> str:
    return f"txn_2,2026-11-22 09:00:00,{currency},{gross},{fee},{net},{word},src_1,ch_1,pi_1,pay1,ref1"


def test_every_category_has_its_kind_and_sign() -> None:
    """Charges, refunds and failed ones, disputes lost and won, fees and payouts; another word is unknown."""
    rows = (
        CHARGE, row("refund", "-5.00", "0.00", "-5.00"), row("refund_failure", "5.00", "0.00", "5.00"),
        row("dispute", "-12.50", "15.00", "-27.50"), row("dispute_reversal", "12.50", "-15.00", "27.50"),
        row("fee", "-1.50", "0.00", "-1.50"), row("payout", "-9.00", "0.00", "-9.00"),
        row("topup", "1.00", "0", "1.00"),
    )  # fmt: skip
    assert [
        (LineKind.PAYMENT, 1250, 66, 1184), (LineKind.REFUND, -500, 0, -500), (LineKind.REFUND_FAILED, 500, 0, 500),
        (LineKind.DISPUTE, -1250, 1500, -2750), (LineKind.DISPUTE_WON, 1250, -1500, 2750), (LineKind.FEE, 0, 150, -150),
        (LineKind.PAYOUT, -900, 0, -900), (LineKind.UNKNOWN, 100, 0, 100),
    ] == [(it.kind, it.amount_minor, it.fee_minor, it.net_minor) for it in lines(read(csv(*rows)))]  # fmt: skip


def test_columns_are_found_by_name() -> None:
    """In any order, among columns we did not ask for, and without our own numbers in them."""
    names = [*COLUMNS, "customer_email", "trace_id"][::-1]
    cells = dict(zip(COLUMNS, CHARGE.split(","), strict=False)) | {"customer_email": '"a, ""b"""', "trace_id": ""}
    (line,) = lines(read(csv(",".join(cells[name] for name in names), header=",".join(names))))
    assert (1250, "pi_1", None, "txn_1") == (line.amount_minor, line.channel_txn_id, line.merchant_ref, line.entry)


@pytest.mark.parametrize(
    "header", [",".join(COLUMNS[1:]), ",".join((*COLUMNS, "net")), ",".join((*COLUMNS, "x", "x")), ""]
)
def test_a_column_missing_or_doubled_refuses_the_report(header: str) -> None:
    """Without a column, or with two of one name, nobody knows which amount is which."""
    expected = BillFault.UNKNOWN_FORMAT
    assert expected == fault(lambda: read(csv(CHARGE, header=header)))


@pytest.mark.parametrize(
    ("currency", "printed", "minor"),
    [("jpy", "500", 500), ("kwd", "1.250", 1250), ("isk", "700.00", 700), ("eur", "-0.01", -1)],
)  # fmt: skip
def test_amounts_are_in_major_units_of_their_currency(currency: str, printed: str, minor: int) -> None:
    """Yen have no decimals, dinars three; what the API counts in hundredths is here as people write it."""
    (line,) = lines(read(csv(row("charge", printed, "0", printed, currency))))
    assert (minor, currency.upper()) == (line.amount_minor, line.currency)


@pytest.mark.parametrize("wrong", ["1,250.00", "12.505", "", "12.5O"])
def test_an_amount_that_makes_no_sense_refuses_the_report(wrong: str) -> None:
    """It is never rounded or read as nothing."""
    assert BillFault.UNKNOWN_FORMAT == fault(lambda: read(csv(row("charge", wrong, "0.00", wrong))))


def test_a_line_that_does_not_add_up_refuses_the_report() -> None:
    """Gross less fee is net, in each line."""
    assert BillFault.WRONG_TOTAL == fault(lambda: read(csv(CHARGE, row("charge", "12.50", "0.66", "11.85"))))


def test_a_text_may_span_lines() -> None:
    """A quoted description with line feeds and quotes is one cell; one that never ends refuses the report."""
    header = ",".join((*COLUMNS, "description"))
    charge = ",".join(CHARGE.split(",")[: len(COLUMNS)])
    bill = read(csv(f'{charge},"tea\n""two"", cups"', f"{charge},x", header=header))
    assert [2, 4] == [line.number for line in lines(bill)]
    assert BillFault.BROKEN_FILE == fault(lambda: read(csv(f'{charge},"tea', f"{charge},x", header=header)))
    assert BillFault.UNKNOWN_FORMAT == fault(lambda: read(csv(f'{charge},"tea"x""', header=header)))


def test_the_day_is_the_accounts_own() -> None:
    """23 November 3:00 in UTC is still the 22nd in New York."""
    late = CHARGE.replace("2026-11-22 08", "2026-11-23 03")
    assert BillFault.OTHER_DAY == fault(lambda: read(csv(late)))
    assert 0 == read(csv(late), timezone="America/New_York").totals.other_days


def test_an_unknown_time_zone_is_told() -> None:
    """A day in a zone that does not exist would be some other day."""
    with pytest.raises(ConfigError, match="timezone"):
        account(timezone="Mars/Olympus")


# Report runs ----------------------------------------------------------------------------------------------------------


def test_a_run_is_started_with_its_columns_and_zone() -> None:
    """From the day's first second to the next day's, in the account's zone, with our numbers among the columns."""
    request = STRIPE.ask_bill(name_of(DAY), account(timezone="Asia/Tokyo"), stripe.NOW).request
    sent = dict(parse_qsl(request.body.decode()))
    starts = BEGINS - 9 * 3600
    assert ("POST", "/v1/reporting/report_runs", "Asia/Tokyo", str(starts), str(starts + 86400)) == (
        request.method, request.target, sent["parameters[timezone]"], sent["parameters[interval_start]"],
        sent["parameters[interval_end]"],
    )  # fmt: skip
    columns = [value for name, value in sent.items() if name.startswith("parameters[columns]")]
    assert [*COLUMNS, "payment_metadata[paidup_payment]", "refund_metadata[paidup_refund]"] == columns
    assert None is stripe.sent_header(request, "idempotency-key")


def test_a_run_is_asked_about_by_its_number() -> None:
    """Once it was started, no second one is."""
    name = msgspec.structs.replace(name_of(DAY), made_as="frr_1/../x")
    request = STRIPE.ask_bill(name, account(), stripe.NOW).request
    assert ("GET", "/v1/reporting/report_runs/frr_1%2F..%2Fx") == (request.method, request.target)


def test_a_run_that_succeeded_has_its_file_and_size() -> None:
    """The file is fetched with the secret key, from Stripe's file host only."""
    outcome = asked(stripe.answer(RUN))
    assert isinstance(outcome, Success)
    assert isinstance(outcome.bill, BillAt)
    request = outcome.bill.download
    assert ("https://files.stripe.com", "/v1/files/file_1/contents", BillProof(size_bytes=100)) == (
        request.base_url, request.target, outcome.bill.proof,
    )  # fmt: skip
    assert "Bearer " in (stripe.sent_header(request, "authorization") or "")


@pytest.mark.parametrize(
    ("changed", "made_as"),
    [({"status": "pending", "result": None}, "frr_1"), ({"status": "failed", "error": "no", "result": None}, None)],
)
def test_a_run_under_way_is_asked_about_and_a_failed_one_started_anew(
    changed: dict[str, object], made_as: str | None
) -> None:
    """What fails at Stripe is not our error, and is not asked about for ever."""
    outcome = asked(stripe.answer({**RUN, **changed}))
    assert isinstance(outcome, Success)
    assert isinstance(outcome.bill, BillComing)
    assert made_as == outcome.bill.made_as


@pytest.mark.parametrize(
    "changed",
    [
        {"livemode": True}, {"report_type": "balance.summary.1"}, {"result": None},
        {"parameters": {"interval_start": BEGINS + 1, "interval_end": BEGINS + 86400}},
        {"result": {"url": "https://files.stripe.com.evil.example/", "size": 1}},
        {"result": {"url": "http://127.0.0.1/", "size": 1}},
    ],
)  # fmt: skip
def test_a_run_of_something_else_is_not_taken(changed: dict[str, object]) -> None:
    """Another day, report or mode, and a file that lies elsewhere."""
    assert isinstance(asked(stripe.answer({**RUN, **changed})), Unknown)


def test_a_day_whose_data_are_not_complete_is_coming() -> None:
    """Stripe refuses the interval while the day is young; days later such a refusal is one."""
    refusal = stripe.error(400, code="parameter_invalid")
    young, old = asked(refusal), asked(refusal, at=datetime(2026, 11, 27, tzinfo=UTC))
    assert isinstance(young, Success)
    assert isinstance(young.bill, BillComing)
    assert isinstance(old, Declined)


def test_a_run_that_is_gone_is_started_anew() -> None:
    """404: there is no number to go on asking about."""
    outcome = asked(stripe.error(404, code="resource_missing"))
    assert Success(bill=BillComing(outcome.bill.why)) == outcome  # type: ignore[union-attr]
