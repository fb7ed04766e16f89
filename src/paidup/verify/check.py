"""What a verification says."""

from datetime import datetime

import msgspec

MAX_NAMED = 10
"""So many breaches of a claim are named; the others are counted."""


class Check(msgspec.Struct, frozen=True):
    """One claim. `sums` are the figures it was judged by; `breaches` are up to ten ids that break it."""

    name: str
    claim: str
    sums: dict[str, int]
    breaches: list[str]

    @property
    def holds(self) -> bool:
        """Whether nothing breaks the claim."""
        return not self.breaches


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One verification. since: only what changed from then on was looked at (None: everything).

    up_to: what was changed before is proven; the next one may begin there. anchor: the fingerprint of all orders,
    payments and refunds with the heads of the orders' chains; note it somewhere else, and a forger must have been
    there, too. Empty unless everything was looked at.
    """

    checks: list[Check]
    since: datetime | None
    up_to: datetime | None
    orders: int
    anchor: str

    @property
    def holds(self) -> bool:
        """Whether no claim is broken."""
        return all(check.holds for check in self.checks)
