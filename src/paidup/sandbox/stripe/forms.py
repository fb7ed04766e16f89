"""What a merchant's form says to Stripe: who sends it, and what it asks money for."""

import base64
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from paidup.errors import InvalidRequest
from paidup.money import CODES
from paidup.sandbox.wire import Ask

_LINE = re.compile(r"line_items\[([0-9]+)\]")
_PRICE = "[price_data]"
_LEAST = {"HKD": 400, "GBP": 30} | dict.fromkeys("USD EUR JPY CAD AUD NZD CHF SGD".split(), 50)
"""The smallest charge, where Stripe names it; elsewhere it is the equivalent of 0.50 USD, and here not held to."""
_LONG = frozenset("COP HUF IDR INR JPY LBP".split())
_UNSPOKEN = ("discounts[", "shipping_options[", "subscription_data[")
_SPOKEN = {
    "mode": ("payment",),
    "capture_method": ("automatic", "automatic_async"),
    "payment_intent_data[capture_method]": ("automatic", "automatic_async"),
    "confirm": ("false",),
    "automatic_tax[enabled]": ("false",),
}
"""Where only these values are played. What would change who pays how much, and when, is refused and not passed over."""


def key_of(ask: Ask) -> str:
    """The secret key: as a bearer token, or as the user of Basic authentication (``curl -u sk_test_…:``)."""
    scheme, _, value = ask.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return value if scheme.lower() == "bearer" else ""
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[0]
    except ValueError:
        return ""


def fields_of(ask: Ask) -> dict[str, str]:
    """The fields of the form. Raises ValueError."""
    return dict(parse_qsl(ask.body.decode(), keep_blank_values=True))


def price(fields: Mapping[str, str]) -> tuple[int, str]:
    """What is asked for, in Stripe's minor units, and in which currency. Raises InvalidRequest."""
    must_be_spoken(fields)
    return _within_bounds(count(fields, "amount"), _currency(fields, "currency"))


def price_of_items(fields: Mapping[str, str]) -> tuple[int, str]:
    """What all line items of a page cost together, and in which currency. Raises InvalidRequest."""
    must_be_spoken(fields)
    lines = sorted({f"line_items[{found[1]}]" for name in fields if (found := _LINE.match(name))})
    if not lines:
        raise InvalidRequest("Missing required param: line_items")
    currencies = {_currency(fields, f"{line}{_PRICE}[currency]") for line in lines}
    if len(currencies) > 1:
        raise InvalidRequest("All line items must be in the same currency")
    costs = (count(fields, f"{it}{_PRICE}[unit_amount]") * count(fields, f"{it}[quantity]") for it in lines)
    return _within_bounds(sum(costs), currencies.pop())


def must_be_spoken(fields: Mapping[str, str]) -> None:
    """Raises InvalidRequest for what the sandbox does not play."""
    for name, value in fields.items():
        if name.startswith(_UNSPOKEN) or value not in _SPOKEN.get(name, (value,)):
            raise InvalidRequest(f"the sandbox does not play {name[:60]}={value[:40]}")


def count(fields: Mapping[str, str], name: str) -> int:
    """A positive integer. Raises InvalidRequest."""
    text = fields.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and int(text) > 0):
        raise InvalidRequest(f"Invalid or missing positive integer: {name}")
    return int(text)


def noted(extra: Mapping[str, str], word: str) -> str | None:
    """The first metadata value whose name holds this word: where merchants put their own numbers."""
    return next((value for name, value in extra.items() if name.startswith("metadata[") and word in name), None)


def _currency(fields: Mapping[str, str], name: str) -> str:
    text = fields.get(name, "")
    if text.upper() not in CODES:
        raise InvalidRequest(f"Invalid or missing currency: {name}")
    return text.upper()


def _within_bounds(amount: int, currency: str) -> tuple[int, str]:
    least, digits = _LEAST.get(currency, 1), 12 if currency in _LONG else 8
    if amount < least:
        raise InvalidRequest(f"amount_too_small: the least is {least} in {currency.lower()}")
    if len(str(amount)) > digits:
        raise InvalidRequest(f"amount_too_large: at most {digits} digits in {currency.lower()}")
    return amount, currency
