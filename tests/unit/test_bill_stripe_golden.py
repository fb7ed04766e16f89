"""Stripe's three reports of one day in the columns that Stripe documents: each is read, and they tie."""

import io
from collections import Counter
from datetime import UTC, date, datetime

import stripe_side as stripe
from bill_side import GOLDEN, fault, lines
from paidup.channels.bill import Bill, BillFault, BillKind, BillName, BillProof, LineKind
from paidup.channels.stripe import STRIPE
from paidup.reconcile.payouts import added, untied

DAY = date(2026, 11, 24)
FILES = {
    BillKind.TRADES: "stripe_balance_change_itemized_3.csv",
    BillKind.FUNDS: "stripe_balance_summary_1.csv",
    BillKind.PAYOUTS: "stripe_payout_reconciliation_itemized_5.csv",
}


def content(kind: BillKind) -> bytes:
    return (GOLDEN / FILES[kind]).read_bytes()


def read(kind: BillKind, file: bytes | None = None, day: date = DAY) -> Bill:
    name = BillName(kind=kind, day=day)
    return STRIPE.read_bill(io.BytesIO(content(kind) if file is None else file), name, stripe.account(), BillProof())


def test_what_changed_the_balance_is_read_line_by_line() -> None:
    """Each category with its sign, in three currencies, with a text over two lines; numbers of both sides."""
    found = lines(read(BillKind.TRADES))
    assert [
        (LineKind.PAYMENT, "USD", 5000, 175), (LineKind.PAYMENT, "USD", 1250, 66), (LineKind.REFUND, "USD", -2000, 0),
        (LineKind.DISPUTE, "USD", -3000, 1500), (LineKind.REFUND_FAILED, "USD", 500, 0), (LineKind.FEE, "USD", 0, 120),
        (LineKind.PAYMENT, "EUR", 8000, 145), (LineKind.PAYMENT, "JPY", 3000, 108),
    ] == [(it.kind, it.currency, it.amount_minor, it.fee_minor) for it in found]  # fmt: skip
    assert [2, 3, 5, 6, 7, 8, 9, 10] == [it.number for it in found]
    refund = found[2]
    assert ("pi_3PZ01", "pay91", "re_3QA03", "ref91", "txn_3QA03", datetime(2026, 11, 24, 10, tzinfo=UTC)) == (
        refund.channel_txn_id, refund.merchant_ref, refund.channel_refund_id, refund.merchant_refund_ref, refund.entry,
        refund.occurred_at,
    )  # fmt: skip


def test_the_summary_says_what_lay_there_and_what_moved() -> None:
    """Opening and closing of each currency, and between the two what the day's trades and payouts add up to."""
    bill = read(BillKind.FUNDS)
    assert {"USD": (120_000, 108_355), "EUR": (0, 7855), "JPY": (10_000, 8072)} == bill.totals.balances
    moved = Counter[str]()
    for line in lines(read(BillKind.TRADES)):
        moved[line.currency] += line.net_minor
    paid = Counter[str]()
    for line in lines(read(BillKind.PAYOUTS)):
        paid[line.currency] += line.net_minor
    assert {"USD": (-111, -11_534), "EUR": (7855, 0), "JPY": (2892, -4820)} == {
        code: (moved[code], -paid[code]) for code in bill.totals.balances
    }
    said = {(it.currency, it.word): it.net_minor for it in lines(bill)}
    assert all((moved[code], -paid[code]) == (said[code, "activity"], said[code, "payouts"]) for code in moved)
    assert ("1200.00", "1083.55") == (bill.stated["starting_balance USD"], bill.stated["ending_balance USD"])


def test_each_payout_says_what_it_took() -> None:
    """A payout's lines by the day on which they were booked; the one of this day is the trade report's own."""
    bill = read(BillKind.PAYOUTS)
    report = added(bill.lines(), UTC)
    assert {
        ("po_1QD24", "USD", 22, "payment"): (2, 14_000, 466, 13_534),
        ("po_1QD24", "USD", 24, "refund"): (1, -2000, 0, -2000),
        ("po_1QD25", "JPY", 20, "payment"): (1, 5000, 180, 4820),
    } == {(one.payout_id, one.currency, one.day.day, one.what): sums for one, sums in report.groups.items()}
    mine = [line for line in bill.lines() if line.occurred_at.date() == DAY]
    assert {} == untied(mine, read(BillKind.TRADES).lines(), UTC)


def test_a_summary_that_does_not_lead_to_its_end_is_refused() -> None:
    """A cent off, a row of one currency missing, one twice, another day's, or no amount: nothing of it is used."""
    text = content(BillKind.FUNDS).decode()
    spoiled = {
        BillFault.WRONG_TOTAL: text.replace("1083.55", "1083.56"),
        BillFault.BROKEN_FILE: text.replace("ending_balance,Ending balance (2026-11-24),78.55,eur\n", ""),
        BillFault.OTHER_DAY: text.replace("Starting balance (2026-11-24)", "Starting balance (2026-11-25)"),
    }
    assert list(spoiled) == [fault(lambda text=text: read(BillKind.FUNDS, text.encode())) for text in spoiled.values()]
    for wrong in (text + "activity,Activity,0.00,usd\n", text.replace("78.55", "78.555"), text.replace("net_", "")):
        assert BillFault.UNKNOWN_FORMAT == fault(lambda wrong=wrong: read(BillKind.FUNDS, wrong.encode()))


def test_a_summary_without_subtotals_and_with_rows_we_do_not_know() -> None:
    """The parts are read where their sum is not printed; what is not known must not move anything, or it is refused."""
    rows = [
        row for row in content(BillKind.FUNDS).decode().splitlines() if not row.startswith(("activity,", "payouts,"))
    ]
    bill = read(BillKind.FUNDS, "\n".join([*rows, "notes,Anything,0.00,usd"]).encode())
    assert read(BillKind.FUNDS).totals.balances == bill.totals.balances
    topped = [row.replace("1083.55", "1093.55") for row in rows]
    assert BillFault.WRONG_TOTAL == fault(lambda: read(BillKind.FUNDS, "\n".join(topped).encode()))
    with_topup = "\n".join([*topped, "topups_gross,Top-ups,10.00,usd"]).encode()
    assert (120_000, 109_355) == read(BillKind.FUNDS, with_topup).totals.balances["USD"]


def test_a_summary_begins_on_the_accounts_day() -> None:
    """In Tokyo a day begins on the day before in UTC; either date is taken for its begin, and no third one."""
    account = STRIPE.parse_account("main", {**stripe.TABLE, "timezone": "Asia/Tokyo"}, stripe.FILES)
    found = []
    for day in (date(2026, 11, 24), date(2026, 11, 25), date(2026, 11, 26)):
        name, file = BillName(kind=BillKind.FUNDS, day=day), io.BytesIO(content(BillKind.FUNDS))
        found.append(fault(lambda name=name, file=file: STRIPE.read_bill(file, name, account, BillProof())))
    assert [None, None, BillFault.OTHER_DAY] == found


def test_a_payout_report_must_be_of_its_day_and_of_payouts() -> None:
    """Payouts that left on another day, and lines that no payout took, as the other report has them."""
    assert BillFault.OTHER_DAY == fault(lambda: read(BillKind.PAYOUTS, day=date(2026, 11, 23)))
    assert BillFault.UNKNOWN_FORMAT == fault(lambda: read(BillKind.PAYOUTS, content(BillKind.TRADES)))
    text = content(BillKind.PAYOUTS).decode()
    assert BillFault.WRONG_TOTAL == fault(lambda: read(BillKind.PAYOUTS, text.replace("96.80", "96.81").encode()))
