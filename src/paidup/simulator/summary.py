"""What many seeds came to."""

from collections.abc import Iterable, Mapping

import msgspec

from paidup.simulator.bill_books import AccountSum
from paidup.simulator.outcome import Outcome

DAY_S = 86400
LOST = ("no acknowledged callback is lost", "what was paid there is paid here", "every event was heard")
DOUBLED = (
    "an order is paid once",
    "what is paid here was paid there",
    "a refund is made once",
    "one request makes one payment",
)


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over seeds. lost and doubled: how many breaches say so. failed: the seeds that broke anything. accounts:
    the bills beside our books."""

    seeds: int = 0
    simulated_days: float = 0.0
    real_s: float = 0.0
    steps: int = 0
    callbacks: int = 0
    payments: int = 0
    lost: int = 0
    doubled: int = 0
    failed: tuple[int, ...] = ()
    faults: Mapping[str, int] = {}
    accounts: tuple[AccountSum, ...] = ()

    def plus(self, outcome: Outcome, real_s: float) -> "Summary":
        """With one more run; real_s: real seconds since the first began."""
        broken = [breach.invariant for breach in outcome.breaches]
        kinds = {*self.faults, *outcome.counts}
        return Summary(
            seeds=self.seeds + 1,
            simulated_days=self.simulated_days + outcome.simulated_s / DAY_S,
            real_s=real_s,
            steps=self.steps + outcome.steps,
            callbacks=self.callbacks + outcome.callbacks,
            payments=self.payments + outcome.payments,
            lost=self.lost + sum(name in LOST for name in broken),
            doubled=self.doubled + sum(name in DOUBLED for name in broken),
            failed=self.failed if outcome.holds else (*self.failed, outcome.seed),
            accounts=_added(self.accounts, outcome.sums),
            faults={kind: self.faults.get(kind, 0) + outcome.counts[kind] for kind in sorted(kinds)},
        )


def _added(before: Iterable[AccountSum], more: Iterable[AccountSum]) -> tuple[AccountSum, ...]:
    found = {(one.account, one.currency): one for one in before}
    for one in more:
        key = (one.account, one.currency)
        found[key] = found[key].plus(one) if key in found else one
    return tuple(found[key] for key in sorted(found))
