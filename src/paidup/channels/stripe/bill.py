"""Stripe's bills: the reports of what changed the balance in a day, and of what was paid out.

CSV in UTF-8, amounts in major units though the API counts in minor ones. Columns are found by name: their order
changes. Source: Stripe's documents "Reports API", "Balance report type" and "Payout reconciliation report type".
"""

from collections.abc import Sequence
from datetime import datetime
from typing import BinaryIO

from paidup.channels.bill import (
    Bill,
    BillFault,
    BillKind,
    BillLine,
    BillName,
    BillProof,
    BillReading,
    BillRefused,
    LineKind,
    day_in,
    minor,
    number_of,
    sound,
)
from paidup.channels.bill_file import (
    LIMITS,
    Limits,
    csv_rows,
    lines_of,
    must_be_the_file,
    must_name_once,
    unreadable,
)
from paidup.channels.stripe.keys import StripeAccount
from paidup.channels.stripe.objects import PAYMENT_REF, REFUND_REF

COLUMNS = (
    "balance_transaction_id", "created_utc", "currency", "gross", "fee", "net", "reporting_category", "source_id",
    "charge_id", "payment_intent_id",
)  # fmt: skip
OUR_NUMBERS = (f"payment_metadata[{PAYMENT_REF}]", f"refund_metadata[{REFUND_REF}]")
"""Our own numbers, as columns; a report that somebody made by hand may lack them."""

KINDS = {
    "charge": LineKind.PAYMENT,
    "refund": LineKind.REFUND,
    "refund_failure": LineKind.REFUND_FAILED,
    "dispute": LineKind.DISPUTE,
    "dispute_reversal": LineKind.DISPUTE_WON,
    "fee": LineKind.FEE,
    "payout": LineKind.PAYOUT,
    "payout_reversal": LineKind.PAYOUT,
}
OF_REFUNDS = (LineKind.REFUND, LineKind.REFUND_FAILED)


def read_bill(
    file: BinaryIO, name: BillName, account: StripeAccount, proof: BillProof, limits: Limits = LIMITS
) -> Bill:
    """Read a report's CSV. Raises BillRefused.

    The file states neither totals nor whose it is: its size, which the report run told, shows whether it is whole.
    A payout holds what was earned on many days, so only the trades are of one day.
    """
    must_be_the_file(file, proof, limits)
    day = day_in(account.zone, name.day) if name.kind is BillKind.TRADES else None

    def read() -> BillReading:
        file.seek(0)
        rows = csv_rows(lines_of(file, "utf-8", limits), limits=limits)
        _, _, names = next(rows, (0, "", []))
        must_name_once(names, COLUMNS)
        places = [names.index(column) if column in names else len(names) for column in (*COLUMNS, *OUR_NUMBERS)]
        for number, raw, cells in rows:
            if len(cells) != len(names):
                why = f"line {number} has {len(cells)} cells under {len(names)} columns"
                raise BillRefused(BillFault.UNKNOWN_FORMAT, why)
            cells.append("")  # what an absent column reads
            try:
                yield _line(number, raw, [cells[place] for place in places])
            except ValueError as wrong:
                raise unreadable(number, wrong) from None
        return {}

    return sound(account.channel, account.name, name, day, read)


def _line(number: int, raw: str, cells: Sequence[str]) -> BillLine:
    """Raises ValueError, and BillRefused when its amounts do not add up."""
    entry, at, currency, *amounts, word, source, charge, intent, ref, refund_ref = cells
    code = currency.upper()
    if not (len(code) == 3 and code.isascii() and code.isalpha()):
        raise ValueError(f"currency {currency[:10]!r}")
    gross, fee, net = (minor(amount, code) for amount in amounts)
    if gross - fee != net:
        why = f"line {number}: gross {gross} less fee {fee} is not net {net}; ask Stripe for the report again"
        raise BillRefused(BillFault.WRONG_TOTAL, why)
    kind = KINDS.get(word, LineKind.UNKNOWN)
    of_refund, is_fee = kind in OF_REFUNDS, kind is LineKind.FEE
    return BillLine(
        number=number,
        raw=raw,
        kind=kind,
        word=word,
        currency=code,
        amount_minor=0 if is_fee else gross,
        fee_minor=-net if is_fee else fee,
        net_minor=net,
        occurred_at=_moment(at),
        channel_txn_id=number_of(intent) or number_of(charge) or (None if of_refund else number_of(source)),
        merchant_ref=number_of(ref),
        channel_refund_id=number_of(source) if of_refund else None,
        merchant_refund_ref=number_of(refund_ref) if of_refund else None,
        entry=number_of(entry),
    )


def _moment(text: str) -> datetime:
    """``"2026-11-23 08:00:00"``, in UTC. Raises ValueError."""
    if len(text) != 19 or text[10] != " ":
        raise ValueError(f"{text[:40]!r} is no time such as 2026-11-23 08:00:00")
    return datetime.fromisoformat(f"{text}+00:00")
