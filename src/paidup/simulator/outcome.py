"""What came of a run."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from paidup.simulator.bill_books import AccountSum
from paidup.simulator.fates import Hit
from paidup.simulator.witness import Breach


class Outcome(msgspec.Struct, frozen=True):
    """What came of a run. trace: the same for every run of this seed."""

    seed: int
    breaches: Sequence[Breach]
    hits: Sequence[Hit]
    trace: str
    simulated_s: float
    steps: int
    callbacks: int
    payments: int
    counts: Counter[str]
    told: Sequence[str] = ()
    sums: Sequence[AccountSum] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing was broken."""
        return not self.breaches
