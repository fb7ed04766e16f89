"""A day's bookings as Stripe's reports have them: CSV with the columns that were asked for."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec

from paidup.money import decimals
from paidup.sandbox.bills import BilledDay
from paidup.sandbox.bookings import PAID_OUT_AFTER, Entry, EntryKind, Payout

STRIPE_BALANCE_COLUMNS = ("category", "description", "net_amount", "currency")
STRIPE_COLUMNS = (
    "balance_transaction_id", "created_utc", "available_on_utc", "currency", "gross", "fee", "net",
    "reporting_category", "source_id", "description", "charge_id", "payment_intent_id", "automatic_payout_id",
    "automatic_payout_effective_at_utc", "payment_metadata[paidup_payment]", "refund_metadata[paidup_refund]",
)  # fmt: skip
STRIPE_OPENING_MINOR = 1_000_00
"""What lay there before the first booking, in each currency that is ever used: the minimum that payouts leave."""


def stripe_report(day: BilledDay, columns: Sequence[str]) -> bytes:
    """The CSV of what changed the balance, with the columns that were asked for. Raises KeyError for one that there is
    not."""
    rows = [_cells(entry, wrong_minor=int(day.wrong_total and n == 0)) for n, entry in enumerate(day.entries)]
    return _csv(columns, rows)


def stripe_payouts(day: BilledDay, columns: Sequence[str]) -> bytes:
    """The CSV of the day's payouts: each line that they took, with the payout that did."""
    rows: list[Mapping[str, str]] = []
    for payout in day.payouts:
        too_much = [stranger_in(payout)] if payout.takes_too_much else []
        for entry in (*payout.entries, *too_much):
            cells = _cells(entry, wrong_minor=int(day.wrong_total and not rows))
            leaves = f"{payout.day} 00:00:00"
            rows.append(cells | {"automatic_payout_id": payout.number, "automatic_payout_effective_at_utc": leaves})
    return _csv(columns, rows)


def stripe_balance(day: BilledDay, columns: Sequence[str], of: date) -> bytes:
    """The CSV of the balance summary: with what each currency began and ended, and what moved it."""
    rows: list[Mapping[str, str]] = []
    wrong = int(day.wrong_total)
    for currency in sorted({*day.before_minor, *(entry.currency for entry in day.entries)}):
        begins = STRIPE_OPENING_MINOR + day.before_minor.get(currency, 0) - day.paid_before_minor.get(currency, 0)
        mine = [entry for entry in day.entries if entry.currency == currency]
        gross, fees = sum(entry.amount_minor for entry in mine), -sum(entry.fee_minor for entry in mine)
        paid = -sum(payout.net_minor for payout in day.payouts if payout.currency == currency)
        said = (
            ("starting_balance", f"Starting balance ({of})", begins),
            ("activity_gross", "Account activity before fees", gross),
            ("activity_fee", "Less fees", fees),
            ("activity", "Activity", gross + fees),
            ("payouts_gross", "Payouts to bank", paid),
            ("payouts_fee", "Payout fees", 0),
            ("payouts", "Total payouts", paid),
            ("ending_balance", f"Ending balance ({of})", begins + gross + fees + paid + wrong),
        )
        places = decimals(currency)
        rows += [
            dict(zip(STRIPE_BALANCE_COLUMNS, (category, text, _major(minor, places), currency.lower()), strict=True))
            for category, text, minor in said
        ]
    return _csv(columns, rows)


def stranger_in(payout: Payout) -> Entry:
    """A line that a wrong payout takes, and that no bill has: over one minor unit, which the payout itself lacks."""
    first = payout.entries[0]
    return msgspec.structs.replace(
        first, kind=EntryKind.PAYMENT, amount_minor=1, fee_minor=0, number=f"{first.number[:-1]}z",
        refund_number="", refund_ref="",
    )  # fmt: skip


def _csv(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([cells[column] for column in columns] for cells in rows)
    return file.getvalue().encode()


def _cells(entry: Entry, wrong_minor: int) -> dict[str, str]:
    charge, places = entry.number.replace("pi_", "ch_"), decimals(entry.currency)
    is_other = entry.kind is EntryKind.OTHER
    category = {EntryKind.PAYMENT: "charge"}.get(entry.kind, str(entry.kind))
    amounts = (_major(it, places) for it in (entry.amount_minor, entry.fee_minor, entry.net_minor + wrong_minor))
    ours = "" if entry.merchant_ref == entry.number else entry.merchant_ref
    refund_ours = "" if entry.refund_ref == entry.refund_number else entry.refund_ref
    cells = (
        f"txn_{(entry.refund_number or entry.number)[3:]}{'f' * (entry.kind is EntryKind.REFUND_FAILURE)}",
        _utc(entry.at), _utc(entry.at + PAID_OUT_AFTER), entry.currency.lower(), *amounts, category,
        entry.refund_number or charge, entry.title, *(("", "") if is_other else (charge, entry.number)), "", "", ours,
        refund_ours,
    )  # fmt: skip
    return dict(zip(STRIPE_COLUMNS, cells, strict=True))


def _major(minor: int, places: int) -> str:
    return f"{Decimal(minor).scaleb(-places):.{places}f}"


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
