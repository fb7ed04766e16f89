"""Other lines: refunds that came back or did not arrive, disputes, and what nobody knows. Pure."""

from collections.abc import Sequence

from paidup.channels.bill import LineKind
from paidup.money import shown
from paidup.reconcile.breaks import Kind, OurSide
from paidup.reconcile.judge_bench import PAID, Bench
from paidup.reconcile.known import OF_DISPUTES, Agreed, order_of
from paidup.reconcile.match import Line
from paidup.reconcile.naming import name_of
from paidup.reconcile.states import State

_DISPUTED = frozenset({"disputed", "charged_back"})


def judge_other_lines(bench: Bench, lines: Sequence[Line]) -> None:
    """Refunds that came back or did not arrive, disputes, and what nobody knows; each once."""
    seen: set[tuple[str, str]] = set()
    won = {number for line in lines if line.kind == LineKind.DISPUTE_WON for number in (line.txn, line.ref)} - {None}
    for line in sorted(lines, key=order_of):
        number = line.rid or line.rref or line.txn or line.ref or ""
        name = name_of(line) or number
        is_again = line.kind != LineKind.UNKNOWN and name and (line.kind, name) in seen
        if is_again:
            bench.add_extra(line, bench.refund_of(line), f"the bill has {number} more than once")
        elif line.kind in OF_DISPUTES:
            _dispute(bench, line, is_won=bool(won & {line.txn, line.ref}))
        else:
            _other(bench, line)
        seen.add((line.kind, name))


def _dispute(bench: Bench, line: Line, *, is_won: bool) -> None:
    """Its end may stand in this bill (is_won) or in another day's; and other ones may be open, or lost."""
    ours = bench.payment_of(line)
    known = bench.known.disputes.get(ours.payment_id, frozenset()) if ours else frozenset()
    if line.kind == LineKind.DISPUTE:
        _must_stand(bench, line, ours, PAID if is_won or known else _DISPUTED, "was taken back by the bank")
    else:
        _must_stand(bench, line, ours, PAID if "won" in known else frozenset({"paid"}), "was returned by the bank")


def _other(bench: Bench, line: Line) -> None:
    if line.kind in (LineKind.REFUND_FAILED, LineKind.REFUND_UNDONE):
        what = "came back" if line.kind == LineKind.REFUND_FAILED else "did not reach the customer"
        _must_stand(bench, line, bench.refund_of(line), frozenset({"failed"}), what)
    else:
        why = f"a line of the type {line.word or ''!r}"
        key = f"unknown:{line.word}:{line.txn or line.ref or line.at}"
        bench.add(Kind.UNKNOWN_LINE, key, why, line, None)


def _must_stand(bench: Bench, line: Line, ours: OurSide | None, states: frozenset[str], what: str) -> None:
    if ours is not None and ours.state in states:
        if line.kind != LineKind.REFUND_FAILED:
            bench.agreed.append(Agreed(line))
        elif _gives_it_back(bench, line, ours):
            is_of_a_break = bench.clears(ours, "bill")  # then that day's sums have only the bill's side of it
            bench.agreed.append(Agreed(line, ours_minor=0 if is_of_a_break else ours.amount_minor))
        return
    number = line.rid or line.rref or line.txn or line.ref
    here = f"{ours.state} here" if ours else "not known here"
    key = f"{line.kind}:{ours.subject_id if ours else name_of(line) or number}"
    bench.add(Kind.STATUS, key, f"{number} {what}, and is {here}", line, ours, our=0, state=State.WAITING)


def _gives_it_back(bench: Bench, line: Line, ours: OurSide) -> bool:
    """Whether a refund came back whole."""
    if line.currency == ours.currency and bench.day.rules.allows(line.currency, line.amount - ours.amount_minor):
        return True
    said = shown(line.amount, line.currency)
    why = f"{said} came back of a refund of {shown(ours.amount_minor, ours.currency)}"
    bench.add(Kind.AMOUNT, f"{line.kind}:{ours.subject_id}", why, line, ours, our=ours.amount_minor)
    return False
