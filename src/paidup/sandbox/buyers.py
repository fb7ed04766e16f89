"""The buyers: they scan, dither, and pay, most of them within a minute."""

from datetime import timedelta

import msgspec

from paidup.sandbox.faults import Dice
from paidup.sandbox.ledger import Trade


class Buyers(msgspec.Struct, frozen=True, kw_only=True):
    """pay: the share who pay at all. median_s and sigma: log-normal seconds from
    opening to paying, the slowest cut at at_most_s."""

    pay: float = 0.97
    median_s: float = 25.0
    sigma: float = 1.0
    at_most_s: float = 300.0


def pays_after_s(buyers: Buyers, dice: Dice, trade: Trade) -> float | None:
    """When this trade's buyer pays, in seconds after opening; None when never."""
    if not dice.hits(buyers.pay, "pays", trade.channel, trade.merchant_ref):
        return None
    factor = dice.throw("when", trade.channel, trade.merchant_ref).lognormvariate(0, buyers.sigma)
    return min(buyers.median_s * factor, buyers.at_most_s)


def scans(trade: Trade, pays_s: float) -> None:
    """The buyer scans the code well before paying."""
    trade.seen_at = trade.opened_at + timedelta(seconds=pays_s * 0.6)
