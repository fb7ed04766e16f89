"""Which payout took which trades, and whether it took what the bills have. Pure.

Every line of the payout report is laid beside the trade bill of the day on which it was booked, by the channel's number
for the very line and its net. So a payout is tied to the minor unit, or it is a break.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, tzinfo

import msgspec

from paidup.channels.bill import BillLine, LineKind
from paidup.money import shown
from paidup.reconcile.breaks import Found, Kind
from paidup.reconcile.runs import Balance, Payout, Taken
from paidup.reconcile.states import State

NAMED = 3
"""So many lines that stand in no bill are named in a break; the payout report has them all."""


class Group(msgspec.Struct, frozen=True, order=True):
    """Lines of one payout, booked on one day."""

    payout_id: str
    currency: str
    day: date
    what: str


class Untied(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of a group that its day's bill does not have, or has with another net."""

    lines: int
    net_minor: int
    entries: list[str]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A payout report added up. stated: by payout and currency what the payout itself is over, where it says so."""

    groups: Mapping[Group, tuple[int, int, int, int]]
    stated: Mapping[tuple[str, str], int]

    @property
    def days(self) -> list[date]:
        """On which its lines were booked."""
        return sorted({group.day for group in self.groups})


def added(lines: Iterable[BillLine], zone: tzinfo) -> Report:
    """Add up a payout report: (lines, amount, fee, net) of each group."""
    sums: dict[Group, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    stated: dict[tuple[str, str], int] = defaultdict(int)
    for line in lines:
        if line.kind is LineKind.PAYOUT:
            stated[line.payout or "", line.currency] -= line.net_minor
            continue
        into = sums[group_of(line, zone)]
        into[:] = into[0] + 1, into[1] + line.amount_minor, into[2] + line.fee_minor, into[3] + line.net_minor
    groups = {group: (n, amount, fee, net) for group, (n, amount, fee, net) in sums.items()}
    return Report(groups=groups, stated=dict(stated))


def group_of(line: BillLine, zone: tzinfo) -> Group:
    """Where a line of the payout report belongs."""
    return Group(line.payout or "", line.currency, line.occurred_at.astimezone(zone).date(), line.kind.value)


def untied(mine: Iterable[BillLine], bill: Iterable[BillLine], zone: tzinfo) -> dict[Group, Untied] | None:
    """What of these lines of a payout report, all of one day, that day's bill does not have; None where the bill does
    not number its lines, so that nobody can tell. A line that the report has twice is once too much."""
    waiting: dict[str, BillLine] = {}
    lost = []
    for line in mine:
        if line.entry is None or line.entry in waiting:
            lost.append(line)
        else:
            waiting[line.entry] = line
    is_numbered = not waiting
    for line in bill:
        is_numbered = is_numbered or line.entry is not None
        found = waiting.get(line.entry or "")
        if found is not None and (found.currency, found.net_minor) == (line.currency, line.net_minor):
            del waiting[found.entry or ""]
    if not is_numbered:
        return None
    by_group: dict[Group, list[BillLine]] = defaultdict(list)
    for line in (*lost, *waiting.values()):
        by_group[group_of(line, zone)].append(line)
    return {
        group: Untied(
            lines=len(its),
            net_minor=sum(line.net_minor for line in its),
            entries=sorted(line.entry or f"line {line.number}" for line in its)[:NAMED],
        )
        for group, its in by_group.items()
    }


def payouts_of(report: Report, untied_of: Mapping[date, Mapping[Group, Untied] | None]) -> list[Payout]:
    """Each payout with what it took. untied_of: by day, None for days whose bill is not here."""
    taken: dict[tuple[str, str], list[Taken]] = defaultdict(list)
    for group, (lines, amount, fee, net) in sorted(report.groups.items()):
        of_day = untied_of.get(group.day)
        lost = of_day.get(group) if of_day is not None else None
        taken[group.payout_id, group.currency].append(
            Taken(
                day=group.day,
                what=group.what,
                lines=lines,
                amount_minor=amount,
                fee_minor=fee,
                net_minor=net,
                is_read=of_day is not None,
                untied=lost.lines if lost else 0,
                untied_minor=lost.net_minor if lost else 0,
                untied_entries=lost.entries if lost else [],
            )
        )
    return [
        Payout(
            payout_id=payout_id,
            currency=currency,
            net_minor=sum(one.net_minor for one in taken[payout_id, currency]),
            stated_minor=report.stated.get((payout_id, currency)),
            takes=taken[payout_id, currency],
        )
        for payout_id, currency in sorted({*taken, *report.stated})
    ]


def payout_breaks(payouts: Sequence[Payout] | None, balances: Iterable[Balance]) -> Iterator[Found]:
    """Payouts that took what no bill has, or other money than they are over; and what left the balance otherwise than
    by a payout that is explained. None: there is no payout report."""
    if payouts is None:
        return
    wrong = set()
    for one in payouts:
        if its := list(_of_payout(one)):
            wrong.add(one.currency)
            yield from its
    for balance in balances:
        paid = sum(one.net_minor for one in payouts if one.currency == balance.currency)
        if paid != balance.payouts_minor and balance.currency not in wrong:
            left, explained = (shown(minor, balance.currency) for minor in (balance.payouts_minor, paid))
            why = f"{left} left the balance in payouts, and the payout report explains {explained}"
            yield _found(f"payouts:{balance.currency}", balance.currency, balance.payouts_minor, paid, why)


def _of_payout(one: Payout) -> Iterator[Found]:
    lines = sum(its.untied for its in one.takes)
    if lines:
        lost = sum(its.untied_minor for its in one.takes)
        names = ", ".join(sorted(name for its in one.takes for name in its.untied_entries)[:NAMED])
        said = f"{lines} {'lines' if lines > 1 else 'line'} over {shown(lost, one.currency)}"
        why = f"payout {one.payout_id} takes {said} that the bills of their days do not have so: {names}"
        yield _found(f"payout:{one.payout_id}:{one.currency}", one.currency, one.net_minor, one.net_minor - lost, why)
    if one.stated_minor is not None and one.stated_minor != one.net_minor:
        stated, net = shown(one.stated_minor, one.currency), shown(one.net_minor, one.currency)
        why = f"payout {one.payout_id} is over {stated}, and its lines add up to {net}"
        yield _found(f"paid:{one.payout_id}:{one.currency}", one.currency, one.stated_minor, one.net_minor, why)


def _found(key: str, currency: str, bill_minor: int, ours_minor: int, why: str) -> Found:
    return Found(
        key=key, kind=Kind.PAYOUT, what="payout", state=State.OPEN, currency=currency, bill_minor=bill_minor,
        ours_minor=ours_minor, why=why,
    )  # fmt: skip
