"""Payments that did not simply agree: in money or fee, several under their order's number, and unknown ones. Pure."""

from collections import defaultdict

from paidup.money import shown
from paidup.reconcile.breaks import Kind, OurSide
from paidup.reconcile.judge_bench import PAID, Bench
from paidup.reconcile.judge_sides import judge_of_another_day, judge_ours_only, judge_pairs
from paidup.reconcile.known import Agreed, order_of
from paidup.reconcile.match import Line
from paidup.reconcile.naming import Left
from paidup.reconcile.states import State


def judge_payments(bench: Bench, left: Left) -> None:
    """Pairs, then what has no other side."""
    lines, ids = judge_pairs(bench, left, _pair)
    lines, ids = _combined(bench, lines, ids)
    seen: set[str] = set()
    for line in sorted(lines, key=order_of):
        number = line.txn or line.ref or ""
        if number and number in seen:
            bench.add_extra(line, bench.payment_of(line), f"the bill has {number} more than once")
        else:
            _alone(bench, line)
        seen.add(number)
    for one in ids:
        judge_ours_only(bench, bench.known.by_id[one])


def _pair(bench: Bench, line: Line, ours: OurSide) -> None:
    """A payment that both sides have."""
    if not bench.same_money(line, ours):
        return
    rules = bench.day.rules
    agreed_fee = rules.fee_of(line.amount)
    if agreed_fee is not None and abs(line.fee - agreed_fee) > rules.fee_tolerance_minor:
        why = f"the channel kept {shown(line.fee, line.currency)}; {shown(agreed_fee, line.currency)} are agreed"
        bench.add(Kind.FEE, f"fee:{ours.payment_id}", why, line, ours, bill=line.fee, our=agreed_fee)
        return
    bench.agreed.append(Agreed(line))


def _combined(bench: Bench, lines: list[Line], ids: list[str]) -> tuple[list[Line], list[str]]:
    """N:1: a line under the order's own number, whose amount is that of several payments of the order."""
    by_order: dict[str, list[str]] = defaultdict(list)
    for one in ids:
        ours = bench.known.by_id[one]
        for number in {ours.order_id, ours.shop_order_no} - {None}:
            by_order[str(number)].append(one)
    used: set[str] = set()
    rest = []
    for line in sorted(lines, key=order_of):
        group = [one for one in by_order.get(line.ref or "", ()) if one not in used]
        if group and bench.adds_up([line], [bench.known.by_id[one] for one in group]):
            used.update(group)
            bench.agreed.append(Agreed(line, in_group=True))
        else:
            rest.append(line)
    return rest, [one for one in ids if one not in used]


def _alone(bench: Bench, line: Line) -> None:
    """The bill has it; of our books, only a look-up can tell."""
    ours = bench.payment_of(line)
    if ours is None:
        number = line.ref or line.txn or "without a number"
        why = f"no payment {number} is known here"
        bench.add(Kind.LONG, f"payment:{line.txn or line.ref or order_of(line)}", why, line, None)
    elif ours.state in PAID:
        judge_of_another_day(bench, line, ours, _pair)
    elif ours.state == "held":
        kind = Kind.STATUS if bench.adds_up([line], [ours]) else Kind.AMOUNT
        bench.add(kind, f"payment:{ours.payment_id}", "held here: it was not paid as agreed", line, ours)
    else:
        why = f"paid in the bill, and {ours.state} here"
        key = f"payment:{ours.payment_id}"
        bench.add(Kind.LONG, key, why, line, ours, our=0, state=State.WAITING)
