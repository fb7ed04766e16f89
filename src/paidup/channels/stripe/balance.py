"""Stripe's balance summary: with what a day began and ended, in each currency, and what moved in between.

Source: Stripe's document "Balance summary report", report type balance.summary.1. Some rows are parts of others
(activity_gross and activity_fee of activity); that the rows which are read lead from the one balance to the other is
held, so nothing is read twice or not at all. Stripe describes payouts as subtracted; in files that we know they are
printed with their sign.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import BinaryIO

from paidup.channels.bill import BillFault, BillLine, BillReading, BillRefused, LineKind, minor
from paidup.channels.bill_file import Limits, cut_off, unreadable
from paidup.channels.stripe.report import currency_of, rows_of

COLUMNS = ("category", "description", "net_amount", "currency")

_BEGINS, _ENDS = "starting_balance", "ending_balance"
_MOVES = {"activity": LineKind.UNKNOWN, "topups": LineKind.UNKNOWN, "payouts": LineKind.PAYOUT}
"""What moves the balance; activity is of many kinds, which the trade bill tells apart."""
_DATE = re.compile(r"\(([0-9]{4}-[0-9]{2}-[0-9]{2})\)")
_MOST_ROWS = 10_000

_Rows = dict[str, tuple[int, str, int]]
"""By category: number, text and amount."""


def balances(file: BinaryIO, day: date, begins_at: datetime, limits: Limits) -> BillReading:
    """What moved, as lines that lead from balance to balance. Raises BillRefused."""
    by_currency: dict[str, _Rows] = {}
    stated: dict[str, str] = {}
    for number, raw, (category, described, net, currency) in rows_of(file, COLUMNS, (), limits):
        if number > _MOST_ROWS:
            raise BillRefused(BillFault.TOO_LARGE, f"a balance summary has no {_MOST_ROWS} rows")
        try:
            code = currency_of(currency)
            amount = minor(net, code)
        except ValueError as wrong:
            raise unreadable(number, wrong) from None
        rows = by_currency.setdefault(code, {})
        if category in rows:
            raise BillRefused(BillFault.UNKNOWN_FORMAT, f"line {number}: {code} has {category[:40]!r} twice")
        rows[category] = (number, raw, amount)
        stated[f"{category} {code}"[:100]] = net
        if category == _BEGINS:
            _must_begin_on(described, day, begins_at)
    for code, rows in by_currency.items():
        yield from _moved(code, rows, begins_at)
    return stated


def _must_begin_on(described: str, day: date, begins_at: datetime) -> None:
    """In the description stands the day, or the one that it begins on in UTC. Raises BillRefused."""
    found = _DATE.search(described)
    if found and found[1] not in (day.isoformat(), begins_at.astimezone(UTC).date().isoformat()):
        raise BillRefused(BillFault.OTHER_DAY, f"it begins on {found[1]}, and the summary of {day} was wanted")


def _moved(code: str, rows: _Rows, begins_at: datetime) -> Iterator[BillLine]:
    """Raises BillRefused when the rows do not lead from the first balance to the last."""
    for category in (_BEGINS, _ENDS):
        if category not in rows:
            raise cut_off(f"{category} of {code}")
    (*_, balance), (*_, ending) = rows[_BEGINS], rows[_ENDS]
    moves = [(kind, word, _of(rows, word)) for word, kind in _MOVES.items()]
    total = balance + sum(amount for _, _, (_, _, amount) in moves)
    if total != ending:
        why = f"{code} begins with {balance}, moves to {total}, and is said to end with {ending} (minor units)"
        raise BillRefused(BillFault.WRONG_TOTAL, f"{why}; ask Stripe for the report again")
    for kind, word, (number, raw, amount) in moves:
        balance += amount
        yield BillLine(
            number=number,
            raw=raw,
            kind=kind,
            word=word,
            currency=code,
            amount_minor=amount,
            fee_minor=0,
            net_minor=amount,
            occurred_at=begins_at,
            balance_minor=balance,
        )


def _of(rows: Mapping[str, tuple[int, str, int]], word: str) -> tuple[int, str, int]:
    """A subtotal; where it is absent its two parts added up."""
    if word in rows:
        return rows[word]
    parts = [rows[name] for name in (f"{word}_gross", f"{word}_fee") if name in rows]
    number, raw, _ = parts[0] if parts else (0, "", 0)
    return number, raw, sum(amount for *_, amount in parts)
