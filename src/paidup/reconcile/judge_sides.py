"""What both sides have, and what one has on this day while the other has it on another one, or nowhere. Pure.

So payments are judged, and refunds.
"""

from collections import defaultdict
from collections.abc import Callable
from datetime import date

from paidup.reconcile.breaks import Found, Kind, OurSide
from paidup.reconcile.judge_bench import Bench
from paidup.reconcile.known import Agreed, order_of
from paidup.reconcile.match import Line
from paidup.reconcile.naming import Left
from paidup.reconcile.states import State

OnPair = Callable[[Bench, Line, OurSide], None]
"""How a line and our side of it are compared."""


def judge_pairs(bench: Bench, left: Left, pair: OnPair) -> tuple[list[Line], list[str]]:
    """Judge what has both sides; gives back what has one."""
    by_ours: dict[str, list[Line]] = defaultdict(list)
    lines, ids = [], []
    for line, one in left:
        if line is not None and one is not None:
            by_ours[one].append(line)
        elif line is not None:
            lines.append(line)
        elif one is not None:
            ids.append(one)
    for one, its in by_ours.items():
        _pairs(bench, bench.known.by_id[one], sorted(its, key=order_of), pair)
    return lines, sorted(ids)


def _pairs(bench: Bench, ours: OurSide, lines: list[Line], pair: OnPair) -> None:
    """One of ours and its lines: parts that make up the whole, or one that fits and others too many."""
    if len(lines) > 1 and bench.adds_up(lines, [ours]):
        bench.agreed += [Agreed(line, in_group=True) for line in lines]
        return
    fits = [line for line in lines if bench.adds_up([line], [ours])] or lines[:1]
    pair(bench, fits[0], ours)
    for line in lines:
        if line is not fits[0]:
            bench.add_extra(line, ours, f"the bill has {line.txn or line.rref or line.ref} more than once")


def judge_of_another_day(bench: Bench, line: Line, ours: OurSide, pair: OnPair) -> None:
    """Our books have it, on another day: it closes that day's gap, or is waited for, or is one too many."""
    if bench.clears(ours, "ours"):
        pair(bench, line, ours)
        return
    day, key = bench.known.days.get(ours.subject_id), f"{line.kind}:{ours.subject_id}"
    is_read = day is None or bench.is_of_today(ours) or _was_met(bench, day, ours)
    if key in bench.known.cleared_here:  # by that day's run; what this bill says may have been corrected since
        if not bench.same_money(line, ours):
            return
    elif is_read:
        bench.add_extra(line, ours, f"already matched on {day}; this bill has it once more")
        return
    why = f"booked here on {day}, whose bill has not been read since"
    until = bench.day.wait_for(ours.at)
    bench.add(Kind.WRONG_DAY, key, why, line, ours, our=0, state=State.WAITING, until=until)


def _was_met(bench: Bench, day: date, ours: OurSide) -> bool:
    """Whether the bill of its day was read when our books had it already."""
    read_at = bench.known.read.get(day)
    return read_at is not None and (ours.changed_at is None or read_at >= ours.changed_at)


def judge_ours_only(bench: Bench, ours: OurSide) -> None:
    """Our books have it and the bill does not: an earlier bill had it, the next one may, or it is missing."""
    if bench.clears(ours, "bill"):
        return
    near = bench.day.is_near_its_bounds(ours.at)
    what = "refund" if ours.refund_id else "payment"
    word = "refunded" if ours.refund_id else "paid"
    why = f"{word} here at {ours.at:%Y-%m-%d %H:%M:%S} UTC, and not in the bill"
    bench.breaks.append(
        Found(
            key=f"{what}:{ours.subject_id}",
            kind=Kind.WRONG_DAY if near else Kind.SHORT,
            what=what,
            state=State.WAITING,
            currency=ours.currency,
            bill_minor=None,
            ours_minor=ours.signed_minor,
            why=f"{why}, which ends near it" if near else why,
            ours=ours,
            wait_until=bench.day.wait_until,
        )
    )
