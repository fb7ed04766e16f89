"""The row of a run: how many lines it matched, how many breaks it moved, and both sides added up."""

from collections.abc import Iterator
from datetime import date, datetime

import msgspec

from paidup.reconcile import runs
from paidup.reconcile.decide import Change
from paidup.reconcile.party import Party
from paidup.reconcile.run_lay import Laid


def run_of(party: Party, day: date, laid: Laid, changes: list[Change], *, run_id: str, now: datetime) -> runs.Run:
    """What is kept of a run that laid the day out so, and changed these breaks."""
    trades = laid.begun.trades
    sums = list(_sums(laid))
    steps = [change.step for change in changes]
    return runs.Run(
        id=run_id, shop=party.account.shop, channel=party.account.channel, account=party.account.name, day=day,
        begins_at=laid.day.begins_at, ends_at=laid.day.ends_at, bill_id=trades.id, bill_version=trades.version,
        began_at=laid.begun.at, ended_at=now, lines=laid.lines, matched=sum(one.matched for one in sums),
        grouped=sum(one.in_group for one in laid.judged.agreed), opened=steps.count("found"),
        reopened=steps.count("changed") + steps.count("reopened"),
        cleared=steps.count("cleared") + steps.count("healed"), took_ms=laid.took_ms,
        payouts=laid.beside.payouts or [], sums=sums,
    )  # fmt: skip


def _sums(laid: Laid) -> Iterator[runs.Sum]:
    """Both sides added up: every line is matched but for those that were left over and did not agree after all. Those
    stand in breaks, which are counted by themselves: `paidup verify` holds that nothing is lost between the two."""
    broken: dict[tuple[str, str], list[int]] = {}
    for found in laid.judged.breaks:
        if found.line is not None:
            _count(broken, found.line.kind, found.line.currency, found.line.amount_minor, 1)
    left: dict[tuple[str, str], list[int]] = {}
    came_back: dict[tuple[str, str], list[int]] = {}
    for line in (
        *(line for line, _ in laid.matched.payments if line),
        *(line for line, _ in laid.matched.refunds if line),
        *laid.matched.others,
    ):
        _count(left, line.kind, line.currency, line.amount, 1)
    for agreed in laid.judged.agreed:
        _count(left, agreed.line.kind, agreed.line.currency, agreed.line.amount, -1)
        _count(came_back, agreed.line.kind, agreed.line.currency, agreed.ours_minor, int(agreed.ours_minor != 0))
    for one in laid.matched.sums:
        lines, minor = left.get((one.what, one.currency), (0, 0))
        in_breaks, broken_minor = broken.get((one.what, one.currency), (0, 0))
        booked = one.what not in ("fee", "payout")
        ours_too, ours_too_minor = came_back.get((one.what, one.currency), (0, 0))
        more = {"ours": one.ours + ours_too, "ours_minor": one.ours_minor + ours_too_minor}
        yield runs.Sum(
            **msgspec.structs.asdict(one) | more,
            matched=one.bill_lines - lines if booked else 0,
            matched_minor=one.bill_minor - minor if booked else 0,
            broken=in_breaks,
            broken_minor=broken_minor,
        )


def _count(into: dict[tuple[str, str], list[int]], kind: str, currency: str, amount: int, by: int) -> None:
    at = into.setdefault((kind, currency), [0, 0])
    at[0] += by
    at[1] += by * amount
