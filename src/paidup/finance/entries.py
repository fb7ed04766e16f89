"""Reconciled days as double entry (复式记账). Pure.

The account at the channel moves exactly as the channel's bill says, so that its balance is the channel's; income and
refunds are what our own books say; what lies between the two stands in the suspense account until its break is settled.
An entry's postings add up to zero: what comes into an account is positive, what leaves it negative.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

import msgspec

from paidup.errors import InvalidRequest
from paidup.reconcile.runs import Balance, Run, Sum

MAX_NAME_CHARS = 120


class Chart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The chart of accounts (会计科目). In `channel`, ``{channel}`` and ``{account}`` are those of the payment."""

    channel: str = "Assets:Channels:{channel}:{account}"
    bank: str = "Assets:Bank"
    income: str = "Income:Sales"
    refunds: str = "Income:Refunds"
    discounts: str = "Expenses:Discounts"
    fees: str = "Expenses:Channel-Fees"
    disputes: str = "Expenses:Disputes"
    suspense: str = "Liabilities:Suspense"
    opening: str = "Equity:Opening-Balances"


class Posting(msgspec.Struct, frozen=True):
    """What one account gains (or loses, when negative)."""

    account: str
    amount_minor: int


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the books, in one currency."""

    day: date
    currency: str
    what: str
    postings: Sequence[Posting]


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """What must be in an account at the end of a day."""

    day: date
    account: str
    currency: str
    amount_minor: int


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    """Entries in the order of their days, and the closing balances that they lead to. opened: the accounts that begin
    here; the others were begun by the books of the days before."""

    entries: Sequence[Entry]
    closings: Sequence[Closing]
    opened: Sequence[str]


def parse_chart(table: Mapping[str, object]) -> Chart:
    """A chart of accounts from a TOML file. Raises InvalidRequest for names that no program could read."""
    try:
        chart = msgspec.convert(table, Chart)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"the chart of accounts: {error}") from None
    for role, name in msgspec.structs.asdict(chart).items():
        if (
            not name
            or len(name) > MAX_NAME_CHARS
            or "  " in name
            or any(not c.isprintable() or c in '";' for c in name)
        ):
            raise InvalidRequest(f"the chart of accounts: {role} cannot be {name[:40]!r}; such as Assets:Bank")
    return chart


def journal_of(
    runs: Iterable[Run], balances: Iterable[Balance], chart: Chart, before: Iterable[Balance] = ()
) -> Journal:
    """All reconciled days as entries, which go on from what lay at the channels before. The first day of each account
    begins with what lay there; a later one that opens with another balance than the last one closed with has the
    difference in suspense.

    before: the last balances of earlier days. Whoever takes the books of one month after the other into one ledger has
    them there already. Without any, a ledger begins.
    """
    sums: dict[_Place, list[Sum]] = defaultdict(list)
    for run in runs:
        for one in run.sums:
            sums[_Place(run.day, run.channel, run.account, one.currency)].append(one)
    lies = {_Place(one.day, one.channel, one.account, one.currency): one for one in balances}
    entries, closings = [], []
    lay = {(one.channel, one.account, one.currency): one.closing_minor for one in before}
    opened = set() if lay else _shared(chart)
    known = {(channel, account) for channel, account, _ in lay}
    for place in sorted({*sums, *lies}):
        at, balance = account_of(chart, place.channel, place.account), lies.get(place)
        if balance is not None:
            entries += _opening(place, balance, lay.get(place[1:]), at, chart)
            lay[place[1:]] = balance.closing_minor
            opened |= set() if place[1:3] in known else {at}
            closings.append(
                Closing(day=place.day, account=at, currency=place.currency, amount_minor=balance.closing_minor)
            )
        entries += _day(place, sums[place], balance, at, chart)
    return Journal(entries=entries, closings=closings, opened=sorted(opened) if entries or closings else [])


class _Place(NamedTuple):
    """Where something moved, in the order of the books. A currency that only our own books have has no balance."""

    day: date
    channel: str
    account: str
    currency: str


def _opening(place: _Place, balance: Balance, lay_minor: int | None, at: str, chart: Chart) -> list[Entry]:
    """What the day opens with beyond what lay there; None: nothing is known of an earlier day."""
    gap = balance.opening_minor - (lay_minor or 0)
    what, against = ("opening balance", chart.opening) if lay_minor is None else ("moved unseen", chart.suspense)
    return [_entry(place, what, {at: gap}, against)] if gap else []


def _shared(chart: Chart) -> set[str]:
    """The names of all accounts but the channels'."""
    return {name for role, name in msgspec.structs.asdict(chart).items() if role != "channel"}


def account_of(chart: Chart, channel: str, account: str) -> str:
    """The name of a channel account in the books: letters, digits and hyphens, each part beginning with a capital."""
    return chart.channel.format(channel=_part(channel), account=_part(account))


def _part(text: str) -> str:
    clean = "".join(c if c.isascii() and c.isalnum() else "-" for c in text)
    return clean[:1].upper() + clean[1:] if clean[:1].isalnum() else f"X{clean}"


def _day(place: _Place, sums: Sequence[Sum], balance: Balance | None, at: str, chart: Chart) -> list[Entry]:
    moved = [_moved(place, one, at, chart) for one in sums if one.what != "payout"]
    paid_out = _entry(place, "paid out", {at: -balance.payouts_minor if balance else 0}, chart.bank)
    return [entry for entry in (*moved, paid_out) if entry.postings]


def _moved(place: _Place, one: Sum, at: str, chart: Chart) -> Entry:
    """A kind of line: the channel's account moves by its net; fees, discounts and our own side are named."""
    posted = {at: one.bill_net_minor, chart.fees: one.bill_fee_minor}
    if one.what == "payment":
        posted[chart.discounts] = one.bill_minor - one.bill_net_minor - one.bill_fee_minor
        posted[chart.income] = -one.ours_minor
        rest = chart.suspense
    elif one.what in ("refund", "refund_failed"):
        posted[chart.refunds] = -one.ours_minor
        rest = chart.suspense
    elif one.what == "fee":
        rest = chart.fees
    else:
        rest = chart.disputes if one.what.startswith("dispute") else chart.suspense
    return _entry(place, _SAID.get(one.what, one.what), posted, rest)


_SAID = {
    "payment": "payments",
    "refund": "refunds",
    "refund_failed": "refunds that failed",
    "refund_undone": "refunds that did not arrive",
    "dispute": "disputes",
    "dispute_won": "disputes won",
    "fee": "fees",
    "unknown": "lines of unknown type",
}


def _entry(place: _Place, what: str, posted: Mapping[str, int], rest: str) -> Entry:
    """An entry of these postings, and what is missing to zero on `rest`; zeros are left out."""
    totals = dict(posted)
    totals[rest] = totals.get(rest, 0) - sum(posted.values())
    return Entry(
        day=place.day,
        currency=place.currency,
        what=f"{place.channel}/{place.account}: {what}",
        postings=[Posting(account, minor) for account, minor in totals.items() if minor],
    )
