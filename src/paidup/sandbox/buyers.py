"""The buyers: they scan, dither, fail at times, and pay, most of them within a minute."""

from math import inf

import msgspec

from paidup.errors import ConfigError
from paidup.sandbox.faults import Dice
from paidup.sandbox.ledger import Trade


class Buyers(msgspec.Struct, frozen=True, kw_only=True):
    """pay: the share who pay at all; of the others half scan the code and go away. fail_first: of those who pay, the
    share whose first attempt fails. median_s and sigma: log-normal seconds from opening to paying, the slowest cut at
    at_most_s."""

    pay: float = 0.97
    fail_first: float = 0.0
    median_s: float = 25.0
    sigma: float = 1.0
    at_most_s: float = 200.0

    def __post_init__(self) -> None:
        if not (0 <= self.pay <= 1 and 0 <= self.fail_first <= 1):
            raise ConfigError("buyers' pay and fail_first must be shares from 0 to 1")
        if not all(0 <= value < inf for value in (self.median_s, self.sigma, self.at_most_s)):
            raise ConfigError("buyers' median_s, sigma and at_most_s must be numbers, and not negative")


class Visit(msgspec.Struct, frozen=True):
    """What one buyer does, in seconds after the opening; None: never."""

    scans_s: float | None = None
    fails_s: float | None = None
    pays_s: float | None = None


def visit(buyers: Buyers, dice: Dice, trade: Trade) -> Visit:
    """The same trade has the same buyer in every run with this seed."""
    whom = (trade.channel, trade.account, trade.merchant_ref)
    factor = dice.throw("when", *whom).lognormvariate(0, buyers.sigma)
    pays_s = min(buyers.median_s * factor, buyers.at_most_s)
    if not dice.hits(buyers.pay, "pays", *whom):
        return Visit(scans_s=pays_s if dice.hits(0.5, "looks", *whom) else None)
    fails_s = pays_s * 0.8 if dice.hits(buyers.fail_first, "fails first", *whom) else None
    return Visit(scans_s=pays_s * 0.6, fails_s=fails_s, pays_s=pays_s)
