"""What a difference means. Pure: what match.py left over and what look-ups tell of it in, typed breaks out.

Nothing here depends on the order of the lines, on how they were split into files, or on when it is asked.
"""

from paidup.reconcile.judge_bench import Bench
from paidup.reconcile.judge_other_lines import judge_other_lines
from paidup.reconcile.judge_payments import judge_payments
from paidup.reconcile.judge_refunds import judge_refunds
from paidup.reconcile.known import Day, Judged, Known, named_apart
from paidup.reconcile.match import Matched


def judge(matched: Matched, known: Known, day: Day) -> Judged:
    """Type everything that did not simply agree."""
    bench = Bench(known, day)
    judge_payments(bench, matched.payments)
    judge_refunds(bench, matched.refunds, matched.others)
    judge_other_lines(bench, matched.others)
    return Judged(
        breaks=sorted(named_apart(bench.breaks), key=lambda found: found.key),
        agreed=bench.agreed,
        cleared=sorted(set(bench.cleared)),
        apart=bench.apart,
    )
