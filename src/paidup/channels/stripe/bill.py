"""Stripe's bills: the reports of what changed the balance in a day, of what lay there (balance.py), and of the payouts.

CSV in UTF-8, amounts in major units though the API counts in minor ones. Columns are found by name: their order
changes. Source: Stripe's documents "Reports API", "Balance report type" and "Payout reconciliation report type".
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import BinaryIO

import msgspec

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
from paidup.channels.bill_file import LIMITS, Limits, must_be_the_file, unreadable
from paidup.channels.stripe.balance import balances
from paidup.channels.stripe.keys import StripeAccount
from paidup.channels.stripe.objects import PAYMENT_REF, REFUND_REF
from paidup.channels.stripe.report import currency_of, rows_of

COLUMNS = (
    "balance_transaction_id", "created_utc", "currency", "gross", "fee", "net", "reporting_category", "source_id",
    "charge_id", "payment_intent_id",
)  # fmt: skip
OUR_NUMBERS = (f"payment_metadata[{PAYMENT_REF}]", f"refund_metadata[{REFUND_REF}]")
"""Our own numbers, as columns; a report that somebody made by hand may lack them."""
OF_PAYOUT = ("automatic_payout_id", "automatic_payout_effective_at_utc")
"""The payout that took a line, and when it left the balance."""

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
    day = day_in(account.zone, name.day)

    def read() -> BillReading:
        if name.kind is BillKind.FUNDS:
            return balances(file, name.day, day[0], limits)
        return _trades(file, limits) if name.kind is BillKind.TRADES else _payouts(file, name.day, day, limits)

    return sound(account.channel, account.name, name, day if name.kind is BillKind.TRADES else None, read)


def _trades(file: BinaryIO, limits: Limits) -> BillReading:
    for number, raw, cells in rows_of(file, COLUMNS, OUR_NUMBERS, limits):
        try:
            yield _line(number, raw, cells)
        except ValueError as wrong:
            raise unreadable(number, wrong) from None
    return {}


def _payouts(file: BinaryIO, of: date, day: tuple[datetime, datetime], limits: Limits) -> BillReading:
    """Lines with the payout that took them, and the payouts themselves, where the report has them.

    Stripe prints the day on which a payout leaves the balance as its first moment, in UTC.
    """
    count, of_day = 0, 0
    needed, perhaps = (*COLUMNS, OF_PAYOUT[0]), (*OUR_NUMBERS, OF_PAYOUT[1])
    for number, raw, (*cells, payout, ref, refund_ref, leaves) in rows_of(file, needed, perhaps, limits):
        try:
            line = _line(number, raw, [*cells, ref, refund_ref])
            leaves_at = _moment(leaves) if leaves else day[0]
            its = number_of(payout) or (line.channel_txn_id if line.kind is LineKind.PAYOUT else None)
        except ValueError as wrong:
            raise unreadable(number, wrong) from None
        if its is None:
            why = f"line {number} is in no payout: is it the payout reconciliation report?"
            raise BillRefused(BillFault.UNKNOWN_FORMAT, why)
        count, of_day = count + 1, of_day + (day[0] <= leaves_at < day[1] or leaves_at.date() == of)
        yield msgspec.structs.replace(line, payout=its)
    if count and not of_day:
        raise BillRefused(BillFault.OTHER_DAY, f"none of its {count} lines left in a payout of {of}")
    return {}


def _line(number: int, raw: str, cells: Sequence[str]) -> BillLine:
    """Raises ValueError, and BillRefused when its amounts do not add up."""
    entry, at, currency, *amounts, word, source, charge, intent, ref, refund_ref = cells
    code = currency_of(currency)
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
