"""How the sandbox misbehaves. Each fate follows from the seed and from what it befalls, not from timing: two runs with
one seed lose the same callbacks."""

import random

import msgspec

from paidup.errors import ConfigError


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """Probabilities from 0 to 1.

    lose, repeat, delay, reorder, corrupt, forge befall callbacks; slow, hang, fail befall our answers. lose_for_good: a
    lost callback's retries are lost, too, so that the payment stays silent for ever. hang: we act, and then never
    answer. fail: 5xx, without having acted.
    """

    lose: float = 0.0
    repeat: float = 0.0
    delay: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    forge: float = 0.0
    slow: float = 0.0
    hang: float = 0.0
    fail: float = 0.0
    lose_for_good: bool = True
    delay_s: float = 60.0
    slow_s: float = 4.0

    def __post_init__(self) -> None:
        for name in ("lose", "repeat", "delay", "reorder", "corrupt", "forge", "slow", "hang", "fail"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"fault {name!r} must be a probability from 0 to 1")


class Dice:
    """Decides fates. The same (seed, what, whom) gives the same fate, whenever it is asked."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def hits(self, probability: float, *whom: object) -> bool:
        """Whether a fault of this probability befalls this."""
        return probability > 0 and self.throw(*whom).random() < probability

    def throw(self, *whom: object) -> random.Random:
        """A generator of its own for this."""
        return random.Random(f"{self._seed}/{'/'.join(map(str, whom))}")  # noqa: S311  dice, not secrets
