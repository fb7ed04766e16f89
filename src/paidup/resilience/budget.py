"""How many calls may start now: a token bucket as a frozen value."""

from datetime import datetime, timedelta
from typing import Self

import msgspec

from paidup.errors import ConfigError

SKEW = timedelta(seconds=60)
"""Clocks of machines that share a budget differ by less. One that was last used further in the future, before a clock
was set right, gathers from now on: otherwise nothing would come in until that time."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """`rate_per_s` tokens come in every second; never more than `burst` gather. `tokens` are there at `at`."""

    rate_per_s: float
    burst: int
    tokens: float
    at: datetime

    def __post_init__(self) -> None:
        if self.rate_per_s <= 0 or self.burst < 1:
            raise ConfigError(f"a budget of {self.rate_per_s}/s with a burst of {self.burst} would never allow a call")

    @classmethod
    def full(cls, rate_per_s: float, burst: int, now: datetime) -> Self:
        """A budget that nobody has used yet."""
        return cls(rate_per_s=rate_per_s, burst=burst, tokens=float(burst), at=now)

    def take(self, now: datetime, wanted: int) -> tuple[int, "Budget"]:
        """Take up to `wanted` whole tokens: how many were granted, and the budget that is left."""
        gathered = self._gathered(now)
        granted = max(0, min(wanted, int(gathered)))
        at = now if self.at - now > SKEW else max(now, self.at)
        left = msgspec.structs.replace(self, tokens=gathered - granted, at=at)
        return granted, left

    def give_back(self, unused: int) -> "Budget":
        """Return tokens that were granted and not needed, so that an idle round costs nothing."""
        return msgspec.structs.replace(self, tokens=min(float(self.burst), self.tokens + max(0, unused)))

    def wait_s(self, now: datetime, wanted: int = 1) -> float:
        """Seconds until `wanted` tokens (at most `burst`) are there; 0.0 when they are there now."""
        missing = min(wanted, self.burst) - self._gathered(now)
        return max(0.0, missing / self.rate_per_s)

    def _gathered(self, now: datetime) -> float:
        # A clock that is behind must neither take tokens away nor give them twice.
        passed_s = max(0.0, (now - self.at).total_seconds())
        return min(float(self.burst), self.tokens + passed_s * self.rate_per_s)
