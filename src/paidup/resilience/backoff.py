"""How long to wait before the next try: a written schedule, not a formula."""

import msgspec

from paidup.errors import ConfigError


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Waits in seconds after the first, second, … failure; the last one repeats for whoever tries for ever.

    longest_s: the most that the other side's Retry-After can ask for. A channel that answers a year is not obeyed.
    """

    steps_s: tuple[float, ...]
    longest_s: float = 3600.0

    def __post_init__(self) -> None:
        if not self.steps_s or any(step < 0 for step in self.steps_s):
            raise ConfigError("a back-off needs at least one step, and none below 0 seconds")

    def wait_s(self, failures: int, factor: float = 1.0) -> float:
        """Seconds to wait after so many failures in a row (1 = the first); `factor` is the spread from ids.spread."""
        step = min(max(failures, 1), len(self.steps_s))
        return self.steps_s[step - 1] * factor

    def exhausted(self, failures: int) -> bool:
        """Every written step has been waited for: whoever does not try for ever gives up now."""
        return failures > len(self.steps_s)

    def honour(self, wait_s: float, retry_after_s: float | None) -> float:
        """The longer of our wait and the one the other side asks for, the latter cut at `longest_s`.

        A negative or not-a-number Retry-After is ignored.
        """
        if retry_after_s is None or not retry_after_s > 0:
            return wait_s
        return max(wait_s, min(retry_after_s, self.longest_s))


CHANNEL_CALL = Backoff(steps_s=(1, 2, 4, 8, 15, 30, 60))
"""Between two tries of one call that certainly did nothing. Starts at a second because a customer may be waiting."""

WORKER = Backoff(steps_s=(0.2, 0.5, 1, 2, 5, 10, 20))
"""Between two rounds of a worker that failed. The first waits are short because most failures are a lost connection."""
