"""Stripe's amounts. They are minor units, but for a few currencies not those of ISO 4217 (docs.stripe.com/currencies).

ISK and UGX have no decimals, yet Stripe counts them in hundredths. MGA has two on paper, and Stripe counts it whole.
Three-decimal currencies must end in 0.
"""

from paidup.errors import InvalidRequest
from paidup.money import Money, decimals

_IN_HUNDREDTHS = frozenset(("ISK", "UGX"))
_WHOLE = frozenset(("MGA",))


def to_stripe(money: Money) -> int:
    """The integer to send. Raises InvalidRequest when Stripe cannot take so fine an amount."""
    if money.currency in _IN_HUNDREDTHS:
        return money.amount_minor * 100
    step = 100 if money.currency in _WHOLE else 10 if decimals(money.currency) == 3 else 1
    if money.amount_minor % step:
        raise InvalidRequest(f"Stripe takes {money.currency} in steps of {step} minor units, not {money}")
    return money.amount_minor // 100 if money.currency in _WHOLE else money.amount_minor


def from_stripe(amount: int, currency: str) -> Money:
    """The inverse of `to_stripe`. Raises InvalidRequest for a currency or amount that Money cannot hold."""
    code = currency.upper()
    if code in _IN_HUNDREDTHS:
        if amount % 100:
            raise InvalidRequest(f"{amount} hundredths of {code} are no whole amount")
        return Money(amount // 100, code)
    return Money(amount * 100 if code in _WHOLE else amount, code)
