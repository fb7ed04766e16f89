"""Refunds that did not simply agree: booked together or in parts, on their way, come back, or unknown here. Pure."""

from collections import defaultdict
from collections.abc import Sequence

from paidup.channels.bill import LineKind
from paidup.reconcile.breaks import Kind, OurSide
from paidup.reconcile.judge_bench import PAID, Bench
from paidup.reconcile.judge_sides import judge_of_another_day, judge_ours_only, judge_pairs
from paidup.reconcile.known import Agreed, order_of, side_of
from paidup.reconcile.match import Line
from paidup.reconcile.naming import Left, name_of, told_apart
from paidup.reconcile.states import State


def judge_refunds(bench: Bench, left: Left, others: Sequence[Line]) -> None:
    """Pairs, batches, then what has no other side. A refund that came back in the same bill is none; of one that
    did not arrive the bill has a line, which tells of it by itself."""
    came_back, undone = (
        {mine.subject_id for line in others if line.kind == kind and (mine := bench.refund_of(line)) is not None}
        for kind in (LineKind.REFUND_FAILED, LineKind.REFUND_UNDONE)
    )
    lines, ids = judge_pairs(bench, told_apart(left, bench.known.by_id), _pair)
    lines, ids = _batches(bench, lines, [one for one in ids if one not in undone])
    seen: set[str] = set()
    for line in sorted(lines, key=order_of):
        name, ours = name_of(line), bench.refund_of(line)
        if name and name in seen:
            bench.add_extra(line, ours, f"the bill has {line.rid or line.rref} more than once")
        elif ours is not None and ours.state == "failed" and ours.subject_id in came_back:
            _left(bench, line, ours)
        elif ours is not None and ours.state == "failed" and not bench.is_of_today(ours):
            _came_back_on_another_day(bench, line, ours)
        else:
            _alone(bench, line, ours)
        seen.add(name)
    for one in ids:
        judge_ours_only(bench, bench.known.by_id[one])


def _pair(bench: Bench, line: Line, ours: OurSide) -> None:
    if bench.same_money(line, ours):
        bench.agreed.append(Agreed(line))


def _batches(bench: Bench, lines: list[Line], ids: list[str]) -> tuple[list[Line], list[str]]:
    """1:N and N:1: the refunds of one payment, booked together or in parts."""
    ours_of: dict[str, list[str]] = defaultdict(list)
    for one in ids:
        ours_of[bench.known.by_id[one].payment_id].append(one)
    lines_of: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        payment = bench.payment_of(line)
        if payment is not None and bench.refund_of(line) is None:
            lines_of[payment.payment_id].append(line)
    settled_lines: set[int] = set()
    settled_ids: set[str] = set()
    for payment_id, its in lines_of.items():
        group = ours_of.get(payment_id, [])
        if group and bench.adds_up(its, [bench.known.by_id[one] for one in group]):
            settled_lines.update(line.n for line in its)
            settled_ids.update(group)
            bench.agreed += [Agreed(line, in_group=True) for line in its]
    return [line for line in lines if line.n not in settled_lines], [one for one in ids if one not in settled_ids]


def _left(bench: Bench, line: Line, ours: OurSide) -> None:
    """A refund that left and came back, as both sides say; what came back is on our side, too."""
    if bench.same_money(line, ours):
        bench.agreed.append(Agreed(line, ours_minor=ours.signed_minor))


def _came_back_on_another_day(bench: Bench, line: Line, ours: OurSide) -> None:
    """It left in this bill; that it came back stands in another one, which was read, or is waited for."""
    day, key = bench.known.days.get(ours.subject_id), f"{line.kind}:{ours.subject_id}"
    if key in bench.known.cleared_here:
        _pair(bench, line, ours)
        return
    if day in bench.known.read and key not in bench.known.unsettled_here:
        _left(bench, line, ours)
        return
    why = f"given back in the bill, and came back here on {day}, whose bill has not shown it yet"
    bench.add(Kind.WRONG_DAY, key, why, line, ours, our=0, state=State.WAITING)


def _alone(bench: Bench, line: Line, ours: OurSide | None) -> None:
    """The bill has it; of our books, only a look-up can tell."""
    if ours is not None and ours.state == "succeeded":
        judge_of_another_day(bench, line, ours, _pair)
    elif ours is not None:
        why, key = f"given back in the bill, and {ours.state} here", f"refund:{ours.subject_id}"
        is_on_its_way = ours.state == "pending" or (ours.state != "failed" and side_of(line, "").is_on_its_way)
        until = bench.day.wait_for_arrival_until if is_on_its_way else None
        bench.add(Kind.STATUS, key, why, line, ours, our=0, state=State.WAITING, until=until)
    else:
        _stranger(bench, line)


def _stranger(bench: Bench, line: Line) -> None:
    payment = bench.payment_of(line)
    key = f"refund:{name_of(line) or (line.txn, line.ref, line.at, line.amount)}"
    if payment is None or payment.state not in PAID:
        state = f"is {payment.state} here" if payment else "is not known here"
        why = f"a refund of payment {line.ref or line.txn}, which {state}"
        bench.add(Kind.REFUND_WITHOUT_PAYMENT, key, why, line, payment, our=0)
    else:
        why = f"a refund {line.rref or line.rid or ''} of payment {payment.payment_id} that nobody asked for here"
        bench.add(Kind.REFUND_UNKNOWN, key, why, line, payment, our=0, state=State.WAITING)
